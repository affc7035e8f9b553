//! The relay: reads the outbox, publishes to Kafka, marks what Kafka confirmed.
//!
//! ```text
//!             asks ┌────────┐ pages
//!          ┌──────▶│ reader │────────┐
//!          │       └────────┘        ▼
//!      ┌──────┐  records  ┌───────────┐ landings
//!      │ flow │──────────▶│ publisher │──────────▶ back to the flow
//!      └──────┘           └───────────┘
//!       │    │  names   ┌────────┐
//!       │    └─────────▶│ marker │──▶ marked
//!       │ errands       └────────┘
//!       │     ┌────────┐
//!       └────▶│ keeper │──▶ lanes claimed, renewed, lost, released
//!             └────────┘
//! ```
//!
//! Where large payloads stay in the database the reader gives their rows to the porter, which stores each
//! and tells the flow its record.
//!
//! Owns the tasks and how they start and end. Every decision is made in `decide`; every statement
//! is in `outbox`.
//!
//! Invariants:
//! - nothing is global: a process could run several relays;
//! - a dependency that is away is waited for, at the start as later; only a disagreement that no
//!   waiting mends ends the relay.

mod flow;
mod health;
mod keeper;
mod letter;
mod marker;
mod meter;
mod news;
mod notice;
mod porter;
mod probe;
mod reader;
mod sampler;
mod start;
mod timing;
pub(crate) mod topics;
mod warden;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub use self::flow::Ended;
use self::flow::{Flow, Hands};
use self::health::Health;
use self::keeper::{Keeper, Ties};
use self::letter::Outgoing;
use self::marker::Marker;
use self::meter::Meter;
use self::porter::{Porter, STORE_MS};
use self::reader::{Large, Reader};
pub(crate) use self::start::kafka_config;
use self::timing::{Terms, Timing};
use crate::decide::dead::{LetterTopic, Policy};
use crate::decide::envelope::Envelope;
use crate::decide::route::Routes;
use crate::decide::window::{Limits, Window};
use crate::kafka::KafkaError;
use crate::kafka::admin::Admin;
use crate::kafka::producer::{self, KafkaPublisher};
use crate::kafka::publish::Landing;
use crate::objects::{self, Store, StoreError};
use crate::outbox::backlog::Backlog;
use crate::outbox::error::OutboxError;
use crate::outbox::identity::Mismatch;
use crate::outbox::large::Payloads;
use crate::outbox::leases::{Leases, Member};
use crate::outbox::mark::Marks;
use crate::outbox::names::Names;
use crate::outbox::page::Pages;
use crate::outbox::session::{Access, Purpose, Session};
use crate::outcome::Defect;
use crate::process::metrics::Metrics;
use crate::process::settings::{self, Settings};
use crate::process::shutdown::Shutdown;
use crate::readiness::Readiness;
use crate::registry::{self, RegistryError, Schemas};

/// News wait in a queue this long at most; more would be memory without bound.
const NEWS_MAX: usize = 64;
/// Sessions that do not mark: the reader's and the keeper's.
const SESSIONS_BESIDE_MARKERS: u32 = 2;
/// The workers of a relay that is over get this long to close their sessions.
const CLOSE_MS: u64 = 1_000;

/// Why a relay cannot run at all; none of these mends itself.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox and this relay do not agree.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// Dead letters cannot be given a topic.
    #[error("failure.dead_letter_topic: {0}")]
    LetterTopic(Defect),
    /// The database cannot be addressed.
    #[error(transparent)]
    Database(#[from] OutboxError),
    /// The registry of schemas cannot be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Large payloads cannot go where they should.
    #[error("{}", .0.with_cure())]
    Store(#[from] StoreError),
    /// The Kafka client refuses its properties.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// What is asked of one run beside the settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Feed the Kafka cluster that the brokers lead to, whatever was recorded.
    pub adopt_kafka_cluster: bool,
}

/// Runs a relay until a stop is asked for; `None` if that was before it had begun.
pub async fn run(
    settings: &Settings,
    options: Options,
    shutdown: Shutdown,
    probes: watch::Sender<Readiness>,
    metrics: Metrics,
) -> Result<Option<Ended>, RelayError> {
    let mut plan = Plan::new(settings, metrics)?;
    let schemas = plan.start_schemas()?;
    let kafka = kafka_config(settings);
    // It takes half a second to its first record, which passes while all else is looked at.
    let producer = producer::start(kafka.clone())?;
    let admin = Admin::start(&kafka)?;
    tokio::select! {
        agreed = start::wait_for_dependencies(&mut plan, &admin, options, &probes) => agreed?,
        () = shutdown.wait() => return Ok(None),
    }
    let ended = plan.run(producer, admin, schemas, (shutdown, probes)).await;
    Ok(Some(ended))
}

/// All that settings alone decide.
#[derive(Debug)]
struct Plan {
    settings: Settings,
    names: Names,
    access: Access,
    routes: Routes,
    policy: Policy,
    member: Member,
    metrics: Metrics,
    store: Option<Store>,
}

impl Plan {
    fn new(settings: &Settings, metrics: Metrics) -> Result<Self, RelayError> {
        let database = &settings.database;
        Ok(Self {
            names: Names::new(&database.schema, &database.table),
            access: access(database, &settings.relay.name)?,
            routes: settings.routes(),
            policy: policy(&settings.failure).map_err(RelayError::LetterTopic)?,
            member: Member {
                name: settings.relay.name.clone(),
                token: Uuid::new_v4(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                routing: settings.routing(),
            },
            store: objects::of(settings)?,
            settings: settings.clone(),
            metrics,
        })
    }

    fn session(&self, purpose: Purpose) -> Session {
        Session::new(&self.access, purpose)
    }

    fn leases(&self) -> Leases {
        let ttl_ms = self.settings.lanes.lease_ttl_ms;
        Leases::new(&self.names, self.member.clone(), ttl_ms)
    }

    fn terms(&self) -> Terms {
        let lanes = &self.settings.lanes;
        Terms {
            ttl_ms: lanes.lease_ttl_ms,
            renew_ms: lanes.renew_ms,
            delivery_ms: self.settings.kafka.message_timeout_ms + lanes.margin_ms,
        }
    }

    /// Starts the tasks, runs the loop to its end, and sees the tasks off.
    async fn run(
        self,
        (publisher, landings): (KafkaPublisher, mpsc::UnboundedReceiver<Landing>),
        admin: Admin,
        schemas: Option<Arc<Schemas>>,
        (shutdown, probes): (Shutdown, watch::Sender<Readiness>),
    ) -> Ended {
        let publisher = Arc::new(publisher);
        let warden = warden::start(
            Arc::clone(&publisher),
            self.settings.kafka.message_timeout_ms,
            self.metrics.clone(),
        );
        let (news_out, news) = mpsc::channel(NEWS_MAX);
        let marks_committed = Arc::new(AtomicU64::new(0));
        let (told, probe) = probe::start(admin, Arc::clone(&publisher));
        let (keeper, keeping) = self.start_keeper(Ties {
            news: news_out.clone(),
            marks_committed: Arc::clone(&marks_committed),
            delivers: told.delivers,
            readiness: probes.subscribe(),
            metrics: self.metrics.clone(),
        });
        let (large, carrying) = self.start_porter(&news_out).unzip();
        let (reader, reading) = self.start_reader(news_out.clone(), large);
        let (markers, mut tasks) = self.start_markers(&news_out);
        tasks.extend([keeping, reading].into_iter().chain(carrying));
        let (sampling, stop_sampling) = oneshot::channel();
        tasks.push(sampler::start(
            self.session(Purpose::Read),
            Backlog::new(&self.names, self.member.token),
            self.metrics.clone(),
            stop_sampling,
        ));
        let registry = schemas.as_ref().map(|schemas| schemas.trouble());
        let health = Health::new(probes, publisher.trouble(), told.answers, registry);
        let relay = &self.settings.relay;
        let limits = Limits {
            rows: relay.window_rows,
            bytes: relay.window_bytes,
        };
        let window = Window::new(self.policy.clone(), limits, markers.len());
        let timing = Timing {
            poll_ms: relay.poll_interval_ms,
            idle_ms: relay.idle_poll_interval_ms,
            grace_ms: relay.shutdown_grace_ms,
        };
        let hands = Hands {
            publisher: Outgoing {
                publisher: Arc::clone(&publisher),
                letters: self.settings.failure.dead_letter_format,
                schemas: schemas.clone(),
            },
            landings,
            news,
            reader,
            markers,
            keeper,
            marks_committed,
        };
        drop(news_out);
        let meter = Meter::new(self.metrics.clone());
        let flow = Flow::new(window, hands, timing, health, meter);
        let ended = flow.run(shutdown).await;
        drop(sampling);
        warden.abort();
        probe.abort();
        see_off(tasks, &publisher).await;
        ended
    }

    /// Starts asking for schemas, if any route has one, and first for those that are known to be needed.
    fn start_schemas(&self) -> Result<Option<Arc<Schemas>>, RegistryError> {
        if !self.routes.have_schemas() {
            return Ok(None);
        }
        let schemas = registry::start(&self.settings.schema_registry)?;
        schemas.want(self.routes.fixed_schemas().map(Arc::new));
        Ok(Some(schemas))
    }

    fn start_keeper(&self, ties: Ties) -> (mpsc::UnboundedSender<news::Errand>, JoinHandle<()>) {
        let (errands_in, errands) = mpsc::unbounded_channel();
        let terms = self.terms();
        let leases = self.leases();
        let session = self.session(Purpose::Keep);
        let keeper = Keeper::new(session, leases, terms, ties);
        (errands_in, tokio::spawn(keeper.run(errands)))
    }

    /// The porter and the reader's way to it, where large payloads stay behind.
    fn start_porter(&self, news: &mpsc::Sender<news::News>) -> Option<(Large, JoinHandle<()>)> {
        self.settings.claim_check_over_bytes()?;
        let porter = Porter {
            session: Session::new(&self.access.patient(STORE_MS), Purpose::Keep),
            payloads: Payloads::new(&self.names, self.settings.record_bytes_max()),
            envelope: Envelope::new(self.settings.events.source.clone()),
            place: self.names.place(self.settings.large_payload.store_url()),
            store: self.store.clone(),
            keep_hours: self.settings.large_payload.keep_hours,
            news: news.clone(),
        };
        Some(porter.start())
    }

    fn pages(&self) -> Pages {
        let (token, bytes_max) = (self.member.token, self.settings.record_bytes_max());
        let pages = Pages::new(&self.names, token, bytes_max);
        match self.settings.claim_check_over_bytes() {
            Some(over_bytes) => pages.without_large(over_bytes),
            None => pages,
        }
    }

    fn start_reader(
        &self,
        news: mpsc::Sender<news::News>,
        large: Option<Large>,
    ) -> (mpsc::Sender<crate::decide::window::Ask>, JoinHandle<()>) {
        let (asks_in, asks) = mpsc::channel(1);
        let reader = Reader {
            session: self.session(Purpose::Read),
            pages: self.pages(),
            routes: self.routes.clone(),
            envelope: Envelope::new(self.settings.events.source.clone()),
            metrics: self.metrics.clone(),
            large,
        };
        (asks_in, tokio::spawn(reader.run(asks, news)))
    }

    fn start_markers(
        &self,
        news: &mpsc::Sender<news::News>,
    ) -> (
        Vec<mpsc::Sender<Vec<crate::event::EventRef>>>,
        Vec<JoinHandle<()>>,
    ) {
        let sessions = self.settings.database.max_connections;
        let count = sessions.saturating_sub(SESSIONS_BESIDE_MARKERS).max(1);
        (0..count)
            .map(|_| mpsc::channel(1))
            .enumerate()
            .map(|(index, (batches_in, batches))| {
                let marker = Marker {
                    index,
                    session: self.session(Purpose::Mark),
                    marks: Marks::new(&self.names, self.settings.relay.after_publish),
                };
                (batches_in, tokio::spawn(marker.run(batches, news.clone())))
            })
            .unzip()
    }
}

/// How to open sessions, by the settings.
fn access(database: &settings::Database, relay: &str) -> Result<Access, OutboxError> {
    let access = Access::new(database.url.expose(), relay, database.statement_timeout_ms)?;
    Ok(match database.url_file.expose() {
        "" => access,
        file => access.by_file(Path::new(file)),
    })
}

/// What becomes of rows that fail, by the settings.
fn policy(failure: &settings::Failure) -> Result<Policy, Defect> {
    Ok(Policy {
        letter_topic: LetterTopic::parse(&failure.dead_letter_topic)?,
        attempts_max: failure.attempts_max,
        backoff_min_ms: failure.backoff_min_ms,
        backoff_max_ms: failure.backoff_max_ms,
    })
}

/// Lets the tasks close their sessions and the producer end, but does not wait for long.
async fn see_off(tasks: Vec<JoinHandle<()>>, publisher: &KafkaPublisher) {
    let closing = async {
        for task in tasks {
            if let Err(error) = task.await {
                tracing::debug!(%error, "a task did not end by itself");
            }
        }
        if let Err(error) = publisher.close(Duration::ZERO).await {
            tracing::debug!(%error, "the producer did not close");
        }
    };
    if tokio::time::timeout(Duration::from_millis(CLOSE_MS), closing)
        .await
        .is_err()
    {
        tracing::debug!("some sessions are left for the server to close");
    }
}
