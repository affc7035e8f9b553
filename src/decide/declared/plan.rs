//! What is to be done so that the cluster has its topics as they are declared.
//!
//! Owns the comparison. Changes nothing and does not ask the cluster.
//!
//! Invariants:
//! - a plan deletes nothing and makes nothing smaller, and touches no key that is not declared;
//! - partitions are added only when that is asked for: keys move with them;
//! - a plan that was carried out leaves nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Declaration, cure, first_for};

/// What the cluster says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Present(Present),
    /// It is not.
    Missing,
    /// We have no right to it.
    Denied,
}

/// A topic that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// How many partitions it has.
    pub partitions: usize,
    /// How many copies of each; of the one with the fewest.
    pub replication_factor: usize,
    /// Its settings, its own and those of the brokers; empty where we may not see them.
    pub config: BTreeMap<String, String>,
}

/// A setting of a topic that is to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What it is now.
    pub from: String,
    /// What is declared.
    pub to: String,
}

/// What is to be done to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Make it, as this declaration says.
    Create(Declaration),
    /// Change these of its settings.
    Alter(Vec<Setting>),
    /// Add partitions.
    AddPartitions {
        /// So many it has.
        from: usize,
        /// So many are declared.
        to: usize,
    },
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The topic's name.
    pub topic: String,
    /// What to do.
    pub change: Change,
}

/// Something that no step mends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The topic's name.
    pub topic: String,
    /// What differs.
    pub text: String,
    /// What an operator can do.
    pub cure: String,
}

/// Everything to be done, by the topics' names, and what only an operator can decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What can be done.
    pub steps: Vec<Step>,
    /// What cannot.
    pub differences: Vec<Difference>,
}

impl Plan {
    /// Compares what is declared with what was seen. Adds partitions only where that is wanted.
    pub fn new(
        declarations: &[Declaration],
        seen: &BTreeMap<String, Seen>,
        adds_partitions: bool,
    ) -> Self {
        let mut plan = Self::default();
        for (topic, seen) in seen {
            let Some(declared) = first_for(declarations, topic) else {
                continue;
            };
            match seen {
                Seen::Missing => plan.step(topic, Change::Create(declared.clone())),
                Seen::Denied => plan.differs(topic, "is not ours to see", cure::RIGHTS),
                Seen::Present(present) => {
                    plan.partitions(topic, declared, present, adds_partitions);
                    plan.replication(topic, declared, present);
                    plan.config(topic, declared, present);
                }
            }
        }
        plan
    }

    /// Whether the cluster is as it was declared.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.differences.is_empty()
    }

    fn partitions(&mut self, topic: &str, declared: &Declaration, present: &Present, adds: bool) {
        let Some(to) = declared.partitions.map(usize::from) else {
            return;
        };
        let from = present.partitions;
        if from > to {
            self.differs(
                topic,
                format!("has {from} partitions, {to} are declared"),
                format!("declare {from}: Kafka takes no partition away"),
            );
        } else if from < to && adds {
            self.step(topic, Change::AddPartitions { from, to });
        } else if from < to {
            self.differs(
                topic,
                format!("has {from} partitions, {to} are declared"),
                "`outbox-relay topics apply --add-partitions` adds them; keys then move to other \
                 partitions, so that events of an aggregate from before and after it may be \
                 consumed out of order: let consumers catch up first",
            );
        }
    }

    fn replication(&mut self, topic: &str, declared: &Declaration, present: &Present) {
        let has = present.replication_factor;
        if let Some(wanted) = declared.replication_factor.map(usize::from)
            && wanted != has
        {
            self.differs(
                topic,
                format!("has {has} copies of each partition, {wanted} are declared"),
                format!(
                    "move its replicas (kafka-reassign-partitions.sh), or declare \
                     replication_factor = {has}"
                ),
            );
        }
    }

    fn config(&mut self, topic: &str, declared: &Declaration, present: &Present) {
        if declared.config.is_empty() {
            return;
        }
        if present.config.is_empty() {
            self.differs(topic, "does not show its settings to us", cure::RIGHTS);
            return;
        }
        let mut settings = Vec::new();
        for (key, to) in &declared.config {
            match present.config.get(key) {
                Some(from) if is_same(from, to) => {}
                Some(from) => settings.push(Setting {
                    key: key.clone(),
                    from: from.clone(),
                    to: to.clone(),
                }),
                None => self.differs(
                    topic,
                    format!("can have no setting {key}"),
                    "correct the key: the brokers know none of this name",
                ),
            }
        }
        if !settings.is_empty() {
            self.step(topic, Change::Alter(settings));
        }
    }

    fn step(&mut self, topic: &str, change: Change) {
        let topic = topic.to_owned();
        self.steps.push(Step { topic, change });
    }

    fn differs(&mut self, topic: &str, text: impl Into<String>, cure: impl Into<String>) {
        self.differences.push(Difference {
            topic: topic.to_owned(),
            text: text.into(),
            cure: cure.into(),
        });
    }
}

impl fmt::Display for Change {
    /// What it does, as one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(declared) => match told(declared) {
                told if told.is_empty() => f.write_str("create as the brokers choose"),
                told => write!(f, "create with {}", told.join(", ")),
            },
            Self::Alter(settings) => {
                let told = settings.iter().map(ToString::to_string);
                f.write_str(&told.collect::<Vec<_>>().join(", "))
            }
            Self::AddPartitions { from, to } => write!(f, "partitions: {from} -> {to}"),
        }
    }
}

/// Everything that a declaration says beside the name.
fn told(declared: &Declaration) -> Vec<String> {
    let counts = [
        ("partitions", declared.partitions),
        ("replication_factor", declared.replication_factor),
    ];
    let counts = counts
        .into_iter()
        .filter_map(|(key, count)| Some(format!("{key}={}", count?)));
    let config = declared.config.iter();
    let config = config.map(|(key, value)| format!("{key}={value}"));
    counts.chain(config).collect()
}

impl fmt::Display for Setting {
    /// From what to what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, to } = self;
        let from = if from.is_empty() { "nothing" } else { from };
        write!(f, "{key}: {from} -> {to}")
    }
}

/// Whether two values mean the same: brokers print numbers and lists in a form of their own.
pub fn is_same(one: &str, other: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let parts = |text: &str| -> BTreeSet<String> {
        let parts = text.split(',').map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    };
    let integer = |text: &str| text.trim().parse::<i64>().ok();
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        (_, _) => {
            parts(one) == parts(other) || number(one).is_some_and(|one| number(other) == Some(one))
        }
    }
}

#[cfg(test)]
mod tests;
