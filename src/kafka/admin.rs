//! Questions to the cluster.
//!
//! Owns clients of its own that publish nothing. Knows neither why it is asked nor what follows
//! from the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, ConfigSource, OwnedResourceSpecifier,
    ResourceSpecifier,
};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::Producer as _;

use super::client::{self, Owned, off_thread};
use super::trouble::Listener;
use super::{KafkaError, failure, failure_of};
use crate::decide::topic::check_topic;
use crate::outcome::{Class, Failure};

/// What the cluster says about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// It is there.
    Present {
        /// How many partitions it has.
        partitions: usize,
        /// How many copies of each; of the one with the fewest.
        copies: usize,
    },
    /// It is not there, or not to be seen with our rights.
    Missing,
    /// We have no right to it.
    Denied,
}

/// Asked about where any topic would do: every cluster has it, or says that it has not.
const ANY_TOPIC: &str = "__consumer_offsets";

/// What a topic's setting is, and whence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its value, where that is shown.
    pub value: Option<String>,
    /// Whether it was set for this topic, and is no default of the brokers.
    pub is_own: bool,
}

/// A topic's settings by their names.
pub type TopicSettings = BTreeMap<String, String>;

/// Asks the cluster.
#[derive(Clone)]
pub struct Admin {
    client: Arc<Owned<Listener>>,
    listener: Listener,
    config: ClientConfig,
}

impl Admin {
    /// Makes a client. Does not wait for a broker; fails only where the properties are wrong.
    pub fn start(config: &ClientConfig) -> Result<Self, KafkaError> {
        let listener = Listener::new();
        let client = Owned::start(config, listener.clone())?;
        Ok(Self {
            client: Arc::new(client),
            listener,
            config: config.clone(),
        })
    }

    /// The cluster's identity, by which two clusters are told apart.
    pub async fn cluster_id(&self, patience: Duration) -> Result<String, KafkaError> {
        self.ask(move |admin| {
            admin
                .client
                .client()
                .client()
                .fetch_cluster_id(patience)
                .ok_or_else(|| admin.unreachable("no cluster id came in time"))
        })
        .await
    }

    /// Whether any broker answers a question that only a broker can.
    pub async fn answers(&self, patience: Duration) -> bool {
        let asked = self.ask(move |admin| {
            let client = admin.client.client().client();
            let answer = client.fetch_metadata(Some(ANY_TOPIC), patience);
            answer.map_err(|error| admin.refused(&error))
        });
        asked.await.is_ok()
    }

    /// Whether a topic is there, and how many partitions it has.
    pub async fn topic(&self, name: &str, patience: Duration) -> Result<Topic, KafkaError> {
        check_topic(name).map_err(Failure::from)?;
        let name = name.to_owned();
        self.ask(move |admin| admin.topic_here(&name, patience))
            .await
    }

    /// The names of all topics that we may see.
    pub async fn topic_names(&self, patience: Duration) -> Result<BTreeSet<String>, KafkaError> {
        self.ask(move |admin| {
            let client = admin.client.client().client();
            let metadata = client.fetch_metadata(None, patience);
            let metadata = metadata.map_err(|error| admin.refused(&error))?;
            let names = metadata.topics().iter().map(MetadataTopic::name);
            Ok(names.map(ToOwned::to_owned).collect())
        })
        .await
    }

    /// The settings (`retention.ms` and the like) of topics by their names. A topic whose settings
    /// we may not see has none.
    pub async fn topic_settings(
        &self,
        names: Vec<String>,
        patience: Duration,
    ) -> Result<BTreeMap<String, TopicSettings>, KafkaError> {
        let topics = self.topic_entries(names, patience).await?.into_iter();
        let shown = |entries: BTreeMap<String, Entry>| {
            let entries = entries.into_iter();
            let shown = entries.filter_map(|(key, entry)| Some((key, entry.value?)));
            shown.collect()
        };
        Ok(topics
            .map(|(name, entries)| (name, shown(entries)))
            .collect())
    }

    /// The same, each with where it comes from.
    pub(super) async fn topic_entries(
        &self,
        names: Vec<String>,
        patience: Duration,
    ) -> Result<BTreeMap<String, BTreeMap<String, Entry>>, KafkaError> {
        if names.is_empty() {
            // librdkafka takes no empty question.
            return Ok(BTreeMap::new());
        }
        let runtime = tokio::runtime::Handle::current();
        self.ask(move |admin| {
            // Made and dropped here: dropping it joins its polling thread.
            let client: AdminClient<_> = client::create(&admin.config, admin.listener.clone())?;
            let options = AdminOptions::new().request_timeout(Some(patience));
            let topics: Vec<_> = names
                .iter()
                .map(|name| ResourceSpecifier::Topic(name))
                .collect();
            let answers = runtime
                .block_on(client.describe_configs(&topics, &options))
                .map_err(|error| admin.refused(&error))?;
            Ok(answers.into_iter().flatten().filter_map(entries).collect())
        })
        .await
    }

    /// As [`topic`](Self::topic), on a thread that may block.
    fn topic_here(&self, name: &str, patience: Duration) -> Result<Topic, KafkaError> {
        let metadata = self
            .client
            .client()
            .client()
            .fetch_metadata(Some(name), patience)
            .map_err(|error| self.refused(&error))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(Topic::Missing);
        };
        let Some(error) = topic.error() else {
            return Ok(Topic::Present {
                partitions: topic.partitions().len(),
                copies: fewest_copies(topic),
            });
        };
        let failure = failure_of(error.into());
        match failure.code {
            MISSING_HERE | MISSING_THERE => Ok(Topic::Missing),
            DENIED => Ok(Topic::Denied),
            _ => Err(failure.into()),
        }
    }

    /// Runs a question on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let admin = self.clone();
        let answer = off_thread(move || question(&admin)).await?;
        if answer.is_ok() {
            self.listener.all_is_well();
        }
        answer
    }

    /// The properties that its clients are made with.
    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Who listens to its clients.
    pub(super) fn listener(&self) -> Listener {
        self.listener.clone()
    }

    fn unreachable(&self, otherwise: &str) -> KafkaError {
        KafkaError::Unreachable {
            reason: self.listener.reason_or(|| otherwise.to_owned()),
        }
    }

    /// A question that failed as a whole: no answer, or an answer that says no.
    pub(super) fn refused(&self, error: &ClientError) -> KafkaError {
        let failure = failure(error);
        if failure.class == Class::Transient {
            self.unreachable(&failure.reason)
        } else {
            failure.into()
        }
    }
}

/// The copies of the partition that has the fewest.
fn fewest_copies(topic: &MetadataTopic) -> usize {
    let partitions = topic.partitions().iter();
    let copies = partitions.map(|partition| partition.replicas().len());
    copies.min().unwrap_or_default()
}

/// A topic of an answer, and its settings.
fn entries(answer: ConfigResource) -> Option<(String, BTreeMap<String, Entry>)> {
    let OwnedResourceSpecifier::Topic(name) = answer.specifier else {
        return None;
    };
    let entries = answer.entries.into_iter().map(|entry| {
        let is_own = entry.source == ConfigSource::DynamicTopic;
        let value = entry.value;
        (entry.name, Entry { value, is_own })
    });
    Some((name, entries.collect()))
}

/// `RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC`: the client has not found it.
const MISSING_HERE: i32 = -188;
/// `RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART`: the broker has not.
const MISSING_THERE: i32 = 3;
/// `RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED`
const DENIED: i32 = 29;

impl fmt::Debug for Admin {
    /// Shows no property.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
