//! When a page in vain is asked for again.

use std::collections::BTreeMap;

use super::rows::{policy, row_to, serve, window_of};
use crate::decide::window::*;
use crate::outcome::Receipt;

/// All rows are of one topic, which has half of the window and no report yet.
#[test]
fn a_page_in_vain_is_not_asked_for_again_until_something_lands() {
    let outbox: BTreeMap<i64, Candidate> = (1..=500).map(|seq| (seq, row_to("t", seq))).collect();
    let mut window = window_of(policy(), 100, 10_000_000);
    let mut flying = Vec::new();
    for now_ms in 0..100 {
        serve(&mut window, &outbox, now_ms);
        flying.extend(std::iter::from_fn(|| {
            window.next(now_ms).map(|next| next.at)
        }));
    }
    assert_eq!(flying.len(), 50, "half of the window");
    assert!(window.is_stuck());
    assert!(!window.has_more());
    let ask = window.next_ask(false, 50, 101);
    assert!(!ask.is_some_and(|ask| ask.is_poll()), "the pace decides");

    let receipt = Receipt::from_delivery_report(0, 0);
    window.report(flying[0], Ok(receipt), 102);
    assert!(window.has_more(), "at once, whatever the pace");
    for now_ms in 103..110 {
        serve(&mut window, &outbox, now_ms);
    }
    assert_eq!(window.census().rows, 100, "the topic flows");
}
