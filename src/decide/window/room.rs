//! How much the window may hold, and how much of it one key or one topic may take.
//!
//! Owns the counts of rows and bytes. Knows neither order nor lanes.
//!
//! A key's share follows what is free (a dynamic threshold): a lone hot key gets a ninth of the
//! window, a hundred of them share it, and there is always room for a key that has nothing yet.
//!
//! Invariants:
//! - rows never exceed the limit;
//! - bytes never exceed the limit, but for one row larger than all of it, which is held alone.

use std::sync::Arc;

use foldhash::HashMap;

/// The bounds of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most rows held, from reading until their marks commit.
    pub rows: usize,
    /// The most bytes of records held.
    pub bytes: usize,
}

/// What is held of one topic.
#[derive(Debug, Default)]
struct TopicShare {
    rows: usize,
    bytes: usize,
    state: TopicState,
}

/// What the reports of a topic say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TopicState {
    /// Nothing yet.
    #[default]
    Unproven,
    /// The last one was a receipt.
    Flowing,
    /// The last one was a failure.
    Failing,
}

/// Why a row was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The window is full: nothing more of the page is taken.
    Full,
    /// The row is larger than the window and must wait until it is empty.
    Giant,
    /// Its key has its share.
    Share,
    /// Its topic fails and has its share.
    Crowded,
}

/// Rows and bytes held, in all and by topic.
#[derive(Debug)]
pub(super) struct Room {
    limits: Limits,
    rows: usize,
    bytes: usize,
    topics: HashMap<Arc<str>, TopicShare>,
}

/// The part of the free room that one key may take: with 8, a lone hot key ends at a ninth.
const KEY_PART: usize = 8;
/// However full the window is, a key may hold this part of it: enough to hide a read's round trip.
const KEY_FLOOR_PART: usize = 1_000;
/// A key may always hold a few rows, however small the window is.
const KEY_FLOOR_ROWS: usize = 4;
/// However full the window is, a key may hold this part of its bytes.
const KEY_FLOOR_BYTES_PART: usize = 64;
/// Pages are read only while this part of the window is free: smaller ones cost more than they
/// bring.
const PAGE_PART: usize = 16;

impl Room {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            rows: 0,
            bytes: 0,
            topics: HashMap::default(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn free_rows(&self) -> usize {
        self.limits.rows.saturating_sub(self.rows)
    }

    pub(super) fn free_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.bytes)
    }

    /// The most rows that one key may hold as things stand.
    pub(super) fn key_rows_max(&self) -> usize {
        let floor = KEY_FLOOR_ROWS.max(self.limits.rows / KEY_FLOOR_PART);
        floor.max(self.free_rows() / KEY_PART)
    }

    /// The most bytes that one key may hold as things stand, beyond its first row.
    fn key_bytes_max(&self) -> usize {
        let floor = self.limits.bytes / KEY_FLOOR_BYTES_PART;
        floor.max(self.free_bytes() / KEY_PART)
    }

    /// How many of `page_rows` rows there is room to read, or `None` if too few to be worth it.
    pub(super) fn page_rows(&self, page_rows: usize) -> Option<usize> {
        let rows = self.free_rows().min(page_rows);
        let worth = rows >= self.limits.rows.min(page_rows).div_ceil(PAGE_PART)
            && self.free_bytes() >= (self.limits.bytes / PAGE_PART).max(1);
        worth.then_some(rows)
    }

    /// Whether a row of `size` may be taken in, given what its key holds already.
    pub(super) fn admits(
        &self,
        topic: &str,
        size: usize,
        key_rows: usize,
        key_bytes: usize,
    ) -> Result<(), Refusal> {
        if self.free_rows() == 0 {
            return Err(Refusal::Full);
        }
        if size > self.limits.bytes && self.rows > 0 {
            return Err(Refusal::Giant);
        }
        if size > self.free_bytes() && self.rows > 0 {
            return Err(Refusal::Full);
        }
        let key_full = key_rows > 0
            && (key_rows >= self.key_rows_max() || key_bytes + size > self.key_bytes_max());
        match self.topics.get(topic).map(|share| share.state) {
            Some(TopicState::Failing) if self.crowds(topic) => Err(Refusal::Crowded),
            // Its first report is not far: nothing is skipped for so short a while.
            Some(TopicState::Unproven) if self.crowds(topic) => Err(Refusal::Full),
            _ if key_full => Err(Refusal::Share),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a topic holds half of the window or more.
    pub(super) fn crowds(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|share| {
            share.rows >= self.limits.rows / 2 || share.bytes >= self.limits.bytes / 2
        })
    }

    /// Whether a topic holds more than half of the window.
    pub(super) fn is_over_share(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|share| {
            share.rows > self.limits.rows / 2 || share.bytes > self.limits.bytes / 2
        })
    }

    /// Whether the last report of a topic was a receipt.
    pub(super) fn is_flowing(&self, topic: &str) -> bool {
        let share = self.topics.get(topic);
        share.is_some_and(|share| share.state == TopicState::Flowing)
    }

    /// Whether nothing is held of a topic.
    pub(super) fn has_none_of(&self, topic: &str) -> bool {
        !self.topics.contains_key(topic)
    }

    pub(super) fn take(&mut self, topic: &Arc<str>, size: usize) {
        self.rows += 1;
        self.bytes += size;
        let share = self.topics.entry(Arc::clone(topic)).or_default();
        share.rows += 1;
        share.bytes += size;
        debug_assert!(self.rows <= self.limits.rows, "rows are bounded");
        debug_assert!(
            self.bytes <= self.limits.bytes || self.rows == 1,
            "bytes are bounded, but for a giant held alone"
        );
    }

    pub(super) fn give_back(&mut self, topic: &Arc<str>, size: usize) {
        self.rows -= 1;
        self.bytes -= size;
        if let Some(share) = self.topics.get_mut(topic) {
            share.rows -= 1;
            share.bytes -= size;
            if share.rows == 0 {
                self.topics.remove(topic);
            }
        }
    }

    /// Notes whether the last report of a topic was a failure.
    pub(super) fn note(&mut self, topic: &str, failing: bool) {
        if let Some(share) = self.topics.get_mut(topic) {
            share.state = if failing {
                TopicState::Failing
            } else {
                TopicState::Flowing
            };
        }
    }
}
