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
//! Invariants:
//! - the horizon never moves back within a session, and is void in a new one;
//! - a cursor never passes the horizon that stood when its statement began.

/// Up to which number everything is decided: visible to the next statement, or never.
#[derive(Debug, Default)]
pub struct Horizon {
    settled: i64,
    pending: Option<Pending>,
}

/// A value of the sequence and those who may still write at or below it.
#[derive(Debug)]
struct Pending {
    upto: i64,
    writers: Vec<String>,
}

/// What one look at the writers found, in the order in which it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The last number drawn, read *before* the writers were listed; 0 if none was.
    pub last_drawn: i64,
    /// The virtual transactions that held ROW EXCLUSIVE on the outbox. A prepared one is
    /// `-1/<xid>`, as `pg_locks` shows it.
    pub writers: Vec<String>,
}

impl Horizon {
    /// The number up to which all is decided; 0 while nothing is known.
    pub fn settled(&self) -> i64 {
        self.settled
    }

    /// Takes in one look at the writers.
    ///
    /// A transaction that prepares itself changes its name in the lock table, so a prepared
    /// writer counts as one of those waited for, whenever it appeared.
    pub fn sight(&mut self, sighting: Sighting) {
        if let Some(pending) = &mut self.pending {
            pending
                .writers
                .retain(|writer| sighting.writers.contains(writer));
            let prepared = sighting.writers.iter().any(|w| w.starts_with("-1/"));
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
pub struct Cursor(i64);

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
        Self(seq - 1)
    }

    /// The number above which the next page must be read.
    pub fn position(self) -> i64 {
        self.0
    }

    /// Moves past what a page read for good: `horizon` is the one that stood when the page's
    /// statement began.
    pub fn advance(&mut self, horizon: i64, end: PageEnd) {
        let read = match end {
            PageEnd::Complete => horizon,
            PageEnd::CutAfter(last) => last.min(horizon),
            PageEnd::CutAtStart => return,
        };
        self.0 = self.0.max(read);
    }

    /// Moves back to `other` if that is lower, so that what lies between is read again.
    pub fn rewind(&mut self, other: Self) {
        self.0 = self.0.min(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(last_drawn: i64, writers: &[&str]) -> Sighting {
        Sighting {
            last_drawn,
            writers: writers.iter().map(|&w| w.to_owned()).collect(),
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
        let mut cursor = Cursor::default();
        cursor.advance(10, PageEnd::CutAfter(25));
        assert_eq!(cursor.position(), 10);
        cursor.advance(10, PageEnd::Complete);
        assert_eq!(cursor.position(), 10);
        cursor.advance(40, PageEnd::CutAfter(25));
        assert_eq!(cursor.position(), 25);
        cursor.advance(40, PageEnd::CutAtStart);
        assert_eq!(cursor.position(), 25);
    }
}
