//! Flight: which row is handed over next, and what each report means.
//!
//! Owns the way of a row from its queue to its outcome. Knows no client and no statement; codes
//! were classified before they come here.
//!
//! Invariants:
//! - a report is the only way out of flight, and each flight has one;
//! - a row is declared dead only after a failure of its own that no neighbour can have caused;
//! - its aggregate goes on only when the death is written.

use std::sync::Arc;

use super::{HandOver, Row, Stage, Window};
use crate::decide::order::Order;
use crate::event::EventRef;
use crate::outcome::{Class, Failure, Report};

/// Between two rows of a key that fills its share while others wait, in milliseconds.
pub(super) const HOT_PACE_MS: u64 = 2;
/// A full producer is tried again after this long, in milliseconds.
const BACK_PRESSURE_MS: u64 = 5;

impl Window {
    /// The next record to hand over, or `None` while nothing may fly.
    pub fn next(&mut self, now_ms: u64) -> Option<HandOver<'_>> {
        self.wake(now_ms);
        let at = loop {
            let queue_id = self.next_ready(now_ms)?;
            self.queues[queue_id].listed_ms = None;
            let head = self.queues[queue_id].head_due_ms();
            let taken = if head.is_some_and(|due_ms| due_ms <= now_ms) {
                self.queues[queue_id].take_head()
            } else {
                None
            };
            let flown = taken.and_then(|row| self.launch(queue_id, row, now_ms));
            self.list(queue_id, now_ms);
            if flown.is_some() {
                break flown?;
            }
        };
        let open = self.open.get(&at)?;
        let Stage::Flying(row) = &open.stage else {
            return None;
        };
        Some(HandOver {
            at,
            lane: self.queues[open.queue].lane,
            record: row.content.as_ref().ok()?,
            alone: row.alone,
            letter: row
                .sentence
                .as_ref()
                .map(|sentence| (&sentence.letter_topic, &sentence.judgement)),
        })
    }

    /// When the next waiting row is due, in boot milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        let retry = self.waiting.first().map(|&(due_ms, _)| due_ms);
        let refill = self.refills.first().map(|&(due_ms, _)| due_ms);
        retry.into_iter().chain(refill).min()
    }

    /// Takes in the report of a record that was handed over; any other is ignored.
    pub fn report(&mut self, at: EventRef, report: Report, now_ms: u64) {
        let Some(open) = self.open.get_mut(&at) else {
            return;
        };
        let Stage::Flying(mut row) = std::mem::replace(&mut open.stage, Stage::Confirmed) else {
            debug_assert!(false, "only a flight is reported");
            return;
        };
        let queue_id = open.queue;
        self.reader.is_stuck = false;
        if row.sentence.is_some() {
            match report {
                Ok(receipt) => self.letter_confirmed(queue_id, *row, receipt),
                Err(failure) => self.letter_failed(queue_id, row, &failure, now_ms),
            }
            return;
        }
        let queue = &mut self.queues[queue_id];
        let was_flowing = self.room.is_flowing(&queue.topic);
        self.room.note(&queue.topic, report.is_err());
        match report {
            Ok(receipt) => {
                queue.land();
                self.marks.confirm(at, queue.lane.0, receipt);
                let topic = Arc::clone(&queue.topic);
                self.prove(&topic);
                self.pace(queue_id, now_ms);
                self.list(queue_id, now_ms);
            }
            Err(failure) => {
                let is_own = match failure.class {
                    // Where the relay itself refuses, Kafka was not asked.
                    Class::Record => failure.code != 0,
                    Class::Transient => was_flowing,
                    Class::Topic
                    | Class::Cluster
                    | Class::ProducerDead
                    | Class::Registry
                    | Class::BackPressure => false,
                };
                if is_own {
                    row.attempts += 1;
                    row.first_failed_ms.get_or_insert(now_ms);
                }
                self.take_back(queue_id, row, &failure, now_ms);
            }
        }
    }

    /// In strict order each row of a key that fills its share takes a round trip of its own, which costs
    /// as much as dozens of others' rows: while these wait in the outbox, it flies at a pace.
    fn pace(&mut self, queue_id: usize, now_ms: u64) {
        let queue = &self.queues[queue_id];
        let is_hot = queue.order == Order::Strict && self.keys[queue.key].spill.is_some();
        if is_hot && self.has_more() {
            self.queues[queue_id].hold_until(now_ms + HOT_PACE_MS);
        }
    }

    /// Starts a batch of marks: at most `max` rows in `seq` order, none while one is under way.
    pub fn take_marks(&mut self, marker: usize, max: usize) -> Option<&[EventRef]> {
        self.marks.take(marker, max, self.reader.session)
    }

    /// How many confirmed rows wait for a marker.
    pub fn unmarked(&self, marker: usize) -> usize {
        self.marks.waiting(marker)
    }

    /// A marker's batch committed: its rows leave the window.
    pub fn marked(&mut self, marker: usize, now_ms: u64) {
        let batch = self.marks.commit(marker, self.reader.ticket);
        for &at in batch.rows() {
            // A row that was put back flies again while its old mark is written once more.
            let stage = self.open.get(&at).map(|open| &open.stage);
            if matches!(stage, Some(Stage::Confirmed)) {
                self.close(at, now_ms);
            }
        }
        self.marks.remember(batch);
    }

    /// A marker's batch failed, or may have: it is offered again.
    pub fn mark_failed(&mut self, marker: usize) {
        self.marks.fail(marker);
    }

    /// How many marks have committed; what a synchronous commit that begins now makes durable.
    pub fn marks_committed(&self) -> u64 {
        self.marks.committed()
    }

    /// A synchronous commit returned, on this session, that began when so many marks had committed.
    pub fn synced(&mut self, marks_committed: u64, session: u64) {
        self.marks
            .synced(marks_committed, session, self.reader.answered());
    }

    /// Moves queues whose head has become due to their lanes.
    fn wake(&mut self, now_ms: u64) {
        while let Some(&(due_ms, queue_id)) = self.waiting.first() {
            if due_ms > now_ms {
                break;
            }
            self.waiting.pop_first();
            self.queues[queue_id].listed_ms = None;
            self.list(queue_id, now_ms);
        }
    }

    /// The next ready queue of the next lane in turn that may fly.
    fn next_ready(&mut self, now_ms: u64) -> Option<usize> {
        while let Some(lane) = self.turns.pop_front() {
            let Some(book) = self.lanes.get_mut(&lane) else {
                continue;
            };
            book.end_turn();
            if !book.may_fly(now_ms) {
                continue;
            }
            let queue_id = book.ready.pop_front();
            if book.take_turn(now_ms) {
                self.turns.push_back(lane);
            }
            if queue_id.is_some() {
                return queue_id;
            }
        }
        None
    }

    /// Puts a row in flight, or judges it if it can have no record.
    fn launch(&mut self, queue_id: usize, row: Box<Row>, now_ms: u64) -> Option<EventRef> {
        let at = row.at;
        let lane = self.queues[queue_id].lane;
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.start_one();
        }
        if let Err(failure) = &row.content {
            let failure = failure.clone();
            self.condemn(queue_id, row, &failure, now_ms);
            return None;
        }
        self.open.get_mut(&at)?.stage = Stage::Flying(row);
        Some(at)
    }

    /// A flight failed: its row waits for its next try, is tried alone, is judged, is left to the
    /// outbox, or is given up with its lane.
    fn take_back(&mut self, queue_id: usize, mut row: Box<Row>, failure: &Failure, now_ms: u64) {
        let (at, lane) = (row.at, self.queues[queue_id].lane);
        if self.lanes.get(&lane).is_none_or(super::LaneBook::is_lost) {
            self.queues[queue_id].land();
            self.close(at, now_ms);
            return;
        }
        let topic = Arc::clone(&self.queues[queue_id].topic);
        let may_be_a_neighbours = failure.class == Class::Record && !row.alone;
        let is_enough = (1..=row.attempts).contains(&self.policy.attempts_max);
        if !may_be_a_neighbours && (failure.class == Class::Record || is_enough) {
            self.queues[queue_id].land();
            self.condemn(queue_id, row, failure, now_ms);
            return;
        }
        row.alone |= failure.class == Class::Record;
        row.failures += u32::from(failure.class != Class::BackPressure);
        row.due_ms = match failure.class {
            Class::Record => now_ms,
            Class::BackPressure => now_ms + BACK_PRESSURE_MS,
            Class::Topic => match self.trip(&topic, at, failure, now_ms) {
                Some(due_ms) => due_ms,
                None => return self.evict(queue_id, &row, now_ms),
            },
            Class::Cluster | Class::Transient | Class::ProducerDead | Class::Registry => {
                if self.room.is_over_share(&topic) {
                    return self.evict(queue_id, &row, now_ms);
                }
                now_ms + self.retry_ms(&row)
            }
        };
        self.queues[queue_id].fail();
        self.park_again(queue_id, row, now_ms);
    }
}
