//! What librdkafka calls back.
//!
//! Owns the way of a delivery report into the channel of landings. Knows nothing of who reads it.
//!
//! Invariant: a callback only hands the result over. A panic here would end the polling thread
//! without a word, and every later report with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::mpsc::UnboundedSender;

use super::failure;
use super::publish::{Flight, Landing};
use super::trouble::Listener;
use crate::outcome::{Class, Failure, Receipt, Report};

/// Where all reports of a publisher arrive, through all its producers.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) landings: UnboundedSender<Landing>,
    pub(super) listener: Listener,
    pub(super) landed: AtomicU64,
    /// Records that Kafka has confirmed.
    pub(super) confirmed: AtomicU64,
    /// Records that were given up on for no fault of theirs or of their topic.
    pub(super) abandoned: AtomicU64,
}

impl Arrivals {
    fn count(&self, report: &Report) {
        match report.as_ref().map_err(|failure| failure.class) {
            Ok(_receipt) => {
                self.confirmed.fetch_add(1, Ordering::Relaxed);
            }
            Err(Class::Cluster | Class::Transient | Class::ProducerDead) => {
                self.abandoned.fetch_add(1, Ordering::Relaxed);
            }
            Err(Class::Record | Class::Topic | Class::Registry | Class::BackPressure) => {}
        }
        self.landed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The state of one generation of producers.
#[derive(Debug, Default)]
pub(super) struct Life {
    in_flight: AtomicUsize,
    dead: AtomicBool,
}

impl Life {
    /// Counts a record in, before librdkafka can report it.
    pub(super) fn take_off(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a record out.
    pub(super) fn land(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records taken and not yet reported.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Remembers it if a failure means that these producers are dead.
    pub(super) fn judge(&self, failure: &Failure) {
        if failure.class == Class::ProducerDead {
            self.dead.store(true, Ordering::Release);
        }
    }

    /// Whether these producers can no longer be used.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

/// The callbacks of one producer.
#[derive(Debug)]
pub(super) struct Callbacks {
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) life: Arc<Life>,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.arrivals.listener.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.arrivals.listener.stats_raw(statistics);
    }

    fn error(&self, error: ClientError, reason: &str) {
        self.life.judge(&failure(&error));
        self.arrivals.listener.error(error, reason);
    }
}

impl ProducerContext for Callbacks {
    type DeliveryOpaque = Box<Flight>;

    fn delivery(&self, result: &DeliveryResult<'_>, flight: Self::DeliveryOpaque) {
        let report = match result {
            Ok(stored) => {
                self.arrivals.listener.all_is_well();
                Ok(Receipt::from_delivery_report(
                    stored.partition(),
                    stored.offset(),
                ))
            }
            Err((error, _)) => {
                let failure = failure(error);
                self.life.judge(&failure);
                Err(failure)
            }
        };
        self.arrivals.count(&report);
        // Nobody may be reading any more: then nobody will miss the report.
        self.arrivals.landings.send((*flight, report)).ok();
        self.life.land();
    }
}
