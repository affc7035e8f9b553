//! The names of everything that is counted and measured: what scripts and dashboards rely on.
//!
//! Owns the one table, with what each name means. Knows no values.

use metrics::{SharedString, describe_counter, describe_gauge, describe_histogram};

pub(super) const PUBLISHED: &str = "outbox_relay_published_total";
pub(super) const FAILED: &str = "outbox_relay_failed_total";
pub(super) const DEAD: &str = "outbox_relay_dead_total";
pub(super) const BACKLOG: &str = "outbox_relay_backlog_rows";
pub(super) const OLDEST: &str = "outbox_relay_oldest_unpublished_seconds";
pub(super) const DELIVERY: &str = "outbox_relay_delivery_seconds";
pub(super) const WINDOW_ROWS: &str = "outbox_relay_window_rows";
pub(super) const WINDOW_BYTES: &str = "outbox_relay_window_bytes";
pub(super) const CIRCUIT: &str = "outbox_relay_circuit_open";
pub(super) const LANES: &str = "outbox_relay_lanes_owned";
pub(super) const TAKEOVERS: &str = "outbox_relay_takeovers_total";
pub(super) const REBUILDS: &str = "outbox_relay_producer_rebuilds_total";
pub(super) const POLL: &str = "outbox_relay_poll_seconds";
pub(super) const BUILD: &str = "outbox_relay_build_info";

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and begins at zero with the process.
    Counter,
    /// Is what it is now.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub says: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    says: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        says,
    }
}

/// All of them.
#[rustfmt::skip]
pub const METRICS: [Metric; 14] = [
    metric(PUBLISHED, Kind::Counter, &["topic"], "Events that Kafka confirmed."),
    metric(FAILED, Kind::Counter, &["topic", "class"], "Tries that were not confirmed; an event may fail more than once."),
    metric(DEAD, Kind::Counter, &["topic", "class"], "Events that were given up; the topic is empty where the row names none that is legal."),
    metric(BACKLOG, Kind::Gauge, &["aggregate_type"], "Events of this relay's lanes that wait."),
    metric(OLDEST, Kind::Gauge, &["aggregate_type"], "Age of the oldest event that waits in this relay's lanes."),
    metric(DELIVERY, Kind::Histogram, &[], "Time from created_at to the delivery report, by the database's clock."),
    metric(WINDOW_ROWS, Kind::Gauge, &[], "Rows held, from reading until their marks commit."),
    metric(WINDOW_BYTES, Kind::Gauge, &[], "Bytes of the rows held."),
    metric(CIRCUIT, Kind::Gauge, &["topic"], "1 while nothing but probes goes to this topic."),
    metric(LANES, Kind::Gauge, &[], "Lanes that this relay holds."),
    metric(TAKEOVERS, Kind::Counter, &[], "Lanes claimed whose lease had run out instead of being given back."),
    metric(REBUILDS, Kind::Counter, &[], "Kafka producers that were replaced, dead or stuck."),
    metric(POLL, Kind::Histogram, &[], "Time that reading one page took."),
    metric(BUILD, Kind::Gauge, &["version", "librdkafka"], "1; the labels say what runs."),
];

/// Tells the recorder in scope what each metric says.
pub(super) fn describe() {
    for metric in METRICS {
        let says = SharedString::const_str(metric.says);
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, says),
            Kind::Gauge => describe_gauge!(metric.name, says),
            Kind::Histogram => describe_histogram!(metric.name, says),
        }
    }
}
