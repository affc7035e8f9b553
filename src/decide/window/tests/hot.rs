//! The pace of a key that fills its share, whose round trips others pay for.

use super::rows::{policy, row_to, window_of};
use crate::decide::order::Order;
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::flight::HOT_PACE_MS;
use crate::decide::window::*;
use crate::outcome::Receipt;

/// Rows that are shown: half of them are one key's.
const ROWS: i64 = 400;
/// How long records are taken and confirmed at once, in milliseconds.
const TIME_MS: u64 = 20;

/// How many rows of the one key are delivered where the page that showed them ended so.
fn delivered(order: Order, end: PageEnd) -> usize {
    let mut window = window_of(policy(), 1_000, 10_000_000);
    let rows = (1..=ROWS).map(|seq| {
        let mut row = row_to("t", seq);
        row.order = order;
        if seq % 2 == 0 {
            row.key.aggregate_id = "hot".to_owned();
        }
        row
    });
    let rows = rows.collect();
    let mut ask = window.next_ask(true, 1_000, 0);
    while ask == Some(Ask::Sight) {
        window.sighted(Sighting {
            last_drawn: ROWS,
            writers: Vec::new(),
        });
        ask = window.next_ask(true, 1_000, 0);
    }
    let range = PageRange {
        lane: Lane(0),
        epoch: Epoch(1),
        rows,
        end,
    };
    window.admit(
        Page {
            ranges: vec![range],
        },
        0,
    );
    assert_eq!(window.census().spilled_keys, 1);
    let mut delivered = 0;
    for now_ms in 0..TIME_MS {
        while let Some(at) = window.next(now_ms).map(|next| next.at) {
            delivered += usize::from(at.seq % 2 == 0);
            window.report(at, Ok(Receipt::from_delivery_report(0, 0)), now_ms);
        }
    }
    delivered
}

#[test]
fn while_others_wait_a_key_that_fills_its_share_flies_at_a_pace() {
    let times = TIME_MS / HOT_PACE_MS;
    let found = delivered(Order::Strict, PageEnd::CutAfter(ROWS));
    assert_eq!(u64::try_from(found), Ok(times));
}

#[test]
fn while_none_wait_it_flies_as_fast_as_it_lands() {
    assert!(delivered(Order::Strict, PageEnd::Complete) > 50);
}

/// Its rows share batches.
#[test]
fn nor_is_a_key_held_back_whose_rows_fly_together() {
    assert!(delivered(Order::Pipelined, PageEnd::CutAfter(ROWS)) > 50);
}
