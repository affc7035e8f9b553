//! From where an outbox must be read so that no row is missed, although numbers commit out of
//! order.
//!
//! Owns the settled horizon and the cursors below it. Knows neither SQL nor rows.
//!
//! A sequence hands numbers out before their transactions commit, so a number read is no proof
//! that every lower one was visible. The proof is a *horizon*: read the sequence's last value
//! first, then list who may still be writing (every holder of ROW EXCLUSIVE on the outbox,
//! prepared transactions too). Once all of those have ended, every number up to that value is
//! visible to the next statement, or never will be.
//!
//! A *straggler* is a writer that two looks in a row have seen. While it is open nothing above its
//! first number is settled, and all that is published meanwhile would be stepped over at each poll. So
//! a second horizon lies beyond the first: up to it everything is decided but what the stragglers may
//! still commit. A statement in whose own snapshot they are all in progress may begin there: none of
//! their rows is in that snapshot, nor any that was written behind one of theirs. (That their locks are
//! held would prove nothing: a transaction shows before it gives its locks back.) Where some have
//! ended it begins above the last number that was drawn before the first of these was seen, for what
//! they wrote, and what was written behind that, has higher ones.
//!
//! Invariants:
//! - the horizon never moves back within a session, and is void in a new one;
//! - a cursor never passes the horizon that stood when its statement began;
//! - once a straggler has ended, all that it can have written is read again; all above the first horizon
//!   is where it may have prepared itself, and goes by another name.

#[cfg(test)]
mod tests;

/// More stragglers than this, and the second horizon stays where it is: each statement names them.
const STRAGGLERS_MAX: usize = 32;

/// Up to which number everything is decided: visible to the next statement, or never.
#[derive(Debug, Default)]
pub struct Horizon {
    settled: i64,
    pending: Option<Pending>,
    beyond: i64,
    stragglers: Vec<Straggler>,
    last: Look,
}

/// A writer that two looks in a row have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Straggler {
    name: String,
    /// Its number as snapshots tell it.
    pub xid: i64,
    /// All numbers that it drew are higher than this one.
    pub above: i64,
}

/// How far all was decided when a statement began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Up to this number all is.
    pub all: i64,
    /// Up to this one all is but what stragglers may still commit.
    pub but_stragglers: i64,
}

/// A value of the sequence and those who may still write at or below it.
#[derive(Debug)]
struct Pending {
    upto: i64,
    writers: Vec<Writer>,
}

/// A transaction that may still write the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The virtual transaction. A prepared one is `-1/<xid>`, as `pg_locks` shows it.
    pub name: String,
    /// Its number as snapshots tell it, once it has one: before its first row.
    pub xid: Option<i64>,
}

/// What one look at the writers found, in the order in which it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The last number drawn, read *before* the writers were listed; 0 if none was.
    pub last_drawn: i64,
    /// Those that held ROW EXCLUSIVE on the outbox.
    pub writers: Vec<Writer>,
}

/// A look, and above which numbers those are that each writer drew.
#[derive(Debug, Default)]
struct Look {
    last_drawn: i64,
    writers: Vec<(Writer, i64)>,
}

impl Writer {
    fn is_prepared(&self) -> bool {
        self.name.starts_with("-1/")
    }
}

impl Sighting {
    fn saw(&self, name: &str) -> bool {
        self.writers.iter().any(|writer| writer.name == name)
    }
}

impl Look {
    /// A look after another one. Who was not seen by that one began to draw after it; one that prepared
    /// itself may have begun before, by another name.
    fn after(earlier: &Self, sighting: &Sighting) -> Self {
        let above = |writer: &Writer| match earlier.above(&writer.name) {
            Some(above) => above,
            None if writer.is_prepared() => 0,
            None => earlier.last_drawn,
        };
        let writers = sighting.writers.iter();
        Self {
            last_drawn: sighting.last_drawn,
            writers: writers
                .map(|writer| (writer.clone(), above(writer)))
                .collect(),
        }
    }

    /// Above which number those of this writer are, if the look has seen it.
    fn above(&self, name: &str) -> Option<i64> {
        let mut writers = self.writers.iter();
        let found = writers.find(|(writer, _)| writer.name == name);
        found.map(|(_, above)| *above)
    }

    /// Whether a writer that an earlier look has seen may go by another name now.
    fn may_rename(&self, earlier: &Self) -> bool {
        let mut writers = self.writers.iter();
        writers.any(|(writer, _)| writer.is_prepared() && earlier.above(&writer.name).is_none())
    }

    /// Those that an earlier look has seen too; none if the number of one is not known yet.
    fn stragglers(&self, earlier: &Self) -> Option<Vec<Straggler>> {
        let too = self
            .writers
            .iter()
            .filter(|(writer, _)| earlier.above(&writer.name).is_some());
        let named = too.map(|(writer, above)| {
            let (name, above) = (writer.name.clone(), *above);
            writer.xid.map(|xid| Straggler { name, xid, above })
        });
        named.collect()
    }
}

impl Horizon {
    /// The number up to which all is decided; 0 while nothing is known.
    pub fn settled(&self) -> i64 {
        self.settled
    }

    /// Both horizons.
    pub fn both(&self) -> Settled {
        Settled {
            all: self.settled,
            but_stragglers: self.beyond.max(self.settled),
        }
    }

    /// The transactions that may still commit numbers below the second horizon.
    pub fn stragglers(&self) -> &[Straggler] {
        &self.stragglers
    }

    /// Takes in one look at the writers. If a straggler has ended, all is to be read again that lies
    /// between the horizons and above the number that comes back.
    pub fn sight(&mut self, sighting: Sighting) -> Option<i64> {
        let ended = self.look_beyond(&sighting);
        self.settle(sighting);
        ended
    }

    /// What was drawn before the last look was drawn by those whom that look saw.
    fn look_beyond(&mut self, sighting: &Sighting) -> Option<i64> {
        let look = Look::after(&self.last, sighting);
        let last = std::mem::replace(&mut self.last, look);
        let is_open = |straggler: &Straggler| sighting.saw(&straggler.name);
        let ended = self.stragglers.iter().filter(|known| !is_open(known));
        let above = ended.map(|straggler| straggler.above).min();
        if self.last.may_rename(&last) {
            // Who is missing may be who goes by another name.
            above?;
            self.stragglers.clear();
            self.beyond = 0;
            return Some(0);
        }
        self.stragglers.retain(is_open);
        if let Some(stragglers) = self.last.stragglers(&last)
            && stragglers.len() <= STRAGGLERS_MAX
        {
            self.beyond = self.beyond.max(last.last_drawn);
            self.stragglers = stragglers;
        }
        above
    }

    /// A transaction that prepares itself changes its name in the lock table, so a prepared
    /// writer counts as one of those waited for, whenever it appeared.
    fn settle(&mut self, sighting: Sighting) {
        if let Some(pending) = &mut self.pending {
            pending.writers.retain(|writer| sighting.saw(&writer.name));
            let prepared = sighting.writers.iter().any(Writer::is_prepared);
            if !pending.writers.is_empty() || prepared {
                return;
            }
            self.settled = self.settled.max(pending.upto);
            self.pending = None;
        }
        if sighting.writers.is_empty() {
            self.settled = self.settled.max(sighting.last_drawn);
        } else {
            self.pending = Some(Pending {
                upto: sighting.last_drawn,
                writers: sighting.writers,
            });
        }
    }
}

/// How far one range of the outbox (a lane, or one key of it) was read for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    position: i64,
    beyond: i64,
}

/// How a page of a range ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// The statement returned all it could see above the cursor.
    Complete,
    /// It was cut short after this number.
    CutAfter(i64),
    /// It was cut short before anything of this range was taken.
    CutAtStart,
}

impl Cursor {
    /// A cursor from which the row of this number is read again.
    pub fn before(seq: i64) -> Self {
        Self {
            position: seq - 1,
            beyond: seq - 1,
        }
    }

    /// The number above which the next page must be read.
    pub fn position(self) -> i64 {
        self.position
    }

    /// The number above which it must be read while all stragglers are open.
    pub fn beyond(self) -> i64 {
        self.beyond.max(self.position)
    }

    /// Moves past what a page read for good, by the horizons that stood when the page's statement
    /// began.
    pub fn advance(&mut self, settled: Settled, end: PageEnd) {
        let upto = |horizon: i64| match end {
            PageEnd::Complete => horizon,
            PageEnd::CutAfter(last) => last.min(horizon),
            PageEnd::CutAtStart => 0,
        };
        self.position = self.position.max(upto(settled.all));
        self.beyond = self.beyond.max(upto(settled.but_stragglers));
    }

    /// Moves back to `other` if that is lower, so that what lies between is read again.
    pub fn rewind(&mut self, other: Self) {
        self.position = self.position.min(other.position);
        self.beyond = self.beyond.min(other.position);
    }

    /// A straggler has ended: what it may have committed, above this number, is read.
    pub fn come_back(&mut self, above: i64) {
        self.beyond = self.beyond.min(above);
    }
}
