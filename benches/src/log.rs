//! The topic read back after a cell: which event is where, how often, and since when.
//!
//! Owns a consumer that keeps numbers and times alone. Knows an event by the `n` of its payload.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use crate::bed::Bed;
use crate::figures::f64_of;
use crate::servers::PARTITIONS;
use crate::support::Kafka;

/// How long the topic may be silent while it is read.
const SILENCE: Duration = Duration::from_secs(20);

/// One event as the topic holds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    /// When the broker appended it first, in milliseconds of the wall clock.
    pub(crate) at_ms: i64,
    /// Whether its key is the hot one.
    pub(crate) is_hot: bool,
}

/// What a topic holds.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Each event by its number.
    pub(crate) events: HashMap<i64, Appended>,
    /// Records beyond the first of each event.
    pub(crate) duplicates: i64,
}

/// The part of a payload that names the event.
#[derive(Deserialize)]
struct Numbered {
    n: i64,
}

impl Log {
    /// Reads so many records of a bed's topic.
    pub(crate) async fn read(bed: &Bed<'_>, records: i64) -> Result<Self> {
        let mut config = bed.servers.kafka.client();
        config
            .set("group.id", Kafka::unique("log"))
            .set("enable.auto.commit", "false");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assignment.add_partition_offset(&bed.topic, partition, Offset::Beginning)?;
        }
        spawn_blocking(move || {
            let consumer: BaseConsumer = config.create()?;
            consumer.assign(&assignment)?;
            let mut log = Self::default();
            for seen in 0..records {
                let record = consumer.poll(SILENCE);
                let record = record.with_context(|| format!("{seen} of {records} records"))??;
                log.take_in(&record)?;
            }
            Ok(log)
        })
        .await?
    }

    /// How long after its commit each event was appended, in milliseconds, with the second of its
    /// commit counted from the first. The broker's clock has no parts of a millisecond: half of one
    /// is its mean. Who reads fast can be ahead of the answer to the writer.
    pub(crate) fn delays_ms(&self, commits: &HashMap<i64, i64>) -> Result<Vec<(i64, f64)>> {
        let began_us = commits.values().min().copied().unwrap_or(0);
        let delay = |(n, &commit_us): (&i64, &i64)| {
            let appended = self.events.get(n).context("an event is not in the topic")?;
            let delay_us = appended.at_ms * 1_000 + 500 - commit_us;
            let second = (commit_us - began_us) / 1_000_000;
            Ok((second, f64_of(delay_us) / 1_000.0))
        };
        commits.iter().map(delay).collect()
    }

    fn take_in(&mut self, record: &impl Message) -> Result<()> {
        let value = record.payload().context("an event has a payload")?;
        let Numbered { n } = serde_json::from_slice(value)?;
        let at_ms = record.timestamp().to_millis();
        let at_ms = at_ms.context("the broker says when it appended")?;
        ensure!(n >= 0, "numbers count from 0");
        match self.events.entry(n) {
            Entry::Vacant(place) => {
                let is_hot = record.key() == Some(b"hot");
                place.insert(Appended { at_ms, is_hot });
            }
            Entry::Occupied(mut held) => {
                self.duplicates += 1;
                let first = held.get_mut();
                first.at_ms = first.at_ms.min(at_ms);
            }
        }
        Ok(())
    }
}
