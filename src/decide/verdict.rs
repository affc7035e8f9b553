//! Whose fault a Kafka error is.
//!
//! Owns the one table from error codes to classes. Knows no client library: codes are numbers, as
//! librdkafka has them (`rdkafka.h`, `rd_kafka_resp_err_t`). Negative ones are librdkafka's own,
//! the others the Kafka protocol's (<https://kafka.apache.org/protocol#protocol_error_codes>).
//!
//! Invariants: total, and a code that is not named here is transient, so that no row is given up
//! for an error that nobody has judged. That includes codes which librdkafka itself calls
//! permanent for want of a rule (`rd_kafka_err_action`: 13, 74, 89 and every code it does not list).

use crate::outcome::Class;

// The codes that are not transient, by their names in `rdkafka.h`.

/// The broker answers so for a whole batch: the record is to blame only if it went alone.
const MSG_SIZE_TOO_LARGE: i32 = 10;
/// As above: a batch beyond the topic's segment size.
const RECORD_LIST_TOO_LARGE: i32 = 18;
/// The timestamp lies outside what the topic allows (`message.timestamp.*.max.ms`).
const INVALID_TIMESTAMP: i32 = 32;
/// A policy of the cluster rejected the record.
const POLICY_VIOLATION: i32 = 44;
/// A broker's validator rejected the record, for example one without key on a compacted topic
/// (Kafka's `LogValidator`). Its innocent neighbours get `_INVALID_DIFFERENT_RECORD` (-138,
/// KIP-467), which is transient.
const INVALID_RECORD: i32 = 87;

/// No such topic or partition, says the broker.
const UNKNOWN_TOPIC_OR_PART: i32 = 3;
/// Not a name for a topic, or one that clients may not write to.
const TOPIC_EXCEPTION: i32 = 17;
/// No right to write to the topic.
const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
/// The topic's format is too old for headers or idempotence.
const UNSUPPORTED_FOR_MESSAGE_FORMAT: i32 = 43;
/// The topic does not take the producer's compression.
const UNSUPPORTED_COMPRESSION_TYPE: i32 = 76;
/// No such topic, says the client (after `topic.metadata.propagation.max.ms`).
const UNKNOWN_TOPIC: i32 = -188;
/// No such partition, says the client.
const UNKNOWN_PARTITION: i32 = -190;

/// The broker does not take the producer's `acks`.
const INVALID_REQUIRED_ACKS: i32 = 21;
/// No right to write idempotently (brokers before 2.8 want it at the cluster).
const CLUSTER_AUTHORIZATION_FAILED: i32 = 31;
/// The broker does not offer the mechanism of authentication.
const UNSUPPORTED_SASL_MECHANISM: i32 = 33;
/// The broker expects another step of authentication.
const ILLEGAL_SASL_STATE: i32 = 34;
/// The broker is too old or too new for the request.
const UNSUPPORTED_VERSION: i32 = 35;
/// The transaction's time-out exceeds what the broker allows.
const INVALID_TRANSACTION_TIMEOUT: i32 = 50;
/// No right to the transactional id.
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i32 = 53;
/// The cluster has no security, so it can grant nothing.
const SECURITY_DISABLED: i32 = 54;
/// The credentials are wrong, says the broker.
const SASL_AUTHENTICATION_FAILED: i32 = 58;
/// The credentials are wrong, says the client.
const AUTHENTICATION: i32 = -169;
/// The broker lacks what the producer needs, idempotence for example.
const UNSUPPORTED_FEATURE: i32 = -165;

/// Producer and broker disagree about what was written (KIP-98), as all down to
/// `PRODUCER_FENCED`: this producer's identity is worth nothing any more.
const OUT_OF_ORDER_SEQUENCE_NUMBER: i32 = 45;
/// The producer's epoch is an old one.
const INVALID_PRODUCER_EPOCH: i32 = 47;
/// The producer's id belongs to another transactional id.
const INVALID_PRODUCER_ID_MAPPING: i32 = 49;
/// The broker has forgotten the producer's id.
const UNKNOWN_PRODUCER_ID: i32 = 59;
/// Another producer took over (KIP-588).
const PRODUCER_FENCED: i32 = 90;
/// The client has given up for good: every later call answers this.
const FATAL: i32 = -150;
/// The client found its own state inconsistent.
const INCONSISTENT: i32 = -149;
/// A record failed although gaps were forbidden (`enable.gapless.guarantee`).
const GAPLESS_GUARANTEE: i32 = -148;
/// Another producer took over, says the client.
const FENCED: i32 = -144;

/// The client's queue has no room.
const QUEUE_FULL: i32 = -184;

/// The class of a librdkafka error code.
pub fn kafka(code: i32) -> Class {
    match code {
        MSG_SIZE_TOO_LARGE
        | RECORD_LIST_TOO_LARGE
        | INVALID_TIMESTAMP
        | POLICY_VIOLATION
        | INVALID_RECORD => Class::Record,
        UNKNOWN_TOPIC_OR_PART
        | TOPIC_EXCEPTION
        | TOPIC_AUTHORIZATION_FAILED
        | UNSUPPORTED_FOR_MESSAGE_FORMAT
        | UNSUPPORTED_COMPRESSION_TYPE
        | UNKNOWN_TOPIC
        | UNKNOWN_PARTITION => Class::Topic,
        INVALID_REQUIRED_ACKS
        | CLUSTER_AUTHORIZATION_FAILED
        | UNSUPPORTED_SASL_MECHANISM
        | ILLEGAL_SASL_STATE
        | UNSUPPORTED_VERSION
        | INVALID_TRANSACTION_TIMEOUT
        | TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        | SECURITY_DISABLED
        | SASL_AUTHENTICATION_FAILED
        | AUTHENTICATION
        | UNSUPPORTED_FEATURE => Class::Cluster,
        OUT_OF_ORDER_SEQUENCE_NUMBER
        | INVALID_PRODUCER_EPOCH
        | INVALID_PRODUCER_ID_MAPPING
        | UNKNOWN_PRODUCER_ID
        | PRODUCER_FENCED
        | FATAL
        | INCONSISTENT
        | GAPLESS_GUARANTEE
        | FENCED => Class::ProducerDead,
        QUEUE_FULL => Class::BackPressure,
        _ => Class::Transient,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::kafka;
    use crate::outcome::Class;

    /// Every code that the relay is known to meet, transient ones too.
    const TABLE: [(Class, &[i32]); 6] = [
        (Class::Record, &[10, 18, 32, 44, 87]),
        (Class::Topic, &[3, 17, 29, 43, 76, -188, -190]),
        (
            Class::Cluster,
            &[21, 31, 33, 34, 35, 50, 53, 54, 58, -169, -165],
        ),
        (
            Class::Transient,
            &[
                // INVALID_MSG, leaders, time-outs, coordinators, NETWORK_EXCEPTION
                2, 5, 6, 7, 8, 9, 13, 14, 15, 16,
                // NOT_ENOUGH_REPLICAS and _AFTER_APPEND, KAFKA_STORAGE_ERROR, leader epochs, quota
                19, 20, 56, 74, 75, 89,
                // UNKNOWN_SERVER_ERROR, _TRANSPORT, _RESOLVE, _MSG_TIMED_OUT, _ALL_BROKERS_DOWN
                -1, -195, -193, -192, -187,
                // _TIMED_OUT, _SSL, _TIMED_OUT_QUEUE, _PURGE_QUEUE, _PURGE_INFLIGHT
                -185, -181, -166, -152, -151,
                // _INVALID_DIFFERENT_RECORD, _DESTROY_BROKER
                -138, -137,
            ],
        ),
        (
            Class::ProducerDead,
            &[45, 47, 49, 59, 90, -150, -149, -148, -144],
        ),
        (Class::BackPressure, &[-184]),
    ];

    #[test]
    fn each_known_code_has_its_class() {
        for (class, codes) in TABLE {
            for &code in codes {
                assert_eq!(kafka(code), class, "code {code}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_code_nobody_has_judged_is_transient(code in prop_oneof![-300_i32..300, any::<i32>()]) {
            let judged = TABLE.iter().any(|(_, codes)| codes.contains(&code));
            prop_assert!(judged || kafka(code) == Class::Transient, "code {}", code);
        }
    }
}
