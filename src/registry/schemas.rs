//! The schemas known so far, and the errand that gets the others.
//!
//! Owns what is known and since when. Who needs a schema that is not known asks for it by failing, and
//! tries again; meanwhile a task of its own asks the registry.
//!
//! Invariants:
//! - no value is condemned by a newest version that was asked for before the value was doubted: its
//!   writer may know a newer one;
//! - a registry that does not answer is asked for one schema at a time;
//! - as many schemas are held as there are subjects in use, and no more than [`KNOWN_MAX`].

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use foldhash::HashMap;
use tokio::sync::{Notify, watch};

use super::{Client, RegistryError};
use crate::decide::schema::Numbered;
use crate::event::EventRef;
use crate::outcome::{Class, Failure};
use crate::process::clock;
use crate::process::settings::SchemaRegistry;
use crate::record::{Record, SchemaName, SchemaOrigin};

/// Far above any sane number of subjects: beyond it all are forgotten, and read again.
const KNOWN_MAX: usize = 4_096;
/// What is missing is asked for this often.
const PAUSE: Duration = Duration::from_secs(1);
/// More events in doubt than this are forgotten, and doubted anew.
const DOUBTS_MAX: usize = 100_000;
/// What lasts is logged this often, in milliseconds.
const REPEAT_MS: u64 = 30_000;

/// What is waited for, and what to do about it; none while all is known that records need.
pub type Trouble = Option<String>;

/// What is known of one schema.
#[derive(Debug, Default)]
struct Entry {
    known: Option<Arc<Numbered>>,
    /// When it was asked for that was told last, in boot milliseconds.
    asked_ms: u64,
    /// Why the last try failed.
    failed: Option<RegistryError>,
    /// A record needs it, or needs it read again.
    is_wanted: bool,
}

/// The schemas that records are encoded by.
#[derive(Debug)]
pub struct Schemas {
    entries: RwLock<HashMap<Arc<SchemaName>, Entry>>,
    /// Since when events do not fit a newest version, in boot milliseconds.
    doubts: Mutex<HashMap<EventRef, u64>>,
    wanted: Arc<Notify>,
    trouble: watch::Sender<Trouble>,
}

/// Asks for schemas as long as anybody needs them.
pub fn start(settings: &SchemaRegistry) -> Result<Arc<Schemas>, RegistryError> {
    let client = Arc::new(Client::new(settings)?);
    let schemas = Arc::new(Schemas {
        entries: RwLock::default(),
        doubts: Mutex::default(),
        wanted: Arc::default(),
        trouble: watch::channel(None).0,
    });
    let errand = Errand {
        schemas: Arc::downgrade(&schemas),
        wanted: Arc::clone(&schemas.wanted),
        client,
        refresh_ms: settings.refresh_ms,
        told_ms: None,
    };
    tokio::spawn(errand.run());
    Ok(schemas)
}

impl Schemas {
    /// Asks for schemas that records will need.
    pub fn want(&self, names: impl IntoIterator<Item = Arc<SchemaName>>) {
        names.into_iter().for_each(|name| self.want_one(&name));
    }

    /// What is waited for, always anew.
    pub fn trouble(&self) -> watch::Receiver<Trouble> {
        self.trouble.subscribe()
    }

    /// The record of an event as it is sent: encoded by this schema.
    pub fn encoded(
        &self,
        at: EventRef,
        record: &Record,
        name: &Arc<SchemaName>,
    ) -> Result<Record, Failure> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name);
        let known = entry.and_then(|entry| Some((entry.known.clone()?, entry.asked_ms)));
        let failed = entry.map(|entry| entry.failed.clone());
        drop(entries);
        let Some((schema, asked_ms)) = known else {
            let failure = waiting(record, name, failed.clone().flatten().as_ref());
            if failed.is_none() {
                self.want_one(name);
            }
            return Err(failure);
        };
        schema.encoded(record).map_err(|defect| {
            if name.origin != SchemaOrigin::Latest || self.doubted(at, asked_ms) {
                return Failure::from(defect);
            }
            self.want_one(name);
            Failure {
                class: Class::Registry,
                code: 0,
                reason: format!("{name}: the newest version is read before it judges a value"),
            }
        })
    }

    /// Whether an event was doubted before the schema was asked for that it does not fit; from now on
    /// it is.
    fn doubted(&self, at: EventRef, asked_ms: u64) -> bool {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        if doubts.len() >= DOUBTS_MAX {
            doubts.clear();
        }
        let since_ms = *doubts.entry(at).or_insert_with(clock::boot_ms);
        since_ms < asked_ms
    }

    fn want_one(&self, name: &Arc<SchemaName>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= KNOWN_MAX && !entries.contains_key(name) {
            entries.clear();
        }
        let entry = entries.entry(Arc::clone(name)).or_default();
        let is_news = !std::mem::replace(&mut entry.is_wanted, true);
        drop(entries);
        if is_news {
            self.wanted.notify_one();
        }
    }

    /// What has to be asked for: first what records wait for, then newest versions read long ago.
    fn due(&self, refresh_ms: u64) -> Vec<Arc<SchemaName>> {
        let now_ms = clock::boot_ms();
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let is_old = |name: &SchemaName, entry: &Entry| {
            name.origin == SchemaOrigin::Latest && now_ms >= entry.asked_ms + refresh_ms
        };
        let mut due: Vec<_> = entries
            .iter()
            .filter(|(name, entry)| entry.is_wanted || is_old(name, entry))
            .map(|(name, entry)| (!entry.is_wanted, Arc::clone(name)))
            .collect();
        due.sort_by(|a, b| (a.0, &a.1.subject).cmp(&(b.0, &b.1.subject)));
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// Takes in what came of a question; false if nobody answers, so that no other is worth asking now.
    fn learn(
        &self,
        name: &Arc<SchemaName>,
        asked_ms: u64,
        told: Result<Numbered, RegistryError>,
    ) -> bool {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match told {
            Ok(numbered) => {
                let entry = entries.entry(Arc::clone(name)).or_default();
                let is_new = entry.known.as_ref().is_none_or(|old| old.id != numbered.id);
                if is_new {
                    tracing::info!(subject = name.subject, id = numbered.id, "schema read");
                    entry.known = Some(Arc::new(numbered));
                }
                entry.asked_ms = asked_ms;
                entry.failed = None;
                entry.is_wanted = false;
                true
            }
            Err(error @ RegistryError::Away { .. }) => {
                for entry in entries.values_mut().filter(|entry| entry.is_wanted) {
                    entry.failed = Some(error.clone());
                }
                false
            }
            Err(error) => {
                if let Some(entry) = entries.get_mut(name) {
                    entry.failed = Some(error);
                }
                true
            }
        }
    }

    /// The first thing that records wait for.
    fn first_trouble(&self) -> Trouble {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = entries.iter().filter(|(_, entry)| entry.is_wanted);
        let failed = waiting.filter_map(|(name, entry)| Some((name, entry.failed.as_ref()?)));
        let first = failed.min_by(|a, b| a.0.subject.cmp(&b.0.subject));
        first.map(|(name, error)| format!("{name}: {}", error.with_cure()))
    }
}

/// Why a record waits for its schema. Where all records of its topic are encoded by what is missing,
/// it is the topic that takes nothing until somebody acts; where they are of several messages, one that
/// is missing is not what the others wait for.
fn waiting(record: &Record, name: &SchemaName, failed: Option<&RegistryError>) -> Failure {
    let is_topics =
        name.message.is_none() && name.subject.strip_suffix("-value") == Some(&*record.topic);
    let (class, reason) = match failed {
        None => (Class::Registry, format!("{name} is not known yet")),
        Some(error) => {
            let lasts = is_topics && !error.is_away();
            let class = if lasts { Class::Topic } else { Class::Registry };
            (class, format!("{name}: {}", error.with_cure()))
        }
    };
    Failure {
        class,
        code: 0,
        reason,
    }
}

/// Who asks the registry.
struct Errand {
    schemas: Weak<Schemas>,
    wanted: Arc<Notify>,
    client: Arc<Client>,
    refresh_ms: u64,
    /// When what is waited for was logged last, in boot milliseconds.
    told_ms: Option<u64>,
}

impl Errand {
    async fn run(mut self) {
        while let Some(schemas) = self.schemas.upgrade() {
            for name in schemas.due(self.refresh_ms) {
                if !self.ask(&schemas, &name).await {
                    break;
                }
            }
            self.tell(&schemas);
            drop(schemas);
            tokio::select! {
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Asks for one schema; false if the registry does not answer.
    async fn ask(&self, schemas: &Schemas, name: &Arc<SchemaName>) -> bool {
        let (client, asked) = (Arc::clone(&self.client), Arc::clone(name));
        let asked_ms = clock::boot_ms();
        let told = tokio::task::spawn_blocking(move || client.fetch(&asked)).await;
        let Ok(told) = told else {
            // A panic ends the process by itself.
            return false;
        };
        if let Err(error) = &told {
            tracing::debug!(subject = name.subject, %error, "schema not read");
        }
        schemas.learn(name, asked_ms, told)
    }

    /// Tells what is waited for: to the probes always, to the log at intervals.
    fn tell(&mut self, schemas: &Schemas) {
        let trouble = schemas.first_trouble();
        let now_ms = clock::boot_ms();
        match &trouble {
            Some(text)
                if self
                    .told_ms
                    .is_none_or(|told_ms| now_ms >= told_ms + REPEAT_MS) =>
            {
                tracing::warn!("schema registry: events wait for a schema: {text}");
                self.told_ms = Some(now_ms);
            }
            None if self.told_ms.take().is_some() => {
                tracing::info!("schema registry: every schema in use is known");
            }
            Some(_) | None => {}
        }
        schemas.trouble.send_if_modified(|told| {
            let is_news = *told != trouble;
            *told = trouble;
            is_news
        });
    }
}
