//! What the window asks of the outbox, and what comes back.
//!
//! Owns the nouns of a page. Decides nothing, and knows no SQL.

use std::sync::Arc;

use crate::decide::dead::OnDead;
use crate::decide::order::Order;
use crate::decide::reading::{PageEnd, Straggler};
use crate::event::{Epoch, EventRef, Judged, Lane, OrderingKey};
use crate::outcome::Failure;
use crate::record::Record;

/// A place among the delayed rows of a lane, which stand by when their time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When that is, in microseconds as the database counts them: infinities included.
    pub available_us: i64,
    /// The row's number.
    pub seq: i64,
}

impl Place {
    /// Before all of them.
    pub const START: Self = Self {
        available_us: i64::MIN,
        seq: 0,
    };

    /// The place from which the row at this one is read again.
    pub(super) fn before(self) -> Self {
        Self {
            seq: self.seq - 1,
            ..self
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::START
    }
}

/// One row of a page.
#[derive(Debug)]
pub struct Candidate {
    /// The event's name.
    pub at: EventRef,
    /// Its aggregate.
    pub key: OrderingKey,
    /// The topic that it is meant for; empty if none can be named.
    pub topic: Arc<str>,
    /// When its time came if it is a delayed one, in microseconds as the database counts them.
    pub available_us: Option<i64>,
    /// How long a retry written in the row still waits, in milliseconds.
    pub wait_ms: u64,
    /// That it failed for good, and still waits.
    pub judged: Option<Judged>,
    /// For which other rows of its aggregate it waits.
    pub order: Order,
    /// What becomes of it if it fails for good.
    pub on_dead: OnDead,
    /// The record, or why there can be none.
    pub content: Result<Record, Failure>,
}

/// One range of the outbox to read: a lane, under the epoch in which it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The lane.
    pub lane: Lane,
    /// The epoch that must still stand when the statement runs.
    pub epoch: Epoch,
    /// Only rows with a higher number; of delayed ones this orders those of one time.
    pub above: i64,
    /// The same, and not lower, where all stragglers are in progress; where some are not, above the
    /// lowest number of theirs.
    pub beyond: i64,
    /// Only delayed rows of this time or a later one, in microseconds as the database counts them.
    pub since_us: i64,
    /// At most this many rows.
    pub rows_max: usize,
    /// Some of its keys are read on their own.
    pub has_spilled: bool,
}

impl Range {
    /// Of the rows that are not for later, those with a higher number.
    pub fn above(lane: Lane, epoch: Epoch, above: i64, rows_max: usize) -> Self {
        Self {
            lane,
            epoch,
            above,
            beyond: above,
            since_us: Place::START.available_us,
            rows_max,
            has_spilled: false,
        }
    }
}

/// Which rows of the ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// All rows without an `available_at`, except those of the spilled keys.
    Lanes {
        /// Keys that are read on their own.
        spilled: Vec<OrderingKey>,
    },
    /// The rows of one key without an `available_at`.
    Key(OrderingKey),
    /// Rows with an `available_at` that has come, beyond those that were passed.
    Delayed,
    /// Such rows too, among those that were passed.
    Late,
}

/// A page to read, in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which rows.
    pub what: What,
    /// Of which lanes, above which number, how many.
    pub ranges: Vec<Range>,
    /// Numbers to leave out: they are held.
    pub skip: Vec<i64>,
    /// Transactions that must be in progress for the ranges to begin beyond.
    pub stragglers: Vec<Straggler>,
    /// The page ends before its rows pass this many bytes, but never before its first row.
    pub bytes_max: usize,
}

/// What to ask the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Who is writing, and the last number drawn before that look.
    Sight,
    /// The last number drawn alone: everything up to the last known one was read, and whatever is new
    /// draws a higher one.
    Drawn,
    /// Whether any row of the outbox is for later: while there is none, no page need look for them.
    HasDelayed,
    /// A page of rows.
    Page(Read),
}

impl Ask {
    /// Whether it asks for new rows of every held lane, or whether there can be any.
    pub fn is_poll(&self) -> bool {
        match self {
            Self::Drawn => true,
            Self::Page(read) => matches!(read.what, What::Lanes { .. }),
            Self::Sight | Self::HasDelayed => false,
        }
    }
}

/// What a statement showed of one range.
#[derive(Debug)]
pub struct PageRange {
    /// The lane.
    pub lane: Lane,
    /// The epoch under which it was read.
    pub epoch: Epoch,
    /// Its rows by rising `seq`, or by rising [`Place`].
    pub rows: Vec<Candidate>,
    /// How they ended.
    pub end: PageEnd,
}

/// What a statement showed of the ranges whose leases still held.
#[derive(Debug, Default)]
pub struct Page {
    /// The ranges that it could read.
    pub ranges: Vec<PageRange>,
}

impl Page {
    /// How many rows it brought.
    pub fn rows(&self) -> usize {
        self.ranges.iter().map(|range| range.rows.len()).sum()
    }
}
