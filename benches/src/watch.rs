//! A watch over a topic: how many records it holds, and since when.
//!
//! Owns the looks at the ends of its partitions. Reads no record, so that nothing of the machine is
//! taken from what is measured.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bed::Bed;
use crate::servers::PARTITIONS;

/// How often it looks; so exact is what it says.
const LOOK: Duration = Duration::from_millis(20);
/// How long one look may take.
const ANSWER: Duration = Duration::from_secs(10);
/// A topic that does not grow for so long will not grow any more. Leases of a relay that was killed
/// run for a quarter of that.
const STUCK: Duration = Duration::from_mins(1);

/// Looks at one topic.
#[derive(Clone)]
pub(crate) struct Watch {
    asker: Arc<BaseConsumer>,
    ends: TopicPartitionList,
    /// What the topic held when the watch began.
    before: i64,
}

/// When records arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The first look that saw any.
    pub(crate) first: Instant,
    /// The look that saw as many as were waited for.
    pub(crate) last: Instant,
    /// How many there were then.
    pub(crate) records: i64,
}

impl Watch {
    /// A watch over the topic of a bed, for what comes from now on.
    pub(crate) async fn over(bed: &Bed<'_>) -> Result<Self> {
        let mut ends = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            ends.add_partition_offset(&bed.topic, partition, Offset::End)?;
        }
        let mut watch = Self {
            asker: Arc::new(bed.servers.kafka.client().create()?),
            ends,
            before: 0,
        };
        watch.before = watch.records().await?;
        Ok(watch)
    }

    /// How many records have arrived. All partitions are asked for in one request: the
    /// "time" of the last record is a number of its own (`ListOffsets`, Kafka's protocol).
    pub(crate) async fn records(&self) -> Result<i64> {
        let (asker, ends) = (Arc::clone(&self.asker), self.ends.clone());
        let asking = spawn_blocking(move || asker.offsets_for_times(ends, ANSWER));
        let ends = asking.await??;
        let counts = ends.elements();
        let counts = counts.iter().map(|end| end.offset().to_raw().unwrap_or(0));
        Ok(counts.map(|count| count.max(0)).sum::<i64>() - self.before)
    }

    /// Waits until so many have arrived; `check` is asked again and again whether there is still
    /// something to wait for.
    pub(crate) async fn until(
        &self,
        records: i64,
        mut check: impl FnMut() -> Result<()>,
    ) -> Result<Arrival> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut since, mut first) = (0, Instant::now(), None);
        loop {
            let now = looks.tick().await;
            let held = self.records().await?;
            if held > seen {
                (seen, since) = (held, now);
                first = first.or(Some(now));
            }
            if held >= records {
                let first = first.unwrap_or(now);
                return Ok(Arrival {
                    first,
                    last: Instant::now(),
                    records: held,
                });
            }
            check()?;
            if since.elapsed() > STUCK {
                bail!("the topic stays at {held} of {records} records");
            }
        }
    }
}
