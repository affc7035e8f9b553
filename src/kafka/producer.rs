//! The producer: records in, landings out.
//!
//! Owns librdkafka's producers, their polling threads, and their end. Knows nothing of why a
//! record is sent or what follows from its report.
//!
//! Invariants:
//! - every flight that [`Publish::publish`] took lands once in the channel of landings, through
//!   failures, a rebuild and a close; should librdkafka ever keep one back, rebuild and close say
//!   how many, and no report of it follows any more;
//! - a producer is only ever destroyed on a thread of its own, for that takes up to seconds.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;

use super::callbacks::{Arrivals, Callbacks, Life};
use super::client::{Owned, off_thread};
use super::publish::{Flight, Landing, Publish};
use super::trouble::{Listener, Trouble};
use super::{KafkaError, failure};
use crate::outcome::{Class, Failure};
use crate::record::Record;

/// How long a dead producer may still take to report what is under way. Requests on the wire may
/// bring receipts yet; after that they are given up as perhaps written.
const LAST_REPORTS: Duration = Duration::from_millis(500);

/// How long the reports of given-up records may take. They are made locally, so this is generous.
const PURGE_REPORTS: Duration = Duration::from_secs(1);

/// Starts a publisher. Does not wait for a broker; fails only where the properties are wrong.
pub fn start(
    config: ClientConfig,
) -> Result<(KafkaPublisher, UnboundedReceiver<Landing>), KafkaError> {
    let (landings, receiver) = mpsc::unbounded_channel();
    let arrivals = Arc::new(Arrivals {
        landings,
        listener: Listener::new(),
        landed: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        abandoned: AtomicU64::new(0),
    });
    let first = Generation::start(&config, &arrivals)?;
    let inner = Inner {
        config,
        arrivals,
        current: RwLock::new(Some(first)),
        generation: AtomicU64::new(1),
        rebuilding: Mutex::new(()),
    };
    let publisher = KafkaPublisher {
        inner: Arc::new(inner),
    };
    Ok((publisher, receiver))
}

/// Publishes to Kafka through librdkafka.
pub struct KafkaPublisher {
    inner: Arc<Inner>,
}

impl KafkaPublisher {
    /// How many records were taken and have not been reported.
    pub fn in_flight(&self) -> usize {
        self.inner
            .with_current(|current| current.map_or(0, |current| current.life.in_flight()))
    }

    /// How many reports have ever arrived. Where this stands still for longer than the message
    /// time-out while records are in flight, the producer is stuck: rebuild it.
    pub fn landed(&self) -> u64 {
        self.inner.arrivals.landed.load(Ordering::Relaxed)
    }

    /// How many records Kafka has ever confirmed, and how many were ever given up on for no fault
    /// of theirs or of their topic.
    pub fn confirmed_and_abandoned(&self) -> (u64, u64) {
        let arrivals = &self.inner.arrivals;
        (
            arrivals.confirmed.load(Ordering::Relaxed),
            arrivals.abandoned.load(Ordering::Relaxed),
        )
    }

    /// Whether the producer can no longer be used and waits for [`rebuild`](Self::rebuild).
    pub fn is_dead(&self) -> bool {
        self.inner
            .with_current(|current| current.is_none_or(|current| current.life.is_dead()))
    }

    /// How many times a producer was made; 1 at first.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Relaxed)
    }

    /// The client's last complaint since a record arrived. It explains why nothing arrives;
    /// whether anything does is known from the reports.
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.inner.arrivals.listener.trouble()
    }

    /// Puts a new producer in the place of the present one, dead or stuck, within 2 s. What is in
    /// flight is reported first, receipts among it; until the new producer stands, records are
    /// refused as [`Class::ProducerDead`]. Returns how many flights stayed unreported: none, unless
    /// librdkafka broke its word; then every flight handed over before and not landed when this
    /// returns is lost. If the new producer cannot be made, try again.
    pub async fn rebuild(&self) -> Result<usize, KafkaError> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.rebuild()).await?
    }

    /// Waits up to `grace` for what is in flight, gives up the rest, and ends the producer;
    /// later records are refused. Returns how many flights stayed unreported: see
    /// [`rebuild`](Self::rebuild).
    pub async fn close(&self, grace: Duration) -> Result<usize, KafkaError> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.end(grace)).await
    }
}

impl fmt::Debug for KafkaPublisher {
    /// Shows counts and no property.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("generation", &self.generation())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Publish for KafkaPublisher {
    fn publish(&self, flight: Flight, record: &Record, alone: bool) -> Result<(), Failure> {
        self.inner.with_current(|current| {
            let current = current.ok_or_else(|| Failure {
                class: Class::ProducerDead,
                code: 0,
                reason: "the producer is being rebuilt".to_owned(),
            })?;
            let producer = if alone { &current.lone } else { &current.main };
            producer.send(&current.life, flight, record)
        })
    }
}

/// What the publisher's calls share with the threads that serve them.
struct Inner {
    config: ClientConfig,
    arrivals: Arc<Arrivals>,
    /// None while a rebuild is under way or after a close.
    current: RwLock<Option<Generation>>,
    generation: AtomicU64,
    rebuilding: Mutex<()>,
}

impl Inner {
    /// Lends the present generation, which cannot end meanwhile.
    fn with_current<T>(&self, use_it: impl FnOnce(Option<&Generation>) -> T) -> T {
        // A panic while the lock was held leaves nothing half-done: it guards a whole value.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        use_it(current.as_ref())
    }

    /// Replaces the present generation.
    fn replace(&self, next: Option<Generation>) -> Option<Generation> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, next)
    }

    /// Ends the present generation, having waited up to `grace` for its reports.
    fn end(&self, grace: Duration) -> usize {
        self.replace(None)
            .map_or(0, |generation| generation.end(grace))
    }

    /// Ends the present generation and starts the next.
    fn rebuild(&self) -> Result<usize, KafkaError> {
        let _one_at_a_time = self
            .rebuilding
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let lost = self.end(LAST_REPORTS);
        let next = Generation::start(&self.config, &self.arrivals)?;
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(generation, lost, "the producer was rebuilt");
        self.replace(Some(next));
        Ok(lost)
    }
}

/// The producers between one rebuild and the next.
struct Generation {
    main: Producer,
    /// Its batches hold one record. It stands ready, for librdkafka takes up to a second from a
    /// producer's start to its first record, and aggregates wait behind those that fly alone.
    lone: Producer,
    life: Arc<Life>,
}

impl Generation {
    fn start(config: &ClientConfig, arrivals: &Arc<Arrivals>) -> Result<Self, KafkaError> {
        let life = Arc::new(Life::default());
        let mut solitary = config.clone();
        solitary.set("batch.num.messages", "1");
        Ok(Self {
            main: Producer::start(config, arrivals, &life)?,
            lone: Producer::start(&solitary, arrivals, &life)?,
            life,
        })
    }

    /// Waits up to `grace` for reports, gives up the rest, and returns how many never came.
    fn end(self, grace: Duration) -> usize {
        let Self { main, lone, life } = self;
        thread::scope(|both| {
            both.spawn(move || lone.end(grace));
            main.end(grace);
        });
        life.in_flight()
    }
}

/// One of librdkafka's producers with its polling thread.
struct Producer(Owned<Callbacks>);

impl Producer {
    fn start(
        config: &ClientConfig,
        arrivals: &Arc<Arrivals>,
        life: &Arc<Life>,
    ) -> Result<Self, KafkaError> {
        let callbacks = Callbacks {
            arrivals: Arc::clone(arrivals),
            life: Arc::clone(life),
        };
        Owned::start(config, callbacks).map(Self)
    }

    /// Queues a copy of the record.
    fn send(&self, life: &Life, flight: Flight, record: &Record) -> Result<(), Failure> {
        let mut queued =
            BaseRecord::<'_, [u8], [u8], _>::with_opaque_to(&record.topic, Box::new(flight))
                .timestamp(record.timestamp_ms)
                .headers(headers(record));
        queued.key = record.key();
        queued.partition = record.partition;
        queued.payload = record.value();
        life.take_off();
        self.0.client().send(queued).map_err(|(error, _)| {
            life.land();
            let failure = failure(&error);
            life.judge(&failure);
            failure
        })
    }

    /// Waits up to `grace` for reports, gives up the rest and destroys the producer. Blocks.
    fn end(self, grace: Duration) {
        let client = self.0.client();
        if client.flush(grace).is_err() {
            client.purge(PurgeConfig::default().queue().inflight());
            // What does not come now is counted as lost by the caller.
            client.flush(PURGE_REPORTS).ok();
        }
        self.0.destroy_here();
    }
}

/// The record's headers as librdkafka holds them.
fn headers(record: &Record) -> OwnedHeaders {
    let headers = record.headers();
    let held = OwnedHeaders::new_with_capacity(headers.len());
    headers.fold(held, |held, (key, value)| {
        held.insert(Header { key, value })
    })
}
