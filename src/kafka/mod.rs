//! The Kafka side: a producer, and questions to the cluster.
//!
//! Owns librdkafka: its properties, its threads, its callbacks, its codes. Knows records and
//! failures, and nothing of the outbox they come from or of what follows from a failure.
//!
//! Invariants:
//! - nothing here blocks the thread that calls it: what librdkafka does slowly (ask the cluster,
//!   flush, destroy) runs on a thread of its own;
//! - no error, log line or `Debug` output shows a property's value or a record's content.

pub mod admin;
mod callbacks;
mod client;
pub mod producer;
pub mod properties;
pub mod publish;
#[cfg(test)]
mod tests;
pub mod topics;
pub mod trouble;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use crate::decide::verdict;
use crate::outcome::{Class, Failure};

/// What can go wrong beside a single record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// librdkafka does not take a property. Its value is not shown: it may be a secret.
    #[error("kafka.properties: `{name}`: {reason}")]
    Property {
        /// The property's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A client could not be made or used.
    #[error("{reason}")]
    Client {
        /// librdkafka's reason.
        reason: String,
    },
    /// No broker answered in time.
    #[error("no broker answered: {reason}")]
    Unreachable {
        /// The last thing the client complained of, or its error's text.
        reason: String,
    },
    /// A broker answered with an error.
    #[error(transparent)]
    Refused(#[from] Failure),
}

/// Turns the client's error for one record into a failure.
fn failure(error: &ClientError) -> Failure {
    match error.rdkafka_error_code() {
        Some(code) => failure_of(code),
        // Without a code only a NUL byte in the topic's name is left.
        None => Failure {
            class: Class::Record,
            code: 0,
            reason: "the client cannot take the topic's name".to_owned(),
        },
    }
}

/// Turns an error code into a failure; its reason is librdkafka's text for the code alone.
fn failure_of(code: RDKafkaErrorCode) -> Failure {
    let number = number(code);
    Failure {
        class: verdict::kafka(number),
        code: number,
        reason: code.to_string(),
    }
}

/// The number of an error code, as librdkafka has it.
#[expect(
    clippy::as_conversions,
    reason = "the crate offers no other way from its enum to the number"
)]
fn number(code: RDKafkaErrorCode) -> i32 {
    code as i32
}

/// Turns the client's refusal to start into an error without the offending value.
fn start_error(error: ClientError) -> KafkaError {
    let ClientError::ClientConfig(result, _, name, _) = error else {
        return KafkaError::Client {
            reason: error.to_string(),
        };
    };
    KafkaError::Property {
        name,
        reason: if result == RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN {
            "librdkafka knows no such property, or was built without it"
        } else {
            "librdkafka does not take its value"
        },
    }
}
