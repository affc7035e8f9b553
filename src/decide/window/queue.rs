//! The rows of one aggregate on their way to one topic, under one order.
//!
//! Owns which of them may fly next. Knows neither room nor lanes nor time.
//!
//! Invariants:
//! - parked rows stand in `seq` order, and a row that failed stands before all that follow it;
//! - in strict order at most one row is unconfirmed; in pipelined order nothing is handed over
//!   between a failure and the last outstanding report;
//! - a row that is tried alone, or is about to be declared dead, has no flying neighbour;
//! - where order is none, none of this holds, and rows do not wait for each other.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::decide::dead::OnDead;
use crate::decide::order::Order;
use crate::event::{EventRef, Lane};
use crate::outcome::{Failure, Judgement};
use crate::record::Record;

/// One row that is held. It stays where it is from its page to its outcome.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) at: EventRef,
    /// What becomes of it if it fails for good.
    pub(super) on_dead: OnDead,
    /// The record, or why there can be none.
    pub(super) content: Result<Record, Failure>,
    /// Failures so far that count towards the back-off.
    pub(super) failures: u32,
    /// Refusals that were about this row and nothing else.
    pub(super) attempts: u32,
    /// When the first of them came, in boot milliseconds.
    pub(super) first_failed_ms: Option<u64>,
    /// It failed for good: what flies is its dead letter.
    pub(super) sentence: Option<Box<Sentence>>,
    /// Must fly alone: its last failure may have been a neighbour's fault, or it is a dead letter.
    pub(super) alone: bool,
    /// Not to fly before this boot time, in milliseconds.
    pub(super) due_ms: u64,
}

/// That a row failed for good, and where its dead letter goes.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) judgement: Judgement,
    pub(super) letter_topic: Arc<str>,
    /// The outbox says so too.
    pub(super) is_written: bool,
}

/// The rows of one aggregate to one topic, under one order.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) lane: Lane,
    pub(super) key: usize,
    pub(super) topic: Arc<str>,
    /// Since when it is listed: 0 in its lane's ready list, otherwise when its wait ends.
    pub(super) listed_ms: Option<u64>,
    pub(super) order: Order,
    parked: VecDeque<Box<Row>>,
    flying: usize,
    /// Nothing flies until all that fly have reported.
    holding: bool,
    burying: bool,
}

impl Queue {
    pub(super) fn new(lane: Lane, key: usize, topic: Arc<str>, order: Order) -> Self {
        Self {
            lane,
            key,
            topic,
            listed_ms: None,
            order,
            parked: VecDeque::new(),
            flying: 0,
            holding: false,
            burying: false,
        }
    }

    /// Parks a row at its place: by `seq`, or by when it is due where rows do not wait for each
    /// other.
    pub(super) fn park(&mut self, row: Box<Row>) {
        let unordered = self.order == Order::None;
        let rank = |row: &Row| (if unordered { row.due_ms } else { 0 }, row.at.seq);
        let place = self
            .parked
            .partition_point(|parked| rank(parked) < rank(&row));
        self.parked.insert(place, row);
    }

    /// Takes a parked row out, if it is such a one.
    pub(super) fn take(
        &mut self,
        at: EventRef,
        is_such: impl Fn(&Row) -> bool,
    ) -> Option<Box<Row>> {
        let place = self.parked.iter().position(|row| row.at == at)?;
        is_such(&self.parked[place])
            .then(|| self.parked.remove(place))
            .flatten()
    }

    /// When the head may fly (boot milliseconds), or `None` if something else must happen first.
    pub(super) fn head_due_ms(&self) -> Option<u64> {
        let head = self.parked.front()?;
        let solitary = self.order == Order::Strict || head.alone || head.content.is_err();
        let clear = !self.burying && !self.holding && (self.flying == 0 || !solitary);
        (clear || self.order == Order::None).then_some(head.due_ms)
    }

    /// Keeps the head from flying before this boot time, in milliseconds.
    pub(super) fn hold_until(&mut self, due_ms: u64) {
        if let Some(head) = self.parked.front_mut() {
            head.due_ms = head.due_ms.max(due_ms);
        }
    }

    /// Takes the head, which `head_due_ms` allowed to fly.
    pub(super) fn take_head(&mut self) -> Option<Box<Row>> {
        let row = self.parked.pop_front()?;
        if row.content.is_err() {
            self.burying = true;
        } else {
            self.flying += 1;
            self.holding |= row.alone;
        }
        Some(row)
    }

    /// A flying row was confirmed.
    pub(super) fn land(&mut self) {
        self.flying -= 1;
        self.holding &= self.flying > 0;
    }

    /// A flying row failed: in order, nothing flies until all that fly have reported.
    pub(super) fn fail(&mut self) {
        self.flying -= 1;
        self.holding = self.flying > 0;
    }

    /// It is being written what becomes of a row that flies no more.
    pub(super) fn bury(&mut self) {
        self.burying = true;
    }

    /// The dead row is written, or is no longer ours to write.
    pub(super) fn buried(&mut self) {
        self.burying = false;
    }

    /// Forgets every parked row; what flies still reports.
    pub(super) fn drop_parked(&mut self) -> VecDeque<Box<Row>> {
        std::mem::take(&mut self.parked)
    }
}
