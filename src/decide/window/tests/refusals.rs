//! Refusals, counted against a bound: whose fault each of them was.

use super::rows::{failure, policy, row_to, window_of};
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::*;
use crate::outcome::{Class, Receipt};

/// A window that holds rows of a topic, each of another aggregate; one refusal is enough.
fn window_with(rows: i64) -> Window {
    let policy = Policy {
        attempts_max: 1,
        ..policy()
    };
    let mut window = window_of(policy, 100, 1_000_000);
    assert_eq!(window.next_ask(true, 50, 0), Some(Ask::Sight));
    window.sighted(Sighting {
        last_drawn: rows,
        writers: Vec::new(),
    });
    let ranges = vec![PageRange {
        lane: Lane(0),
        epoch: Epoch(1),
        rows: (1..=rows).map(|seq| row_to("t", seq)).collect(),
        end: PageEnd::Complete,
    }];
    while !matches!(window.next_ask(true, 50, 0), Some(Ask::Page(read)) if matches!(read.what, What::Lanes { .. }))
    {
        window.admit(Page::default(), 0);
    }
    window.admit(Page { ranges }, 0);
    window
}

/// All that may fly now, and whether alone.
fn flights(window: &mut Window, now_ms: u64) -> Vec<(EventRef, bool)> {
    std::iter::from_fn(|| window.next(now_ms).map(|next| (next.at, next.alone))).collect()
}

#[test]
fn a_refusal_of_a_whole_batch_is_enough_for_none_of_it() {
    let mut window = window_with(3);
    for (at, alone) in flights(&mut window, 0) {
        assert!(!alone);
        window.report(at, Err(failure(Class::Record)), 0);
    }
    assert_eq!(window.take_burials(), []);
    let again = flights(&mut window, 0);
    assert_eq!(again.len(), 3, "at once");
    for (at, alone) in again {
        assert!(alone);
        let is_bad = at.seq == 2;
        let receipt = Receipt::from_delivery_report(0, 0);
        let report = if is_bad {
            Err(failure(Class::Record))
        } else {
            Ok(receipt)
        };
        window.report(at, report, 0);
    }
    let buried: Vec<i64> = window.take_burials().iter().map(|b| b.at.seq).collect();
    assert_eq!(buried, [2]);
}

#[test]
fn a_failure_while_others_of_the_topic_are_taken_is_enough() {
    let mut window = window_with(2);
    let both = flights(&mut window, 0);
    window.report(both[0].0, Ok(Receipt::from_delivery_report(0, 0)), 0);
    window.report(both[1].0, Err(failure(Class::Transient)), 0);
    assert_eq!(window.take_burials().len(), 1);
}
