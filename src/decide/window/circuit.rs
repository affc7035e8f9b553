//! Circuits: topics that take nothing. Their rows wait in the outbox, but for a probe, so that rows
//! of other topics flow, however many there are.
//!
//! Owns which circuits are open, their probes, and from where each lane must read again when one
//! closes. Knows no codes: a class says whether a topic refuses until somebody acts.
//!
//! A circuit opens when a topic refuses a record until an operator acts; one row stays as its probe
//! and is tried again with growing pauses. It opens too when a topic that merely fails holds half
//! of the window; then what it holds stays in flight.
//!
//! Invariants:
//! - while a circuit is open none of its topic's rows is taken in, so nothing overtakes what was
//!   passed over;
//! - it closes only while no statement is under way, and then every lane reads again from the
//!   first row that it passed over.

use std::collections::HashSet;
use std::sync::Arc;

use super::Window;
use super::queue::Row;
use crate::decide::backoff;
use crate::event::{EventRef, Lane};
use crate::outcome::Failure;

/// A crowded topic waits for this long at least, in milliseconds: to close costs a reading.
const CROWDED_MS: u64 = 1_000;
/// The first probe of a topic that refuses comes about this long after the refusal, in milliseconds.
const PROBE_MIN_MS: u64 = 250;
/// Probes are at most this far apart, in milliseconds.
const PROBE_MAX_MS: u64 = 30_000;

/// A topic that takes nothing.
#[derive(Debug)]
pub(super) struct Circuit {
    since_ms: u64,
    /// Why, where the topic refuses; it merely fails otherwise, and is crowded.
    refusal: Option<Failure>,
    probe: Option<EventRef>,
    probes: u32,
    /// When the probe flies again, or may be another row.
    due_ms: u64,
    /// A record of it was confirmed since.
    proven: bool,
}

impl Circuit {
    fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            refusal: None,
            probe: None,
            probes: 0,
            due_ms: now_ms + CROWDED_MS,
            proven: false,
        }
    }

    /// When this row is the probe again; none if another row is.
    pub(super) fn turn_of(&self, at: EventRef) -> Option<u64> {
        (self.probe == Some(at)).then_some(self.due_ms)
    }
}

/// An open circuit, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitView {
    /// The topic.
    pub topic: Arc<str>,
    /// For how long it has been open, in milliseconds.
    pub open_ms: u64,
    /// Why, where the topic refuses records; otherwise it holds half of the window and fails.
    pub refusal: Option<Failure>,
}

/// What an operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A topic takes nothing, and its rows wait.
    Opened(Arc<str>, Failure),
    /// The topic takes records again, or has to show anew whether it does.
    Closed(Arc<str>),
}

impl Window {
    /// The circuits that are open.
    pub fn circuits(&self, now_ms: u64) -> Vec<CircuitView> {
        let view = |(topic, circuit): (&Arc<str>, &Circuit)| CircuitView {
            topic: Arc::clone(topic),
            open_ms: now_ms.saturating_sub(circuit.since_ms),
            refusal: circuit.refusal.clone(),
        };
        self.circuits.iter().map(view).collect()
    }

    /// What happened since it was last asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Passes a row over because its topic takes nothing.
    pub(super) fn pass_over(&mut self, lane: Lane, topic: &Arc<str>, seq: i64, now_ms: u64) {
        self.circuits
            .entry(Arc::clone(topic))
            .or_insert_with(|| Circuit::new(now_ms));
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.pass_over(topic, seq);
        }
    }

    /// A topic refused a record until an operator acts. Returns when that record is tried again as
    /// the probe, or nothing if another one is.
    pub(super) fn trip(
        &mut self,
        topic: &Arc<str>,
        at: EventRef,
        failure: &Failure,
        now_ms: u64,
    ) -> Option<u64> {
        let circuit = self
            .circuits
            .entry(Arc::clone(topic))
            .or_insert_with(|| Circuit::new(now_ms));
        if circuit.probe.is_some_and(|probe| probe != at) {
            return None;
        }
        let seed = at.id.as_u64_pair().1;
        circuit.probe = Some(at);
        self.probes.insert(at);
        circuit.probes += 1;
        circuit.due_ms =
            now_ms + backoff::delay_ms(circuit.probes, seed, PROBE_MIN_MS, PROBE_MAX_MS);
        circuit.proven = false;
        let due_ms = circuit.due_ms;
        if circuit.refusal.replace(failure.clone()).is_none() {
            self.notices
                .push(Notice::Opened(Arc::clone(topic), failure.clone()));
            self.pass_over_parked(topic, now_ms);
        }
        Some(due_ms)
    }

    /// Leaves all parked rows of a topic to wait in the outbox.
    fn pass_over_parked(&mut self, topic: &Arc<str>, now_ms: u64) {
        let queues: HashSet<usize> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.topic == *topic)
            .map(|(id, _)| id)
            .collect();
        self.waiting.retain(|(_, queue)| !queues.contains(queue));
        for book in self.lanes.values_mut() {
            book.ready.retain(|queue| !queues.contains(queue));
        }
        for queue_id in queues {
            let queue = &mut self.queues[queue_id];
            queue.listed_ms = None;
            let lane = queue.lane;
            for row in queue.drop_parked() {
                self.pass_over(lane, topic, row.at.seq, now_ms);
                self.close(row.at, now_ms);
            }
        }
    }

    /// Leaves a failed row, which flies no more, and all that waits behind it, to the outbox.
    pub(super) fn evict(&mut self, queue_id: usize, failed: &Row, now_ms: u64) {
        let queue = &mut self.queues[queue_id];
        let (lane, topic) = (queue.lane, Arc::clone(&queue.topic));
        queue.land();
        self.pass_over(lane, &topic, failed.at.seq, now_ms);
        for row in self.unpark(queue_id) {
            self.pass_over(lane, &topic, row.at.seq, now_ms);
            self.close(row.at, now_ms);
        }
        self.close(failed.at, now_ms);
    }

    /// Takes all parked rows out of a queue, and the queue out of the lists.
    pub(super) fn unpark(&mut self, queue_id: usize) -> std::collections::VecDeque<Box<Row>> {
        let queue = &mut self.queues[queue_id];
        let (lane, parked) = (queue.lane, queue.drop_parked());
        if let Some(listed_ms) = queue.listed_ms.take() {
            self.waiting.remove(&(listed_ms, queue_id));
        }
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.ready.retain(|&ready| ready != queue_id);
        }
        parked
    }

    /// Notes that a record of a topic was confirmed: if its circuit is open, it may close.
    pub(super) fn prove(&mut self, topic: &str) {
        if let Some(circuit) = self.circuits.get_mut(topic) {
            circuit.proven = true;
        }
    }

    /// A row that leaves the window is no probe any more.
    pub(super) fn forget_probe(&mut self, at: EventRef) {
        if self.probes.remove(&at) {
            for circuit in self.circuits.values_mut() {
                circuit.probe = circuit.probe.filter(|&probe| probe != at);
            }
        }
    }

    /// Closes circuits that were proved, and those that have no probe left, so that their next rows
    /// are the probe. Only while no statement is under way: its page would overtake what was
    /// passed over.
    pub(super) fn close_circuits(&mut self, now_ms: u64) {
        let closing: Vec<Arc<str>> = self
            .circuits
            .iter()
            .filter(|(topic, circuit)| self.may_close(topic, circuit, now_ms))
            .map(|(topic, _)| Arc::clone(topic))
            .collect();
        for topic in closing {
            self.close_circuit(&topic, now_ms);
        }
    }

    fn may_close(&self, topic: &str, circuit: &Circuit, now_ms: u64) -> bool {
        let is_due = now_ms >= circuit.due_ms;
        if circuit.refusal.is_some() {
            return circuit.proven || is_due && circuit.probe.is_none();
        }
        let is_empty = self.room.has_none_of(topic);
        is_due && (is_empty || circuit.proven && !self.room.crowds(topic))
    }

    /// Sends each lane back to the first row of this topic that it passed over. Keys that are read
    /// on their own may have passed it too, so the lane reads for all of them again.
    fn close_circuit(&mut self, topic: &Arc<str>, now_ms: u64) {
        let closed = self.circuits.remove(topic);
        if closed.is_some_and(|circuit| circuit.refusal.is_some()) {
            self.notices.push(Notice::Closed(Arc::clone(topic)));
        }
        self.asides.end_waits_for(topic);
        let lanes: Vec<Lane> = self.lanes.keys().copied().collect();
        for lane in lanes {
            let book = self.lanes.get_mut(&lane);
            if book.is_some_and(|book| book.go_back(topic)) {
                self.rewind(lane, now_ms);
            }
        }
    }
}
