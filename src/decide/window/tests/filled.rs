//! Rows whose records come later.

use uuid::Uuid;

use super::rows::{candidate, failure, lease, policy, waiting_row, window_of};
use crate::decide::order::Order;
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::*;
use crate::outcome::{Class, Failure, Receipt};
use crate::record::Record;

/// Rows of one aggregate, of which the first waits for its record.
fn rows(order: Order) -> Vec<Candidate> {
    let row = |seq: i64| {
        let id = Uuid::from_u128(u128::from(seq.unsigned_abs()));
        let mut row = candidate(&waiting_row(EventRef { seq, id }));
        row.order = order;
        row
    };
    let mut rows: Vec<Candidate> = (1..=3).map(row).collect();
    rows[0].wait_ms = UNTIL_FILLED_MS;
    rows
}

/// Answers whatever the window asks with these rows, until it has read them.
fn show(window: &mut Window, rows: Vec<Candidate>) {
    let mut rows = Some(rows);
    while rows.is_some() {
        match window.next_ask(true, 8, 0).expect("it asks") {
            Ask::Sight => window.sighted(Sighting {
                last_drawn: 0,
                writers: Vec::new(),
            }),
            Ask::Drawn => window.drawn(0),
            Ask::HasDelayed => window.delayed_told(false),
            Ask::Page(_) => {
                let ranges = vec![PageRange {
                    lane: Lane(0),
                    epoch: Epoch(1),
                    rows: rows.take().unwrap_or_default(),
                    end: PageEnd::Complete,
                }];
                window.admit(Page { ranges }, 0);
            }
        }
    }
}

fn window_with(order: Order) -> (Window, Vec<EventRef>) {
    let mut window = window_of(policy(), 10, 10_000);
    let rows = rows(order);
    let names = rows.iter().map(|row| row.at).collect();
    show(&mut window, rows);
    (window, names)
}

fn record(value: &str) -> Record {
    Record::new(Arc::from("t"), 0, None, Some(value.as_bytes()), 0)
}

/// Which row flies next, with which value.
fn next(window: &mut Window, now_ms: u64) -> Option<(EventRef, Vec<u8>)> {
    let next = window.next(now_ms)?;
    Some((next.at, next.record.value().unwrap_or_default().to_vec()))
}

#[test]
fn a_row_without_its_record_holds_its_aggregate_back_and_flies_with_what_it_is_filled_with() {
    for order in [Order::Strict, Order::Pipelined] {
        let (mut window, names) = window_with(order);
        let years_ms = 1 << 40;
        assert_eq!(
            next(&mut window, years_ms),
            None,
            "{order}: whatever time passes"
        );
        window.fill(names[0], Some(Ok(record("made"))), years_ms);
        let first = next(&mut window, years_ms);
        assert_eq!(first, Some((names[0], b"made".to_vec())), "{order}");
        window.report(names[0], Ok(Receipt::from_delivery_report(0, 0)), years_ms);
        assert_eq!(
            next(&mut window, years_ms).map(|(at, _)| at),
            Some(names[1])
        );
    }
}

#[test]
fn without_order_nobody_waits_for_a_record_that_is_made() {
    let (mut window, names) = window_with(Order::None);
    let flown = [next(&mut window, 1), next(&mut window, 1)].map(|next| next.map(|(at, _)| at));
    assert_eq!(flown, [Some(names[1]), Some(names[2])]);
    assert_eq!(next(&mut window, 1), None);
    window.fill(names[0], Some(Ok(record("made"))), 2);
    assert_eq!(next(&mut window, 2), Some((names[0], b"made".to_vec())));
}

#[test]
fn a_row_that_can_have_no_record_is_dead_and_its_aggregate_goes_on_once_that_is_written() {
    let (mut window, names) = window_with(Order::Strict);
    let why = Failure::from(crate::outcome::Defect::new("unprintable"));
    window.fill(names[0], Some(Err(why)), 1);
    assert_eq!(next(&mut window, 1), None);
    let burials = window.take_burials();
    assert_eq!(burials.len(), 1);
    assert_eq!(burials[0].at, names[0]);
    window.buried(names[0], 1);
    assert_eq!(next(&mut window, 1).map(|(at, _)| at), Some(names[1]));
}

#[test]
fn a_row_that_is_gone_leaves_its_place_to_the_next() {
    let (mut window, names) = window_with(Order::Strict);
    window.fill(names[0], None, 1);
    assert_eq!(window.census().rows, 2);
    assert_eq!(next(&mut window, 1).map(|(at, _)| at), Some(names[1]));
    let (mut lone, names) = window_with(Order::Strict);
    for at in &names {
        lone.fill(*at, None, 1);
    }
    assert_eq!(lone.census().rows, 2, "the others wait for no record");
}

#[test]
fn a_record_for_a_row_that_waits_for_none_changes_nothing() {
    let (mut window, names) = window_with(Order::Strict);
    let stranger = EventRef { seq: 9, ..names[0] };
    window.fill(stranger, Some(Ok(record("x"))), 1);
    window.fill(names[1], Some(Ok(record("x"))), 1);
    assert_eq!(next(&mut window, 1), None);
    window.fill(names[0], Some(Ok(record("first"))), 1);
    window.fill(names[0], Some(Ok(record("second"))), 1);
    assert_eq!(next(&mut window, 1), Some((names[0], b"first".to_vec())));
    window.fill(names[0], None, 1);
    window.report(names[0], Err(failure(Class::Transient)), 1);
    window.fill(names[0], Some(Ok(record("third"))), 2);
    let again = next(&mut window, 1 << 40);
    assert_eq!(
        again,
        Some((names[0], b"first".to_vec())),
        "a retry is no wait for a record"
    );
}

#[test]
fn a_row_of_a_lost_lane_is_filled_no_more_and_is_read_again() {
    let (mut window, names) = window_with(Order::Strict);
    window.lose(Lane(0), 1);
    window.fill(names[0], Some(Ok(record("late"))), 1);
    assert_eq!(next(&mut window, 1), None);
    assert_eq!(window.census().rows, 0);
    window.acquire(lease(Lane(0), 2, 0), 1 << 41, 2);
    assert!(window.next_ask(true, 8, 2).is_some());
}
