//! The window: what was read, what is held, what may fly, what each report means, and what may
//! be forgotten.
//!
//! Owns every held row from the page that brought it until its mark has committed, and with it
//! the rules that keep each aggregate in order. It is one state machine: values in, values out;
//! times come as boot milliseconds. Knows neither `PostgreSQL` nor Kafka nor how anything is
//! carried out.
//!
//! Invariants:
//! - a row is handed over only while its lane is held, under the epoch that read it, and only
//!   while the lease outlives any delivery;
//! - of the rows in strict order at most one of a key is unconfirmed to one topic, and one that
//!   waits for its retry, or for its burial, holds back all that follow it; rows in different orders
//!   do not wait for each other;
//! - a row is marked only with a receipt, and every held row ends in exactly one outcome:
//!   marked, buried, left to wait in the outbox, or given up with its lane;
//! - rows and bytes held are bounded, and no key and no failing topic can fill the window.

mod admit;
mod aside;
mod ask;
mod circuit;
mod delayed;
mod fill;
mod flight;
mod lanes;
mod letters;
mod marks;
mod queue;
mod read;
mod room;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};
use slab::Slab;

use self::aside::Asides;
pub use self::ask::{Ask, Candidate, Page, PageRange, Place, Range, Read, What};
use self::circuit::Circuit;
pub use self::circuit::{CircuitView, Notice};
pub use self::fill::UNTIL_FILLED_MS;
use self::lanes::LaneBook;
use self::marks::Marks;
use self::queue::{Queue, Row};
use self::read::Reader;
pub use self::room::Limits;
use self::room::Room;
use super::dead::Policy;
use super::reading::Cursor;
use crate::event::{Epoch, EventRef, Lane, OrderingKey};
use crate::outcome::{DeadState, Judgement};
use crate::record::Record;

/// A record to hand to the producer now.
#[derive(Debug)]
pub struct HandOver<'a> {
    /// The event's name, which the report must bring back.
    pub at: EventRef,
    /// The lane it belongs to.
    pub lane: Lane,
    /// What to send.
    pub record: &'a Record,
    /// It must not share a batch: the answer has to be about this record alone.
    pub alone: bool,
    /// What flies is the record's dead letter, to this topic and for this reason.
    pub letter: Option<(&'a Arc<str>, &'a Judgement)>,
}

/// A row that failed for good, to be declared so in the outbox before anything follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burial {
    /// The event's name.
    pub at: EventRef,
    /// The lane that must still be held.
    pub lane: Lane,
    /// The epoch under which it must be held.
    pub epoch: Epoch,
    /// The topic it was meant for; empty if there is none.
    pub topic: Arc<str>,
    /// What becomes of it.
    pub state: DeadState,
    /// Why.
    pub judgement: Judgement,
}

/// What is held, as numbers for probes and logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Rows held, from reading until their marks commit.
    pub rows: usize,
    /// Bytes of their records.
    pub bytes: usize,
    /// Of those, rows that Kafka has or may have: handed over and not yet marked.
    pub unmarked: usize,
    /// Keys of which rows were skipped for lack of room.
    pub spilled_keys: usize,
    /// Names remembered until their marks are durable.
    pub remembered: usize,
}

/// What is held of one aggregate.
#[derive(Debug)]
struct KeyBook {
    name: Arc<OrderingKey>,
    lane: Lane,
    rows: usize,
    bytes: usize,
    /// One queue for each topic that its rows go to, and each order in which they do.
    queues: Vec<usize>,
    /// From where its skipped rows must be read again; none of its later rows is taken before.
    spill: Option<Cursor>,
    /// When that reading is due, in boot milliseconds.
    refill_ms: Option<u64>,
    /// Stays, though it may hold nothing: its skipped rows are being taken in.
    pinned: bool,
}

impl KeyBook {
    fn new(name: Arc<OrderingKey>, lane: Lane) -> Self {
        Self {
            name,
            lane,
            rows: 0,
            bytes: 0,
            queues: Vec::new(),
            spill: None,
            refill_ms: None,
            pinned: false,
        }
    }
}

/// Where a held row stands.
#[derive(Debug)]
enum Stage {
    /// In its queue.
    Parked,
    /// Handed over, unreported.
    Flying(Box<Row>),
    /// Confirmed, its mark not committed.
    Confirmed,
    /// What becomes of it is not yet written; the row is kept where it still has a letter to send.
    Burying(DeadState, Option<Box<Row>>),
}

/// One held row.
#[derive(Debug)]
struct Open {
    queue: usize,
    size: usize,
    stage: Stage,
}

/// All that one relay holds of its outbox.
#[derive(Debug)]
pub struct Window {
    policy: Policy,
    room: Room,
    lanes: BTreeMap<Lane, LaneBook>,
    /// Lanes with a queue that is ready to fly, in turn.
    turns: VecDeque<Lane>,
    names: HashMap<Arc<OrderingKey>, usize>,
    keys: Slab<KeyBook>,
    queues: Slab<Queue>,
    open: HashMap<EventRef, Open>,
    /// Queues whose head is not due yet.
    waiting: BTreeSet<(u64, usize)>,
    /// Topics that take nothing: their other rows are passed over.
    circuits: HashMap<Arc<str>, Circuit>,
    /// The probes of all circuits: most rows that leave are none, and need not be looked for.
    probes: HashSet<EventRef>,
    /// Aggregates whose rows wait in the outbox behind one that failed for good.
    asides: Asides,
    /// Rows set aside for good, until every statement that may not show it has been answered.
    settled: HashMap<EventRef, u64>,
    notices: Vec<Notice>,
    /// Nothing with a higher number was ever shown of any lane.
    highest_shown: i64,
    /// Keys whose skipped rows may be read again, by when.
    refills: BTreeSet<(u64, usize)>,
    marks: Marks,
    burials: Vec<Burial>,
    reader: Reader,
}

impl Window {
    /// An empty window; `markers` is the number of sessions that write marks.
    pub fn new(policy: Policy, limits: Limits, markers: usize) -> Self {
        Self {
            policy,
            room: Room::new(limits),
            lanes: BTreeMap::new(),
            turns: VecDeque::new(),
            names: HashMap::default(),
            keys: Slab::new(),
            queues: Slab::new(),
            open: HashMap::default(),
            waiting: BTreeSet::new(),
            circuits: HashMap::default(),
            probes: HashSet::default(),
            asides: Asides::default(),
            settled: HashMap::default(),
            notices: Vec::new(),
            highest_shown: 0,
            refills: BTreeSet::new(),
            marks: Marks::new(markers),
            burials: Vec::new(),
            reader: Reader::default(),
        }
    }

    /// What is held, in numbers.
    pub fn census(&self) -> Census {
        Census {
            rows: self.room.rows(),
            bytes: self.room.bytes(),
            unmarked: self.lanes.values().map(LaneBook::busy).sum(),
            spilled_keys: self.lanes.values().map(|book| book.spilled.len()).sum(),
            remembered: self.marks.remembered(),
        }
    }

    /// Puts a queue where its head belongs: ready, waiting, or nowhere.
    fn list(&mut self, queue_id: usize, now_ms: u64) {
        let queue = &mut self.queues[queue_id];
        let Some(due_ms) = queue.head_due_ms() else {
            return;
        };
        let due_ms = if due_ms > now_ms { due_ms } else { 0 };
        if let Some(listed_ms) = queue.listed_ms {
            if listed_ms <= due_ms {
                return;
            }
            self.waiting.remove(&(listed_ms, queue_id));
        }
        queue.listed_ms = Some(due_ms);
        if due_ms > 0 {
            self.waiting.insert((due_ms, queue_id));
        } else if let Some(book) = self.lanes.get_mut(&queue.lane) {
            book.ready.push_back(queue_id);
            if book.take_turn(now_ms) {
                self.turns.push_back(queue.lane);
            }
        }
    }

    /// The row is out of the window for good.
    fn close(&mut self, at: EventRef, now_ms: u64) {
        let Some(open) = self.open.remove(&at) else {
            return;
        };
        self.reader.is_stuck = false;
        let queue = &self.queues[open.queue];
        let (lane, key_id) = (queue.lane, queue.key);
        self.room.give_back(&queue.topic, open.size);
        self.forget_probe(at);
        let key = &mut self.keys[key_id];
        key.rows -= 1;
        key.bytes -= open.size;
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.forget(at.seq);
            if !matches!(open.stage, Stage::Parked) {
                book.settle_one();
            }
            if book.is_gone() {
                self.lanes.remove(&lane);
            }
        }
        self.tend_key(key_id, now_ms);
    }

    /// Removes a key that holds nothing, or plans the reading of its skipped rows once half of
    /// its share is free.
    fn tend_key(&mut self, key_id: usize, now_ms: u64) {
        let key = &mut self.keys[key_id];
        if key.spill.is_none() {
            if key.rows == 0 && !key.pinned {
                let key = self.keys.remove(key_id);
                self.names.remove(&key.name);
                for queue in key.queues {
                    self.queues.remove(queue);
                }
            }
        } else if key.refill_ms.is_none() && key.rows <= self.room.key_rows_max() / 2 {
            self.plan_refill(key_id, now_ms);
        }
    }

    /// Plans the reading of a key's skipped rows.
    fn plan_refill(&mut self, key_id: usize, due_ms: u64) {
        let key = &mut self.keys[key_id];
        if let Some(planned_ms) = key.refill_ms.replace(due_ms) {
            self.refills.remove(&(planned_ms, key_id));
        }
        self.refills.insert((due_ms, key_id));
    }

    /// Ends the spill of a key: its skipped rows were read, or will be with the rest of its lane.
    fn end_spill(&mut self, key_id: usize) -> Option<Cursor> {
        let key = &mut self.keys[key_id];
        if let Some(refill_ms) = key.refill_ms.take() {
            self.refills.remove(&(refill_ms, key_id));
        }
        if let Some(book) = self.lanes.get_mut(&key.lane) {
            book.spilled.remove(&key_id);
        }
        key.spill.take()
    }
}
