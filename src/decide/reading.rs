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
//! held would prove nothing: a transaction shows before it gives its locks back.)
//!
//! Invariants:
//! - the horizon never moves back within a session, and is void in a new one;
//! - a cursor never passes the horizon that stood when its statement began;
//! - once a straggler has ended, all above the first horizon is read again.

/// More stragglers than this, and the second horizon stays where it is: each statement names them.
const STRAGGLERS_MAX: usize = 32;

/// Up to which number everything is decided: visible to the next statement, or never.
#[derive(Debug, Default)]
pub struct Horizon {
    settled: i64,
    pending: Option<Pending>,
    beyond: i64,
    stragglers: Vec<Straggler>,
    last: Option<Sighting>,
}

/// A writer that two looks in a row have seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Straggler {
    name: String,
    xid: i64,
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

impl Writer {
    fn is_prepared(&self) -> bool {
        self.name.starts_with("-1/")
    }
}

impl Sighting {
    fn saw(&self, name: &str) -> bool {
        self.writers.iter().any(|writer| writer.name == name)
    }

    /// Whether a writer that an earlier look has seen may go by another name now.
    fn may_rename(&self, earlier: &Self) -> bool {
        let mut writers = self.writers.iter();
        writers.any(|writer| writer.is_prepared() && !earlier.saw(&writer.name))
    }

    /// Those that an earlier look has seen too; none if the number of one is not known yet.
    fn stragglers(&self, earlier: &Self) -> Option<Vec<Straggler>> {
        let too = self
            .writers
            .iter()
            .filter(|writer| earlier.saw(&writer.name));
        let named = too.map(|writer| {
            let name = writer.name.clone();
            writer.xid.map(|xid| Straggler { name, xid })
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
    pub fn stragglers(&self) -> Vec<i64> {
        self.stragglers.iter().map(|writer| writer.xid).collect()
    }

    /// Takes in one look at the writers; true if a straggler has ended, so that what lies between the
    /// horizons is to be read again.
    pub fn sight(&mut self, sighting: Sighting) -> bool {
        let ended = self.look_beyond(&sighting);
        self.settle(sighting);
        ended
    }

    /// What was drawn before the last look was drawn by those whom that look saw.
    fn look_beyond(&mut self, sighting: &Sighting) -> bool {
        let is_open = |straggler: &Straggler| sighting.saw(&straggler.name);
        let ended = !self.stragglers.iter().all(is_open);
        if ended {
            self.stragglers.clear();
            self.beyond = 0;
        }
        if let Some(last) = self.last.replace(sighting.clone())
            && !sighting.may_rename(&last)
            && let Some(stragglers) = sighting.stragglers(&last)
            && stragglers.len() <= STRAGGLERS_MAX
        {
            self.beyond = self.beyond.max(last.last_drawn);
            self.stragglers = stragglers;
        }
        ended
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

    /// A straggler has ended: what it may have committed is read.
    pub fn come_back(&mut self) {
        self.beyond = self.position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(last_drawn: i64, writers: &[&str]) -> Sighting {
        Sighting {
            last_drawn,
            writers: writers.iter().map(|&name| writer(name)).collect(),
        }
    }

    /// A writer whose number is the last part of its name; 0 is none yet.
    fn writer(name: &str) -> Writer {
        let xid = name.rsplit('/').next().unwrap().parse().unwrap();
        Writer {
            name: name.to_owned(),
            xid: Some(xid).filter(|xid| *xid > 0),
        }
    }

    #[test]
    fn without_writers_the_horizon_is_the_last_number_drawn() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(7, &[]));
        assert_eq!(horizon.settled(), 7);
    }

    #[test]
    fn the_horizon_waits_for_every_writer_seen_and_for_no_later_one() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(7, &["3/1", "4/9"]));
        assert_eq!(horizon.settled(), 0);
        horizon.sight(sighting(9, &["4/9", "5/5"]));
        assert_eq!(horizon.settled(), 0);
        horizon.sight(sighting(12, &["5/5", "6/1"]));
        assert_eq!(horizon.settled(), 7, "both writers of the first look ended");
        horizon.sight(sighting(15, &[]));
        assert_eq!(horizon.settled(), 15);
    }

    #[test]
    fn a_writer_that_prepares_itself_is_still_waited_for() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(7, &["3/1"]));
        horizon.sight(sighting(8, &["-1/740"]));
        assert_eq!(horizon.settled(), 0);
        horizon.sight(sighting(9, &[]));
        assert_eq!(horizon.settled(), 9);
    }

    #[test]
    fn the_horizon_never_moves_back() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(9, &[]));
        horizon.sight(sighting(4, &[]));
        assert_eq!(horizon.settled(), 9);
    }

    #[test]
    fn a_cursor_never_passes_the_horizon() {
        let settled = |all, but_stragglers| Settled {
            all,
            but_stragglers,
        };
        let places = |cursor: Cursor| (cursor.position(), cursor.beyond());
        let mut cursor = Cursor::default();
        cursor.advance(settled(10, 10), PageEnd::CutAfter(25));
        assert_eq!(places(cursor), (10, 10));
        cursor.advance(settled(10, 20), PageEnd::Complete);
        assert_eq!(places(cursor), (10, 20));
        cursor.advance(settled(40, 60), PageEnd::CutAfter(50));
        assert_eq!(places(cursor), (40, 50));
        cursor.advance(settled(60, 60), PageEnd::CutAtStart);
        assert_eq!(places(cursor), (40, 50));
        cursor.come_back();
        assert_eq!(places(cursor), (40, 40));
    }

    #[test]
    fn a_cursor_that_goes_back_leaves_nothing_between_unread() {
        let mut cursor = Cursor::default();
        let settled = Settled {
            all: 10,
            but_stragglers: 90,
        };
        cursor.advance(settled, PageEnd::Complete);
        let spilled = cursor;
        cursor.rewind(Cursor::before(31));
        assert_eq!((cursor.position(), cursor.beyond()), (10, 30));
        cursor.rewind(spilled);
        assert_eq!((cursor.position(), cursor.beyond()), (10, 10));
    }

    #[test]
    fn the_second_horizon_passes_a_straggler_and_comes_back_when_it_ends() {
        let mut horizon = Horizon::default();
        assert!(!horizon.sight(sighting(7, &["3/1", "4/1"])));
        assert!(!horizon.sight(sighting(20, &["3/1", "5/1"])));
        assert_eq!(horizon.both().all, 0);
        assert_eq!(horizon.both().but_stragglers, 7, "4/1 has ended");
        assert_eq!(horizon.stragglers(), [1]);
        assert!(!horizon.sight(sighting(30, &["3/1"])));
        assert_eq!(horizon.both().but_stragglers, 20);
        assert!(horizon.sight(sighting(40, &["6/1"])));
        assert_eq!(horizon.stragglers(), [0; 0]);
        assert_eq!(horizon.both().but_stragglers, 30, "and nobody is in doubt");
    }

    #[test]
    fn a_straggler_without_a_number_holds_the_second_horizon() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(7, &["3/0"]));
        horizon.sight(sighting(9, &["3/0", "4/1"]));
        assert_eq!(horizon.both().but_stragglers, 0);
        horizon.sight(sighting(11, &["4/1"]));
        assert_eq!(horizon.both().but_stragglers, 9);
    }

    #[test]
    fn a_writer_that_may_go_by_another_name_holds_the_second_horizon() {
        let mut horizon = Horizon::default();
        horizon.sight(sighting(7, &["3/1", "4/1"]));
        horizon.sight(sighting(9, &["3/1", "-1/740"]));
        assert_eq!(horizon.both().but_stragglers, 0, "it may be 4/1");
        horizon.sight(sighting(12, &["3/1", "-1/740"]));
        assert_eq!(horizon.both().but_stragglers, 9);
        assert_eq!(horizon.stragglers(), [1, 740]);
        assert!(horizon.sight(sighting(15, &["-1/740", "-1/741"])));
        assert_eq!(horizon.both().but_stragglers, 0);
    }
}
