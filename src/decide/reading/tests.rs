//! The horizons by what looks have seen, and the cursors below them.

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

/// The number of each straggler, and the one above which those are that it drew.
fn stragglers(horizon: &Horizon) -> Vec<(i64, i64)> {
    let stragglers = horizon.stragglers().iter();
    stragglers.map(|known| (known.xid, known.above)).collect()
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
    cursor.come_back(45);
    assert_eq!(places(cursor), (40, 45));
    cursor.come_back(49);
    assert_eq!(places(cursor), (40, 45));
    cursor.come_back(0);
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
    assert_eq!(horizon.sight(sighting(7, &["3/1", "4/2"])), None);
    assert_eq!(horizon.sight(sighting(20, &["3/1", "5/3"])), None);
    assert_eq!(horizon.both().all, 0);
    assert_eq!(horizon.both().but_stragglers, 7, "4/2 has ended");
    assert_eq!(stragglers(&horizon), [(1, 0)]);
    assert_eq!(horizon.sight(sighting(30, &["3/1"])), None);
    assert_eq!(horizon.both().but_stragglers, 20);
    assert_eq!(horizon.sight(sighting(40, &["6/4"])), Some(0));
    assert_eq!(stragglers(&horizon), []);
    assert_eq!(horizon.both().but_stragglers, 30, "and nobody is in doubt");
}

#[test]
fn of_several_stragglers_one_that_ends_takes_back_its_own_numbers_alone() {
    let mut horizon = Horizon::default();
    horizon.sight(sighting(7, &["3/1"]));
    horizon.sight(sighting(20, &["3/1", "5/2"]));
    assert_eq!(horizon.sight(sighting(30, &["3/1", "5/2", "6/3"])), None);
    assert_eq!(stragglers(&horizon), [(1, 0), (2, 7)]);
    assert_eq!(horizon.sight(sighting(40, &["3/1", "5/2", "6/3"])), None);
    assert_eq!(stragglers(&horizon), [(1, 0), (2, 7), (3, 20)]);
    assert_eq!(horizon.sight(sighting(50, &["3/1"])), Some(7));
    assert_eq!(stragglers(&horizon), [(1, 0)]);
    assert_eq!(horizon.both().but_stragglers, 40, "3/1 alone is in doubt");
}

#[test]
fn a_straggler_without_a_number_holds_the_second_horizon() {
    let mut horizon = Horizon::default();
    horizon.sight(sighting(7, &["3/0"]));
    horizon.sight(sighting(9, &["3/0", "4/1"]));
    assert_eq!(horizon.both().but_stragglers, 0);
    horizon.sight(sighting(11, &["4/1"]));
    assert_eq!(horizon.both().but_stragglers, 9);
    assert_eq!(stragglers(&horizon), [(1, 7)]);
}

#[test]
fn a_writer_that_may_go_by_another_name_holds_the_second_horizon() {
    let mut horizon = Horizon::default();
    horizon.sight(sighting(7, &["3/1", "4/1"]));
    horizon.sight(sighting(9, &["3/1", "-1/740"]));
    assert_eq!(horizon.both().but_stragglers, 0, "it may be 4/1");
    horizon.sight(sighting(12, &["3/1", "-1/740"]));
    assert_eq!(horizon.both().but_stragglers, 9);
    assert_eq!(stragglers(&horizon), [(1, 0), (740, 0)]);
    let renamed = horizon.sight(sighting(15, &["-1/740", "-1/741"]));
    assert_eq!(renamed, Some(0), "all is read again");
    assert_eq!(horizon.both().but_stragglers, 0);
}
