//! Changes to topics, and what must be known before them.
//!
//! Owns a client of its own for them. Knows neither why a topic is changed nor who may want that.
//!
//! Two things of rdkafka 0.39 shape this module. It has `AlterConfigs` alone, not the incremental
//! call (KIP-339), and that resets every setting it does not name: so a topic's own settings are
//! read just before, and all of them are sent with the changes. And it drops what a broker answers
//! for a single topic (`AlterConfigsFuture`, `DescribeConfigsFuture` count every one as good): so
//! a change counts as done once the cluster shows it, and the brokers' opinion of settings is had
//! from a rehearsal of `CreateTopics`, whose answers are kept.
//!
//! Invariants:
//! - a setting that was not to be changed is what it was, unless somebody else changed it meanwhile;
//! - a change that is reported as done is to be seen in the cluster.

mod rehearsal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode;

use super::admin::{Admin, Entry, Topic};
use super::client::{self, Disposed};
use super::trouble::Listener;
use super::{KafkaError, failure_of, number};
use crate::decide::declared::Declaration;
use crate::decide::declared::cure;
use crate::decide::declared::plan::{Change, Present, Seen, Setting, is_same};

/// A broker gets this long for an answer, and for what it was asked to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// A change that the brokers took shows within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether it shows.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a topic is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The brokers said no, or nothing.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// These settings are none that they take.
    #[error("the brokers do not take {}", .keys.join(", "))]
    Settings {
        /// Each as `key=value`.
        keys: Vec<String>,
    },
    /// The change does not show, and no answer says why.
    #[error("the change does not show within {} s", SHOWN_WITHIN.as_secs())]
    NotShown,
    /// A setting that was not to be changed would be lost.
    #[error("its own setting {key} is not shown to us, and would be lost")]
    Hidden {
        /// The setting.
        key: String,
    },
}

impl ChangeError {
    /// What an operator can do.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Kafka(KafkaError::Refused(failure)) => cure::of(failure.code),
            Self::Kafka(_) => "see that the brokers run, and that kafka.brokers leads to them",
            Self::Settings { .. } => cure::of(cure::INVALID_CONFIG),
            Self::NotShown => cure::RIGHTS,
            Self::Hidden { .. } => "change the topic with kafka-configs.sh",
        }
    }

    /// Whether nobody answered.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Kafka(KafkaError::Unreachable { .. }))
    }
}

/// Sees and changes topics.
#[derive(Clone)]
pub struct Topics {
    admin: Admin,
    /// Destroying it joins its thread.
    client: Arc<Disposed<AdminClient<Listener>>>,
}

impl Topics {
    /// Makes a client. Does not wait for a broker.
    pub fn start(admin: &Admin) -> Result<Self, KafkaError> {
        let client = client::create(admin.config(), admin.listener())?;
        Ok(Self {
            admin: admin.clone(),
            client: Arc::new(Disposed::new(client)),
        })
    }

    /// The names of all topics that we may see.
    pub async fn names(&self) -> Result<BTreeSet<String>, KafkaError> {
        self.admin.topic_names(PATIENCE).await
    }

    /// What the cluster says of topics.
    pub async fn see(&self, names: BTreeSet<String>) -> Result<BTreeMap<String, Seen>, KafkaError> {
        let mut seen = BTreeMap::new();
        let mut present = Vec::new();
        for name in names {
            let topic = self.admin.topic(&name, PATIENCE).await?;
            let is = match topic {
                Topic::Present { partitions, copies } => {
                    present.push(name.clone());
                    Seen::Present(Present {
                        partitions,
                        replication_factor: copies,
                        config: BTreeMap::new(),
                    })
                }
                Topic::Missing => Seen::Missing,
                Topic::Denied => Seen::Denied,
            };
            seen.insert(name, is);
        }
        for (name, entries) in self.admin.topic_entries(present, PATIENCE).await? {
            if let Some(Seen::Present(present)) = seen.get_mut(&name) {
                let values = entries.into_iter();
                let values = values.map(|(key, entry)| (key, entry.value.unwrap_or_default()));
                present.config = values.collect();
            }
        }
        Ok(seen)
    }

    /// Changes a topic, and waits until that shows. A topic that somebody else has just made counts
    /// as made.
    pub async fn carry_out(&self, topic: &str, change: &Change) -> Result<(), ChangeError> {
        match change {
            Change::Create(declared) => self.create(topic, declared).await?,
            Change::Alter(settings) => self.alter(topic, settings).await?,
            Change::AddPartitions { to, .. } => self.add_partitions(topic, *to).await?,
        }
        self.wait_for(topic, change).await
    }

    async fn create(&self, topic: &str, declared: &Declaration) -> Result<(), ChangeError> {
        match self.ask_to_create(topic, declared, &options()).await? {
            Ok(()) => Ok(()),
            Err(code) if number(code) == cure::ALREADY_THERE => Ok(()),
            Err(code) if number(code) == cure::INVALID_CONFIG => {
                Err(self.refused_settings(topic, &declared.config, code).await)
            }
            Err(code) => Err(refused(code)),
        }
    }

    async fn add_partitions(&self, topic: &str, to: usize) -> Result<(), ChangeError> {
        let wanted = NewPartitions::new(topic, to);
        let answers = self
            .client
            .get()
            .create_partitions([&wanted], &options())
            .await;
        let answers = answers.map_err(|error| self.failed(&error))?;
        match answers.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some((_, code)) => Err(refused(code)),
        }
    }

    /// Sets settings of a topic and sends all of its others with them.
    async fn alter(&self, topic: &str, settings: &[Setting]) -> Result<(), ChangeError> {
        let wanted = settings.iter();
        let wanted: BTreeMap<_, _> = wanted
            .map(|setting| (setting.key.clone(), setting.to.clone()))
            .collect();
        self.rehearse(topic, &wanted).await?;
        let entries = self.admin.topic_entries(vec![topic.to_owned()], PATIENCE);
        let entries = entries.await?.remove(topic).unwrap_or_default();
        let whole = whole(entries, wanted)?;
        let start = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let asked = whole
            .iter()
            .fold(start, |asked, (key, value)| asked.set(key, value));
        // It answers for the request alone; whether the topic took it is seen afterwards.
        let answers = self.client.get().alter_configs([&asked], &options()).await;
        answers.map_err(|error| self.failed(&error)).map(drop)
    }

    /// Waits until the cluster shows a change.
    async fn wait_for(&self, topic: &str, change: &Change) -> Result<(), ChangeError> {
        let look = async {
            loop {
                let seen = self.see(BTreeSet::from([topic.to_owned()])).await;
                match seen.map(|mut seen| seen.remove(topic)) {
                    Ok(Some(Seen::Present(present))) if shows(change, &present) => return Ok(()),
                    Ok(_) => tokio::time::sleep(PAUSE).await,
                    Err(error) => return Err(ChangeError::from(error)),
                }
            }
        };
        let found = tokio::time::timeout(SHOWN_WITHIN, look).await;
        found.unwrap_or(Err(ChangeError::NotShown))
    }

    async fn ask_to_create(
        &self,
        topic: &str,
        declared: &Declaration,
        options: &AdminOptions,
    ) -> Result<Result<(), RDKafkaErrorCode>, ChangeError> {
        // -1 lets the brokers choose (KIP-464).
        let partitions = declared.partitions.map_or(-1, i32::from);
        let copies = declared.replication_factor.map_or(-1, i32::from);
        let start = NewTopic::new(topic, partitions, TopicReplication::Fixed(copies));
        let config = declared.config.iter();
        let asked = config.fold(start, |asked, (key, value)| asked.set(key, value));
        let answers = self.client.get().create_topics([&asked], options).await;
        let answers = answers.map_err(|error| self.failed(&error))?;
        let refused = answers.into_iter().find_map(Result::err);
        Ok(refused.map_or(Ok(()), |(_, code)| Err(code)))
    }

    fn failed(&self, error: &ClientError) -> ChangeError {
        self.admin.refused(error).into()
    }
}

/// The brokers' no to one topic.
fn refused(code: RDKafkaErrorCode) -> ChangeError {
    KafkaError::from(failure_of(code)).into()
}

/// Whether a topic is as a change was to make it. One that is made is judged by nothing else:
/// another may have made it differently.
fn shows(change: &Change, present: &Present) -> bool {
    match change {
        Change::Create(_) => true,
        Change::Alter(settings) => settings.iter().all(|Setting { key, to, .. }| {
            let now = present.config.get(key);
            now.is_some_and(|now| is_same(now, to))
        }),
        Change::AddPartitions { to, .. } => present.partitions >= *to,
    }
}

/// Everything to send so that the wanted settings change and no other of the topic's own does.
fn whole(
    entries: BTreeMap<String, Entry>,
    wanted: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ChangeError> {
    let mut whole = BTreeMap::new();
    for (key, entry) in entries.into_iter().filter(|(_, entry)| entry.is_own) {
        match entry.value {
            _ if wanted.contains_key(&key) => {}
            Some(value) => drop(whole.insert(key, value)),
            None => return Err(ChangeError::Hidden { key }),
        }
    }
    whole.extend(wanted);
    Ok(whole)
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

impl fmt::Debug for Topics {
    /// Shows no property.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    fn entries(all: &[(&str, Option<&str>, bool)]) -> BTreeMap<String, Entry> {
        let entry = |&(key, value, is_own): &(&str, Option<&str>, bool)| {
            let value = value.map(ToOwned::to_owned);
            (key.to_owned(), Entry { value, is_own })
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn all_own_settings_are_sent_with_the_wanted_ones() {
        let now = entries(&[
            ("segment.ms", Some("7"), true),
            ("retention.ms", Some("1"), true),
            ("preallocate", Some("false"), false),
            ("odd", None, false),
        ]);
        let whole = whole(now, texts(&[("retention.ms", "2")])).unwrap();
        assert_eq!(whole, texts(&[("segment.ms", "7"), ("retention.ms", "2")]));
    }

    #[test]
    fn a_setting_that_is_not_shown_is_not_lost() {
        let now = entries(&[("secret", None, true)]);
        let error = whole(now, texts(&[("retention.ms", "2")])).unwrap_err();
        let key = "secret".to_owned();
        assert_eq!(error, ChangeError::Hidden { key });
        let now = entries(&[("secret", None, true)]);
        assert!(whole(now, texts(&[("secret", "2")])).is_ok());
    }
}
