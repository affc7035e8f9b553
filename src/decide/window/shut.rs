//! Shut topics: those that fail and hold half of the window. Their other rows are passed over, so
//! that rows of other topics flow, however many there are.
//!
//! Owns which topics are shut, and from where each lane must read again when one opens. Knows no
//! codes: a topic fails if its last report was a failure.
//!
//! Invariants:
//! - while a topic is shut, none of its rows is taken in, so nothing overtakes what was passed
//!   over;
//! - what is held of it stays in flight as its probe, but for what makes it more than half;
//! - when it opens, every lane reads again from the first row that it passed over.

use std::sync::Arc;

use super::Window;
use super::queue::Row;
use crate::decide::reading::Cursor;
use crate::event::Lane;

/// A topic stays shut for this long at least, in milliseconds: to open it costs a reading.
const SHUT_MS: u64 = 1_000;

/// A topic that is shut.
#[derive(Debug)]
pub(super) struct Shut {
    since_ms: u64,
    /// A record of it was confirmed since.
    proven: bool,
}

impl Window {
    /// Passes a row over because its topic is shut.
    pub(super) fn pass_over(&mut self, lane: Lane, topic: &Arc<str>, seq: i64, now_ms: u64) {
        self.shut.entry(Arc::clone(topic)).or_insert(Shut {
            since_ms: now_ms,
            proven: false,
        });
        if let Some(book) = self.lanes.get_mut(&lane) {
            let before = Cursor::before(seq);
            book.passed
                .entry(Arc::clone(topic))
                .or_insert(before)
                .rewind(before);
        }
    }

    /// Gives up the failed row of a topic that holds more than its share, and with it all that
    /// waits behind it; they are passed over.
    pub(super) fn evict(&mut self, queue_id: usize, failed: &Row, now_ms: u64) {
        let queue = &mut self.queues[queue_id];
        let (lane, topic) = (queue.lane, Arc::clone(&queue.topic));
        queue.land();
        let parked = queue.drop_parked();
        if let Some(listed_ms) = queue.listed_ms.take() {
            self.waiting.remove(&(listed_ms, queue_id));
        }
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.ready.retain(|&ready| ready != queue_id);
        }
        self.pass_over(lane, &topic, failed.at.seq, now_ms);
        for row in &parked {
            self.pass_over(lane, &topic, row.at.seq, now_ms);
        }
        self.close(failed.at, now_ms);
        for row in parked {
            self.close(row.at, now_ms);
        }
    }

    /// Notes that a record of a topic was confirmed: if it is shut, it may open.
    pub(super) fn prove(&mut self, topic: &str) {
        if let Some(shut) = self.shut.get_mut(topic) {
            shut.proven = true;
        }
    }

    /// Opens topics that were proved and hold less than their share, and those of which nothing
    /// is held, so that their next rows are the probe. Only while no statement is under way: its
    /// page would overtake what was passed over.
    pub(super) fn open_shut(&mut self, now_ms: u64) {
        let opening: Vec<Arc<str>> = self
            .shut
            .iter()
            .filter(|(_, shut)| now_ms >= shut.since_ms + SHUT_MS)
            .filter(|&(topic, shut)| {
                self.room.has_none_of(topic) || shut.proven && !self.room.crowds(topic)
            })
            .map(|(topic, _)| Arc::clone(topic))
            .collect();
        for topic in opening {
            self.open_topic(&topic, now_ms);
        }
    }

    /// Sends each lane back to the first row of this topic that it passed over. Keys that are read
    /// on their own may have passed it too, so the lane reads for all of them again.
    fn open_topic(&mut self, topic: &str, now_ms: u64) {
        self.shut.remove(topic);
        let lanes: Vec<Lane> = self.lanes.keys().copied().collect();
        for lane in lanes {
            let book = self.lanes.get_mut(&lane);
            let Some((book, cursor)) =
                book.and_then(|book| book.passed.remove(topic).map(|cursor| (book, cursor)))
            else {
                continue;
            };
            book.cursor.rewind(cursor);
            book.more = true;
            self.rewind(lane, now_ms);
        }
    }
}
