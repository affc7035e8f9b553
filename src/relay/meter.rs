//! What the loop counts, and how late deliveries are by the database's clock.
//!
//! Owns the offset between that clock and ours. Decides nothing.
//!
//! Invariant: as long as the offset is not known, no delivery is measured, for `created_at` and our
//! clock have nothing to do with each other.

use std::time::Duration;

use crate::decide::window::{HandOver, Window};
use crate::kafka::publish::Flight;
use crate::outcome::{Class, Report};
use crate::process::metrics::{Metrics, TopicSlot};

/// The loop's counters.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Metrics,
    /// The database's clock less our boot-time clock, in milliseconds.
    database_ahead_ms: Option<i64>,
}

impl Meter {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            database_ahead_ms: None,
        }
    }

    /// The flight of a record that is handed over, as the count of `handed_over`.
    pub(super) fn flight(&self, next: &HandOver<'_>, handed_over: u64) -> Flight {
        let topic = next.letter.map_or(&next.record.topic, |(topic, _)| topic);
        Flight {
            at: next.at,
            handed_over,
            topic: self.metrics.topic(topic),
            created_ms: next.record.timestamp_ms,
        }
    }

    /// The clocks were compared.
    pub(super) fn compared(&mut self, database_ahead_ms: i64) {
        self.database_ahead_ms = Some(database_ahead_ms);
    }

    /// A flight's report came.
    pub(super) fn landed(&self, flight: &Flight, report: &Report, now_ms: u64) {
        match report {
            Ok(_receipt) => self
                .metrics
                .published(flight.topic, self.age(flight, now_ms)),
            Err(failure) => self.failed(flight.topic, failure.class),
        }
    }

    /// A try was not confirmed.
    pub(super) fn failed(&self, topic: TopicSlot, class: Class) {
        self.metrics.failed(topic, class);
    }

    /// An event was given up.
    pub(super) fn dead(&self, topic: &str, class: Class) {
        self.metrics.dead(topic, class);
    }

    /// The circuit of a topic opened or closed.
    pub(super) fn circuit(&self, topic: &str, open: bool) {
        self.metrics.circuit(topic, open);
    }

    /// Shows what the window holds.
    pub(super) fn observe(&self, window: &Window) {
        let census = window.census();
        self.metrics.window(census.rows, census.bytes);
        self.metrics.lanes_owned(window.held().len());
    }

    /// How long ago the record's event was created.
    fn age(&self, flight: &Flight, now_ms: u64) -> Option<Duration> {
        let database_ms = i64::try_from(now_ms).ok()? + self.database_ahead_ms?;
        let age_ms = database_ms.saturating_sub(flight.created_ms);
        Some(Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)))
    }
}
