//! The rows of the model, and what a page shows of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::world::{FOREVER_MS, KEYS, LANES};
use crate::decide::dead::{LetterTopic, OnDead};
use crate::decide::order::Order;
use crate::decide::reading::{PageEnd, Sighting, Writer};
use crate::decide::window::*;
use crate::event::{Judged, Lease};
use crate::outcome::{Class, Failure};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    Uncommitted,
    RolledBack,
    Waiting,
    Published {
        durable: bool,
    },
    /// It failed for good and still waits: for an operator, or for its dead letter.
    Judged {
        is_blocked: bool,
    },
    Dead,
}

pub(super) struct ModelRow {
    pub(super) at: EventRef,
    pub(super) key: u64,
    pub(super) state: RowState,
    pub(super) available_ms: Option<u64>,
    pub(super) poison: bool,
    pub(super) size: usize,
    pub(super) order: Order,
    pub(super) on_dead: OnDead,
}

impl ModelRow {
    pub(super) fn available_us(&self) -> Option<i64> {
        self.available_ms
            .map(|ms| i64::try_from(ms * 1_000).expect("the model's time is short"))
    }

    /// Its place in the order of a statement: by number alone unless it is for later.
    pub(super) fn place(&self) -> Place {
        Place {
            available_us: self.available_us().unwrap_or(i64::MIN),
            seq: self.at.seq,
        }
    }

    /// Whether it is one of now, and above the position of a range.
    pub(super) fn seq_above(&self, range: &Range) -> bool {
        self.available_ms.is_none() && self.at.seq > range.above
    }
}

/// A writer as a look sees it.
pub(super) fn writer(number: u64) -> Writer {
    Writer {
        name: format!("3/{number}"),
        xid: i64::try_from(number + 700).ok(),
    }
}

pub(super) fn place_of(range: &Range) -> Place {
    Place {
        available_us: range.since_us,
        seq: range.above,
    }
}

pub(super) fn lane_of(key: u64) -> Lane {
    Lane(i16::try_from(key).expect("keys are few") % LANES)
}

/// The last key's rows go to a topic of their own, which may be away.
pub(super) fn topic_of(key: u64) -> &'static str {
    if key == KEYS - 1 { "away" } else { "orders" }
}

pub(super) fn ordering_key(key: u64) -> OrderingKey {
    OrderingKey {
        aggregate_type: "order".to_owned(),
        aggregate_id: key.to_string(),
    }
}

pub(super) fn failure(class: Class) -> Failure {
    Failure {
        class,
        code: 1,
        reason: "injected".to_owned(),
    }
}

/// What becomes of dead rows: each of the choices for a third of the numbers.
pub(super) fn on_dead_of(number: u64) -> OnDead {
    match number % 3 {
        0 => OnDead::Table,
        1 => OnDead::Block,
        _ => OnDead::DeadLetter,
    }
}

pub(super) fn lease(lane: Lane, epoch: i64, rereads: i64) -> Lease {
    Lease {
        lane,
        epoch: Epoch(epoch),
        rereads,
    }
}

pub(super) fn policy() -> Policy {
    Policy {
        letter_topic: LetterTopic::parse("{topic}.dlq").expect("it is a template"),
        attempts_max: 0,
        backoff_min_ms: 50,
        backoff_max_ms: 2_000,
    }
}

/// A window of so many rows and bytes that holds lane 0 for good.
pub(super) fn window_of(policy: Policy, rows: usize, bytes: usize) -> Window {
    let mut window = Window::new(policy, Limits { rows, bytes }, 1);
    window.acquire(lease(Lane(0), 1, 0), FOREVER_MS, 0);
    window
}

pub(super) fn candidate(row: &ModelRow) -> Candidate {
    let judged = match row.state {
        RowState::Judged { is_blocked } => Some(Judged {
            is_blocked,
            class: "record".to_owned(),
            error: "injected".to_owned(),
            attempts: 2,
            failed_ago_ms: 10,
        }),
        RowState::Uncommitted
        | RowState::RolledBack
        | RowState::Waiting
        | RowState::Published { .. }
        | RowState::Dead => None,
    };
    Candidate {
        at: row.at,
        key: ordering_key(row.key),
        topic: Arc::from(topic_of(row.key)),
        available_us: row.available_us(),
        wait_ms: 0,
        judged,
        order: row.order,
        on_dead: row.on_dead,
        content: Ok(Record::new(
            Arc::from(topic_of(row.key)),
            0,
            None,
            Some(&vec![0; row.size]),
            0,
        )),
    }
}

pub(super) fn waiting_row(at: EventRef) -> ModelRow {
    ModelRow {
        at,
        key: 0,
        state: RowState::Waiting,
        available_ms: None,
        poison: false,
        size: 1,
        order: Order::Strict,
        on_dead: OnDead::Table,
    }
}

/// A row of an aggregate of its own.
pub(super) fn row_to(topic: &str, seq: i64) -> Candidate {
    let id = Uuid::from_u128(u128::from(seq.unsigned_abs()));
    let mut candidate = candidate(&waiting_row(EventRef { seq, id }));
    candidate.key.aggregate_id = seq.to_string();
    candidate.topic = Arc::from(topic);
    if let Ok(record) = &mut candidate.content {
        record.topic = Arc::from(topic);
    }
    candidate
}

/// Answers whatever the window asks from an outbox of one lane.
pub(super) fn serve(window: &mut Window, outbox: &BTreeMap<i64, Candidate>, now_ms: u64) {
    match window.next_ask(true, 50, now_ms) {
        Some(Ask::Sight) => window.sighted(Sighting {
            last_drawn: 5_000,
            writers: Vec::new(),
        }),
        Some(Ask::Drawn) => window.drawn(5_000),
        Some(Ask::HasDelayed) => window.delayed_told(false),
        Some(Ask::Page(read)) if matches!(read.what, What::Lanes { .. }) => {
            let range = &read.ranges[0];
            let rows: Vec<Candidate> = outbox
                .range(range.above + 1..)
                .filter(|(seq, _)| !read.skip.contains(seq))
                .take(range.rows_max)
                .map(|(&seq, row)| row_to(topic(row), seq))
                .collect();
            let last = rows.last().map(|row| row.at.seq);
            let full = last.filter(|_| rows.len() == range.rows_max);
            window.admit(
                Page {
                    ranges: vec![PageRange {
                        lane: range.lane,
                        epoch: range.epoch,
                        end: full.map_or(PageEnd::Complete, PageEnd::CutAfter),
                        rows,
                    }],
                },
                now_ms,
            );
        }
        Some(Ask::Page(_)) => {
            window.admit(Page::default(), now_ms);
        }
        None => {}
    }
}

fn topic(row: &Candidate) -> &str {
    row.content.as_ref().map_or("", |record| &record.topic)
}
