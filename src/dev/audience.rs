//! A consumer of every topic, from the beginning.
//!
//! Owns a thread that reads and tells. Knows nothing of what the records should be.
//!
//! Invariant: after [`Audience::finish`] every record that the cluster held then has been told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Arrival, DevError, News};

/// The mock cluster answers a look at an empty partition after this long and not sooner, whatever
/// arrives meanwhile: it is what the audience adds to the times it measures.
const FETCH_WAIT_MS: &str = "2";
/// The thread looks this often whether it should end, and for new topics.
const LOOK: Duration = Duration::from_millis(250);
/// A question to a cluster in the same process.
const ANSWER: Duration = Duration::from_secs(5);
/// The last records are waited for no longer than this.
const LAST_RECORDS: Duration = Duration::from_secs(10);

/// Reads until it is told to finish.
#[derive(Debug)]
pub struct Audience {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Audience {
    /// Begins to read.
    pub fn start(brokers: &str, news: UnboundedSender<News>) -> Result<Self, DevError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "outbox-relay-dev")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS)
            .create()
            .map_err(|error| DevError::Kafka(error.to_string()))?;
        let ends = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            consumer,
            news,
            next: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("audience".to_owned())
            .spawn({
                let ends = Arc::clone(&ends);
                move || reader.run(&ends)
            })
            .map_err(|error| DevError::Kafka(error.to_string()))?;
        Ok(Self { ends, thread })
    }

    /// Reads what is there now, and ends.
    pub async fn finish(self) {
        self.ends.store(true, Ordering::Relaxed);
        let joining = tokio::task::spawn_blocking(move || self.thread.join());
        if !matches!(joining.await, Ok(Ok(()))) {
            tracing::debug!("the audience did not end by itself");
        }
    }
}

struct Reader {
    consumer: BaseConsumer,
    news: UnboundedSender<News>,
    /// The offset after the last record seen, for each topic and partition that is read.
    next: BTreeMap<(String, i32), i64>,
}

impl Reader {
    fn run(mut self, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            self.look_for_topics();
            let until = Instant::now() + LOOK;
            while Instant::now() < until {
                self.read();
            }
        }
        self.look_for_topics();
        let deadline = Instant::now() + LAST_RECORDS;
        while !self.has_read_all() && Instant::now() < deadline {
            self.read();
        }
    }

    /// Begins to read what was not there at the last look.
    fn look_for_topics(&mut self) {
        if let Err(error) = self.try_look_for_topics() {
            tracing::debug!(%error, "the audience sees no topics");
        }
    }

    fn try_look_for_topics(&mut self) -> KafkaResult<()> {
        let metadata = self.consumer.fetch_metadata(None, ANSWER)?;
        let topics = metadata.topics().iter();
        let places = topics.flat_map(|topic| {
            let partitions = topic.partitions().iter();
            partitions.map(|partition| (topic.name().to_owned(), partition.id()))
        });
        let fresh: Vec<_> = places
            .filter(|place| !self.next.contains_key(place))
            .collect();
        let mut list = TopicPartitionList::new();
        for (topic, partition) in &fresh {
            list.add_partition_offset(topic, *partition, Offset::Beginning)?;
        }
        if !fresh.is_empty() {
            self.consumer.incremental_assign(&list)?;
        }
        self.next.extend(fresh.into_iter().map(|place| (place, 0)));
        Ok(())
    }

    fn read(&mut self) {
        match self.consumer.poll(LOOK) {
            Some(Ok(record)) => {
                let place = (record.topic().to_owned(), record.partition());
                self.next.insert(place, record.offset() + 1);
                // Nobody listens any more once the verb has been broken off.
                let _unheard = self.news.send(News::Arrived(arrival(&record)));
            }
            Some(Err(error)) => tracing::debug!(%error, "the audience cannot read"),
            None => {}
        }
    }

    fn has_read_all(&self) -> bool {
        self.next.iter().all(|((topic, partition), next)| {
            let ends = self.consumer.fetch_watermarks(topic, *partition, ANSWER);
            ends.is_ok_and(|(_, end)| *next >= end)
        })
    }
}

fn arrival(record: &BorrowedMessage<'_>) -> Arrival {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or_else(String::new, |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    };
    let header = |name: &str| {
        let headers = record.headers()?;
        let header = headers.iter().find(|header| header.key == name)?;
        Some(text(header.value))
    };
    Arrival {
        topic: record.topic().to_owned(),
        partition: record.partition(),
        offset: record.offset(),
        key: text(record.key()),
        event_type: header("ce_type").unwrap_or_default(),
        id: header("ce_id").and_then(|id| Uuid::parse_str(&id).ok()),
        at: Instant::now(),
        age: age(record.timestamp().to_millis()),
    }
}

/// How long ago a record was created. The database's clock is this machine's.
fn age(timestamp_ms: Option<i64>) -> Duration {
    let timestamp_ms = timestamp_ms.and_then(|ms| u64::try_from(ms).ok());
    let created = Duration::from_millis(timestamp_ms.unwrap_or_default());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(created)
}
