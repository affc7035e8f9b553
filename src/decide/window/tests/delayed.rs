//! Rows for later: what is left in the outbox keeps none of the others, and is found again.

use super::lane::{Lane0, Waiting, later};
use crate::decide::dead::OnDead;
use crate::event::Lane;

/// Wherever the second look is when the topic comes back.
#[test]
fn delayed_rows_of_a_topic_that_takes_nothing_keep_no_others_and_leave_in_order() {
    for more_ms in [0, 15_000, 30_000, 45_000] {
        let mut lane = Lane0::new(OnDead::Table);
        lane.away = &["away"];
        lane.write((0..3_000).map(|n| later("away", n)));
        lane.assert_others_flow();
        lane.assert_cheap();
        lane.pass(more_ms);
        lane.away = &[];
        lane.delivered.clear();
        lane.until("all of the topic", 40_000, |lane| lane.outbox.is_empty());
        assert_eq!(lane.delivered.len(), 3_000, "each once");
        assert!(lane.delivered.is_sorted(), "in the order of their times");
    }
}

/// A round of the second look is short here.
#[test]
fn the_end_of_a_round_that_finds_what_is_left_begins_nothing_anew() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.away = &["away"];
    lane.write((0..200).map(|n| later("away", n)));
    lane.assert_others_flow();
    lane.assert_cheap();
}

#[test]
fn a_window_that_is_full_passes_nothing() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.unheard = |_| true;
    lane.write((0..3_000).map(|n| later("orders", n)));
    lane.pass(5_000);
    lane.unheard = |_| false;
    lane.until("all", 3_000, |lane| lane.outbox.is_empty());
    assert!(lane.delivered.is_sorted(), "in the order of their times");
}

#[test]
fn once_nothing_is_left_each_look_begins_at_the_start_again() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.away = &["away"];
    lane.write((100..1_000).map(|n| later("away", n)));
    lane.assert_others_flow();
    lane.away = &[];
    lane.until("all of the topic", 40_000, |lane| lane.outbox.is_empty());
    lane.pass(2_000);
    lane.write([later("orders", 1)]);
    lane.until("a late row", 250, |lane| lane.outbox.is_empty());
}

#[test]
fn a_delayed_row_that_shows_late_behind_what_was_passed_is_found() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.away = &["away"];
    lane.write((0..1_000).map(|n| later("away", n)));
    lane.assert_others_flow();
    let before = lane.delivered.len();
    lane.write([later("orders", 500), later("orders", i64::MIN)]);
    lane.until("both", 25_000, |lane| lane.delivered.len() == before + 2);
}

#[test]
fn one_topic_that_comes_back_is_not_behind_the_rows_of_another_that_does_not() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.away = &["away", "back"];
    lane.write((0..10_000).map(|n| later("away", n)));
    lane.write((0..200).map(|n| later("back", 50_000 + n)));
    lane.assert_others_flow();
    lane.away = &["away"];
    lane.until("the one", 32_000, |lane| lane.delivered.len() == 250);
}

#[test]
fn delayed_rows_of_a_blocked_aggregate_keep_no_others_and_leave_once_it_is_decided() {
    let mut lane = Lane0::new(OnDead::Block);
    lane.away = &["away"];
    lane.write((0..3_000).map(|n| later("away", n)));
    lane.write((0..40).map(|n| Waiting {
        aggregate: Some("blocked"),
        judged: n == 0,
        ..later("orders", 10_000 + n)
    }));
    lane.assert_others_flow();
    lane.assert_cheap();
    for row in lane.outbox.values_mut() {
        row.judged = false;
    }
    lane.window.note_rereads(Lane(0), 1);
    lane.until("the aggregate", 5_000, |lane| lane.delivered.len() == 90);
}

/// Its marks are taken back by a crash.
#[test]
fn in_a_new_session_all_is_read_from_the_start() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.away = &["away"];
    lane.write((0..3_000).map(|n| later("away", n)));
    lane.until("a walk", 3_000, |lane| lane.shown >= 3_000);
    let before = lane.outbox.clone();
    lane.assert_others_flow();
    lane.outbox
        .extend((5_000..).zip((0..50).map(|n| later("away", 2_000_000 + n))));
    lane.pass(1_000);
    let marked = (3_001..).zip((0..50).map(|n| later("orders", 1_000_000 + n)));
    lane.outbox.extend(marked);
    lane.window.void_reading(lane.now_ms);
    lane.until("marks anew", 5_000, |lane| {
        lane.outbox.len() == before.len() + 50
    });
    assert_eq!(lane.delivered.len(), 50, "each once");
}

#[test]
fn delayed_rows_beyond_the_share_of_their_aggregate_keep_no_others_and_are_found_again() {
    let mut lane = Lane0::new(OnDead::Table);
    lane.unheard = |row| row.aggregate == Some("hot");
    lane.write((0..1_000).map(|n| Waiting {
        aggregate: Some("hot"),
        ..later("orders", n)
    }));
    lane.assert_others_flow();
    assert!(lane.outbox.len() == 1_000, "none of the aggregate's");
    lane.unheard = |_| false;
    lane.until("the aggregate", 30_000, |lane| lane.outbox.is_empty());
    assert_eq!(lane.delivered.len(), 1_050, "each once");
}

fn of_aggregate(available_us: Option<i64>, judged: bool) -> Waiting {
    Waiting {
        available_us,
        topic: "poison",
        aggregate: Some("one"),
        judged,
    }
}

/// The topic of dead letters takes nothing, as a row of another aggregate shows, and many delayed
/// rows are passed over for another topic.
fn without_dead_letters() -> Lane0 {
    let mut lane = Lane0::new(OnDead::DeadLetter);
    lane.away = &["away", "poison.dlq"];
    lane.settled = 399;
    lane.write([Waiting {
        topic: "poison",
        ..Waiting::default()
    }]);
    lane.outbox
        .extend((1_000..).zip((0..3_000).map(|n| later("away", n))));
    lane
}

/// A delayed row is set aside with its aggregate; earlier ones of the aggregate, one of them for now,
/// show only then.
#[test]
fn what_waits_with_its_aggregate_for_a_dead_letter_is_read_again_wherever_it_stands() {
    let mut lane = without_dead_letters();
    lane.outbox.insert(500, of_aggregate(Some(5_000), true));
    lane.pass(2_000);
    lane.outbox.insert(400, of_aggregate(None, false));
    lane.outbox.insert(450, of_aggregate(Some(2_999), false));
    lane.pass(70_000);
    lane.settled = 100_000;
    lane.pass(10_000);
    assert_eq!(lane.outbox.len(), 3_004, "all wait");
    lane.away = &["away"];
    lane.until("the aggregate", 33_000, |lane| lane.outbox.len() == 3_000);
}

/// A delayed row waits behind one that fails for good only then.
#[test]
fn what_stood_behind_a_row_that_failed_for_good_is_read_again_wherever_it_stands() {
    let mut lane = without_dead_letters();
    lane.unheard = |row| row.aggregate == Some("one");
    lane.outbox.insert(300, of_aggregate(None, false));
    lane.outbox.insert(450, of_aggregate(Some(100), false));
    lane.settled = 100_000;
    lane.pass(10_000);
    lane.unheard = |_| false;
    lane.pass(10_000);
    assert_eq!(lane.outbox.len(), 3_003, "all wait");
    lane.away = &["away"];
    lane.until("the aggregate", 33_000, |lane| lane.outbox.len() == 3_000);
}
