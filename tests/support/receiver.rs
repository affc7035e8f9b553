//! A receiver: reads topics from their beginning and keeps every record it has seen.
//!
//! Owns a consumer on a thread of its own, without a group's assignments: it reads all partitions,
//! duplicates and all. Knows nothing of what the records mean.
//!
//! Invariant: records of one partition are kept in the order of their offsets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Kafka, eventually};

/// How long one question to a broker may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a partition may be without a leader.
const ENDS_WITHIN: Duration = Duration::from_mins(1);
/// How long the thread waits for a record before it looks whether it should end.
const POLL: Duration = Duration::from_millis(50);
/// How many of the last records a failed wait shows.
const SHOWN: usize = 5;

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp_ms: Option<i64>,
}

impl Received {
    /// The text of a header; nothing if it is absent, null or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(held, _)| held == name)?;
        str::from_utf8(value.as_deref()?).ok()
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.collect(),
            timestamp_ms: message.timestamp().to_millis(),
        }
    }
}

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    records: Vec<Received>,
    /// When each of them was seen.
    times: Vec<Instant>,
    /// The offset after the last record seen, for each topic and partition.
    next: HashMap<(String, i32), i64>,
    trouble: Option<KafkaError>,
}

impl Seen {
    fn keep(&mut self, record: Received) {
        let place = (record.topic.clone(), record.partition);
        self.next.insert(place, record.offset + 1);
        self.records.push(record);
        self.times.push(Instant::now());
    }

    /// Says what there is, for a wait that has failed.
    fn shown(&self) -> String {
        let last = &self.records[self.records.len().saturating_sub(SHOWN)..];
        let trouble = self.trouble.as_ref().map(ToString::to_string);
        format!(
            "{} records, the last {last:#?}; last error: {}",
            self.records.len(),
            trouble.as_deref().unwrap_or("none")
        )
    }
}

/// What the thread and the test share.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    ends: AtomicBool,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics while looking")
    }
}

/// Reads some topics until it is dropped.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    /// Asks for offsets on connections of its own: on the reader's, each question would wait until
    /// the fetch before it has been answered.
    asker: Arc<BaseConsumer>,
    partitions: Vec<(String, i32)>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Receiver {
    /// Begins to read all partitions of topics that exist, from the beginning. A broker that goes
    /// away and comes back is waited for.
    pub(crate) async fn start(kafka: &Kafka, topics: &[&str]) -> Self {
        let asker: BaseConsumer = kafka.client().create().expect("the configuration is legal");
        let asker = Arc::new(asker);
        let partitions = partitions(&asker, topics).await;
        let reader = reader(kafka, &partitions);
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || read(&reader, &shared)
        });
        Self {
            shared,
            asker,
            partitions,
            thread: Some(thread),
        }
    }

    /// Every record seen so far.
    pub(crate) fn records(&self) -> Vec<Received> {
        self.shared.seen().records.clone()
    }

    /// When each record was seen, in their order.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.shared.seen().times.clone()
    }

    /// How many records have been seen so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen().records.len()
    }

    /// Waits until at least so many records have been seen, and returns all.
    pub(crate) async fn wait_for(&self, count: usize, within: Duration) -> Vec<Received> {
        let what = format!("{count} records");
        self.until(&what, within, |records| records.len() >= count)
            .await
    }

    /// Waits until the records seen satisfy a condition, and returns all.
    pub(crate) async fn until(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        self.until_seen(what, within, |seen| condition(&seen.records))
            .await
    }

    /// Waits until everything that the topics hold now has been seen, and returns all. After it,
    /// what was not seen is not there.
    pub(crate) async fn read_to_end(&self, within: Duration) -> Vec<Received> {
        let ends = self.ends().await;
        self.until_seen("the end of the topics", within, |seen| {
            ends.iter()
                .all(|(place, end)| seen.next.get(place).is_some_and(|next| next >= end))
        })
        .await
    }

    async fn until_seen(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&Seen) -> bool,
    ) -> Vec<Received> {
        eventually(what, within, async || {
            let seen = self.shared.seen();
            if condition(&seen) {
                return Ok(seen.records.clone());
            }
            Err(seen.shown())
        })
        .await
    }

    /// The offset after the last record of each partition that holds any. Who leads a partition may
    /// have changed since the last question: then it is asked again.
    async fn ends(&self) -> Vec<(Place, i64)> {
        eventually("the ends of the topics", ENDS_WITHIN, async || {
            let (asker, partitions) = (Arc::clone(&self.asker), self.partitions.clone());
            spawn_blocking(move || ends(&asker, partitions))
                .await
                .expect("asking for watermarks does not panic")
        })
        .await
    }
}

/// A topic and one of its partitions.
type Place = (String, i32);

fn ends(asker: &BaseConsumer, partitions: Vec<Place>) -> Result<Vec<(Place, i64)>, KafkaError> {
    let mut ends = Vec::new();
    for place in partitions {
        let (low, high) = asker
            .fetch_watermarks(&place.0, place.1, ANSWER_WITHIN)
            .or_else(|stale| {
                // The answer tells the client who leads now.
                asker.fetch_metadata(Some(&place.0), ANSWER_WITHIN)?;
                Err(stale)
            })?;
        if low < high {
            ends.push((place, high));
        }
    }
    Ok(ends)
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// A consumer that begins at the beginning of every partition. librdkafka asks for a group even
/// where nothing is shared by one.
fn reader(kafka: &Kafka, partitions: &[(String, i32)]) -> BaseConsumer {
    let mut config = kafka.client();
    config
        .set("group.id", Kafka::unique("receiver"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("reconnect.backoff.max.ms", "500");
    let consumer: BaseConsumer = config.create().expect("the configuration is legal");
    let mut assignment = TopicPartitionList::new();
    for (topic, partition) in partitions {
        assignment
            .add_partition_offset(topic, *partition, Offset::Beginning)
            .expect("the beginning is a legal offset");
    }
    consumer
        .assign(&assignment)
        .expect("a list of partitions can be assigned");
    consumer
}

/// Reads until told to end.
fn read(consumer: &BaseConsumer, shared: &Shared) {
    while !shared.ends.load(Ordering::Relaxed) {
        match consumer.poll(POLL) {
            Some(Ok(message)) => shared.seen().keep(Received::of(&message)),
            Some(Err(error)) => shared.seen().trouble = Some(error),
            None => {}
        }
    }
}

/// All partitions of some topics.
async fn partitions(asker: &Arc<BaseConsumer>, topics: &[&str]) -> Vec<(String, i32)> {
    let asker = Arc::clone(asker);
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    spawn_blocking(move || {
        let mut partitions = Vec::new();
        for topic in topics {
            let metadata = asker
                .fetch_metadata(Some(&topic), ANSWER_WITHIN)
                .expect("the broker answers");
            let held = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let before = partitions.len();
            partitions.extend(held.map(|partition| (topic.clone(), partition.id())));
            assert!(partitions.len() > before, "{topic} does not exist");
        }
        partitions
    })
    .await
    .expect("asking for metadata does not panic")
}
