//! A model of an outbox, its writers, Kafka and the leases, and one window among them.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::rows::{
    ModelRow, RowState, candidate, lane_of, lease, on_dead_of, ordering_key, place_of, policy,
    writer,
};
use crate::decide::dead::OnDead;
use crate::decide::order::Order;
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::*;
use crate::outcome::Class;

pub(super) const KEYS: u64 = 6;
pub(super) const LANES: i16 = 2;
pub(super) const FOREVER_MS: u64 = u64::MAX;

/// A small deterministic source of choices (`SplitMix64`).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// What is on its way between the relay and the database.
pub(super) enum Statement {
    Asked(Ask),
    Answered(Ask, Page, Option<Sighting>),
}

pub(super) enum Marking {
    Asked(Vec<EventRef>),
    Done,
    AnswerLost,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now_ms: u64,
    pub(super) rows: Vec<ModelRow>,
    pub(super) writers: BTreeMap<u64, Vec<usize>>,
    pub(super) next_writer: u64,
    pub(super) flying: Vec<EventRef>,
    pub(super) flew_alone: HashSet<EventRef>,
    /// Keys, in one order, of which a flight failed while others still flew.
    pub(super) broken: HashSet<(u64, Order)>,
    pub(super) log: Vec<EventRef>,
    /// Rows of which the window has a receipt.
    pub(super) confirmed: HashSet<EventRef>,
    pub(super) window: Window,
    pub(super) epochs: BTreeMap<Lane, i64>,
    pub(super) held: HashSet<Lane>,
    /// Counts the keeper's sessions: a crash of the database ends one.
    pub(super) keep_session: u64,
    pub(super) statement: Option<Statement>,
    pub(super) marking: Option<Marking>,
    /// The order of all rows; none where they differ.
    pub(super) order: Option<Order>,
    /// What becomes of dead rows where they are all in one order.
    on_dead: OnDead,
    pub(super) limits: Limits,
    pub(super) faults: bool,
    /// One topic takes nothing, and neither does that of dead letters.
    pub(super) away: bool,
    /// What a topic that is away answers.
    pub(super) answer: Class,
    /// Counts operators' decisions, by lane.
    pub(super) rereads: BTreeMap<Lane, i64>,
    /// Dead letters in flight, those that Kafka has, and those of them that no next owner of their
    /// lane may send again.
    pub(super) letters_flying: Vec<EventRef>,
    pub(super) letters_sent: HashSet<EventRef>,
    pub(super) letters: HashSet<EventRef>,
}

impl World {
    pub(super) fn new(seed: u64, order: Option<Order>, limits: Limits, faults: bool) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            now_ms: 1_000,
            rows: Vec::new(),
            writers: BTreeMap::new(),
            next_writer: 0,
            flying: Vec::new(),
            flew_alone: HashSet::new(),
            broken: HashSet::new(),
            log: Vec::new(),
            confirmed: HashSet::new(),
            window: Window::new(policy(), limits, 1),
            epochs: BTreeMap::new(),
            held: HashSet::new(),
            keep_session: 1,
            statement: None,
            marking: None,
            order,
            on_dead: on_dead_of(seed / 8),
            limits,
            faults,
            away: seed.is_multiple_of(2),
            answer: if seed.is_multiple_of(4) {
                Class::Transient
            } else {
                Class::Topic
            },
            rereads: BTreeMap::new(),
            letters_flying: Vec::new(),
            letters_sent: HashSet::new(),
            letters: HashSet::new(),
        };
        (0..LANES).for_each(|lane| world.acquire(Lane(lane)));
        world
    }

    pub(super) fn acquire(&mut self, lane: Lane) {
        if self.window.lingering().contains(&lane) || !self.held.insert(lane) {
            return;
        }
        let epoch = self.epochs.entry(lane).or_insert(0);
        *epoch += 1;
        let rereads = self.rereads.get(&lane).copied().unwrap_or(0);
        let lease = lease(lane, *epoch, rereads);
        self.window.acquire(lease, FOREVER_MS, self.now_ms);
    }

    pub(super) fn step(&mut self, writing: bool) {
        self.now_ms += self.dice.roll(12);
        match self.dice.roll(if writing { 11 } else { 8 }) {
            0 | 1 => self.read(),
            2 | 3 => self.hand_over(),
            4 => self.report(),
            5 => self.mark(),
            6 if self.faults => self.disturb(),
            7 => self.decide(),
            8 | 9 => self.write(),
            10 => self.end_writer(),
            _ => {}
        }
        self.bury();
        self.check();
    }

    /// Draws numbers for a key that no other open transaction writes (writers serialise).
    pub(super) fn write(&mut self) {
        let busy: HashSet<u64> = self
            .writers
            .values()
            .flatten()
            .map(|&i| self.rows[i].key)
            .collect();
        let hot = self.dice.one_in(3);
        let key = if hot { 0 } else { self.dice.roll(KEYS) };
        if busy.contains(&key) {
            return;
        }
        self.next_writer += 1;
        for _ in 0..=self.dice.roll(4) {
            let seq = i64::try_from(self.rows.len()).expect("rows are few") + 1;
            let id = Uuid::from_u64_pair(7, u64::try_from(seq).expect("seq is positive"));
            let available_ms = self.time_for_later();
            let (order, on_dead) = self.route();
            self.rows.push(ModelRow {
                at: EventRef { seq, id },
                key,
                state: RowState::Uncommitted,
                available_ms,
                poison: self.dice.one_in(25),
                size: usize::try_from(self.dice.roll(60)).expect("sizes are small"),
                order,
                on_dead,
            });
            let index = self.rows.len() - 1;
            self.writers
                .entry(self.next_writer)
                .or_default()
                .push(index);
        }
    }

    /// What the route of a row says.
    fn route(&mut self) -> (Order, OnDead) {
        if let Some(order) = self.order {
            return (order, self.on_dead);
        }
        let order = match self.dice.roll(4) {
            0 => Order::Pipelined,
            1 => Order::None,
            _ => Order::Strict,
        };
        (order, on_dead_of(self.dice.roll(3)))
    }

    /// Some rows are for later, and some of those for a time that has come already.
    fn time_for_later(&mut self) -> Option<u64> {
        let is_for_later = self.dice.one_in(5);
        is_for_later.then(|| self.now_ms + self.dice.roll(600) - 200)
    }

    pub(super) fn end_writer(&mut self) {
        let open: Vec<u64> = self.writers.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        // The oldest is spared often, so that low numbers commit late.
        let spared = usize::from(open.len() > 1 && !self.dice.one_in(4));
        let choices = u64::try_from(open.len() - spared).expect("writers are few");
        let pick = usize::try_from(self.dice.roll(choices)).expect("writers are few") + spared;
        let state = if self.dice.one_in(3) {
            RowState::RolledBack
        } else {
            RowState::Waiting
        };
        for index in self.writers.remove(&open[pick]).unwrap_or_default() {
            self.rows[index].state = state;
        }
    }

    /// Moves the one statement of the reader a step on: asked, executed, delivered.
    pub(super) fn read(&mut self) {
        self.statement = match self.statement.take() {
            None => self
                .window
                .next_ask(true, 8, self.now_ms)
                .map(Statement::Asked),
            Some(Statement::Asked(ask)) => {
                let (page, sighting) = match &ask {
                    Ask::Sight | Ask::Drawn => (Page::default(), Some(self.sighting())),
                    Ask::HasDelayed => (Page::default(), None),
                    Ask::Page(read) => (self.page(read), None),
                };
                Some(Statement::Answered(ask, page, sighting))
            }
            Some(Statement::Answered(ask, page, sighting)) => {
                match (ask, sighting) {
                    (Ask::Sight, Some(sighting)) => self.window.sighted(sighting),
                    (Ask::Drawn, Some(sighting)) => self.window.drawn(sighting.last_drawn),
                    (Ask::HasDelayed, _) => self.window.delayed_told(self.has_delayed()),
                    _ => {
                        self.window.admit(page, self.now_ms);
                    }
                }
                None
            }
        };
    }

    fn has_delayed(&self) -> bool {
        let waits = |row: &ModelRow| {
            matches!(row.state, RowState::Waiting | RowState::Judged { .. })
                && row.available_ms.is_some()
        };
        self.rows.iter().any(waits)
    }

    pub(super) fn sighting(&self) -> Sighting {
        Sighting {
            last_drawn: i64::try_from(self.rows.len()).expect("rows are few"),
            writers: self.writers.keys().map(|&w| writer(w)).collect(),
        }
    }

    pub(super) fn page(&self, read: &Read) -> Page {
        let is_open = |xid: i64| self.writers.keys().any(|&w| writer(w).xid == Some(xid));
        let ended = read.stragglers.iter().filter(|known| !is_open(known.xid));
        let ended_above = ended.map(|known| known.above).min().unwrap_or(i64::MAX);
        let mut bytes = 0;
        let mut page = Page::default();
        for range in &read.ranges {
            let range = &Range {
                above: range.beyond.min(ended_above).max(range.above),
                ..range.clone()
            };
            let stands =
                self.held.contains(&range.lane) && self.epochs[&range.lane] == range.epoch.0;
            if !stands {
                continue;
            }
            let mut rows = Vec::new();
            let mut end = PageEnd::Complete;
            for row in self.seen(read, range) {
                let candidate = candidate(row);
                if rows.len() == range.rows_max || (bytes > 0 && bytes + row.size > read.bytes_max)
                {
                    end = rows.last().map_or(PageEnd::CutAtStart, |last: &Candidate| {
                        PageEnd::CutAfter(last.at.seq)
                    });
                    break;
                }
                bytes += row.size;
                rows.push(candidate);
            }
            page.ranges.push(PageRange {
                lane: range.lane,
                epoch: range.epoch,
                rows,
                end,
            });
        }
        page
    }

    /// The rows of a range that a statement sees, in its order.
    fn seen(&self, read: &Read, range: &Range) -> Vec<&ModelRow> {
        let is_asked_for = |row: &ModelRow| match &read.what {
            What::Lanes { spilled } => {
                row.seq_above(range) && !spilled.contains(&ordering_key(row.key))
            }
            What::Key(key) => row.seq_above(range) && *key == ordering_key(row.key),
            What::Delayed | What::Late => {
                let is_due = row.available_ms.is_some_and(|ms| ms <= self.now_ms);
                is_due && row.place() > place_of(range)
            }
        };
        let is_seen = |row: &&ModelRow| {
            matches!(row.state, RowState::Waiting | RowState::Judged { .. })
                && lane_of(row.key) == range.lane
                && !read.skip.contains(&row.at.seq)
                && is_asked_for(row)
        };
        let mut rows: Vec<&ModelRow> = self.rows.iter().filter(is_seen).collect();
        rows.sort_by_key(|row| row.place());
        rows
    }

    pub(super) fn row(&self, at: EventRef) -> &ModelRow {
        &self.rows[usize::try_from(at.seq).expect("seq is positive") - 1]
    }

    pub(super) fn row_mut(&mut self, at: EventRef) -> &mut ModelRow {
        &mut self.rows[usize::try_from(at.seq).expect("seq is positive") - 1]
    }

    pub(super) fn check(&self) {
        let census = self.window.census();
        assert!(census.rows <= self.limits.rows, "rows are bounded");
        assert!(
            census.bytes <= self.limits.bytes || census.rows == 1,
            "bytes are bounded"
        );
        let mut unconfirmed = HashSet::new();
        for &at in self.flying.iter().chain(&self.letters_flying) {
            let row = self.row(at);
            let alone = row.order != Order::Strict || unconfirmed.insert(row.key);
            assert!(alone, "one flies per key");
        }
    }

    /// First deliveries of each key's rows in strict order must rise in the log, but for rows for later.
    pub(super) fn check_order(&self) {
        let mut seen = HashSet::new();
        let mut last: HashMap<u64, i64> = HashMap::new();
        for &at in &self.log {
            let row = self.row(at);
            let counts = row.available_ms.is_none() && row.order == Order::Strict;
            if counts && seen.insert(at) {
                let last = last.entry(row.key).or_insert(0);
                assert!(*last < at.seq, "{} after {last}", at.seq);
                *last = at.seq;
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.writers.is_empty()
            && self.rows.iter().all(|row| match row.state {
                RowState::Uncommitted | RowState::Waiting | RowState::Judged { .. } => false,
                RowState::RolledBack | RowState::Dead | RowState::Published { .. } => true,
            })
    }

    /// Writes, then lets everything come to rest.
    pub(super) fn run(&mut self, steps: u32) {
        (0..steps).for_each(|_| self.step(true));
        while !self.writers.is_empty() {
            self.end_writer();
        }
        self.faults = false;
        self.away = false;
        for _ in 0..60_000 {
            (0..LANES).for_each(|lane| self.acquire(Lane(lane)));
            if self.is_done() && self.window.is_still() {
                return;
            }
            self.step(false);
        }
        panic!("{:?} left behind", self.window.census());
    }
}
