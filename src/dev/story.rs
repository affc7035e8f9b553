//! The story of one run: what was written, what arrived, and whether that agrees.
//!
//! Owns the judgement. Values in, values out: it asks nobody and waits for nothing.
//!
//! Invariant: an event whose transaction ended in a way that nobody knows is judged by nothing but
//! its place in the order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Fate;
use crate::event::OrderingKey;

/// An event of the sample service.
#[derive(Debug)]
struct Written {
    aggregate: OrderingKey,
    at: Instant,
    fate: Option<Fate>,
    arrived: bool,
}

/// What is known so far.
#[derive(Debug, Default)]
pub struct Story {
    /// In the order of writing, which is the right one within each aggregate.
    written: Vec<Written>,
    place: HashMap<Uuid, usize>,
    /// The place of the newest event of an aggregate that has arrived.
    newest: HashMap<OrderingKey, usize>,
    delays: Vec<Duration>,
    transactions: usize,
    duplicates: usize,
    swaps: usize,
    others: usize,
}

impl Story {
    /// A transaction has written an event and is about to end.
    pub fn written(&mut self, id: Uuid, aggregate: OrderingKey, at: Instant) {
        self.place.insert(id, self.written.len());
        self.written.push(Written {
            aggregate,
            at,
            fate: None,
            arrived: false,
        });
    }

    /// A transaction has ended.
    pub fn ended(&mut self, ids: &[Uuid], fate: Fate) {
        self.transactions += usize::from(fate == Fate::Committed);
        for id in ids {
            if let Some(place) = self.place.get(id) {
                self.written[*place].fate = Some(fate);
            }
        }
    }

    /// An event was seen in Kafka. Tells how long that took, where it is known when it was written.
    pub fn arrived(&mut self, id: Option<Uuid>, at: Instant) -> Option<Duration> {
        let Some(&place) = id.and_then(|id| self.place.get(&id)) else {
            self.others += 1;
            return None;
        };
        let event = &mut self.written[place];
        let delay = at.saturating_duration_since(event.at);
        if event.arrived {
            self.duplicates += 1;
            return Some(delay);
        }
        event.arrived = true;
        self.delays.push(delay);
        let newest = self.newest.entry(event.aggregate.clone()).or_insert(place);
        self.swaps += usize::from(place < *newest);
        *newest = place.max(*newest);
        Some(delay)
    }

    /// Whether every event that is known to be committed has arrived.
    pub fn is_complete(&self) -> bool {
        self.count(Fate::Committed, false) == 0
    }

    /// What it all comes to; `unmarked` is what the outbox still holds unpublished.
    pub fn judge(&self, unmarked: &HashSet<Uuid>) -> Summary {
        let ours = |id: &&Uuid| {
            let place = self.place.get(id);
            place.is_some_and(|place| self.written[*place].fate == Some(Fate::Committed))
        };
        let unmarked_ours = unmarked.iter().filter(ours).count();
        let published = self.count(Fate::Committed, true);
        let lost = self.count(Fate::Committed, false);
        let rolled_back_seen = self.count(Fate::RolledBack, true);
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        Summary {
            transactions: self.transactions,
            committed: published + lost,
            lost,
            duplicates: self.duplicates,
            rolled_back: self.count(Fate::RolledBack, false) + rolled_back_seen,
            rolled_back_seen,
            aggregates: self.newest.len(),
            swaps: self.swaps,
            unmarked: unmarked_ours,
            others: self.others,
            others_waiting: unmarked.len() - unmarked_ours,
            p50: percentile(&delays, 50),
            p99: percentile(&delays, 99),
        }
    }

    fn count(&self, fate: Fate, arrived: bool) -> usize {
        let alike = |event: &&Written| event.fate == Some(fate) && event.arrived == arrived;
        self.written.iter().filter(alike).count()
    }
}

/// The smallest of the sorted values that so many per cent do not exceed.
fn percentile(sorted: &[Duration], per_cent: usize) -> Option<Duration> {
    let rank = (sorted.len() * per_cent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Transactions of the sample service that committed.
    pub transactions: usize,
    /// Their events.
    pub committed: usize,
    /// Those of them that never arrived.
    pub lost: usize,
    /// Arrivals of an event that had arrived before.
    pub duplicates: usize,
    /// Events of transactions that were rolled back.
    pub rolled_back: usize,
    /// Those of them that arrived all the same.
    pub rolled_back_seen: usize,
    /// Aggregates of which an event arrived.
    pub aggregates: usize,
    /// Events that arrived after a later one of their aggregate.
    pub swaps: usize,
    /// Committed events that the outbox holds as unpublished.
    pub unmarked: usize,
    /// Events that the sample service did not write.
    pub others: usize,
    /// Such events that the outbox holds as unpublished.
    pub others_waiting: usize,
    /// From the moment before the commit to the consumer: half of the events took no longer.
    pub p50: Option<Duration>,
    /// The same for 99 of 100.
    pub p99: Option<Duration>,
}

impl Summary {
    /// Whether everything that the relay promises was seen to hold. A duplicate breaks no promise.
    pub fn holds(&self) -> bool {
        [self.lost, self.rolled_back_seen, self.swaps, self.unmarked] == [0; 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two aggregates: `a` with events 1, 2, 4 and `b` with 3; 2 is rolled back.
    struct Stage {
        story: Story,
        began: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let mut stage = Self {
                story: Story::default(),
                began: Instant::now(),
            };
            for (number, aggregate, fate) in [
                (1, "a", Fate::Committed),
                (2, "a", Fate::RolledBack),
                (3, "b", Fate::Committed),
                (4, "a", Fate::Committed),
            ] {
                stage.write(number, aggregate, Some(fate));
            }
            stage
        }

        fn write(&mut self, number: u128, aggregate: &str, fate: Option<Fate>) {
            let aggregate = OrderingKey {
                aggregate_type: "order".to_owned(),
                aggregate_id: aggregate.to_owned(),
            };
            let id = Uuid::from_u128(number);
            self.story.written(id, aggregate, self.began);
            if let Some(fate) = fate {
                self.story.ended(&[id], fate);
            }
        }

        fn arrive(&mut self, numbers: &[u128]) {
            for number in numbers {
                let at = self.began + Duration::from_millis(10 * u64::try_from(*number).unwrap());
                self.story.arrived(Some(Uuid::from_u128(*number)), at);
            }
        }

        fn judge(&self, unmarked: &[u128]) -> Summary {
            let unmarked = unmarked.iter().map(|number| Uuid::from_u128(*number));
            self.story.judge(&unmarked.collect())
        }
    }

    #[test]
    fn a_run_that_keeps_every_promise_holds() {
        let mut stage = Stage::new();
        stage.arrive(&[3, 1, 4]);
        let summary = stage.judge(&[]);
        assert!(summary.holds() && stage.story.is_complete(), "{summary:?}");
        assert_eq!((summary.committed, summary.transactions), (3, 3));
        assert_eq!((summary.rolled_back, summary.aggregates), (1, 2));
        assert_eq!(summary.p50, Some(Duration::from_millis(30)));
        assert_eq!(summary.p99, Some(Duration::from_millis(40)));
    }

    #[test]
    fn a_loss_is_found() {
        let mut stage = Stage::new();
        stage.arrive(&[1, 4]);
        let summary = stage.judge(&[]);
        assert!(!summary.holds() && !stage.story.is_complete());
        assert_eq!((summary.lost, summary.committed), (1, 3));
    }

    #[test]
    fn a_rolled_back_event_that_arrives_is_found() {
        let mut stage = Stage::new();
        stage.arrive(&[1, 2, 3, 4]);
        let summary = stage.judge(&[]);
        assert!(!summary.holds());
        assert_eq!((summary.rolled_back_seen, summary.lost), (1, 0));
    }

    #[test]
    fn a_swap_within_an_aggregate_is_found() {
        let mut stage = Stage::new();
        stage.arrive(&[4, 1, 3]);
        let summary = stage.judge(&[]);
        assert!(!summary.holds());
        assert_eq!((summary.swaps, summary.lost), (1, 0));
    }

    #[test]
    fn an_event_that_arrived_and_was_not_marked_is_found() {
        let mut stage = Stage::new();
        stage.arrive(&[1, 3, 4]);
        let summary = stage.judge(&[4, 99]);
        assert!(!summary.holds());
        assert_eq!((summary.unmarked, summary.others_waiting), (1, 1));
    }

    #[test]
    fn a_duplicate_is_counted_and_breaks_nothing() {
        let mut stage = Stage::new();
        stage.arrive(&[1, 3, 4, 1]);
        let summary = stage.judge(&[]);
        assert!(summary.holds());
        assert_eq!((summary.duplicates, summary.swaps), (1, 0));
    }

    #[test]
    fn events_of_others_and_of_unknown_fate_are_not_judged() {
        let mut stage = Stage::new();
        stage.write(5, "b", None);
        stage.arrive(&[1, 3, 4, 99]);
        assert_eq!(stage.story.arrived(None, stage.began), None);
        let summary = stage.judge(&[5, 98]);
        assert!(summary.holds() && stage.story.is_complete(), "{summary:?}");
        assert_eq!((summary.others, summary.committed), (2, 3));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&hundred, 50), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&hundred, 99), Some(Duration::from_millis(99)));
        assert_eq!(
            percentile(&hundred[..1], 50),
            Some(Duration::from_millis(1))
        );
        assert_eq!(percentile(&[], 99), None);
    }
}
