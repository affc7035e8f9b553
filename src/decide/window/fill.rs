//! Rows whose records are still being made: what they hold back, and how they go on.
//!
//! Owns the wait for a record. Knows neither what it takes to make one nor who makes it.
//!
//! Invariant: a row without its record is parked at its place, flies on no account, and holds back all
//! that its order lets wait for it.

use super::{Stage, Window};
use crate::event::EventRef;
use crate::outcome::Failure;
use crate::record::Record;

/// As [`Candidate::wait_ms`](super::Candidate::wait_ms), in milliseconds: until its record is there. No
/// clock gets there.
pub const UNTIL_FILLED_MS: u64 = u64::MAX / 2;

impl Window {
    /// The record of a row that waits for it, or why there can be none; without either the row is not to
    /// be published any more, and is left to the outbox. Any other row is as it was.
    pub fn fill(&mut self, at: EventRef, content: Option<Result<Record, Failure>>, now_ms: u64) {
        let Some(open) = self.open.get(&at) else {
            return;
        };
        let (Stage::Parked, queue_id) = (&open.stage, open.queue) else {
            return;
        };
        let queue = &mut self.queues[queue_id];
        let waits = |due_ms: u64| due_ms >= UNTIL_FILLED_MS;
        let Some(mut row) = queue.take(at, |row| waits(row.due_ms)) else {
            return;
        };
        if let Some(listed_ms) = queue.listed_ms.take_if(|listed_ms| waits(*listed_ms)) {
            self.waiting.remove(&(listed_ms, queue_id));
        }
        let Some(content) = content else {
            self.list(queue_id, now_ms);
            self.close(at, now_ms);
            return;
        };
        row.content = content;
        row.due_ms = now_ms;
        self.queues[queue_id].park(row);
        self.list(queue_id, now_ms);
    }
}
