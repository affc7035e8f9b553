//! What a client says about itself: its complaints and its log.
//!
//! Owns the last complaint and the way of librdkafka's log into ours. Knows no record.
//!
//! Invariants:
//! - a complaint explains, it never decides: whether records arrive is known from their reports;
//! - it is written to the log once, though the crate calls back twice for each
//!   (`Client::poll_event` and `BaseProducer::poll` both do). librdkafka keeps back the same
//!   complaint of the same broker for 30 s (`rd_kafka_broker_set_error`), so no pace is needed.

use std::fmt;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::watch;

use super::failure;
use crate::decide::verdict;
use crate::outcome::Class;

/// `RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN`: follows a complaint that says why, and says it not.
const ALL_BROKERS_DOWN: i32 = -187;

/// A client's complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What may end it.
    pub class: Class,
    /// librdkafka's code.
    pub code: i32,
    /// librdkafka's words: which broker, what failed.
    pub reason: String,
}

impl fmt::Display for Trouble {
    /// The client's words, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match verdict::cure(self.code) {
            Some(cure) => write!(f, "; {cure}"),
            None => Ok(()),
        }
    }
}

/// Listens to one client, or to several in turn.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    trouble: watch::Sender<Option<Trouble>>,
}

impl Listener {
    pub(super) fn new() -> Self {
        Self {
            trouble: watch::Sender::new(None),
        }
    }

    /// The last complaint since all was well.
    pub(super) fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.subscribe()
    }

    /// Forgets the complaint: the cluster has just answered well.
    pub(super) fn all_is_well(&self) {
        self.trouble.send_if_modified(|last| last.take().is_some());
    }

    /// The last complaint's words, or else the given ones.
    pub(super) fn reason_or(&self, other: impl FnOnce() -> String) -> String {
        self.trouble
            .borrow()
            .as_ref()
            .map_or_else(other, ToString::to_string)
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            // These two also come as errors (`rd_kafka_broker_set_error`,
            // `rd_kafka_set_fatal_error0`).
            _ if matches!(facility, "FAIL" | "FATAL") => {
                tracing::debug!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{line}");
            }
        }
    }

    /// Statistics are not wanted; the crate would log the whole of them.
    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: ClientError, reason: &str) {
        let failure = failure(&error);
        self.trouble.send_if_modified(|last| {
            let new = last
                .as_ref()
                .is_none_or(|last| failure.code != ALL_BROKERS_DOWN && last.reason != reason);
            if new {
                let trouble = Trouble {
                    class: failure.class,
                    code: failure.code,
                    reason: reason.to_owned(),
                };
                tracing::warn!(code = trouble.code, class = %trouble.class, "kafka: {trouble}");
                *last = Some(trouble);
            }
            new
        });
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    /// A client that only asks questions has no records.
    fn delivery(&self, _: &DeliveryResult<'_>, (): Self::DeliveryOpaque) {}
}
