//! What Kafka confirmed and the outbox does not show yet.
//!
//! Owns confirmed rows until their mark commits, and their names until that commit is durable.
//! Knows neither keys nor room.
//!
//! Marks commit asynchronously, so a crash of the database may take the last ones back. A row is
//! therefore remembered until a synchronous commit that began after its mark has returned, on a
//! session that was there before the mark was asked for: a crash would have ended that session.
//! If it shows up unpublished in a new session before that, it is marked again and not sent again;
//! where the session of the commit is a newer one, it is marked again unasked.
//!
//! Invariants:
//! - a name enters only with a receipt;
//! - it is not forgotten while a statement is under way that may be older than its mark.

use std::collections::VecDeque;

use foldhash::HashSet;

use crate::event::EventRef;
use crate::outcome::Receipt;

/// When a mark committed, as far as readers must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marked {
    /// Statements begun up to this ticket may not see the mark.
    pub(super) ticket: u64,
    /// The reader's session in which its batch began: its answer may come after a crash that took
    /// it back, when another session reads already.
    pub(super) session: u64,
}

/// Rows whose marks committed together.
#[derive(Debug)]
pub(super) struct Batch {
    /// In `seq` order.
    rows: Vec<EventRef>,
    /// Those of them that are to be sent or marked anew.
    forgotten: HashSet<EventRef>,
    marked: Marked,
    /// The session of the synchronous commits that stood when it began.
    sync_session: u64,
    /// How many marks had committed with it.
    committed: u64,
}

impl Batch {
    /// Its rows in `seq` order.
    pub(super) fn rows(&self) -> &[EventRef] {
        &self.rows
    }

    fn holds(&self, at: EventRef) -> bool {
        self.rows.binary_search(&at).is_ok() && !self.forgotten.contains(&at)
    }
}

/// Confirmed rows on their way to their marks, one lot for each marking session.
#[derive(Debug)]
pub(super) struct Marks {
    lots: Vec<Lot>,
    /// Remembered rows in the order in which their marks committed. A row is looked for only where
    /// an old number shows up again, so that they are kept as they came.
    batches: VecDeque<Batch>,
    /// Those that a crash may have taken back, until they are marked again.
    doubtful: Vec<Batch>,
    committed: u64,
    /// The session of the last synchronous commit.
    sync_session: u64,
}

#[derive(Debug, Default)]
struct Lot {
    confirmed: Vec<EventRef>,
    marking: Vec<EventRef>,
    /// The reader's session in which the batch under way began.
    session: u64,
    /// The session of the synchronous commits that stood then.
    sync_session: u64,
}

impl Marks {
    pub(super) fn new(markers: usize) -> Self {
        Self {
            lots: (0..markers.max(1)).map(|_| Lot::default()).collect(),
            batches: VecDeque::new(),
            doubtful: Vec::new(),
            committed: 0,
            sync_session: 0,
        }
    }

    /// The lot that serves a lane: all marks of one key go through one session, in order.
    fn lot(&mut self, lane: i16) -> &mut Lot {
        let index = usize::from(lane.unsigned_abs()) % self.lots.len();
        &mut self.lots[index]
    }

    /// Takes in a confirmed row; the receipt is the proof without which nothing is marked.
    pub(super) fn confirm(&mut self, at: EventRef, lane: i16, _proof: Receipt) {
        self.lot(lane).confirmed.push(at);
    }

    /// Takes in a row whose mark a crash took back.
    pub(super) fn confirm_again(&mut self, at: EventRef, lane: i16) {
        self.forget(at);
        self.lot(lane).confirmed.push(at);
    }

    /// Starts a batch in the reader's `session`: at most `max` rows in `seq` order, none while the
    /// last is under way.
    pub(super) fn take(&mut self, marker: usize, max: usize, session: u64) -> Option<&[EventRef]> {
        let lot = &mut self.lots[marker];
        if lot.confirmed.is_empty() || !lot.marking.is_empty() {
            return None;
        }
        lot.confirmed.sort_unstable();
        lot.confirmed.dedup();
        let rest = lot.confirmed.split_off(lot.confirmed.len().min(max));
        lot.marking = std::mem::replace(&mut lot.confirmed, rest);
        (lot.session, lot.sync_session) = (session, self.sync_session);
        Some(&lot.marking)
    }

    /// How many rows wait for their mark to begin.
    pub(super) fn waiting(&self, marker: usize) -> usize {
        self.lots[marker].confirmed.len()
    }

    /// The batch under way committed; the reader has begun `ticket` meanwhile. It is to be
    /// remembered.
    pub(super) fn commit(&mut self, marker: usize, ticket: u64) -> Batch {
        let lot = &mut self.lots[marker];
        let rows = std::mem::take(&mut lot.marking);
        self.committed += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Batch {
            rows,
            forgotten: HashSet::default(),
            marked: Marked {
                ticket,
                session: lot.session,
            },
            sync_session: lot.sync_session,
            committed: self.committed,
        }
    }

    /// Remembers a batch until its marks are durable.
    pub(super) fn remember(&mut self, batch: Batch) {
        for old in &mut self.doubtful {
            old.forgotten.extend(
                batch
                    .rows
                    .iter()
                    .filter(|at| old.rows.binary_search(at).is_ok()),
            );
        }
        self.doubtful
            .retain(|old| old.forgotten.len() < old.rows.len());
        if !batch.rows.is_empty() {
            self.batches.push_back(batch);
        }
    }

    /// The batch under way failed, or may have: it is tried again.
    pub(super) fn fail(&mut self, marker: usize) {
        let lot = &mut self.lots[marker];
        lot.confirmed.append(&mut lot.marking);
    }

    /// How many marks have committed in all.
    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// A synchronous commit returned, on its `sync_session`, that began when `committed` marks had
    /// committed; statements up to the ticket `answered` have been answered. What a later one may
    /// still show unpublished is remembered until the next such commit.
    pub(super) fn synced(&mut self, committed: u64, sync_session: u64, answered: u64) {
        self.sync_session = sync_session;
        while let Some(batch) = self.batches.front() {
            if batch.committed > committed || batch.marked.ticket > answered {
                break;
            }
            let is_durable = batch.sync_session == sync_session;
            let batch = self.batches.pop_front().filter(|_| !is_durable);
            if let Some(batch) = batch {
                // Its rows fly no more, so any marker may have them.
                let again = batch.rows.iter().filter(|&at| batch.holds(*at));
                self.lots[0].confirmed.extend(again);
                self.doubtful.push(batch);
            }
        }
    }

    /// How many names are remembered.
    pub(super) fn remembered(&self) -> usize {
        let batches = self.batches.iter().chain(&self.doubtful);
        batches.map(|batch| batch.rows.len()).sum()
    }

    /// When a remembered row was marked.
    pub(super) fn recall(&self, at: EventRef) -> Option<Marked> {
        let mut batches = self.batches.iter().rev().chain(&self.doubtful);
        Some(batches.find(|batch| batch.holds(at))?.marked)
    }

    /// Forgets a row that is to be sent or marked anew.
    pub(super) fn forget(&mut self, at: EventRef) {
        for batch in self.batches.iter_mut().chain(&mut self.doubtful) {
            if batch.holds(at) {
                batch.forgotten.insert(at);
            }
        }
    }
}
