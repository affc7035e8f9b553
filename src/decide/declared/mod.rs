//! Topics as an operator declares them: which declaration is about which topic.
//!
//! Owns the declaration and the rule that the first one that matches a name counts. Knows neither
//! settings files nor the cluster; what follows where the two differ is in `plan`.
//!
//! Invariant: Kafka's internal topics are never declared, by whatever pattern.

pub mod cure;
pub mod plan;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::pattern::glob;
use super::topic::check_topic;

/// A topic as it is wanted, or many by a pattern in which `*` stands for anything. What is left out
/// is the brokers' to choose, and no difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Declaration {
    /// The name or pattern.
    pub name: String,
    /// How many partitions.
    pub partitions: Option<u16>,
    /// How many copies of each.
    pub replication_factor: Option<u16>,
    /// The topic's own settings, as Kafka names them.
    pub config: BTreeMap<String, String>,
}

impl Declaration {
    /// Whether it stands for many topics.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }

    /// Whether it matches a name.
    pub fn covers(&self, topic: &str) -> bool {
        glob(&self.name, topic)
    }
}

/// The declaration that counts for a topic: the first one that matches it.
pub fn first_for<'d>(declarations: &'d [Declaration], topic: &str) -> Option<&'d Declaration> {
    let declared = declarations.iter().find(|one| one.covers(topic));
    declared.filter(|_| check_topic(topic).is_ok())
}

/// The topics that declarations are about: those named in full, and of the topics that are there
/// and of those that a relay would use, every one that a pattern matches.
pub fn names<'n>(
    declarations: &'n [Declaration],
    known: impl IntoIterator<Item = &'n str>,
) -> BTreeSet<String> {
    let named = declarations.iter().filter(|one| !one.is_pattern());
    named
        .map(|one| one.name.as_str())
        .chain(known)
        .filter(|topic| first_for(declarations, topic).is_some())
        .map(ToOwned::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(names: &[&str]) -> Vec<Declaration> {
        let one = |name: &&str| Declaration {
            name: (*name).to_owned(),
            ..Declaration::default()
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn the_first_declaration_that_matches_counts() {
        let all = declared(&["*.dlq", "order-*", "orders"]);
        let first = |topic| first_for(&all, topic).map(|one| one.name.as_str());
        assert_eq!(first("order-events.dlq"), Some("*.dlq"));
        assert_eq!(first("order-events"), Some("order-*"));
        assert_eq!(first("orders"), Some("orders"));
        assert_eq!(first("audit"), None);
    }

    #[test]
    fn a_name_is_declared_in_any_case_and_a_pattern_for_what_is_known() {
        let all = declared(&["audit", "order-*", "*.dlq"]);
        let known = ["order-events", "audit.dlq", "stock-events"];
        let found = names(&all, known);
        assert_eq!(
            found,
            BTreeSet::from(["audit", "audit.dlq", "order-events"].map(str::to_owned))
        );
    }

    #[test]
    fn no_pattern_is_about_an_internal_topic() {
        let all = declared(&["*", "__*"]);
        assert_eq!(first_for(&all, "__consumer_offsets"), None);
        assert_eq!(names(&all, ["__consumer_offsets"]), BTreeSet::new());
    }
}
