//! Whose turn it is to be asked, where an answer takes longer than the time between two asks.

use super::rows::{ModelRow, candidate, policy, waiting_row, window_of};
use crate::decide::reading::{PageEnd, Sighting, Writer};
use crate::decide::window::*;
use crate::outcome::Receipt;

/// What each answer takes: longer than the time between two looks of any kind.
const ANSWER_MS: u64 = 500;
const ASKS: usize = 40;

fn window() -> Window {
    let mut window = window_of(policy(), 40, 10_000);
    window.synced(0, 1);
    window
}

/// How many of so many asks are polls of the lanes; `writers` are seen at each look, and a page
/// has the rows that `rows` makes of its read and of the last number published.
fn polls(writers: &[&str], mut rows: impl FnMut(&Read, i64) -> Vec<ModelRow>) -> usize {
    let mut window = window();
    let (mut polls, mut published) = (0, 0);
    for turn in 1..=ASKS {
        let now_ms = u64::try_from(turn).expect("turns are few") * ANSWER_MS;
        let ask = window.next_ask(true, 8, now_ms).expect("something is due");
        polls += usize::from(ask.is_poll());
        let shown = match &ask {
            Ask::Page(read) => rows(read, published),
            Ask::Sight | Ask::Drawn | Ask::HasDelayed => Vec::new(),
        };
        answer(&mut window, &ask, (1_000_000, writers), &shown, now_ms);
        published = publish_all(&mut window, now_ms).unwrap_or(published);
    }
    polls
}

/// Answers what was asked: the last number drawn and who writes, or a page of these rows.
fn answer(
    window: &mut Window,
    ask: &Ask,
    (last_drawn, writers): (i64, &[&str]),
    rows: &[ModelRow],
    now_ms: u64,
) {
    match ask {
        Ask::Sight => window.sighted(Sighting {
            last_drawn,
            writers: writers
                .iter()
                .map(|&name| Writer {
                    name: name.to_owned(),
                    xid: None,
                })
                .collect(),
        }),
        Ask::Drawn => window.drawn(last_drawn),
        Ask::HasDelayed => window.delayed_told(false),
        Ask::Page(_) => {
            let last = rows.last();
            let range = PageRange {
                lane: Lane(0),
                epoch: Epoch(1),
                end: last.map_or(PageEnd::Complete, |row| PageEnd::CutAfter(row.at.seq)),
                rows: rows.iter().map(candidate).collect(),
            };
            let ranges = vec![range];
            window.admit(Page { ranges }, now_ms);
        }
    }
}

/// Kafka and the marks are quick; returns the last number.
fn publish_all(window: &mut Window, now_ms: u64) -> Option<i64> {
    let mut last = None;
    while let Some(at) = window.next(now_ms).map(|flight| flight.at) {
        let receipt = Receipt::from_delivery_report(0, 0);
        window.report(at, Ok(receipt), now_ms);
        last = Some(at.seq);
    }
    while window.take_marks(0, 100).is_some() {
        window.marked(0, now_ms);
    }
    last
}

#[test]
fn a_transaction_that_stays_open_keeps_no_poll_from_its_turn() {
    assert!(polls(&["3/1"], |_, _| Vec::new()) >= ASKS / 2 - 1);
}

#[test]
fn rows_for_later_that_are_looked_for_slowly_keep_no_poll_from_its_turn() {
    assert!(polls(&[], |_, _| Vec::new()) >= ASKS / 2 - 1);
}

/// One key has more rows than its share, always.
#[test]
fn a_hot_key_that_is_read_slowly_keeps_no_poll_from_its_turn() {
    let mut of_key = 0;
    let count = polls(&[], |read, published| {
        of_key += usize::from(matches!(read.what, What::Key(_)));
        let spilled = match &read.what {
            What::Lanes { spilled } => !spilled.is_empty(),
            What::Key(_) => false,
            What::Delayed | What::Late => true,
        };
        let first = published.max(read.ranges[0].above) + 1;
        let rows = (first..first + 20).map(row);
        if spilled { Vec::new() } else { rows.collect() }
    });
    assert!(of_key > ASKS / 4, "read on its own {of_key} times");
    assert!(count >= ASKS / 2 - 1, "{count} polls");
}

fn row(seq: i64) -> ModelRow {
    waiting_row(EventRef {
        seq,
        id: uuid::Uuid::from_u128(u128::from(seq.unsigned_abs())),
    })
}

#[test]
fn a_window_at_rest_asks_for_the_last_number_alone_and_polls_once_that_moves() {
    let mut window = window();
    let look = |window: &mut Window, last_drawn, now_ms| {
        let ask = window.next_ask(true, 8, now_ms).expect("something is due");
        answer(window, &ask, (last_drawn, &[]), &[], now_ms);
        ask
    };
    let mut now_ms = 0;
    while look(&mut window, 10, now_ms) != Ask::Drawn {
        now_ms += 1;
        assert!(now_ms < 1_000, "it comes to rest");
    }
    // Delayed rows have looks of their own; what follows comes before the next of them.
    assert_eq!(look(&mut window, 11, now_ms), Ask::Drawn);
    assert!(window.has_more(), "a number was drawn");
    let polled = (0..3).any(|_| {
        let ask = look(&mut window, 11, now_ms);
        matches!(ask, Ask::Page(read) if matches!(read.what, What::Lanes { .. }))
    });
    assert!(polled, "the lanes are polled at once");
}

/// Where there are none, the question is all they cost; otherwise the page follows at once.
#[test]
fn a_window_at_rest_looks_for_delayed_rows_only_where_there_are_some() {
    for has_delayed in [false, true] {
        let mut window = window();
        let (mut questions, mut looks) = (0, 0);
        for now_ms in (0..10_000).step_by(10) {
            let ask = window.next_ask(true, 8, now_ms).expect("something is due");
            answer(&mut window, &ask, (10, &[]), &[], now_ms);
            if now_ms < 1_000 {
                continue;
            }
            if ask == Ask::HasDelayed {
                questions += 1;
                window.delayed_told(has_delayed);
            }
            looks +=
                usize::from(matches!(ask, Ask::Page(read) if matches!(read.what, What::Delayed)));
        }
        let expected = if has_delayed { 40..50 } else { 9..12 };
        assert!(expected.contains(&questions), "{questions}");
        assert_eq!(looks, if has_delayed { questions } else { 0 });
    }
}

/// A row for later is the only reason for the question, and it draws a number.
#[test]
fn once_a_number_is_drawn_delayed_rows_are_looked_for_as_soon_as_ever() {
    for drawn_ms in (2_000..3_000).step_by(50) {
        let mut window = window();
        let looked = (0..drawn_ms + 250).step_by(10).filter(|&now_ms| {
            let last_drawn = if now_ms < drawn_ms { 10 } else { 11 };
            let Some(ask) = window.next_ask(true, 8, now_ms) else {
                return false;
            };
            answer(&mut window, &ask, (last_drawn, &[]), &[], now_ms);
            match ask {
                Ask::HasDelayed => now_ms >= drawn_ms,
                Ask::Page(read) => now_ms >= drawn_ms && matches!(read.what, What::Delayed),
                Ask::Sight | Ask::Drawn => false,
            }
        });
        assert!(looked.count() > 0, "for a number of {drawn_ms}");
    }
}
