//! Whose fault a Kafka error is.
//!
//! Owns the one table of error codes: class, meaning, cure, and where the verdict comes from. Knows
//! no client library: codes are numbers, as librdkafka has them (`rdkafka.h`,
//! `rd_kafka_resp_err_t`). Negative ones are librdkafka's own, the others the Kafka protocol's
//! (<https://kafka.apache.org/protocol#protocol_error_codes>).
//!
//! Invariants: total, and a code that is not in the table is transient, so that no row is given up
//! for an error that nobody has judged. That includes codes which librdkafka itself calls
//! permanent for want of a rule (`rd_kafka_err_action`: 13, 74, 89 and every code it does not list).

use crate::outcome::Class;

/// What the relay holds of one error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The code's number.
    pub code: i32,
    /// The code's name, without `RD_KAFKA_RESP_ERR_`.
    pub name: &'static str,
    /// Whose fault it is.
    pub class: Class,
    /// What it means.
    pub means: &'static str,
    /// What an operator does about it.
    pub cure: &'static str,
    /// Where the verdict comes from.
    pub source: &'static str,
}

/// Nobody needs to act.
const PASSES: &str = "none: it passes by itself";
/// Nobody needs to act: the client is made anew.
const REBUILT: &str = "none: the producer is rebuilt within 2 s";
const SHRINK: &str = "raise the topic's `max.message.bytes`, or write smaller events";
const CREATE: &str = "create the topic";
const CREDENTIALS: &str =
    "correct `sasl.username`, `sasl.password` and `sasl.mechanism` under `[kafka.properties]`";
const REACH: &str = "if it lasts: start the brokers, and correct `kafka.brokers` and the listeners that they advertise";
const COMPARE: &str = "run a broker and a relay of versions that know each other";

const PROTOCOL: &str = "Kafka protocol";
const CLIENT: &str = "rdkafka.h";
const UNLISTED: &str = "Kafka protocol; unlisted in rd_kafka_err_action";

type Row = (
    i32,
    &'static str,
    Class,
    &'static str,
    &'static str,
    &'static str,
);

/// Every code that was judged. The order is that of the classes, then of the numbers.
#[rustfmt::skip]
const TABLE: [Row; 61] = [
    (10, "MSG_SIZE_TOO_LARGE", Class::Record, "larger than its topic takes, once it was tried alone",
        SHRINK, "Kafka protocol; a broker answers for a whole batch"),
    (18, "RECORD_LIST_TOO_LARGE", Class::Record, "larger than a segment of its topic, once it was tried alone",
        "raise the topic's `segment.bytes`, or write smaller events", "Kafka protocol; a broker answers for a whole batch"),
    (32, "INVALID_TIMESTAMP", Class::Record, "its time lies outside what the topic allows",
        "correct `created_at`, or widen the topic's `message.timestamp.before.max.ms` and `.after.max.ms`", PROTOCOL),
    (44, "POLICY_VIOLATION", Class::Record, "a policy of the cluster rejects it",
        "look at the cluster's policy", PROTOCOL),
    (87, "INVALID_RECORD", Class::Record, "a broker's validation rejects it, for example without a key on a compacted topic",
        "give the row a key that is not empty, or change the topic's `cleanup.policy`", "KIP-467; Kafka's LogValidator"),

    (-190, "_UNKNOWN_PARTITION", Class::Topic, "no such partition, says the client", CREATE, CLIENT),
    (-188, "_UNKNOWN_TOPIC", Class::Topic, "no such topic, says the client", CREATE, "rdkafka.h; after topic.metadata.propagation.max.ms"),
    (3, "UNKNOWN_TOPIC_OR_PART", Class::Topic, "no such topic or partition, says the broker", CREATE, PROTOCOL),
    (17, "TOPIC_EXCEPTION", Class::Topic, "not a name for a topic, or one that clients may not write to",
        "correct the route or the rows' `topic`", PROTOCOL),
    (29, "TOPIC_AUTHORIZATION_FAILED", Class::Topic, "no right to write to the topic",
        "allow the relay's principal WRITE and DESCRIBE on the topic", PROTOCOL),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Class::Topic, "the topic's format is too old for headers or idempotence",
        "raise the topic's `message.format.version`", PROTOCOL),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", Class::Topic, "the topic does not take the producer's compression",
        "change `compression.type` under `[kafka.properties]`", PROTOCOL),

    (-169, "_AUTHENTICATION", Class::Cluster, "the credentials are wrong, says the client", CREDENTIALS, CLIENT),
    (-165, "_UNSUPPORTED_FEATURE", Class::Cluster, "the broker lacks what the producer needs, idempotence for example", COMPARE, CLIENT),
    (21, "INVALID_REQUIRED_ACKS", Class::Cluster, "the broker does not take `acks`", COMPARE, PROTOCOL),
    (31, "CLUSTER_AUTHORIZATION_FAILED", Class::Cluster, "no right to write idempotently",
        "allow the relay's principal IDEMPOTENT_WRITE on the cluster (brokers before 2.8)", PROTOCOL),
    (33, "UNSUPPORTED_SASL_MECHANISM", Class::Cluster, "the broker does not offer the mechanism", CREDENTIALS, PROTOCOL),
    (34, "ILLEGAL_SASL_STATE", Class::Cluster, "the broker expects another step of authentication",
        "correct `security.protocol` under `[kafka.properties]`", PROTOCOL),
    (35, "UNSUPPORTED_VERSION", Class::Cluster, "the broker is too old or too new for the request", COMPARE, PROTOCOL),
    (50, "INVALID_TRANSACTION_TIMEOUT", Class::Cluster, "the transaction's time-out exceeds what the broker allows",
        "raise the broker's `transaction.max.timeout.ms`", PROTOCOL),
    (53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Class::Cluster, "no right to the transactional id",
        "allow the relay's principal WRITE and DESCRIBE on the transactional id", PROTOCOL),
    (54, "SECURITY_DISABLED", Class::Cluster, "the cluster has no security, so it can grant nothing",
        "give the cluster an authorizer", PROTOCOL),
    (58, "SASL_AUTHENTICATION_FAILED", Class::Cluster, "the credentials are wrong, says the broker", CREDENTIALS, PROTOCOL),

    (-195, "_TRANSPORT", Class::Transient, "a connection broke, or was refused", REACH, CLIENT),
    (-193, "_RESOLVE", Class::Transient, "a broker's name leads nowhere",
        "if it lasts: correct `kafka.brokers`, or the names that the brokers advertise", CLIENT),
    (-192, "_MSG_TIMED_OUT", Class::Transient, "not confirmed within `kafka.message_timeout_ms`; perhaps written", PASSES, CLIENT),
    (-187, "_ALL_BROKERS_DOWN", Class::Transient, "no broker can be reached", REACH, CLIENT),
    (-185, "_TIMED_OUT", Class::Transient, "no answer in time; perhaps written", PASSES, CLIENT),
    (-181, "_SSL", Class::Transient, "the handshake failed: certificate, name or authority",
        "correct `ssl.ca.location` and the keys under `[kafka.properties]`, or the broker's certificate", CLIENT),
    (-166, "_TIMED_OUT_QUEUE", Class::Transient, "not sent in time", PASSES, CLIENT),
    (-152, "_PURGE_QUEUE", Class::Transient, "given up before it was sent, at a stop or a rebuild", PASSES, CLIENT),
    (-151, "_PURGE_INFLIGHT", Class::Transient, "given up on its way, at a stop or a rebuild; perhaps written", PASSES, CLIENT),
    (-137, "_DESTROY_BROKER", Class::Transient, "the broker left the cluster", PASSES, CLIENT),
    (-1, "UNKNOWN", Class::Transient, "the broker failed and does not say why", "if it lasts: look at the broker's log", PROTOCOL),
    (2, "INVALID_MSG", Class::Transient, "the batch was damaged on its way", PASSES, PROTOCOL),
    (5, "LEADER_NOT_AVAILABLE", Class::Transient, "the partition has no leader", PASSES, PROTOCOL),
    (6, "NOT_LEADER_FOR_PARTITION", Class::Transient, "the partition's leader moved", PASSES, PROTOCOL),
    (7, "REQUEST_TIMED_OUT", Class::Transient, "the replicas did not confirm in time; perhaps written", PASSES, PROTOCOL),
    (8, "BROKER_NOT_AVAILABLE", Class::Transient, "the broker is away", PASSES, PROTOCOL),
    (9, "REPLICA_NOT_AVAILABLE", Class::Transient, "the replica is away", PASSES, PROTOCOL),
    (13, "NETWORK_EXCEPTION", Class::Transient, "the broker hung up before it answered; perhaps written", PASSES, UNLISTED),
    (14, "COORDINATOR_LOAD_IN_PROGRESS", Class::Transient, "the coordinator is starting", PASSES, PROTOCOL),
    (15, "COORDINATOR_NOT_AVAILABLE", Class::Transient, "the coordinator is away", PASSES, PROTOCOL),
    (16, "NOT_COORDINATOR", Class::Transient, "the coordinator moved", PASSES, PROTOCOL),
    (19, "NOT_ENOUGH_REPLICAS", Class::Transient, "fewer replicas in sync than `min.insync.replicas`",
        "if it lasts: start the brokers that are missing", PROTOCOL),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Class::Transient, "written, and then too few replicas were in sync",
        "if it lasts: start the brokers that are missing", PROTOCOL),
    (56, "KAFKA_STORAGE_ERROR", Class::Transient, "the broker's disc failed or is full", "if it lasts: look at the broker's disc", PROTOCOL),
    (74, "FENCED_LEADER_EPOCH", Class::Transient, "the partition's leader moved", PASSES, UNLISTED),
    (75, "UNKNOWN_LEADER_EPOCH", Class::Transient, "the partition's leader moved", PASSES, PROTOCOL),
    (89, "THROTTLING_QUOTA_EXCEEDED", Class::Transient, "a quota of the cluster is used up", "if it lasts: raise the quota", UNLISTED),

    (-150, "_FATAL", Class::ProducerDead, "the client gave up: every later call answers this", REBUILT, CLIENT),
    (-149, "_INCONSISTENT", Class::ProducerDead, "the client found its own state inconsistent", REBUILT, CLIENT),
    (-148, "_GAPLESS_GUARANTEE", Class::ProducerDead, "a record failed although gaps were forbidden", REBUILT, CLIENT),
    (-144, "_FENCED", Class::ProducerDead, "another producer took over, says the client", REBUILT, CLIENT),
    (45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Class::ProducerDead, "producer and broker disagree about what was written", REBUILT, "KIP-98"),
    (47, "INVALID_PRODUCER_EPOCH", Class::ProducerDead, "the producer's epoch is an old one", REBUILT, "KIP-98"),
    (49, "INVALID_PRODUCER_ID_MAPPING", Class::ProducerDead, "the producer's id belongs to another transactional id", REBUILT, "KIP-98"),
    (59, "UNKNOWN_PRODUCER_ID", Class::ProducerDead, "the broker has forgotten the producer", REBUILT, "KIP-98"),
    (90, "PRODUCER_FENCED", Class::ProducerDead, "another producer took over", REBUILT, "KIP-588"),

    (-184, "_QUEUE_FULL", Class::BackPressure, "the client's queue has no room", "none: the relay waits for room", CLIENT),
    (-138, "_INVALID_DIFFERENT_RECORD", Class::BackPressure, "another record of its batch was rejected, and is known", "none: it is sent again without that one", "KIP-467"),
];

/// The class of a librdkafka error code.
pub fn kafka(code: i32) -> Class {
    of(code).map_or(Class::Transient, |verdict| verdict.class)
}

/// What an operator does about a librdkafka error code, where anybody has to do anything.
pub fn cure(code: i32) -> Option<&'static str> {
    of(code)
        .map(|verdict| verdict.cure)
        .filter(|cure| !cure.starts_with("none:"))
}

/// Every code that was judged, class by class.
pub fn table() -> impl Iterator<Item = Verdict> {
    TABLE.into_iter().map(verdict)
}

fn of(code: i32) -> Option<Verdict> {
    let row = TABLE.iter().find(|row| row.0 == code)?;
    Some(verdict(*row))
}

fn verdict((code, name, class, means, cure, source): Row) -> Verdict {
    Verdict {
        code,
        name,
        class,
        means,
        cure,
        source,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{cure, kafka, table};
    use crate::outcome::Class;

    /// The classes as they were agreed on, apart from the table: a slip of the hand in one of the
    /// two shows.
    const AGREED: [(Class, &[i32]); 5] = [
        (Class::Record, &[10, 18, 32, 44, 87]),
        (Class::Topic, &[3, 17, 29, 43, 76, -188, -190]),
        (
            Class::Cluster,
            &[21, 31, 33, 34, 35, 50, 53, 54, 58, -169, -165],
        ),
        (
            Class::ProducerDead,
            &[45, 47, 49, 59, 90, -150, -149, -148, -144],
        ),
        (Class::BackPressure, &[-184, -138]),
    ];

    /// The class of a code as it was agreed on.
    fn agreed(code: i32) -> Class {
        AGREED
            .iter()
            .find(|(_, codes)| codes.contains(&code))
            .map_or(Class::Transient, |(class, _)| *class)
    }

    #[test]
    fn each_known_code_has_its_class() {
        for verdict in table() {
            assert_eq!(verdict.class, agreed(verdict.code), "{verdict:?}");
        }
        for (class, codes) in AGREED {
            for &code in codes {
                assert_eq!(kafka(code), class, "code {code}");
            }
        }
    }

    #[test]
    fn no_code_stands_in_the_table_twice() {
        let mut codes: Vec<i32> = table().map(|verdict| verdict.code).collect();
        codes.sort_unstable();
        let many = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), many);
    }

    #[test]
    fn what_lasts_until_an_operator_acts_comes_with_a_cure() {
        for verdict in table() {
            let lasts = matches!(verdict.class, Class::Record | Class::Topic | Class::Cluster);
            assert!(!lasts || cure(verdict.code).is_some(), "{verdict:?}");
        }
        assert_eq!(cure(-150), None, "a producer is rebuilt by itself");
        assert_eq!(cure(12_345), None, "nobody has judged it");
    }

    proptest! {
        #[test]
        fn a_code_nobody_has_judged_is_transient(code in prop_oneof![-300_i32..300, any::<i32>()]) {
            prop_assert_eq!(kafka(code), agreed(code), "code {}", code);
        }
    }
}
