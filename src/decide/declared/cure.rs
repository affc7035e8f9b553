//! What an operator does where a broker does not change a topic as it was asked to.
//!
//! Owns the cures of refused changes. Does not know what was to be changed.

use crate::decide::verdict;

/// `RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS`
pub const ALREADY_THERE: i32 = 36;
/// `RD_KAFKA_RESP_ERR_INVALID_CONFIG`
pub const INVALID_CONFIG: i32 = 40;

/// Cures by the Kafka protocol's codes (<https://kafka.apache.org/protocol#protocol_error_codes>).
const CURES: [(i32, &str); 10] = [
    (
        17,
        "declare another name: Kafka takes no two that differ in \".\" and \"_\" alone",
    ),
    (29, RIGHTS),
    (31, RIGHTS),
    (
        35,
        "declare partitions and replication_factor: brokers before 2.4 choose neither (KIP-464)",
    ),
    (ALREADY_THERE, AGAIN),
    (37, "declare a number of partitions that the brokers take"),
    (
        38,
        "declare a replication_factor of no more than there are brokers, or start more of them",
    ),
    (
        INVALID_CONFIG,
        "correct its config: a key or a value is none that the brokers know",
    ),
    (41, AGAIN),
    (
        44,
        "see the policy of the cluster (create.topic.policy.class.name, \
         alter.config.policy.class.name)",
    ),
];

/// What is wanted of a principal that makes and changes topics.
pub const RIGHTS: &str = "allow the relay's principal CREATE, ALTER, ALTER_CONFIGS and \
                          DESCRIBE_CONFIGS on the topic (kafka-acls.sh), or let somebody apply who \
                          may";
/// Where nothing is wrong.
const AGAIN: &str = "run it again";

/// What to do about a code.
pub fn of(code: i32) -> &'static str {
    let own = CURES.iter().find(|(known, _)| *known == code);
    own.map(|(_, cure)| *cure)
        .or_else(|| verdict::cure(code))
        .unwrap_or("see the broker's log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_cure() {
        assert!(of(38).contains("replication_factor"));
        assert_eq!(of(29), RIGHTS);
        assert_eq!(of(-12_345), "see the broker's log");
        for code in -200..200 {
            assert!(!of(code).is_empty());
        }
    }
}
