//! What becomes of a row that failed for good, and when one has.
//!
//! Owns the operator's choice and the name of a dead letter's topic. Knows neither the window nor
//! the form of a dead letter (see `decide::letter`).
//!
//! Invariant: a dead letter's topic is a legal name, and not the topic that refused the record.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::topic::check_topic;
use crate::outcome::Defect;

/// What stands for the topic that the record was meant for.
const TOPIC: &str = "{topic}";

/// What becomes of a row that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDead {
    /// A dead letter goes to Kafka, and its aggregate goes on.
    DeadLetter,
    /// Its aggregate waits for an operator.
    Block,
    /// The table alone keeps it, and its aggregate goes on.
    Table,
}

impl fmt::Display for OnDead {
    /// The word of the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeadLetter => "dead_letter",
            Self::Block => "block",
            Self::Table => "table",
        })
    }
}

/// How a dead letter is named after the topic that its record was meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterTopic {
    before: String,
    /// What follows the topic; none where the name is one for all.
    after: Option<String>,
}

impl LetterTopic {
    /// Reads a template such as `{topic}.dlq`, or one name for all.
    pub fn parse(template: &str) -> Result<Self, Defect> {
        let (before, after) = match template.split_once(TOPIC) {
            Some((before, after)) => (before, Some(after)),
            None => (template, None),
        };
        let rest = format!("{before}{}", after.unwrap_or_default());
        if rest.contains(['{', '}']) {
            return Err(Defect::new("only {topic} is replaced, and once"));
        }
        let sample = format!(
            "{before}{}{}",
            after.map_or("", |_| "x"),
            after.unwrap_or("")
        );
        check_topic(&sample)?;
        if sample == "x" {
            return Err(Defect::new(
                "a dead letter cannot go to the topic that refused the record",
            ));
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.map(ToOwned::to_owned),
        })
    }

    /// Where the dead letters of a topic go; none where there can be no such topic.
    pub fn of(&self, topic: &str) -> Option<Arc<str>> {
        let name = match &self.after {
            Some(after) => format!("{}{topic}{after}", self.before),
            None => self.before.clone(),
        };
        (name != topic && check_topic(&name).is_ok()).then(|| Arc::from(name))
    }

    /// Whether a topic is one of dead letters, by its name.
    pub fn is_one(&self, topic: &str) -> bool {
        let Some(after) = &self.after else {
            return topic == self.before;
        };
        let rest = topic.strip_prefix(&self.before);
        rest.and_then(|rest| rest.strip_suffix(after.as_str()))
            .is_some_and(|meant| !meant.is_empty())
    }
}

/// When a row has failed for good, where its dead letter goes, and how long it waits between tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where dead letters go.
    pub letter_topic: LetterTopic,
    /// So many refusals of one row, while others of its topic are taken, are enough; 0 is never.
    pub attempts_max: u32,
    /// The first retry waits about this long, in milliseconds.
    pub backoff_min_ms: u64,
    /// A retry waits at most this long, in milliseconds.
    pub backoff_max_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter_topic(template: &str, topic: &str) -> Option<String> {
        let template = LetterTopic::parse(template).unwrap();
        template.of(topic).map(|name| name.to_string())
    }

    #[test]
    fn a_dead_letter_is_named_after_its_topic_or_by_one_name() {
        let dlq = |topic| letter_topic("{topic}.dlq", topic);
        assert_eq!(dlq("orders").as_deref(), Some("orders.dlq"));
        assert_eq!(letter_topic("dead", "orders").as_deref(), Some("dead"));
        let named = letter_topic("dead.{topic}.v1", "a");
        assert_eq!(named.as_deref(), Some("dead.a.v1"));
    }

    #[test]
    fn a_topic_of_dead_letters_is_known_by_its_name() {
        let is_one = |template, topic| LetterTopic::parse(template).unwrap().is_one(topic);
        assert!(is_one("{topic}.dlq", "orders.dlq") && is_one("dead", "dead"));
        assert!(!is_one("{topic}.dlq", ".dlq") && !is_one("{topic}.dlq", "orders"));
        assert!(is_one("dead.{topic}", "dead.orders") && !is_one("dead", "dead.orders"));
    }

    #[test]
    fn there_is_none_where_its_name_would_be_illegal_or_the_same_topic() {
        assert_eq!(letter_topic("{topic}.dlq", &"x".repeat(246)), None);
        assert_eq!(letter_topic("dead", "dead"), None);
    }

    #[test]
    fn a_template_that_can_name_no_topic_is_refused() {
        for template in [
            "",
            "{topic}",
            "{tpoic}.dlq",
            "{topic}.{topic}",
            "a b",
            "__{topic}",
        ] {
            assert!(LetterTopic::parse(template).is_err(), "{template}");
        }
    }
}
