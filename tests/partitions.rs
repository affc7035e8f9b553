//! Proves that a key goes to the partition where Kafka's own Java client sends it, so that services
//! that produce beside the relay meet its records.
//!
//! The vectors come from that client (`scripts/partition-vectors`). The empty key is among them:
//! librdkafka's `murmur2_random` hashes it like any other, as Java does. Only a record without key
//! goes to a partition of the client's choice, in both.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use outbox_relay::kafka::properties::client_config;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::task::spawn_blocking;

use crate::support::{Kafka, Receiver};

const WITHIN: Duration = Duration::from_mins(1);
const VECTORS: &str = include_str!("vectors/murmur2.csv");
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The relay's own producer, with nothing of the user's.
fn producer_config(kafka: &Kafka) -> ClientConfig {
    client_config(
        &[kafka.brokers().to_owned()],
        60_000,
        &BTreeMap::new(),
        20_000,
    )
}

/// The vectors: each key with the hash that the Java client computes.
fn vectors() -> HashMap<Vec<u8>, i32> {
    let lines = VECTORS.lines().map(|line| {
        let (key, hash) = line.split_once(',').expect("a key and its hash");
        (from_base64(key), hash.parse().expect("a hash is a number"))
    });
    lines.collect()
}

/// The bytes that base64 text stands for: three for each four digits.
fn from_base64(text: &str) -> Vec<u8> {
    let digits = text.trim_end_matches('=').as_bytes();
    let bytes = digits.chunks(4).flat_map(|four| {
        let first = four.iter().map(|digit| value_of(*digit));
        let bits = first
            .chain([0; 4])
            .take(4)
            .fold(0, |bits, six| bits << 6 | six);
        let [_, bytes @ ..] = u32::to_be_bytes(bits);
        bytes.into_iter().take(four.len() - 1)
    });
    bytes.collect()
}

fn value_of(digit: u8) -> u32 {
    let value = BASE64.iter().position(|known| *known == digit);
    u32::try_from(value.expect("a digit of base64")).expect("less than 64")
}

/// Hands every key to one producer, each to all topics, and waits until all are confirmed.
async fn send_all(config: ClientConfig, topics: Vec<String>, keys: Vec<Vec<u8>>) {
    let producer: BaseProducer = config.create().expect("the configuration is legal");
    let sending = spawn_blocking(move || {
        for (key, topic) in keys
            .iter()
            .flat_map(|key| topics.iter().map(move |t| (key, t)))
        {
            let record = BaseRecord::<[u8], ()>::to(topic).key(key);
            producer.send(record).map_err(|(error, _record)| error)?;
        }
        producer.flush(WITHIN)
    });
    let sent = sending.await.expect("sending does not panic");
    sent.expect("the broker confirms within its time");
}

/// As the Java client makes a partition of a hash: the sign is dropped, not negated.
fn partition_in_java(hash: i32, partitions: i32) -> i32 {
    (hash & i32::MAX) % partitions
}

#[tokio::test]
async fn a_key_goes_where_the_java_client_sends_it() {
    let kafka = Kafka::shared().await;
    let vectors = vectors();
    assert_eq!(vectors.len(), 10_000);
    assert!(vectors.contains_key(&b""[..]));
    let mut counts = HashMap::new();
    for count in [7, 16] {
        counts.insert(kafka.topic("partitions", count).await, count);
    }
    let topics: Vec<String> = counts.keys().cloned().collect();
    let keys = vectors.keys().cloned().collect();
    send_all(producer_config(kafka), topics.clone(), keys).await;

    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let records = Receiver::start(kafka, &topics)
        .await
        .read_to_end(WITHIN)
        .await;
    assert_eq!(records.len(), 20_000);
    for record in records {
        let key = record.key.expect("every record has its key");
        let expected = partition_in_java(vectors[&key], counts[&record.topic]);
        assert_eq!(
            record.partition, expected,
            "key {key:?} in {}",
            record.topic
        );
    }
}
