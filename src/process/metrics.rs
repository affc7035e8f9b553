//! What is counted and measured, for `/metrics`.
//!
//! Owns the names, the bounds of the label sets, and the page that Prometheus reads. Does not know
//! when anything is counted.
//!
//! Invariants:
//! - nothing is global: a process could run several relays;
//! - a label whose values come from rows has at most [`LABELS_MAX`] of them, and `other`;
//! - of a row, nothing is shown but its topic and its aggregate type.

mod names;
mod series;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

pub use self::names::{Kind, METRICS, Metric};
pub use self::series::Waiting;
use self::series::{Topics, Types};
use crate::outcome::Class;

/// So many topics, and so many aggregate types, have series of their own.
pub const LABELS_MAX: usize = 100;

/// From a healthy delivery to one after a long outage.
const DELIVERY_SECONDS: [f64; 17] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3_600.0,
];
/// From an empty page to one that its deadline ends.
const POLL_SECONDS: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// A topic's place among the series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TopicSlot(usize);

/// The counters, gauges and histograms of one relay; a clone is another handle to the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    page: PrometheusHandle,
    topics: Mutex<Topics>,
    types: Mutex<Types>,
    handles: Handles,
}

/// The series without labels of rows.
struct Handles {
    delivery: Histogram,
    poll: Histogram,
    window_rows: Gauge,
    window_bytes: Gauge,
    lanes_owned: Gauge,
    takeovers: Counter,
    rebuilds: Counter,
}

impl Handles {
    /// Makes them in the recorder that is in scope.
    fn register() -> Self {
        Self {
            delivery: histogram!(names::DELIVERY),
            poll: histogram!(names::POLL),
            window_rows: gauge!(names::WINDOW_ROWS),
            window_bytes: gauge!(names::WINDOW_BYTES),
            lanes_owned: gauge!(names::LANES),
            takeovers: counter!(names::TAKEOVERS),
            rebuilds: counter!(names::REBUILDS),
        }
    }
}

impl Metrics {
    /// All at zero; `librdkafka` is the version of the Kafka client.
    pub fn new(librdkafka: &str) -> Self {
        let builder = PrometheusBuilder::new();
        let builder = buckets(builder, names::DELIVERY, &DELIVERY_SECONDS);
        let recorder = buckets(builder, names::POLL, &POLL_SECONDS).build_recorder();
        let handles = with_local_recorder(&recorder, || {
            names::describe();
            let version = env!("CARGO_PKG_VERSION");
            gauge!(names::BUILD, "version" => version, "librdkafka" => librdkafka.to_owned())
                .set(1.0);
            Handles::register()
        });
        Self(Arc::new(Inner {
            page: recorder.handle(),
            recorder,
            topics: Mutex::new(Topics::new(LABELS_MAX)),
            types: Mutex::new(Types::new(LABELS_MAX)),
            handles,
        }))
    }

    /// The page for Prometheus, in its text format.
    pub fn page(&self) -> String {
        self.0.page.render()
    }

    /// Folds what was measured into the histograms' buckets. Until then each sample takes memory,
    /// so this is to be called every so often, scraped or not.
    pub fn fold(&self) {
        self.0.page.run_upkeep();
    }

    /// A topic's place, under which its events are counted.
    pub fn topic(&self, topic: &str) -> TopicSlot {
        TopicSlot(self.with_topics(|topics| topics.place(topic)))
    }

    /// Kafka confirmed an event, so long after it was created, if that is known.
    pub fn published(&self, slot: TopicSlot, after: Option<Duration>) {
        if let Some(counter) = lock(&self.0.topics).published(slot.0) {
            counter.increment(1);
        }
        if let Some(after) = after {
            self.0.handles.delivery.record(after);
        }
    }

    /// A try was not confirmed.
    pub fn failed(&self, slot: TopicSlot, class: Class) {
        self.with_topics(|topics| {
            if let Some(counter) = topics.failed(slot.0, class) {
                counter.increment(1);
            }
        });
    }

    /// An event was given up; the topic is empty where the row names none that is legal.
    pub fn dead(&self, topic: &str, class: Class) {
        self.with_topics(|topics| {
            let place = topics.place(topic);
            if let Some(counter) = topics.dead(place, class) {
                counter.increment(1);
            }
        });
    }

    /// The circuit of a topic opened or closed; saying the same again changes nothing.
    pub fn circuit(&self, topic: &str, open: bool) {
        self.with_topics(|topics| topics.circuit(topic, open));
    }

    /// What waits in this relay's lanes now.
    pub fn backlog(&self, waiting: &[Waiting]) {
        with_local_recorder(&self.0.recorder, || lock(&self.0.types).show(waiting));
    }

    /// What the window holds now.
    pub fn window(&self, rows: usize, bytes: usize) {
        self.0.handles.window_rows.set(float(rows));
        self.0.handles.window_bytes.set(float(bytes));
    }

    /// How many lanes are held now.
    pub fn lanes_owned(&self, lanes: usize) {
        self.0.handles.lanes_owned.set(float(lanes));
    }

    /// So many lanes were claimed whose lease had run out.
    pub fn taken_over(&self, lanes: usize) {
        let lanes = u64::try_from(lanes).unwrap_or(u64::MAX);
        self.0.handles.takeovers.increment(lanes);
    }

    /// A producer was replaced.
    pub fn producer_rebuilt(&self) {
        self.0.handles.rebuilds.increment(1);
    }

    /// Reading a page took so long.
    pub fn polled(&self, took: Duration) {
        self.0.handles.poll.record(took);
    }

    fn with_topics<T>(&self, work: impl FnOnce(&mut Topics) -> T) -> T {
        with_local_recorder(&self.0.recorder, || work(&mut lock(&self.0.topics)))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn buckets(builder: PrometheusBuilder, name: &str, bounds: &[f64]) -> PrometheusBuilder {
    builder
        .set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
        .expect("there are bounds")
}

/// A panic while it was held leaves counters behind that are right all the same.
fn lock<T>(guarded: &Mutex<T>) -> MutexGuard<'_, T> {
    guarded.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A count as a gauge has it.
fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        page.lines().filter(|line| line.starts_with(name)).collect()
    }

    #[test]
    fn a_thousand_topics_make_a_hundred_series_and_one_for_the_rest() {
        let metrics = Metrics::new("1");
        for n in 0..1_000 {
            let slot = metrics.topic(&format!("topic-{n}"));
            metrics.published(slot, None);
            metrics.failed(slot, Class::Transient);
            metrics.dead(&format!("topic-{n}"), Class::Record);
            metrics.circuit(&format!("topic-{n}"), true);
        }
        let page = metrics.page();
        for (name, rest) in [
            ("outbox_relay_published_total{", r#"{topic="other"} 900"#),
            (
                "outbox_relay_failed_total{",
                r#"{topic="other",class="transient"} 900"#,
            ),
            (
                "outbox_relay_dead_total{",
                r#"{topic="other",class="record"} 900"#,
            ),
            ("outbox_relay_circuit_open{", r#"{topic="other"} 900"#),
        ] {
            let lines = lines(&page, name);
            assert_eq!(lines.len(), LABELS_MAX + 1, "{name}");
            assert!(
                lines.iter().any(|line| line.ends_with(rest)),
                "{name}: {lines:?}"
            );
        }
    }

    #[test]
    fn a_name_full_of_signs_can_end_no_line_and_no_label() {
        let metrics = Metrics::new("1");
        metrics.backlog(&[Waiting {
            aggregate_type: "a\"} 1\nforged 2".to_owned(),
            rows: 1,
            oldest_seconds: 0.5,
        }]);
        let page = metrics.page();
        assert!(
            page.contains(r#"{aggregate_type="a\"} 1\nforged 2"} 1"#),
            "{page}"
        );
        assert!(lines(&page, "forged").is_empty(), "{page}");
    }

    #[test]
    fn a_type_that_waits_no_more_falls_to_zero() {
        let metrics = Metrics::new("1");
        let waiting = |aggregate_type: &str, rows| Waiting {
            aggregate_type: aggregate_type.to_owned(),
            rows,
            oldest_seconds: 1.5,
        };
        metrics.backlog(&[waiting("order", 7), waiting("user", 2)]);
        metrics.backlog(&[waiting("user", 3)]);
        let page = metrics.page();
        for line in [
            r#"outbox_relay_backlog_rows{aggregate_type="order"} 0"#,
            r#"outbox_relay_oldest_unpublished_seconds{aggregate_type="order"} 0"#,
            r#"outbox_relay_backlog_rows{aggregate_type="user"} 3"#,
            r#"outbox_relay_oldest_unpublished_seconds{aggregate_type="user"} 1.5"#,
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in {page}");
        }
    }

    #[test]
    fn a_circuit_is_open_or_closed_however_often_that_is_said() {
        let metrics = Metrics::new("1");
        for (open, shown) in [
            (true, "1"),
            (true, "1"),
            (false, "0"),
            (false, "0"),
            (true, "1"),
        ] {
            metrics.circuit("orders", open);
            let line = format!(r#"outbox_relay_circuit_open{{topic="orders"}} {shown}"#);
            let page = metrics.page();
            assert!(page.lines().any(|other| other == line), "{line} in {page}");
        }
    }

    #[test]
    fn a_delivery_falls_into_its_bucket_and_is_folded_once() {
        let metrics = Metrics::new("1");
        let slot = metrics.topic("orders");
        metrics.published(slot, Some(Duration::from_millis(7)));
        metrics.published(slot, None);
        metrics.fold();
        metrics.fold();
        let page = metrics.page();
        for line in [
            r#"outbox_relay_published_total{topic="orders"} 2"#,
            r#"outbox_relay_delivery_seconds_bucket{le="0.005"} 0"#,
            r#"outbox_relay_delivery_seconds_bucket{le="0.01"} 1"#,
            "outbox_relay_delivery_seconds_count 1",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in {page}");
        }
    }
}
