//! The bare client: as many records as librdkafka and the broker take, from memory.
//!
//! Owns a producer whose callback only counts. Knows no outbox. It is what no relay can pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::support::Kafka;

/// Records under way at once: more makes it slower.
pub(crate) const IN_FLIGHT_MAX: i64 = 20_000;
/// How long the last records may take.
const LAST: Duration = Duration::from_secs(30);
/// How long to serve callbacks for before looking again.
const TURN: Duration = Duration::from_millis(1);
/// As large as the base case's payloads.
const VALUE_BYTES: usize = 300;
/// Each value comes from another place of one text, or compression would have too easy a time.
const PLACES: usize = 10_000;
const KEYS: i64 = 10_000;

/// Counts what the broker confirmed.
#[derive(Clone, Default)]
struct Counting {
    confirmed: Arc<AtomicI64>,
    refused: Arc<AtomicI64>,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, report: &DeliveryResult<'_>, (): ()) {
        let count = if report.is_ok() {
            &self.confirmed
        } else {
            &self.refused
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends so many records, so many at once; returns how long it took.
pub(crate) async fn flood(
    kafka: &Kafka,
    topic: &str,
    (records, in_flight_max): (i64, i64),
    properties: &[(&str, &str)],
) -> Result<Duration> {
    let mut config = kafka.client();
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("queue.buffering.max.messages", "100000");
    for (name, value) in properties {
        config.set(*name, *value);
    }
    let topic = topic.to_owned();
    spawn_blocking(move || send(&config, &topic, (records, in_flight_max))).await?
}

fn send(
    config: &ClientConfig,
    topic: &str,
    (records, in_flight_max): (i64, i64),
) -> Result<Duration> {
    let counting = Counting::default();
    let producer: BaseProducer<Counting> = config.create_with_context(counting.clone())?;
    let text = crate::backlog::text(VALUE_BYTES + PLACES);
    let began = Instant::now();
    for n in 0..records {
        let key = (n % KEYS).to_string();
        let place = usize::try_from(n)? % PLACES;
        let value = &text[place..place + VALUE_BYTES];
        let mut record = BaseRecord::to(topic).key(&key).payload(value);
        while n - counting.confirmed.load(Ordering::Relaxed) >= in_flight_max {
            producer.poll(TURN);
        }
        while let Err((error, back)) = producer.send(record) {
            let is_full = error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            ensure!(is_full, "the bare client: {error}");
            producer.poll(TURN);
            record = back;
        }
        if n % 1_000 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(LAST)?;
    let took = began.elapsed();
    let refused = counting.refused.load(Ordering::Relaxed);
    ensure!(refused == 0, "the broker refused {refused} records");
    Ok(took)
}
