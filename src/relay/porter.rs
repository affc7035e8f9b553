//! The porter: stores large payloads where consumers fetch them, and makes the records that refer to them.
//!
//! Owns a session of its own, so that a payload that takes seconds delays neither a poll nor a lease, and
//! the removal of payloads that were kept long enough. Decides nothing about a row.
//!
//! Invariants:
//! - a record is told only when the payload that it refers to is committed, or stored whole;
//! - of a payload that goes into a store no more than two pieces are in memory;
//! - each load ends in one answer, but for those of a relay that stops: what fails is tried again for as
//!   long as its row is to be published.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::health::Doing;
use super::news::News;
use super::reader::Large;
use super::timing::retry_ms;
use crate::decide::envelope::{Envelope, Form, Place, Reference, object_name};
use crate::event::{Event, EventRef};
use crate::objects::{Store, StoreError, Upload};
use crate::outbox::error::OutboxError;
use crate::outbox::large::{Measured, Payloads, Stored};
use crate::outbox::page::is_of_data;
use crate::outbox::session::Session;
use crate::outcome::{Defect, Failure};
use crate::record::Record;

/// A payload is given up after this long at the earliest, in milliseconds: a gigabyte, the largest that
/// there can be, is printed, hashed and written in less.
pub(super) const STORE_MS: u64 = 60_000;
/// A payload goes to a store in pieces of so many bytes; S3 takes ten thousand of at least five MiB.
const PIECE_BYTES: i32 = 8 << 20;
/// Payloads that were kept long enough are looked for this often.
const TIDY: Duration = Duration::from_mins(10);

/// An event whose payload is to be stored, and how its record looks.
#[derive(Debug)]
pub(super) struct Load {
    /// The event, without its payload.
    pub(super) event: Event,
    pub(super) form: Form,
    pub(super) topic: Arc<str>,
}

impl Load {
    pub(super) fn new(event: &Event, form: &Form, topic: Arc<str>) -> Self {
        Self {
            event: event.clone(),
            form: form.clone(),
            topic,
        }
    }
}

/// Stores for the loop.
#[derive(Debug)]
pub(super) struct Porter {
    pub(super) session: Session,
    pub(super) payloads: Payloads,
    pub(super) envelope: Envelope,
    /// Where consumers find payloads.
    pub(super) place: Place,
    /// Who takes them, if it is not the database.
    pub(super) store: Option<Store>,
    pub(super) keep_hours: u32,
    pub(super) news: mpsc::Sender<News>,
}

/// Why a payload is not stored yet.
#[derive(Debug)]
enum Setback {
    Database(OutboxError),
    Store(StoreError),
}

impl From<OutboxError> for Setback {
    fn from(error: OutboxError) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Setback {
    fn news(&self) -> News {
        match self {
            Self::Database(error) => News::Failed(Doing::Carrying, error.with_cure()),
            Self::Store(error) => News::Failed(Doing::Uploading, error.with_cure()),
        }
    }
}

/// What waits for the porter, by when it is due.
#[derive(Debug, Default)]
struct Loads {
    waiting: BTreeMap<(Instant, EventRef), (Load, u32)>,
    /// A row that is read again is not taken twice.
    known: HashSet<EventRef>,
}

impl Loads {
    fn take_in(&mut self, load: Load) {
        let at = load.event.at;
        let due = Instant::now() + Duration::from_millis(load.event.wait_ms);
        if self.known.insert(at) {
            self.waiting.insert((due, at), (load, 0));
        }
    }

    fn due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn try_again(&mut self, load: Load, failures: u32) {
        let at = load.event.at;
        let due = Instant::now() + Duration::from_millis(retry_ms(failures, at));
        self.waiting.insert((due, at), (load, failures));
    }
}

impl Porter {
    /// Begins, and tells the reader the way.
    pub(super) fn start(self) -> (Large, JoinHandle<()>) {
        let (loads_in, loads) = mpsc::unbounded_channel();
        let large = Large {
            payloads: self.payloads.clone(),
            blank: Reference::blank(&self.place),
            porter: loads_in,
            loads: Vec::new(),
        };
        (large, tokio::spawn(self.run(loads)))
    }

    /// Stores what it is given until there is no more to come.
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Load>) {
        let mut loads = Loads::default();
        let mut tidy_at = Instant::now();
        loop {
            let due = loads.due();
            tokio::select! {
                load = orders.recv() => match load {
                    Some(load) => loads.take_in(load),
                    None => break,
                },
                () = sleep_until(due.unwrap_or(tidy_at)), if due.is_some() => {
                    if self.carry_next(&mut loads).await.is_err() {
                        break;
                    }
                }
                () = sleep_until(tidy_at) => {
                    tidy_at = Instant::now() + TIDY;
                    self.tidy().await;
                }
            }
        }
        self.session.close().await;
    }

    /// Stores the payload that has been due for the longest time, and tells what came of it.
    async fn carry_next(&mut self, loads: &mut Loads) -> Result<(), mpsc::error::SendError<News>> {
        let Some(((_, at), (load, failures))) = loads.waiting.pop_first() else {
            return Ok(());
        };
        let answer = match self.store(at).await {
            Ok(stored) => News::Carried(at, self.content(stored, load)),
            Err(Setback::Database(error)) if error.code().is_some_and(is_of_data) => {
                News::Carried(at, Some(Err(unprintable(&error))))
            }
            Err(setback) => {
                loads.try_again(load, failures + 1);
                return self.news.send(setback.news()).await;
            }
        };
        loads.known.remove(&at);
        self.news.send(answer).await
    }

    /// Stores a payload where consumers find it, unless it is there already.
    async fn store(&mut self, at: EventRef) -> Result<Stored, Setback> {
        let Some(store) = &self.store else {
            return Ok(self.payloads.store(&mut self.session, at).await?);
        };
        let Some(measured) = self.payloads.print(&mut self.session, at).await? else {
            return Ok(Stored::Gone);
        };
        let mut upload = store.begin(&object_name(at.id, &measured.sha256));
        if let Err(setback) = self.upload(&mut upload, measured.size_bytes).await {
            upload.abandon().await;
            return Err(setback);
        }
        upload.finish().await?;
        self.payloads.forget(&mut self.session).await?;
        Ok(Stored::Large(measured))
    }

    /// Sends what the session has printed, piece by piece.
    async fn upload(&mut self, upload: &mut Upload, size_bytes: i64) -> Result<(), Setback> {
        let mut from = 0;
        while i64::from(from) < size_bytes {
            let piece = self.payloads.piece(&mut self.session, from, PIECE_BYTES);
            upload.push(piece.await?).await?;
            from = from.saturating_add(PIECE_BYTES);
        }
        Ok(())
    }

    /// The record that refers to what is stored.
    fn content(&self, stored: Stored, load: Load) -> Option<Result<Record, Failure>> {
        let Load { event, form, topic } = load;
        let record = match stored {
            Stored::Large(measured) => {
                let Measured { size_bytes, sha256 } = measured;
                let reference = Reference::new(&self.place, event.at.id, size_bytes, sha256);
                self.envelope.reference(&event, &form, topic, &reference)
            }
            Stored::Taken => Err(Defect::new(
                "another event has stored its large payload under the same id",
            )),
            Stored::Gone => return None,
        };
        Some(record.map_err(Failure::from))
    }

    /// Removes what was kept long enough. A failure is told where something waits for the porter.
    async fn tidy(&mut self) {
        match self.payloads.tidy(&mut self.session, self.keep_hours).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "large payloads were kept long enough"),
            Err(error) => tracing::debug!(%error, "old large payloads were not removed"),
        }
    }
}

/// The server cannot print the payload at all.
fn unprintable(error: &OutboxError) -> Failure {
    let code = error.code().unwrap_or_default();
    Defect::new(format!(
        "the database cannot print the payload (SQLSTATE {code})"
    ))
    .into()
}
