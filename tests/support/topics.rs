//! Topics of its own for each test, and what an operator does to them.
//!
//! Owns the names and the waiting for leaders. Knows no record.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use tokio::task::spawn_blocking;

use super::eventually;
use super::kafka::{ANSWER_WITHIN, Kafka};

/// How long a topic may take to be created, its partitions to be led.
const CREATED_WITHIN: Duration = Duration::from_secs(20);
/// As many replicas as the broker's own settings say.
const REPLICAS: TopicReplication<'_> = TopicReplication::Fixed(-1);

impl Kafka {
    /// A topic name that no other test has.
    pub(crate) fn unique(name: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{name}-{}-{number}", std::process::id())
    }

    /// Creates a topic with a unique name and returns that.
    pub(crate) async fn topic(&self, name: &str, partitions: i32) -> String {
        let name = Self::unique(name);
        self.create_topic(&name, partitions, &[]).await;
        name
    }

    /// Creates a topic and waits until each of its partitions has a leader.
    pub(crate) async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) {
        let topic = settings.iter().fold(
            NewTopic::new(name, partitions, REPLICAS),
            |topic, (key, value)| topic.set(key, value),
        );
        let answers = self
            .admin()
            .create_topics([&topic], &options())
            .await
            .expect("the broker answers");
        for answer in answers {
            answer.unwrap_or_else(|(topic, code)| panic!("creating {topic}: {code}"));
        }
        self.leads(name, partitions).await;
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) async fn delete_topic(&self, name: &str) {
        let deleting = self.admin().delete_topics(&[name], &options()).await;
        for answer in deleting.expect("the broker answers") {
            answer.unwrap_or_else(|(topic, code)| panic!("deleting {topic}: {code}"));
        }
        self.leads(name, 0).await;
    }

    /// Adds partitions up to so many in all.
    pub(crate) async fn add_partitions(&self, name: &str, partitions: i32) {
        let in_all = usize::try_from(partitions).expect("a count");
        let wanted = NewPartitions::new(name, in_all);
        let adding = self.admin().create_partitions([&wanted], &options()).await;
        for answer in adding.expect("the broker answers") {
            answer.unwrap_or_else(|(topic, code)| panic!("partitions of {topic}: {code}"));
        }
        self.leads(name, partitions).await;
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("the configuration is legal")
    }

    /// Waits until so many partitions of a topic have a leader.
    async fn leads(&self, name: &str, partitions: i32) {
        eventually(&format!("leaders of {name}"), CREATED_WITHIN, async || {
            let led = leaders(self.client(), name.to_owned()).await;
            let led = led.map_err(|error| error.to_string())?;
            (i32::try_from(led) == Ok(partitions))
                .then_some(())
                .ok_or(format!("{led} of {partitions}"))
        })
        .await;
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(CREATED_WITHIN))
        .operation_timeout(Some(CREATED_WITHIN))
}

/// How many partitions of a topic have a leader.
async fn leaders(config: ClientConfig, topic: String) -> Result<usize, KafkaError> {
    let metadata = spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(Some(&topic), ANSWER_WITHIN)?;
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
        Ok(partitions
            .filter(|partition| partition.leader() >= 0)
            .count())
    });
    metadata.await.expect("asking for metadata does not panic")
}
