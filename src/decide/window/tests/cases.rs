//! Single cases that random schedules meet too seldom.

use uuid::Uuid;

use super::rows::{
    ModelRow, candidate, failure, lease, policy, row_to, serve, waiting_row, window_of,
};
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::*;
use crate::outcome::{Class, Receipt};

/// A window that holds lane 0 and has read, sent, confirmed and marked row 1.
fn window_with_a_marked_row() -> (Window, EventRef) {
    let mut window = window_of(policy(), 10, 10_000);
    window.synced(0, 1);
    let row = waiting_row(EventRef {
        seq: 1,
        id: Uuid::from_u128(1),
    });
    show(&mut window, &row);
    assert!(window.next(0).is_some_and(|flight| flight.at == row.at));
    window.report(row.at, Ok(Receipt::from_delivery_report(0, 0)), 0);
    assert_eq!(window.take_marks(0, 10), Some(&[row.at][..]));
    window.marked(0, 0);
    (window, row.at)
}

/// Answers the next poll with this row.
fn show(window: &mut Window, row: &ModelRow) {
    let mut ask = window.next_ask(true, 8, 0);
    while !matches!(&ask, Some(Ask::Page(read)) if matches!(read.what, What::Lanes { .. })) {
        match ask {
            Some(Ask::Sight) => window.sighted(Sighting {
                last_drawn: 0,
                writers: Vec::new(),
            }),
            Some(Ask::Drawn) => window.drawn(0),
            Some(Ask::HasDelayed) => window.delayed_told(false),
            Some(Ask::Page(_)) => {
                window.admit(Page::default(), 0);
            }
            None => panic!("nothing asked"),
        }
        ask = window.next_ask(true, 8, 0);
    }
    answer(window, row);
}

fn answer(window: &mut Window, row: &ModelRow) {
    let range = PageRange {
        lane: Lane(0),
        epoch: Epoch(1),
        rows: vec![candidate(row)],
        end: PageEnd::Complete,
    };
    window.admit(
        Page {
            ranges: vec![range],
        },
        0,
    );
}

#[test]
fn a_mark_that_a_crash_took_back_is_marked_again_and_not_sent() {
    let (mut window, at) = window_with_a_marked_row();
    window.void_reading(0);
    show(&mut window, &waiting_row(at));
    assert!(window.next(0).is_none());
    assert_eq!(window.take_marks(0, 10), Some(&[at][..]));
}

#[test]
fn a_commit_on_a_newer_session_proves_no_mark_durable() {
    let (mut window, at) = window_with_a_marked_row();
    window.synced(window.marks_committed(), 2);
    assert_eq!(window.take_marks(0, 10), Some(&[at][..]));
    window.marked(0, 0);
    window.synced(window.marks_committed(), 2);
    assert_eq!(window.census().remembered, 0);
}

#[test]
fn a_durable_mark_that_someone_reset_is_sent_again() {
    let (mut window, at) = window_with_a_marked_row();
    window.synced(window.marks_committed(), 1);
    window.void_reading(0);
    show(&mut window, &waiting_row(at));
    assert!(window.next(0).is_some());
}

/// A page is asked for in a new session, then its row's mark commits: the page shows it unpublished.
fn assert_an_older_page_is_seen_through(meanwhile: impl FnOnce(&mut Window)) {
    let mut window = window_of(policy(), 10, 10_000);
    window.synced(0, 1);
    let row = waiting_row(EventRef {
        seq: 1,
        id: Uuid::from_u128(1),
    });
    show(&mut window, &row);
    assert!(window.next(0).is_some());
    window.report(row.at, Ok(Receipt::from_delivery_report(0, 0)), 0);
    assert!(window.take_marks(0, 10).is_some());
    window.void_reading(0);
    let mut ask = window.next_ask(true, 8, 0);
    while !matches!(&ask, Some(Ask::Page(read)) if matches!(read.what, What::Lanes { .. })) {
        match ask {
            Some(Ask::Sight) => window.sighted(Sighting {
                last_drawn: 0,
                writers: Vec::new(),
            }),
            _ => {
                window.admit(Page::default(), 0);
            }
        }
        ask = window.next_ask(true, 8, 0);
    }
    window.marked(0, 0);
    meanwhile(&mut window);
    answer(&mut window, &row);
    assert!(
        window.next(0).is_none(),
        "the statement began before the mark"
    );
    assert!(window.take_marks(0, 10).is_none());
}

#[test]
fn a_page_older_than_a_mark_does_not_bring_its_row_back() {
    assert_an_older_page_is_seen_through(|_| {});
}

#[test]
fn nor_does_it_where_the_mark_has_become_durable_meanwhile() {
    assert_an_older_page_is_seen_through(|window| window.synced(window.marks_committed(), 1));
}

#[test]
fn a_hot_key_cannot_fill_the_window() {
    let mut window = window_of(policy(), 800, 10_000_000);
    for seq in 1..=400_i64 {
        let id = Uuid::from_u128(u128::from(seq.unsigned_abs()));
        show(&mut window, &waiting_row(EventRef { seq, id }));
    }
    assert!(window.census().rows <= 100, "{:?}", window.census());
    assert_eq!(window.census().spilled_keys, 1);
}

#[test]
fn nothing_flies_once_the_lease_is_too_short_for_a_delivery() {
    let limits = Limits {
        rows: 10,
        bytes: 10_000,
    };
    let mut window = Window::new(policy(), limits, 1);
    window.acquire(lease(Lane(0), 1, 0), 100, 0);
    let id = Uuid::from_u128(1);
    show(&mut window, &waiting_row(EventRef { seq: 1, id }));
    assert!(window.next(100).is_none());
    window.renew(Lane(0), Epoch(1), 200, 150);
    assert!(window.next(150).is_some());
}

#[test]
fn a_topic_that_is_away_cannot_keep_another_from_flowing() {
    let mut outbox: BTreeMap<i64, Candidate> = (1..=5_000)
        .map(|seq| {
            (
                seq,
                row_to(if seq > 4_900 { "orders" } else { "away" }, seq),
            )
        })
        .collect();
    let mut window = window_of(policy(), 100, 10_000_000);
    let mut delivered = Vec::new();
    let mut is_away = true;
    for now_ms in (0..400_000).step_by(7) {
        serve(&mut window, &outbox, now_ms);
        let answer = is_away.then_some(Class::Transient);
        fly(&mut window, answer, now_ms, &mut delivered);
        if let Some(marks) = window.take_marks(0, 1_000) {
            outbox.retain(|_, row| !marks.contains(&row.at));
            window.marked(0, now_ms);
        }
        is_away &= delivered.len() < 100;
    }
    assert!(delivered[..100].iter().all(|&seq| seq > 4_900));
    assert_eq!(
        delivered.len(),
        5_000,
        "what was passed over flows once the topic is back"
    );
}

/// A client whose queue takes five records at a time.
#[test]
fn a_client_without_room_is_offered_all_again_and_no_refusal_counts_as_a_try() {
    let policy = Policy {
        attempts_max: 1,
        ..policy()
    };
    let mut window = window_of(policy, 20, 10_000_000);
    let mut left: BTreeMap<_, _> = (1..=200).map(|seq| (seq, row_to("t", seq))).collect();
    let mut delivered = Vec::new();
    for now_ms in 0..2_000 {
        serve(&mut window, &left, now_ms);
        let mut flights = Vec::new();
        while let Some(at) = window.next(now_ms).map(|next| next.at) {
            if flights.len() == 5 {
                window.report(at, Err(failure(Class::BackPressure)), now_ms);
                break;
            }
            flights.push(at);
        }
        for at in flights {
            delivered.push(at.seq);
            window.report(at, Ok(Receipt::from_delivery_report(0, 0)), now_ms);
        }
        if let Some(marks) = window.take_marks(0, 1_000) {
            left.retain(|_, row| !marks.contains(&row.at));
            window.marked(0, now_ms);
        }
    }
    assert!(window.take_burials().is_empty());
    delivered.sort_unstable();
    assert_eq!(delivered, (1..=200).collect::<Vec<i64>>(), "each once");
}

/// Reports all that flies: what goes to the topic that is away has this answer. Returns how much
/// of it flew.
fn fly(window: &mut Window, answer: Option<Class>, now_ms: u64, delivered: &mut Vec<i64>) -> usize {
    let mut flights = Vec::new();
    while let Some(next) = window.next(now_ms) {
        flights.push((next.at, &*next.record.topic == "away"));
    }
    let away = flights.iter().filter(|(_, away)| *away).count();
    for (at, is_away) in flights {
        let report = if let Some(class) = answer.filter(|_| is_away) {
            Err(failure(class))
        } else {
            delivered.push(at.seq);
            Ok(Receipt::from_delivery_report(0, 0))
        };
        window.report(at, report, now_ms);
    }
    away
}

#[test]
fn a_topic_that_refuses_has_one_probe_and_all_follow_in_order_once_it_is_taken() {
    let mut outbox: BTreeMap<i64, Candidate> =
        (1..=3_000).map(|seq| (seq, row_to("away", seq))).collect();
    let mut window = window_of(policy(), 100, 10_000_000);
    let (mut delivered, mut flown_ms, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    for now_ms in (0..1_000_000).step_by(9) {
        serve(&mut window, &outbox, now_ms);
        let answer = (now_ms < 400_000).then_some(Class::Topic);
        let flew = fly(&mut window, answer, now_ms, &mut delivered);
        flown_ms.extend(std::iter::repeat_n(now_ms, flew));
        notices.extend(window.take_notices());
        if let Some(marks) = window.take_marks(0, 1_000) {
            outbox.retain(|_, row| !marks.contains(&row.at));
            window.marked(0, now_ms);
        }
        if (1_000..400_000).contains(&now_ms) {
            assert_eq!(window.census().rows, 1, "the probe alone is held");
            assert_eq!(window.circuits(now_ms).len(), 1);
        }
    }
    let probes: Vec<u64> = flown_ms
        .iter()
        .copied()
        .filter(|ms| (1_000..400_000).contains(ms))
        .collect();
    let longest_ms = probes.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!((10..40).contains(&probes.len()), "{probes:?}");
    assert!(
        longest_ms.is_some_and(|ms| (10_000..=30_009).contains(&ms)),
        "{probes:?}"
    );
    assert_eq!(delivered.len(), 3_000);
    assert!(delivered.is_sorted(), "in the order of the outbox");
    assert!(
        matches!(notices.as_slice(), [Notice::Opened(..), Notice::Closed(_)]),
        "{notices:?}"
    );
}
