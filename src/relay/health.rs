//! What the relay says of itself: readiness for the probes, and log lines at a decent interval.
//!
//! Owns the judgement "delivering, or why not". Changes nothing.
//!
//! Invariant: a state that lasts is told once and then every half minute, not at every failure.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::decide::verdict;
use crate::decide::window::Window;
use crate::kafka::trouble::Trouble;
use crate::outbox::error::OutboxError;
use crate::outcome::{Class, Failure, Report};
use crate::process::clock;
use crate::readiness::{Circuit, Readiness};
use crate::registry;

/// The probes are told this often, in milliseconds.
const OBSERVE_MS: u64 = 250;
/// What lasts is logged this often, in milliseconds.
const REPEAT_MS: u64 = 30_000;
/// Records unreported for this long mean that Kafka does not take them, in milliseconds. A topic that
/// the client does not know takes it two seconds to say so.
const STUCK_MS: u64 = 3_000;

/// Says a lasting thing once, then at intervals.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    said_ms: Option<u64>,
}

impl Repeat {
    /// Whether to say it now.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        let due = self
            .said_ms
            .is_none_or(|said_ms| now_ms >= said_ms + REPEAT_MS);
        if due {
            self.said_ms = Some(now_ms);
        }
        due
    }
}

/// What the database or the store is asked for; each part fails and recovers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    Marking,
    Keeping,
    Carrying,
    Uploading,
}

impl Doing {
    /// Who is asked.
    fn whom(self) -> &'static str {
        match self {
            Self::Reading | Self::Marking | Self::Keeping | Self::Carrying => "database",
            Self::Uploading => "store",
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "reading",
            Self::Marking => "marking",
            Self::Keeping => "keeping leases",
            Self::Carrying | Self::Uploading => "storing large payloads",
        })
    }
}

/// What was last said to one part of the work.
#[derive(Debug, Default)]
struct Answers {
    trouble: Option<String>,
    log: Repeat,
}

/// A failure in a few words, and what to do about it.
fn with_cure(failure: &Failure) -> String {
    match verdict::cure(failure.code) {
        Some(cure) => format!("{}; {cure}", failure.reason),
        None => failure.reason.clone(),
    }
}

/// What is known of the relay's state.
#[derive(Debug)]
pub(super) struct Health {
    probes: watch::Sender<Readiness>,
    kafka: watch::Receiver<Option<Trouble>>,
    /// Whether Kafka answers while nothing is sent to it.
    kafka_answers: watch::Receiver<bool>,
    /// Which schemas records wait for, where routes have schemas.
    registry: Option<watch::Receiver<registry::Trouble>>,
    reading: Answers,
    marking: Answers,
    keeping: Answers,
    carrying: Answers,
    uploading: Answers,
    kafka_log: Repeat,
    failure: Option<String>,
    /// When each open circuit was first seen.
    opened: HashMap<Arc<str>, DateTime<Utc>>,
    landed_ms: u64,
    observed_ms: u64,
    published: u64,
    stopping: bool,
}

impl Health {
    pub(super) fn new(
        probes: watch::Sender<Readiness>,
        kafka: watch::Receiver<Option<Trouble>>,
        kafka_answers: watch::Receiver<bool>,
        registry: Option<watch::Receiver<registry::Trouble>>,
    ) -> Self {
        Self {
            probes,
            kafka,
            kafka_answers,
            registry,
            reading: Answers::default(),
            marking: Answers::default(),
            keeping: Answers::default(),
            carrying: Answers::default(),
            uploading: Answers::default(),
            kafka_log: Repeat::default(),
            failure: None,
            opened: HashMap::new(),
            landed_ms: 0,
            observed_ms: 0,
            published: 0,
            stopping: false,
        }
    }

    /// A report came: whatever it says, the client is alive.
    pub(super) fn landed(&mut self, report: &Report, now_ms: u64) {
        match report {
            Ok(_receipt) => {
                self.failure = None;
                self.landed_ms = now_ms;
            }
            Err(failure) => {
                if self.kafka_log.is_due(now_ms) {
                    tracing::warn!(
                        class = %failure.class,
                        code = failure.code,
                        "records are not confirmed and will be tried again: {}",
                        with_cure(failure)
                    );
                }
                self.failure = Some(with_cure(failure));
                if matches!(failure.class, Class::Record | Class::Topic) {
                    // Kafka answers: it is the record or its topic that is wrong.
                    self.landed_ms = now_ms;
                }
            }
        }
    }

    pub(super) fn marked(&mut self, rows: u64) {
        self.published += rows;
        self.answered(Doing::Marking);
    }

    pub(super) fn answered(&mut self, doing: Doing) {
        let answers = self.answers(doing);
        if answers.trouble.take().is_some() {
            answers.log = Repeat::default();
            tracing::info!("{doing}: the {} answers again", doing.whom());
        }
    }

    /// A large payload is where it should be.
    pub(super) fn carried(&mut self) {
        self.answered(Doing::Carrying);
        self.answered(Doing::Uploading);
    }

    /// The database refused this part.
    pub(super) fn refused(&mut self, doing: Doing, error: &OutboxError, now_ms: u64) {
        self.failed(doing, error.with_cure(), now_ms);
    }

    /// This part failed for this reason, which names the cure.
    pub(super) fn failed(&mut self, doing: Doing, why: String, now_ms: u64) {
        let answers = self.answers(doing);
        if answers.log.is_due(now_ms) {
            tracing::warn!("{doing} failed; it is tried again: {why}");
        }
        answers.trouble = Some(why);
    }

    fn answers(&mut self, doing: Doing) -> &mut Answers {
        match doing {
            Doing::Reading => &mut self.reading,
            Doing::Marking => &mut self.marking,
            Doing::Keeping => &mut self.keeping,
            Doing::Carrying => &mut self.carrying,
            Doing::Uploading => &mut self.uploading,
        }
    }

    /// What database and store refuse; most often all parts are told the same.
    fn refusals(&self) -> Vec<String> {
        let parts = [
            (Doing::Reading, &self.reading),
            (Doing::Marking, &self.marking),
            (Doing::Keeping, &self.keeping),
            (Doing::Carrying, &self.carrying),
            (Doing::Uploading, &self.uploading),
        ];
        let told = parts.into_iter().filter_map(|(doing, answers)| {
            let why = answers.trouble.as_ref()?;
            Some(format!("{}: {why}", doing.whom()))
        });
        let mut told: Vec<String> = told.collect();
        told.dedup();
        told
    }

    pub(super) fn stopping(&mut self) {
        self.stopping = true;
        self.observed_ms = 0;
    }

    /// Tells the probes, at a decent interval; returns whether it was time to.
    pub(super) fn observe(&mut self, window: &Window, now_ms: u64) -> bool {
        if now_ms < self.observed_ms + OBSERVE_MS {
            return false;
        }
        self.observed_ms = now_ms;
        let census = window.census();
        if census.unmarked == 0 {
            self.landed_ms = now_ms;
            self.marking = Answers::default();
        }
        if window.held().is_empty() {
            self.reading = Answers::default();
        }
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("stopping".to_owned());
        }
        reasons.extend(self.refusals());
        if now_ms > self.landed_ms + STUCK_MS || !*self.kafka_answers.borrow() {
            reasons.push(format!("kafka: {}", self.why_stuck()));
        }
        let schema = self
            .registry
            .as_ref()
            .and_then(|told| told.borrow().clone());
        reasons.extend(schema.map(|why| format!("schema registry: {why}")));
        let readiness = Readiness {
            ready: reasons.is_empty(),
            starting: false,
            reasons,
            lanes: window.held().len(),
            circuits: self.circuits(window, now_ms),
        };
        self.probes.send_if_modified(|told| {
            let news = *told != readiness;
            *told = readiness;
            news
        });
        true
    }

    /// The open circuits; each keeps the time at which it was first seen.
    fn circuits(&mut self, window: &Window, now_ms: u64) -> Vec<Circuit> {
        let open = window.circuits(now_ms);
        self.opened
            .retain(|topic, _| open.iter().any(|circuit| circuit.topic == *topic));
        let mut circuits: Vec<Circuit> = open
            .into_iter()
            .map(|circuit| {
                let open_ms = i64::try_from(circuit.open_ms).unwrap_or(0);
                let since = self
                    .opened
                    .entry(Arc::clone(&circuit.topic))
                    .or_insert_with(|| clock::wall() - TimeDelta::milliseconds(open_ms));
                let refusal = circuit.refusal.as_ref();
                Circuit {
                    topic: circuit.topic.to_string(),
                    state: if refusal.is_some() { "open" } else { "crowded" }.to_owned(),
                    since: *since,
                    reason: refusal.map_or_else(
                        || "its records fail, and fill half of the window".to_owned(),
                        |failure| failure.reason.clone(),
                    ),
                    cure: refusal
                        .and_then(|failure| verdict::cure(failure.code))
                        .map(ToOwned::to_owned),
                }
            })
            .collect();
        circuits.sort_by(|a, b| a.topic.cmp(&b.topic));
        circuits
    }

    fn why_stuck(&self) -> String {
        let trouble = self.kafka.borrow();
        trouble
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| self.failure.clone())
            .unwrap_or_else(|| "records wait for their delivery reports".to_owned())
    }
}
