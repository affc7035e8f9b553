//! The lanes of the window: which are held, until when their rows may fly, and how they leave.
//!
//! Owns the life of a lane: held, draining, leaving, lost. Knows no lease table.
//!
//! Invariants:
//! - nothing of a lane flies past the moment that its lease allows, nor once it drains;
//! - a lane is offered for release only when nothing of it is unreported or unmarked;
//! - a lost lane is taken again only once nothing of it is unreported or unmarked.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use foldhash::HashMap;

use super::Window;
use super::delayed::Delayed;
use crate::decide::reading::Cursor;
use crate::event::{Epoch, Lane, Lease};

/// A lane is read from its start this often, in milliseconds: it finds what was put back by hand.
const SWEEP_MS: u64 = 60_000;

/// Where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Held,
    /// Given back as soon as nothing of it is unreported or unmarked.
    Draining,
    /// Its release is under way.
    Leaving,
    /// The lease is gone; what flew may still be reported and marked.
    Lost,
}

/// What is known of one lane.
#[derive(Debug)]
pub(super) struct LaneBook {
    pub(super) epoch: Epoch,
    phase: Phase,
    /// Nothing is handed over from this boot time on, in milliseconds.
    fly_until_ms: u64,
    /// Rows handed over, confirmed or being buried.
    busy: usize,
    /// Has its place among the turns.
    in_turn: bool,
    pub(super) cursor: Cursor,
    /// The last page was cut short: there is more to read.
    pub(super) more: bool,
    /// When it was last read from the start, in boot milliseconds.
    pub(super) swept_ms: u64,
    /// Nothing with a higher number was ever shown of it.
    shown: i64,
    /// Numbers read in this session and not yet forgotten.
    pub(super) known: BTreeSet<i64>,
    /// Its rows for later.
    pub(super) delayed: Delayed,
    /// Keys of which rows were skipped.
    pub(super) spilled: HashSet<usize>,
    /// Topics whose rows were passed over, and from where they must be read again.
    pub(super) passed: HashMap<Arc<str>, Cursor>,
    /// Counts what operators decided about rows of it, as far as is known.
    rereads: i64,
    /// To be read again from its start, for they decided something new.
    pub(super) reread: bool,
    /// Queues whose head may fly.
    pub(super) ready: VecDeque<usize>,
}

impl LaneBook {
    fn new(lease: Lease, fly_until_ms: u64, shown: i64, now_ms: u64) -> Self {
        Self {
            epoch: lease.epoch,
            phase: Phase::Held,
            fly_until_ms,
            busy: 0,
            in_turn: false,
            cursor: Cursor::default(),
            more: false,
            swept_ms: now_ms,
            shown,
            known: BTreeSet::new(),
            delayed: Delayed::default(),
            spilled: HashSet::new(),
            passed: HashMap::default(),
            rereads: lease.rereads,
            reread: false,
            ready: VecDeque::new(),
        }
    }

    /// Rows that Kafka has or may have, or whose death is being written.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    pub(super) fn start_one(&mut self) {
        self.busy += 1;
    }

    pub(super) fn settle_one(&mut self) {
        self.busy -= 1;
    }

    pub(super) fn is_held(&self) -> bool {
        self.phase == Phase::Held
    }

    pub(super) fn is_lost(&self) -> bool {
        self.phase == Phase::Lost
    }

    /// Lost, with nothing left to report or mark.
    pub(super) fn is_gone(&self) -> bool {
        self.is_lost() && self.busy == 0
    }

    pub(super) fn may_fly(&self, now_ms: u64) -> bool {
        self.is_held() && now_ms < self.fly_until_ms
    }

    /// Whether it must now be put among the turns.
    pub(super) fn take_turn(&mut self, now_ms: u64) -> bool {
        let takes = !self.in_turn && !self.ready.is_empty() && self.may_fly(now_ms);
        self.in_turn |= takes;
        takes
    }

    /// It left the turns.
    pub(super) fn end_turn(&mut self) {
        self.in_turn = false;
    }

    /// Whether a number is above all that was ever shown of this lane, so that nothing can be known
    /// of its row; from now on it is not.
    pub(super) fn is_news(&mut self, seq: i64) -> bool {
        let is_news = seq > self.shown;
        self.shown = self.shown.max(seq);
        is_news
    }

    /// A row left the window.
    pub(super) fn forget(&mut self, seq: i64) {
        self.known.remove(&seq);
        self.delayed.release(seq);
    }

    /// A row of a topic that takes nothing waits in the outbox until it is read again.
    pub(super) fn pass_over(&mut self, topic: &Arc<str>, seq: i64) {
        if self.delayed.pass_over(topic, seq) {
            return;
        }
        let before = Cursor::before(seq);
        self.passed
            .entry(Arc::clone(topic))
            .or_insert(before)
            .rewind(before);
    }

    /// Goes back to the first rows of a topic that were passed over. True if there were any but
    /// delayed ones.
    pub(super) fn go_back(&mut self, topic: &Arc<str>) -> bool {
        self.delayed.go_back(topic);
        let Some(cursor) = self.passed.remove(topic) else {
            return false;
        };
        self.cursor.rewind(cursor);
        self.more = true;
        true
    }

    /// Will be read from its start.
    pub(super) fn restart(&mut self) {
        self.cursor = Cursor::default();
        self.more = true;
        self.delayed.restart();
    }

    /// Forgets how far it was read: a new session may see other rows.
    pub(super) fn void(&mut self) {
        self.cursor = Cursor::default();
        self.known.clear();
        self.delayed = Delayed::default();
        self.passed.clear();
    }
}

impl Window {
    /// A lane was claimed. Its rows may fly until `fly_until_ms`; it is read from the start.
    ///
    /// Lanes named by [`Window::lingering`] must not be claimed.
    pub fn acquire(&mut self, lease: Lease, fly_until_ms: u64, now_ms: u64) {
        let book = LaneBook::new(lease, fly_until_ms, self.highest_shown, now_ms);
        let known = self.lanes.insert(lease.lane, book);
        debug_assert!(known.is_none(), "a lane is claimed once");
    }

    /// Where operators decided something new about rows of a lane, it is read again from its start
    /// as soon as no statement is under way: an older one would show what stood before.
    pub fn note_rereads(&mut self, lane: Lane, rereads: i64) {
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.reread |= book.rereads != rereads;
            book.rereads = rereads;
        }
    }

    /// The lease of a lane was renewed.
    pub fn renew(&mut self, lane: Lane, epoch: Epoch, fly_until_ms: u64, now_ms: u64) {
        let Some(book) = self.lanes.get_mut(&lane) else {
            return;
        };
        if book.epoch == epoch && !book.is_lost() {
            book.fly_until_ms = fly_until_ms;
            if book.take_turn(now_ms) {
                self.turns.push_back(lane);
            }
        }
    }

    /// The lease of a lane is gone: nothing more of it flies, and what waits is given up.
    pub fn lose(&mut self, lane: Lane, now_ms: u64) {
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.phase = Phase::Lost;
            self.give_up_parked(lane, now_ms);
        }
    }

    /// Stops handing over a lane's rows; it is offered for release once it is still.
    pub fn drain(&mut self, lane: Lane) {
        if let Some(book) = self.lanes.get_mut(&lane)
            && book.is_held()
        {
            book.phase = Phase::Draining;
        }
    }

    /// Stops handing over anything.
    pub fn drain_all(&mut self) {
        let lanes: Vec<Lane> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.drain(lane);
        }
    }

    /// Drained lanes of which nothing is unreported or unmarked; each is offered once.
    pub fn take_drained(&mut self) -> Vec<(Lane, Epoch)> {
        let mut drained = Vec::new();
        for (&lane, book) in &mut self.lanes {
            if book.phase == Phase::Draining && book.busy == 0 {
                book.phase = Phase::Leaving;
                drained.push((lane, book.epoch));
            }
        }
        drained
    }

    /// A drained lane was released, or is left to expire.
    pub fn released(&mut self, lane: Lane, now_ms: u64) {
        self.lose(lane, now_ms);
    }

    /// Lanes that are held, the draining ones included.
    pub fn held(&self) -> Vec<Lane> {
        self.lanes
            .iter()
            .filter(|(_, book)| !book.is_lost())
            .map(|(&lane, _)| lane)
            .collect()
    }

    /// Lost lanes of which something may still be reported or marked.
    pub fn lingering(&self) -> Vec<Lane> {
        self.lanes
            .iter()
            .filter(|(_, book)| book.is_lost())
            .map(|(&lane, _)| lane)
            .collect()
    }

    /// Nothing is unreported, unmarked or unburied.
    pub fn is_still(&self) -> bool {
        self.lanes.values().all(|book| book.busy == 0)
    }

    /// Sends one lane back to its start if its last sweep is long ago.
    pub(super) fn sweep_one(&mut self, now_ms: u64) {
        // A lane that passes rows over is not swept: it would walk all of them again.
        let asides = &self.asides;
        let due = |lane: Lane, book: &LaneBook| {
            book.is_held()
                && now_ms >= book.swept_ms + SWEEP_MS
                && book.passed.is_empty()
                && !asides.waits_in(lane)
        };
        let mut lanes = self.lanes.iter_mut();
        if let Some((_, book)) = lanes.find(|(lane, book)| due(**lane, book)) {
            book.swept_ms = now_ms;
            book.cursor = Cursor::default();
        }
    }

    /// Drops what a lane has parked, and the lane itself once nothing of it flies.
    fn give_up_parked(&mut self, lane: Lane, now_ms: u64) {
        let queues: Vec<usize> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.lane == lane)
            .map(|(id, _)| id)
            .collect();
        self.waiting
            .retain(|(_, queue)| self.queues.get(*queue).is_some_and(|q| q.lane != lane));
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.ready.clear();
        }
        for key_id in self.spilled_keys(lane) {
            self.end_spill(key_id);
        }
        self.asides.end_lane(lane);
        let mut parked = Vec::new();
        for &queue in &queues {
            self.queues[queue].listed_ms = None;
            parked.extend(self.queues[queue].drop_parked());
        }
        for row in parked {
            self.close(row.at, now_ms);
        }
        self.drop_empty_keys(lane, now_ms);
        if self.lanes.get(&lane).is_some_and(LaneBook::is_gone) {
            self.lanes.remove(&lane);
        }
    }

    pub(super) fn spilled_keys(&self, lane: Lane) -> Vec<usize> {
        self.lanes
            .get(&lane)
            .map(|book| book.spilled.iter().copied().collect())
            .unwrap_or_default()
    }

    /// A key whose rows were all skipped holds nothing and has no spill any more.
    fn drop_empty_keys(&mut self, lane: Lane, now_ms: u64) {
        let empty: Vec<usize> = self
            .keys
            .iter()
            .filter(|(_, key)| key.lane == lane && key.rows == 0)
            .map(|(id, _)| id)
            .collect();
        for key_id in empty {
            self.tend_key(key_id, now_ms);
        }
    }
}
