//! What the relay says of itself: readiness for the probes, and log lines at a decent interval.
//!
//! Owns the judgement "delivering, or why not". Changes nothing.
//!
//! Invariant: a state that lasts is told once and then every half minute, not at every failure.

use tokio::sync::watch;

use crate::decide::verdict;
use crate::decide::window::Window;
use crate::kafka::trouble::Trouble;
use crate::outbox::error::OutboxError;
use crate::outcome::{Failure, Report};
use crate::readiness::Readiness;

/// The probes are told this often, in milliseconds.
const OBSERVE_MS: u64 = 250;
/// What lasts is logged this often, in milliseconds.
const REPEAT_MS: u64 = 30_000;
/// Records unreported for this long mean that Kafka does not take them, in milliseconds.
const STUCK_MS: u64 = 2_000;

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
    database: Option<String>,
    database_log: Repeat,
    kafka_log: Repeat,
    failure: Option<String>,
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
    ) -> Self {
        Self {
            probes,
            kafka,
            kafka_answers,
            database: None,
            database_log: Repeat::default(),
            kafka_log: Repeat::default(),
            failure: None,
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
            }
        }
    }

    pub(super) fn marked(&mut self, rows: u64) {
        self.published += rows;
        self.database_answered();
    }

    pub(super) fn database_answered(&mut self) {
        if self.database.take().is_some() {
            tracing::info!("the database answers again");
            self.database_log = Repeat::default();
        }
    }

    pub(super) fn database_failed(&mut self, doing: &str, error: &OutboxError, now_ms: u64) {
        if self.database_log.is_due(now_ms) {
            tracing::warn!("{doing} failed; it is tried again: {}", error.with_cure());
        }
        self.database = Some(error.with_cure());
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
        }
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("stopping".to_owned());
        }
        reasons.extend(self.database.iter().map(|why| format!("database: {why}")));
        if now_ms > self.landed_ms + STUCK_MS || !*self.kafka_answers.borrow() {
            reasons.push(format!("kafka: {}", self.why_stuck()));
        }
        let readiness = Readiness {
            ready: reasons.is_empty(),
            starting: false,
            reasons,
            lanes: window.held().len(),
            circuits: Vec::new(),
        };
        self.probes.send_if_modified(|told| {
            let news = *told != readiness;
            *told = readiness;
            news
        });
        true
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
