//! One lane with rows for later, and Kafka beyond it: all but the window is the model's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rows::{failure, place_of, policy, row_to, window_of};
use crate::decide::dead::OnDead;
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::*;
use crate::event::Judged;
use crate::outcome::{Class, Receipt};

const PAGE_ROWS: usize = 50;
/// What an answer takes, in milliseconds.
const ANSWER_MS: u64 = 10;

/// A row of the outbox, of an aggregate of its own unless it is told otherwise.
#[derive(Clone, Default)]
pub(super) struct Waiting {
    /// When its time came; that of an ordinary row never does.
    pub(super) available_us: Option<i64>,
    pub(super) topic: &'static str,
    pub(super) aggregate: Option<&'static str>,
    pub(super) judged: bool,
}

/// A row for later.
pub(super) fn later(topic: &'static str, available_us: i64) -> Waiting {
    Waiting {
        available_us: Some(available_us),
        topic,
        ..Waiting::default()
    }
}

/// One lane of an outbox, and the window that holds it.
pub(super) struct Lane0 {
    pub(super) window: Window,
    on_dead: OnDead,
    pub(super) now_ms: u64,
    pub(super) outbox: BTreeMap<i64, Waiting>,
    /// The last number of which it is decided that it shows, or never will.
    pub(super) settled: i64,
    /// The topics that refuse what comes.
    pub(super) away: &'static [&'static str],
    /// The rows for which Kafka does not answer.
    pub(super) unheard: fn(&Waiting) -> bool,
    /// What flies: its topic, and whether it is a dead letter.
    flying: Vec<(EventRef, Arc<str>, bool)>,
    pub(super) delivered: Vec<i64>,
    /// Rows that looks for delayed rows have shown.
    pub(super) shown: usize,
}

impl Lane0 {
    pub(super) fn new(on_dead: OnDead) -> Self {
        let window = window_of(policy(), 400, 10_000_000);
        Self {
            window,
            on_dead,
            now_ms: 0,
            outbox: BTreeMap::new(),
            settled: 100_000,
            away: &[],
            unheard: |_| false,
            flying: Vec::new(),
            delivered: Vec::new(),
            shown: 0,
        }
    }

    /// Writes rows, one after the other.
    pub(super) fn write(&mut self, rows: impl IntoIterator<Item = Waiting>) {
        let next = self.outbox.keys().last().map_or(1, |last| last + 1);
        self.outbox.extend((next..).zip(rows));
    }

    fn candidate(&self, seq: i64) -> Candidate {
        let row = &self.outbox[&seq];
        let mut candidate = row_to(row.topic, seq);
        candidate.available_us = row.available_us;
        candidate.on_dead = self.on_dead;
        if let Some(aggregate) = row.aggregate {
            aggregate.clone_into(&mut candidate.key.aggregate_id);
        }
        candidate.judged = row.judged.then(|| Judged {
            is_blocked: self.on_dead == OnDead::Block,
            class: "record".to_owned(),
            error: "injected".to_owned(),
            attempts: 2,
            failed_ago_ms: 10,
        });
        candidate
    }

    /// Answers what is asked, reports what flies, and marks what landed.
    fn turn(&mut self) {
        self.now_ms += ANSWER_MS;
        match self.window.next_ask(true, PAGE_ROWS, self.now_ms) {
            Some(Ask::Sight) => self.window.sighted(Sighting {
                last_drawn: self.settled,
                writers: Vec::new(),
            }),
            Some(Ask::Drawn) => self.window.drawn(self.settled),
            Some(Ask::HasDelayed) => {
                let mut rows = self.outbox.values();
                let has_delayed = rows.any(|row| row.available_us.is_some());
                self.window.delayed_told(has_delayed);
            }
            Some(Ask::Page(read)) => {
                let page = self.page(&read);
                if matches!(read.what, What::Delayed | What::Late) {
                    self.shown += page.rows();
                }
                self.window.admit(page, self.now_ms);
            }
            None => {}
        }
        self.fly();
        if let Some(marks) = self.window.take_marks(0, 1_000) {
            self.outbox
                .retain(|seq, _| !marks.iter().any(|at| at.seq == *seq));
            self.window.marked(0, self.now_ms);
        }
        for burial in self.window.take_burials() {
            if burial.state == DeadState::DeadLetterPending {
                self.outbox.entry(burial.at.seq).or_default().judged = true;
            } else {
                self.outbox.remove(&burial.at.seq);
            }
            self.window.buried(burial.at, self.now_ms);
        }
    }

    fn page(&self, read: &Read) -> Page {
        let Some(range) = read.ranges.first() else {
            return Page::default();
        };
        let is_delayed = matches!(read.what, What::Delayed | What::Late);
        let mut places: Vec<Place> = self
            .outbox
            .iter()
            .filter(|(seq, row)| {
                row.available_us.is_some() == is_delayed && !read.skip.contains(seq)
            })
            .map(|(&seq, row)| Place {
                available_us: row.available_us.unwrap_or(i64::MIN),
                seq,
            })
            .filter(|&place| place > place_of(range))
            .collect();
        places.sort_unstable();
        places.truncate(range.rows_max);
        let last = places.last().filter(|_| places.len() == range.rows_max);
        let range = PageRange {
            lane: range.lane,
            epoch: range.epoch,
            end: last.map_or(PageEnd::Complete, |last| PageEnd::CutAfter(last.seq)),
            rows: places
                .iter()
                .map(|place| self.candidate(place.seq))
                .collect(),
        };
        Page {
            ranges: vec![range],
        }
    }

    fn fly(&mut self) {
        let mut flights = std::mem::take(&mut self.flying);
        while let Some(next) = self.window.next(self.now_ms) {
            let topic = next.letter.map_or(&next.record.topic, |(topic, _)| topic);
            flights.push((next.at, Arc::clone(topic), next.letter.is_some()));
        }
        for (at, topic, is_letter) in flights {
            let row = &self.outbox[&at.seq];
            if (self.unheard)(row) {
                self.flying.push((at, topic, is_letter));
                continue;
            }
            let answer = if self.away.contains(&&*topic) {
                Err(failure(Class::Topic))
            } else if row.topic == "poison" && !is_letter {
                Err(failure(Class::Record))
            } else {
                self.delivered.push(at.seq);
                Ok(Receipt::from_delivery_report(0, 0))
            };
            self.window.report(at, answer, self.now_ms);
        }
    }

    /// Turns until something holds. Panics if it takes longer than this.
    pub(super) fn until(&mut self, what: &str, within_ms: u64, holds: impl Fn(&Self) -> bool) {
        let by_ms = self.now_ms + within_ms;
        while !holds(self) {
            let left: Vec<i64> = self.outbox.keys().take(3).copied().collect();
            assert!(
                self.now_ms < by_ms,
                "{what} within {within_ms} ms: {left:?} are left"
            );
            self.turn();
        }
    }

    /// Turns for so long.
    pub(super) fn pass(&mut self, ms: u64) {
        let by_ms = self.now_ms + ms;
        while self.now_ms < by_ms {
            self.turn();
        }
    }

    /// Panics unless what is left costs a page each second, and nothing else is shown.
    pub(super) fn assert_cheap(&mut self) {
        self.shown = 0;
        self.pass(10_000);
        assert!(self.shown <= 11 * PAGE_ROWS, "{} in 10 s", self.shown);
    }

    /// Writes fifty rows that nothing is wrong with, later than all, and waits for them.
    pub(super) fn assert_others_flow(&mut self) {
        let before = self.delivered.len();
        self.write((0..50).map(|n| later("orders", 1_000_000 + n)));
        self.until("the others", 5_000, |lane| {
            lane.delivered.len() == before + 50
        });
    }
}
