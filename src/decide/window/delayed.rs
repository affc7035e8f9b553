//! Rows for later: which of those whose time has come are read next.
//!
//! Owns how far the delayed rows of each lane were read. They stand by when their time came and
//! hold back nobody. Knows not whether a row may be taken in (see `admit`).
//!
//! While nothing is left in the outbox, each look begins at the start and finds whatever is not held.
//! What cannot be taken in, for its topic takes nothing, or its aggregate is set aside or has its
//! share, is passed, so that others are read however much it is. A writer may write any time, also
//! one that is past, so behind what was passed a row may appear late: a second look goes over all of
//! it, a page at a time, from the start to where the first look stands, and again. Once it has found
//! nothing that is left, the first look begins at the start again.
//!
//! Invariants:
//! - of a topic whose rows are passed over, the first one's place is kept until its circuit closes:
//!   then the lane is read again from there, and nothing beyond is taken in before;
//! - whatever was passed or came late is seen again by the next whole round of the second look;
//! - what is passed costs each look at most a page, and none once it was passed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Window;
use super::ask::{Candidate, PageRange, Place, Range, Read, What};
use super::room::Refusal;
use crate::decide::reading::PageEnd;
use crate::event::Lane;

/// Delayed rows are looked for this often, in milliseconds.
const DELAYED_MS: u64 = 200;
/// The same where the outbox has none and no number is drawn: then only one that is put off by hand can
/// be there.
const REST_MS: u64 = 1_000;
/// A page of what was passed is looked at this often, in milliseconds; sooner while that brings some in.
const LATE_MS: u64 = 1_000;
/// Such a page brings hardly anything: it may take this part of the free bytes.
const LATE_BYTES_PART: usize = 8;

/// When delayed rows are looked for next, in boot milliseconds.
#[derive(Debug, Default)]
pub(super) struct DelayedTimer {
    /// When they were looked for, or asked after, last.
    looked_ms: Option<u64>,
    late_due_ms: u64,
    /// There are some: the next look is for their sake, and due.
    is_told: bool,
    /// There are none, and the next look has more time.
    rests: bool,
}

impl DelayedTimer {
    /// Whether a look is due of which it is not told yet that there is anything to find.
    pub(super) fn wants_to_be_told(&self, now_ms: u64) -> bool {
        !self.is_told && self.is_due(now_ms)
    }

    fn is_due(&self, now_ms: u64) -> bool {
        let pause_ms = if self.rests { REST_MS } else { DELAYED_MS };
        let has_passed = |looked_ms| now_ms >= looked_ms + pause_ms;
        self.is_told || self.looked_ms.is_none_or(has_passed)
    }

    /// The next look, or the question before it, has time.
    pub(super) fn put_off(&mut self, now_ms: u64) {
        *self = Self {
            looked_ms: Some(now_ms),
            late_due_ms: self.late_due_ms,
            ..Self::default()
        };
    }

    /// There are some, or none.
    pub(super) fn tell(&mut self, has_delayed: bool) {
        self.is_told = has_delayed;
        self.rests = !has_delayed;
    }

    /// A number was drawn: it may be that of a row for later.
    pub(super) fn stir(&mut self) {
        self.rests = false;
    }
}

/// How far a lane's delayed rows were read.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// When the time of each came that is held, by its number.
    held: BTreeMap<i64, i64>,
    /// From where the first look goes on.
    ahead: Place,
    /// Its last page was cut short, and brought it on.
    more: bool,
    /// It has left rows in the outbox since it began at the start.
    has_left: bool,
    /// From where the second look goes on.
    again: Place,
    /// It has found rows that are left since it began at the start.
    finds_left: bool,
    /// Topics whose rows were passed over, and from where they must be read again.
    passed: HashMap<Arc<str>, Place>,
}

/// What came of a page.
#[derive(Debug, Default)]
struct Progress {
    /// The last row that was judged.
    last: Option<Place>,
    /// There may be more behind it.
    is_cut: bool,
    /// How many were taken in.
    taken: usize,
    /// Some of those judged are left in the outbox.
    leaves: bool,
    /// Some of these, for lack of room for more of their aggregate.
    wants_room: bool,
}

impl Delayed {
    /// Will be read from the start.
    pub(super) fn restart(&mut self) {
        *self = Self {
            held: std::mem::take(&mut self.held),
            ..Self::default()
        };
    }

    /// A row is not held any more.
    pub(super) fn release(&mut self, seq: i64) {
        self.held.remove(&seq);
    }

    /// Keeps the place of a row that is passed over for its topic; false if it is no delayed one.
    pub(super) fn pass_over(&mut self, topic: &Arc<str>, seq: i64) -> bool {
        let Some(&available_us) = self.held.get(&seq) else {
            return false;
        };
        let before = Place { available_us, seq }.before();
        let first = self.passed.entry(Arc::clone(topic)).or_insert(before);
        *first = before.min(*first);
        true
    }

    /// The first look goes back to the first row of a topic that was passed over.
    pub(super) fn go_back(&mut self, topic: &Arc<str>) {
        if let Some(first) = self.passed.remove(topic)
            && first < self.ahead
        {
            self.ahead = first;
            self.more = true;
        }
    }

    /// Takes in what came of the first look.
    fn looked(&mut self, progress: &Progress) {
        self.has_left |= progress.leaves;
        self.more = progress.is_cut && progress.last.is_some();
        self.ahead = if progress.is_cut || self.has_left {
            progress.last.unwrap_or(self.ahead)
        } else {
            Place::START
        };
    }

    /// Takes in what came of the second look. After a whole round that found nothing left, the
    /// first begins at the start again.
    fn looked_again(&mut self, progress: &Progress) {
        self.finds_left |= progress.leaves;
        if progress.is_cut {
            self.again = progress.last.unwrap_or(self.again);
            if self.again < self.ahead {
                return;
            }
        }
        self.again = Place::START;
        if !std::mem::take(&mut self.finds_left) {
            self.ahead = Place::START;
            self.has_left = false;
        }
    }
}

impl Window {
    /// A look for delayed rows, if one is due. Between two of them lanes that have more go on.
    pub(super) fn delayed_read(&mut self, rows_max: usize, now_ms: u64) -> Option<Read> {
        let timer = &mut self.reader.delayed;
        if now_ms >= timer.late_due_ms {
            timer.late_due_ms = now_ms + LATE_MS;
            let from = |delayed: &Delayed| (delayed.ahead > Place::START).then_some(delayed.again);
            let read = self.look(What::Late, rows_max, from);
            if let Some(mut read) = read {
                read.bytes_max /= LATE_BYTES_PART;
                return Some(read);
            }
        }
        let timer = &mut self.reader.delayed;
        let is_due = timer.is_due(now_ms);
        if is_due {
            timer.put_off(now_ms);
        }
        self.look(What::Delayed, rows_max, |delayed| {
            (is_due || delayed.more).then_some(delayed.ahead)
        })
    }

    /// A page of those lanes for which there is a place to go on from.
    fn look(
        &self,
        what: What,
        rows_max: usize,
        from: impl Fn(&Delayed) -> Option<Place>,
    ) -> Option<Read> {
        let held = self.lanes.iter().filter(|(_, book)| book.is_held());
        let mut skip = Vec::new();
        let mut ranges = Vec::new();
        for (&lane, book) in held {
            let Some(place) = from(&book.delayed) else {
                continue;
            };
            skip.extend(book.delayed.held.keys());
            ranges.push(Range {
                since_us: place.available_us,
                ..Range::above(lane, book.epoch, place.seq, 1)
            });
        }
        let part = rows_max.checked_div(ranges.len())?;
        for range in &mut ranges {
            range.rows_max = part.max(1);
        }
        Some(Read {
            what,
            ranges,
            skip,
            stragglers: Vec::new(),
            bytes_max: self.room.free_bytes(),
        })
    }

    /// Takes in delayed rows until the window is full; returns how many. They hold back nobody:
    /// what else is refused is passed, and found again.
    pub(super) fn admit_delayed(&mut self, what: &What, range: PageRange, now_ms: u64) -> usize {
        let lane = range.lane;
        let Some(ahead) = self.lanes.get(&lane).map(|book| book.delayed.ahead) else {
            return 0;
        };
        let is_late = *what == What::Late;
        let mut progress = Progress {
            is_cut: range.end != PageEnd::Complete,
            ..Progress::default()
        };
        for row in range.rows {
            let place = row.place();
            if is_late && place > ahead {
                progress.is_cut = false;
                break;
            }
            if !self.admit_one(lane, row, &mut progress, now_ms) {
                progress.is_cut = true;
                break;
            }
            progress.last = Some(place);
        }
        if is_late && (progress.taken > 0 || progress.wants_room) {
            self.reader.delayed.late_due_ms = now_ms + DELAYED_MS;
        }
        if let Some(book) = self.lanes.get_mut(&lane) {
            if is_late {
                book.delayed.looked_again(&progress);
            } else {
                book.delayed.looked(&progress);
            }
        }
        progress.taken
    }

    /// Takes one in, or leaves it in the outbox; false if the window is full. Its place is known
    /// meanwhile, for it may be passed over.
    fn admit_one(
        &mut self,
        lane: Lane,
        row: Candidate,
        progress: &mut Progress,
        now_ms: u64,
    ) -> bool {
        let (at, place) = (row.at, row.place());
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.delayed.held.insert(at.seq, place.available_us);
        }
        let verdict = self.admit_row(lane, row, false, now_ms);
        let is_held = self.open.contains_key(&at);
        if !is_held && let Some(book) = self.lanes.get_mut(&lane) {
            book.delayed.release(at.seq);
        }
        if verdict == Err(Refusal::Full) {
            return false;
        }
        progress.taken += usize::from(is_held);
        progress.leaves |= !is_held;
        progress.wants_room |= verdict.is_err();
        true
    }
}

impl Candidate {
    fn place(&self) -> Place {
        Place {
            available_us: self.available_us.unwrap_or(i64::MIN),
            seq: self.at.seq,
        }
    }
}
