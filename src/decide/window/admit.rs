//! Admission: what to take in of a page.
//!
//! Owns the verdict on each row that a statement showed: taken, known already, skipped for its
//! key's share, passed over for its topic, or refused with all that follow. Knows not how pages
//! are asked for.
//!
//! Invariants:
//! - a page counts only for lanes still held under the epoch that read it;
//! - rows of one key are taken by rising `seq`, and once one was skipped, no later one is taken
//!   before it;
//! - a row is taken once: by `(seq, id)`, for a number alone may be another event.

use std::sync::Arc;

use super::ask::{Candidate, Page, PageRange, What};
use super::queue::{Queue, Row};
use super::room::Refusal;
use super::{KeyBook, Open, Stage, Window};
use crate::decide::order::Order;
use crate::decide::reading::{Cursor, PageEnd, Settled};
use crate::event::{EventRef, Lane, OrderingKey};
use crate::record::Record;

/// A spilled key that found no room is read again after this long, in milliseconds.
const REFILL_MS: u64 = 50;
/// With this many spilled keys a lane takes nothing more in.
const SPILLS_PER_LANE: usize = 1_000;

/// What the window knows of a row that a statement showed.
enum Knowledge {
    /// Nothing, or that someone put it back: it is to be sent.
    New,
    /// It is held, or the statement was too old to see its mark.
    Held,
    /// It was confirmed, and a crash took its mark back.
    LostMark,
}

/// What a row weighs where its page has room for it.
struct Weight {
    topic: Arc<str>,
    order: Order,
    size: usize,
}

impl Window {
    /// Takes in a page. Rows of lanes that changed hands meanwhile are dropped. Returns how many rows
    /// came: none if they only came again, in vain.
    pub fn admit(&mut self, page: Page, now_ms: u64) -> usize {
        let Some(under_way) = self.reader.under_way.take() else {
            return 0;
        };
        let Some(what) = under_way.what else {
            return 0;
        };
        let shown = page.rows();
        let (mut offered, mut placed, mut delayed) = (0, 0, 0);
        for range in page.ranges {
            let stands = self
                .lanes
                .get(&range.lane)
                .is_some_and(|book| book.epoch == range.epoch && book.is_held());
            if !stands {
                continue;
            }
            match &what {
                What::Lanes { .. } => {
                    offered += range.rows.len();
                    placed += self.admit_lane(range, under_way.settled, now_ms);
                }
                What::Key(key) => self.admit_key(key, range, under_way.settled, now_ms),
                What::Delayed | What::Late => {
                    delayed += self.admit_delayed(&what, range, now_ms);
                }
            }
        }
        if matches!(what, What::Lanes { .. }) {
            self.reader.is_stuck = offered > 0 && placed == 0;
        }
        self.settled.clear();
        match what {
            What::Delayed | What::Late => delayed,
            What::Lanes { .. } | What::Key(_) if self.is_stuck() => 0,
            What::Lanes { .. } | What::Key(_) => shown,
        }
    }

    /// Takes in rows of a lane; returns how many, before one was refused.
    fn admit_lane(&mut self, range: PageRange, settled: Settled, now_ms: u64) -> usize {
        let lane = range.lane;
        let (end, placed) = self.admit_rows(range, true, now_ms);
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.cursor.advance(settled, end);
            book.more = end != PageEnd::Complete;
        }
        placed
    }

    /// Takes in the skipped rows of a key; it stays spilled while there are more of them.
    fn admit_key(&mut self, key: &OrderingKey, range: PageRange, settled: Settled, now_ms: u64) {
        let Some(&key_id) = self.names.get(key) else {
            return;
        };
        let Some(mut cursor) = self.end_spill(key_id) else {
            return;
        };
        let lane = range.lane;
        let rows_before = self.keys[key_id].rows;
        self.keys[key_id].pinned = true;
        let (end, _) = self.admit_rows(range, false, now_ms);
        self.keys[key_id].pinned = false;
        cursor.advance(settled, end);
        if end != PageEnd::Complete {
            let gained = self.keys[key_id].rows > rows_before;
            let due_ms = if gained { now_ms } else { now_ms + REFILL_MS };
            self.mark_spilled(lane, key_id, cursor);
            self.plan_refill(key_id, due_ms);
            return;
        }
        self.tend_key(key_id, now_ms);
    }

    /// Takes in rows in order until one is refused; returns how the page ended for the cursor, and
    /// how many rows came before that.
    fn admit_rows(&mut self, range: PageRange, may_spill: bool, now_ms: u64) -> (PageEnd, usize) {
        let mut last = None;
        let shown = range.rows.len();
        for (placed, row) in range.rows.into_iter().enumerate() {
            let seq = row.at.seq;
            self.reader.highest_seen = self.reader.highest_seen.max(seq);
            match self.admit_row(range.lane, row, may_spill, now_ms) {
                Ok(()) => last = Some(seq),
                Err(refusal) => {
                    if refusal == Refusal::Giant {
                        self.reader.giant = Some(range.lane);
                    }
                    let end = last.map_or(PageEnd::CutAtStart, PageEnd::CutAfter);
                    return (end, placed);
                }
            }
        }
        (range.end, shown)
    }

    /// Takes in one row, knows it already, or skips it for its key's share. `Err` refuses it and
    /// all that follow.
    pub(super) fn admit_row(
        &mut self,
        lane: Lane,
        row: Candidate,
        may_spill: bool,
        now_ms: u64,
    ) -> Result<(), Refusal> {
        let knowledge = self.knowledge(lane, row.at);
        if matches!(knowledge, Knowledge::Held) {
            return Ok(());
        }
        if self.is_set_aside(lane, &row, now_ms) {
            return Ok(());
        }
        let weight = row.weight();
        if self.circuits.contains_key(&weight.topic) {
            self.pass_over(lane, &weight.topic, row.at.seq, now_ms);
            return Ok(());
        }
        let key_id = self.key_id(lane, row.key);
        let key = &self.keys[key_id];
        if key.spill.is_some() {
            return Ok(());
        }
        let room = self
            .room
            .admits(&weight.topic, weight.size, key.rows, key.bytes);
        if let Err(refusal) = room {
            if refusal == Refusal::Share && may_spill && self.spill(lane, key_id, now_ms) {
                return Ok(());
            }
            self.tend_key(key_id, now_ms);
            if refusal == Refusal::Crowded {
                self.pass_over(lane, &weight.topic, row.at.seq, now_ms);
                return Ok(());
            }
            return Err(refusal);
        }
        let queue_id = self.take(key_id, row.at, weight);
        if matches!(knowledge, Knowledge::LostMark) {
            self.confirm_again(lane, row.at);
        } else {
            let mut parked = Box::new(Row {
                at: row.at,
                on_dead: row.on_dead,
                content: row.content,
                failures: 0,
                attempts: 0,
                first_failed_ms: None,
                sentence: None,
                alone: false,
                due_ms: now_ms + row.wait_ms,
            });
            if let Some(judged) = row.judged {
                self.resume(&mut parked, judged, now_ms);
            }
            self.queues[queue_id].park(parked);
            self.list(queue_id, now_ms);
        }
        Ok(())
    }

    /// What is known of a row; from now on it counts as read in this session.
    fn knowledge(&mut self, lane: Lane, at: EventRef) -> Knowledge {
        if let Some(book) = self.lanes.get_mut(&lane)
            && book.is_news(at.seq)
        {
            self.highest_shown = self.highest_shown.max(at.seq);
            return Knowledge::New;
        }
        if self.open.contains_key(&at) {
            if let Some(book) = self.lanes.get_mut(&lane) {
                book.known.insert(at.seq);
            }
            return Knowledge::Held;
        }
        if self
            .settled
            .get(&at)
            .is_some_and(|&ticket| ticket >= self.reader.ticket)
        {
            return Knowledge::Held;
        }
        match self.marks.recall(at) {
            None => Knowledge::New,
            Some(marked) if marked.ticket >= self.reader.ticket => Knowledge::Held,
            Some(marked) if marked.session != self.reader.session => Knowledge::LostMark,
            Some(_) => {
                self.marks.forget(at);
                Knowledge::New
            }
        }
    }

    fn key_id(&mut self, lane: Lane, key: OrderingKey) -> usize {
        if let Some(&known) = self.names.get(&key) {
            return known;
        }
        let name = Arc::new(key);
        let key_id = self.keys.insert(KeyBook::new(Arc::clone(&name), lane));
        self.names.insert(name, key_id);
        key_id
    }

    /// Counts a row in, and finds its queue.
    fn take(&mut self, key_id: usize, at: EventRef, weight: Weight) -> usize {
        let Weight { topic, order, size } = weight;
        let key = &mut self.keys[key_id];
        key.rows += 1;
        key.bytes += size;
        if let Some(book) = self.lanes.get_mut(&key.lane) {
            book.known.insert(at.seq);
        }
        self.room.take(&topic, size);
        let queues = &self.queues;
        let found = key.queues.iter().find(|&&id| {
            let queue = &queues[id];
            queue.topic == topic && queue.order == order
        });
        let queue = if let Some(&id) = found {
            id
        } else {
            let queue = Queue::new(key.lane, key_id, topic, order);
            let id = self.queues.insert(queue);
            key.queues.push(id);
            id
        };
        let stage = Stage::Parked;
        self.open.insert(at, Open { queue, size, stage });
        queue
    }

    fn confirm_again(&mut self, lane: Lane, at: EventRef) {
        if let Some(open) = self.open.get_mut(&at) {
            open.stage = Stage::Confirmed;
        }
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.start_one();
        }
        self.marks.confirm_again(at, lane.0);
    }

    /// Skips a row for its key's share, and all later ones until it was read again; false if the
    /// lane has too many such keys already.
    fn spill(&mut self, lane: Lane, key_id: usize, now_ms: u64) -> bool {
        let Some(book) = self.lanes.get(&lane) else {
            return false;
        };
        if book.spilled.len() >= SPILLS_PER_LANE {
            return false;
        }
        let cursor = book.cursor;
        self.mark_spilled(lane, key_id, cursor);
        if self.keys[key_id].rows == 0 {
            self.plan_refill(key_id, now_ms + REFILL_MS);
        }
        true
    }

    fn mark_spilled(&mut self, lane: Lane, key_id: usize, cursor: Cursor) {
        self.keys[key_id].spill = Some(cursor);
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.spilled.insert(key_id);
        }
    }
}

impl Candidate {
    fn weight(&self) -> Weight {
        Weight {
            topic: Arc::clone(&self.topic),
            order: self.order,
            size: self.content.as_ref().map_or(0, Record::size_bytes),
        }
    }
}
