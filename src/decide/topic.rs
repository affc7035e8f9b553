//! What a topic may be called, and which topics rows may reach.
//!
//! Owns Kafka's rule for names and the operator's list. Knows neither routes nor rows.
//!
//! Invariant: Kafka's internal topics are nobody's to write to.

use super::pattern::glob;
use crate::outcome::Defect;

/// The longest name Kafka takes (`org.apache.kafka.common.internals.Topic`, `MAX_NAME_LENGTH`).
const NAME_MAX_BYTES: usize = 249;

/// The topics that rows may name, as patterns in which `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(Vec<String>);

impl Default for Allowed {
    /// Every topic.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl Allowed {
    /// Reads patterns; a topic is allowed if one of them matches all of its name.
    pub fn parse(patterns: &[String]) -> Result<Self, Defect> {
        patterns
            .iter()
            .try_for_each(|pattern| check_pattern(pattern))?;
        Ok(Self(patterns.to_vec()))
    }

    /// Whether a topic may be written to.
    pub fn allows(&self, topic: &str) -> bool {
        self.0.iter().any(|pattern| glob(pattern, topic))
    }
}

/// Says why a pattern could match no topic.
pub fn check_pattern(pattern: &str) -> Result<(), Defect> {
    check_topic(&pattern.replace('*', "x")).map_err(|_no_name| {
        Defect::new(format!(
            "{pattern:?} matches no topic: a pattern has letters, digits, \".\", \"_\", \"-\" and \"*\""
        ))
    })
}

/// Says why Kafka would not take a name, or why it must not be written to. Kafka's own rule is
/// `org.apache.kafka.common.internals.Topic.validate`; librdkafka does not check it.
pub fn check_topic(name: &str) -> Result<(), Defect> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fault = if name.is_empty() {
        "the topic name is empty"
    } else if name.len() > NAME_MAX_BYTES {
        "the topic name is longer than 249 bytes"
    } else if name == "." || name == ".." {
        "the topic name is \".\" or \"..\""
    } else if !name.bytes().all(legal) {
        "the topic name has a character other than letters, digits, \".\", \"_\" and \"-\""
    } else if name.starts_with("__") {
        "the topic name begins with \"__\", as Kafka's internal topics do"
    } else {
        return Ok(());
    };
    Err(Defect::new(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_a_whole_name() {
        let allowed = |patterns: &[&str], topic: &str| {
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            Allowed::parse(&patterns).unwrap().allows(topic)
        };
        assert!(allowed(&["*"], "anything"));
        assert!(allowed(&["orders"], "orders"));
        assert!(!allowed(&["orders"], "orders2") && !allowed(&["orders"], "my-orders"));
        assert!(allowed(&["shop.*", "audit"], "shop.orders"));
        assert!(!allowed(&["shop.*", "audit"], "audit.orders"));
        assert!(allowed(&["*-events"], "order-events"));
        assert!(allowed(&["a*b*c"], "a-b-b-c") && !allowed(&["a*b*c"], "a-c-b"));
        assert!(!allowed(&["ab*ba"], "aba"), "the ends do not overlap");
        assert!(!allowed(&[], "orders"));
        assert!(Allowed::parse(&["a b".to_owned()]).is_err());
    }
}
