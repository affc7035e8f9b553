//! Reading: what to ask the outbox next.
//!
//! Owns the asks, one at a time. Knows no SQL, and not what a page is worth (see `admit`).
//!
//! Why no row is missed and none overtakes: a lane's cursor moves by the rules of
//! [`crate::decide::reading`] alone, so every statement shows again all that is not settled, and
//! skips only what the window holds. A row that is refused for its key's share turns the key into
//! a *spilled* one: none of its later rows is taken until the skipped ones were read again, from
//! a cursor of the key's own that starts where the lane's stood. When many keys of a lane have
//! spilled, the lane's own cursor goes back instead.
//!
//! Invariants:
//! - what one statement skips, it skips because it was held when the statement began;
//! - nothing else is asked twice while a poll of the lanes is due: where an answer takes longer than
//!   the time between two looks, these would always be due;
//! - a new session begins with nothing learned.

use super::Window;
use super::aside::Asides;
use super::ask::{Ask, Range, Read, What};
use super::delayed::DelayedTimer;
use super::lanes::LaneBook;
use crate::decide::reading::{Horizon, Settled, Sighting};
use crate::event::{Lane, OrderingKey};

/// Writers are looked at this often while rows above the horizon keep coming, in milliseconds.
const SIGHT_MS: u64 = 25;
/// More spilled keys than this in a lane, and the lane is read again as a whole.
const REFILLS_PER_LANE: usize = 8;

/// The one statement under way and what the reader's session has learned.
#[derive(Debug, Default)]
pub(super) struct Reader {
    horizon: Horizon,
    /// Counts sessions: a new one may show another past.
    pub(super) session: u64,
    /// Counts statements begun.
    pub(super) ticket: u64,
    pub(super) under_way: Option<UnderWay>,
    pub(super) highest_seen: i64,
    sight_due_ms: u64,
    pub(super) delayed: DelayedTimer,
    /// The last ask was no poll of the lanes.
    owes_poll: bool,
    /// The lane of a row larger than the window, which waits for it to be empty.
    pub(super) giant: Option<Lane>,
    /// The last page of the lanes found room for none of its rows, and nothing has happened since
    /// that could make some.
    pub(super) is_stuck: bool,
    /// A number was drawn since the last poll of the lanes.
    is_stirred: bool,
}

/// The ask under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// The horizons that stood when it began.
    pub(super) settled: Settled,
    /// What it reads; `None` is a look at the writers.
    pub(super) what: Option<What>,
}

impl Reader {
    /// Up to which ticket every statement has been answered.
    pub(super) fn answered(&self) -> u64 {
        self.ticket - u64::from(self.under_way.is_some())
    }

    /// Whether to look at the writers now: something was seen that is not settled.
    fn wants_sight(&mut self, now_ms: u64) -> bool {
        let settled = self.horizon.settled();
        let due = (settled == 0 || self.highest_seen > settled) && now_ms >= self.sight_due_ms;
        if due {
            self.sight_due_ms = now_ms + SIGHT_MS;
        }
        due
    }
}

impl Window {
    /// What to ask next, or nothing: an ask is under way, the window is full, or nothing is due.
    /// `lanes_due` says that the pace allows a poll of the lanes; at most `page_rows` come back.
    pub fn next_ask(&mut self, lanes_due: bool, page_rows: usize, now_ms: u64) -> Option<Ask> {
        if self.reader.under_way.is_some() || !self.lanes.values().any(LaneBook::is_held) {
            return None;
        }
        self.close_circuits(now_ms);
        self.reread_lanes(now_ms);
        let polls = lanes_due || self.has_more();
        let must_poll = polls && self.reader.owes_poll;
        let ask = if !must_poll && self.reader.wants_sight(now_ms) {
            Ask::Sight
        } else {
            self.next_read((polls, must_poll), page_rows, now_ms)?
        };
        self.reader.owes_poll = !ask.is_poll();
        self.reader.ticket += 1;
        self.reader.under_way = Some(UnderWay {
            settled: self.reader.horizon.both(),
            what: match &ask {
                Ask::Sight | Ask::Drawn | Ask::HasDelayed => None,
                Ask::Page(read) => Some(read.what.clone()),
            },
        });
        Some(ask)
    }

    /// Whether lanes should be asked again at once, whatever the pace: the last page was cut, and
    /// may find room now, or a number was drawn after a rest.
    pub fn has_more(&self) -> bool {
        let has_more = self.lanes.values().any(|book| book.more && book.is_held());
        !self.is_stuck() && (has_more || self.reader.is_stirred)
    }

    /// Whether the last page was in vain, and the same one would be again.
    pub(super) fn is_stuck(&self) -> bool {
        self.reader.is_stuck
    }

    /// Takes in a look at the writers.
    pub fn sighted(&mut self, sighting: Sighting) {
        self.reader.under_way = None;
        if let Some(above) = self.reader.horizon.sight(sighting) {
            let books = self.lanes.values_mut();
            books.for_each(|book| book.cursor.come_back(above));
        }
    }

    /// Takes in the last number drawn: where it is a new one, the lanes are polled at once, and the
    /// writers looked at.
    pub fn drawn(&mut self, last_drawn: i64) {
        self.reader.under_way = None;
        if last_drawn > self.reader.horizon.settled() {
            self.reader.is_stirred = true;
            self.reader.delayed.stir();
        }
        self.reader.highest_seen = self.reader.highest_seen.max(last_drawn);
    }

    /// Takes in whether any row is for later; if so, those are looked for at once.
    pub fn delayed_told(&mut self, has_delayed: bool) {
        self.reader.under_way = None;
        self.reader.delayed.tell(has_delayed);
    }

    /// The reader's session is gone: nothing learned in it holds any more.
    pub fn void_reading(&mut self, now_ms: u64) {
        self.reader = Reader {
            session: self.reader.session + 1,
            ticket: self.reader.ticket,
            ..Reader::default()
        };
        self.settled.clear();
        self.asides = Asides::default();
        let lanes: Vec<Lane> = self.lanes.keys().copied().collect();
        for lane in lanes {
            self.rewind(lane, now_ms);
            if let Some(book) = self.lanes.get_mut(&lane) {
                book.void();
            }
        }
    }

    fn next_read(
        &mut self,
        (polls, must_poll): (bool, bool),
        page_rows: usize,
        now_ms: u64,
    ) -> Option<Ask> {
        if let Some(lane) = self.reader.giant {
            return self.giant_read(lane).map(Ask::Page);
        }
        let rows_max = self.room.page_rows(page_rows)?;
        if must_poll {
            return Some(self.poll(rows_max, now_ms));
        }
        if let Some(read) = self.refill_read(rows_max, now_ms) {
            return Some(Ask::Page(read));
        }
        if self.reader.delayed.wants_to_be_told(now_ms) && self.is_at_rest() {
            self.reader.delayed.put_off(now_ms);
            return Some(Ask::HasDelayed);
        }
        if let Some(read) = self.delayed_read(rows_max, now_ms) {
            return Some(Ask::Page(read));
        }
        (polls || self.has_more()).then(|| self.poll(rows_max, now_ms))
    }

    /// A poll of every held lane, or of the sequence alone while that is as good.
    fn poll(&mut self, rows_max: usize, now_ms: u64) -> Ask {
        self.sweep_one(now_ms);
        if self.is_at_rest() {
            return Ask::Drawn;
        }
        self.reader.is_stirred = false;
        Ask::Page(self.lanes_read(rows_max))
    }

    /// Whether every number drawn so far is settled and was read, in every held lane: then no row can
    /// show up before a higher number is drawn, but for those that are put back by hand.
    fn is_at_rest(&self) -> bool {
        let settled = self.reader.horizon.settled();
        let is_read =
            |book: &LaneBook| !book.is_held() || !book.more && book.cursor.position() >= settled;
        settled > 0 && self.reader.highest_seen <= settled && self.lanes.values().all(is_read)
    }

    /// A page of every held lane. Lanes known to have more share half of the page; the other half
    /// is shared by all.
    fn lanes_read(&mut self, rows_max: usize) -> Read {
        let held = || self.lanes.iter().filter(|(_, book)| book.is_held());
        let count = held().count();
        let with_more = held().filter(|(_, book)| book.more).count();
        let part = if with_more == 0 { 1 } else { 2 };
        let base = rows_max / (part * count);
        let extra = (rows_max / 2).checked_div(with_more).unwrap_or(0);
        let mut skip = Vec::new();
        let mut spilled = Vec::new();
        let mut ranges = Vec::with_capacity(count);
        for (&lane, book) in held() {
            let above = book.cursor.position();
            let rows_max = if book.more { base + extra } else { base };
            ranges.push(Range {
                has_spilled: !book.spilled.is_empty(),
                beyond: book.cursor.beyond(),
                ..Range::above(lane, book.epoch, above, rows_max.max(1))
            });
            skip.extend(book.known.range(above + 1..));
            spilled.extend(
                book.spilled
                    .iter()
                    .map(|&id| OrderingKey::clone(&self.keys[id].name)),
            );
        }
        Read {
            what: What::Lanes { spilled },
            ranges,
            skip,
            stragglers: self.reader.horizon.stragglers().to_vec(),
            bytes_max: self.room.free_bytes(),
        }
    }

    /// The skipped rows of one key, or nothing if no key has room; a lane with many such keys is
    /// rewound instead.
    fn refill_read(&mut self, rows_max: usize, now_ms: u64) -> Option<Read> {
        let &(due_ms, key_id) = self.refills.first()?;
        if due_ms > now_ms {
            return None;
        }
        self.refills.remove(&(due_ms, key_id));
        let key = &mut self.keys[key_id];
        key.refill_ms = None;
        let (lane, rows) = (key.lane, key.rows);
        let above = key.spill?.position();
        let book = self.lanes.get(&lane)?;
        if book.spilled.len() > REFILLS_PER_LANE {
            self.rewind(lane, now_ms);
            return None;
        }
        let room = self.room.key_rows_max().saturating_sub(rows).max(1);
        let range = Range::above(lane, book.epoch, above, room.min(rows_max));
        Some(Read {
            what: What::Key(OrderingKey::clone(&self.keys[key_id].name)),
            skip: book.known.range(above + 1..).copied().collect(),
            ranges: vec![range],
            stragglers: Vec::new(),
            bytes_max: self.room.free_bytes(),
        })
    }

    /// The one row that needs the whole window, once it is empty.
    fn giant_read(&mut self, lane: Lane) -> Option<Read> {
        let Some(book) = self.lanes.get(&lane).filter(|book| book.is_held()) else {
            self.reader.giant = None;
            return None;
        };
        if self.room.rows() > 0 {
            return None;
        }
        self.reader.giant = None;
        let spilled = book
            .spilled
            .iter()
            .map(|&id| OrderingKey::clone(&self.keys[id].name));
        Some(Read {
            what: What::Lanes {
                spilled: spilled.collect(),
            },
            ranges: vec![Range {
                has_spilled: !book.spilled.is_empty(),
                ..Range::above(lane, book.epoch, book.cursor.position(), 1)
            }],
            skip: Vec::new(),
            stragglers: Vec::new(),
            bytes_max: self.room.free_bytes(),
        })
    }

    /// Sends a lane's cursor back to the first row that was skipped, for every key at once.
    pub(super) fn rewind(&mut self, lane: Lane, now_ms: u64) {
        for key_id in self.spilled_keys(lane) {
            let cursor = self.end_spill(key_id);
            if let (Some(book), Some(cursor)) = (self.lanes.get_mut(&lane), cursor) {
                book.cursor.rewind(cursor);
                book.more = true;
            }
            self.tend_key(key_id, now_ms);
        }
    }
}
