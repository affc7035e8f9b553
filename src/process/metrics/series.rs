//! The series whose labels come from rows, made when a name is first seen.
//!
//! Owns the handles by topic and by aggregate type. New ones are made in the recorder that is in
//! scope.
//!
//! Invariant: a handle is made once; from then on nothing is allocated for it.

use foldhash::{HashMap, HashSet};
use metrics::{Counter, Gauge, counter, gauge};

use super::names;
use crate::decide::labels::Labels;
use crate::outcome::Class;

/// The series of all topics.
#[derive(Debug)]
pub(super) struct Topics {
    labels: Labels,
    series: HashMap<usize, Topic>,
    /// Topics with an open circuit, by their full names.
    open: HashSet<Box<str>>,
}

#[derive(Debug)]
struct Topic {
    label: Box<str>,
    published: Counter,
    failed: HashMap<Class, Counter>,
    dead: HashMap<Class, Counter>,
}

impl Topics {
    pub(super) fn new(max: usize) -> Self {
        Self {
            labels: Labels::new(max),
            series: HashMap::default(),
            open: HashSet::default(),
        }
    }

    /// The place of a topic, whose count of published events exists from now on.
    pub(super) fn place(&mut self, topic: &str) -> usize {
        let place = self.labels.place(topic);
        self.series.entry(place).or_insert_with(|| {
            let label = self.labels.label(place, topic);
            Topic {
                label: label.into(),
                published: counter!(names::PUBLISHED, "topic" => label.to_owned()),
                failed: HashMap::default(),
                dead: HashMap::default(),
            }
        });
        place
    }

    pub(super) fn published(&self, place: usize) -> Option<&Counter> {
        self.series.get(&place).map(|topic| &topic.published)
    }

    pub(super) fn failed(&mut self, place: usize, class: Class) -> Option<&Counter> {
        let topic = self.series.get_mut(&place)?;
        let made = || of_class(names::FAILED, &topic.label, class);
        Some(topic.failed.entry(class).or_insert_with(made))
    }

    pub(super) fn dead(&mut self, place: usize, class: Class) -> Option<&Counter> {
        let topic = self.series.get_mut(&place)?;
        let made = || of_class(names::DEAD, &topic.label, class);
        Some(topic.dead.entry(class).or_insert_with(made))
    }

    /// Notes a circuit, whose gauge counts the open ones that share its label.
    pub(super) fn circuit(&mut self, topic: &str, open: bool) {
        let place = self.labels.place(topic);
        let label = self.labels.label(place, topic).to_owned();
        let gauge = gauge!(names::CIRCUIT, "topic" => label);
        if open && self.open.insert(topic.into()) {
            gauge.increment(1.0);
        } else if !open && self.open.remove(topic) {
            gauge.decrement(1.0);
        }
    }
}

fn of_class(name: &'static str, label: &str, class: Class) -> Counter {
    counter!(name, "topic" => label.to_owned(), "class" => class.to_string())
}

/// What waits of one aggregate type.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The aggregate type.
    pub aggregate_type: String,
    /// How many rows of it.
    pub rows: u32,
    /// How long the oldest has waited, in seconds.
    pub oldest_seconds: f64,
}

/// The series of all aggregate types.
#[derive(Debug)]
pub(super) struct Types {
    labels: Labels,
    series: HashMap<usize, Type>,
}

#[derive(Debug)]
struct Type {
    rows: Gauge,
    oldest: Gauge,
}

impl Types {
    pub(super) fn new(max: usize) -> Self {
        Self {
            labels: Labels::new(max),
            series: HashMap::default(),
        }
    }

    /// Shows what waits now; a type that is not among it has nothing that waits.
    pub(super) fn show(&mut self, waiting: &[Waiting]) {
        let mut sums: HashMap<usize, (f64, f64)> = self
            .series
            .keys()
            .map(|&place| (place, (0.0, 0.0)))
            .collect();
        for Waiting {
            aggregate_type,
            rows,
            oldest_seconds,
        } in waiting
        {
            let place = self.place(aggregate_type);
            let (sum, oldest) = sums.entry(place).or_default();
            *sum += f64::from(*rows);
            *oldest = oldest.max(*oldest_seconds);
        }
        for (place, (rows, oldest)) in sums {
            if let Some(series) = self.series.get(&place) {
                series.rows.set(rows);
                series.oldest.set(oldest);
            }
        }
    }

    fn place(&mut self, aggregate_type: &str) -> usize {
        let place = self.labels.place(aggregate_type);
        self.series.entry(place).or_insert_with(|| {
            let label = self.labels.label(place, aggregate_type);
            Type {
                rows: gauge!(names::BACKLOG, "aggregate_type" => label.to_owned()),
                oldest: gauge!(names::OLDEST, "aggregate_type" => label.to_owned()),
            }
        });
        place
    }
}
