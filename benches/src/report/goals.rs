//! The goals: what the relay shall reach, each with the one way to judge it from the results.
//!
//! Owns the words and the bounds. Pure.
//!
//! Invariant: where a rate can be told in several ways (from a program's start or from its first
//! record, on Kafka or marked as well), the one that is least kind to the relay judges.

mod find;

use super::summary::Summary;
use super::table::{number, short};
use find::{
    Found, aggregates_worsening, faster, found, largest, late_worsening, median,
    memory_beside_debezium, p99_beside_rivals, pollers, published_worsening, ratio,
};

pub(crate) use find::rate_beside;

/// How much worse something may be that shall not have changed.
const FLAT: f64 = 1.2;
/// What a relay has in flight and unmarked at most (`relay.window_rows`).
const WINDOW_ROWS: f64 = 20_000.0;

/// Where a found value must lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Something to reach.
pub(crate) struct Goal {
    /// Its name in the notes.
    pub(crate) key: &'static str,
    /// What it is, in words.
    pub(crate) words: &'static str,
    bound: Bound,
    unit: &'static str,
    find: fn(&Summary) -> Option<Found>,
}

/// A goal beside what was found.
pub(crate) struct Verdict {
    pub(crate) found: Option<Found>,
    pub(crate) reached: Option<bool>,
}

impl Goal {
    /// Judges it; without a figure there is no judgement.
    pub(crate) fn judge(&self, summary: &Summary) -> Verdict {
        let found = (self.find)(summary);
        let reached = found.as_ref().map(|found| match self.bound {
            Bound::AtLeast(wanted) => found.value >= wanted,
            Bound::AtMost(wanted) => found.value <= wanted,
        });
        Verdict { found, reached }
    }

    /// The bound, in words.
    pub(crate) fn wanted(&self) -> String {
        let (word, wanted) = match self.bound {
            Bound::AtLeast(wanted) => ("at least", wanted),
            Bound::AtMost(wanted) => ("at most", wanted),
        };
        format!("{word} {}", self.with_unit(&short(wanted)))
    }

    /// A value in the goal's unit.
    pub(crate) fn shown(&self, value: f64) -> String {
        self.with_unit(&number(value))
    }

    fn with_unit(&self, digits: &str) -> String {
        format!("{digits} {}", self.unit).trim_end().to_owned()
    }
}

/// All of them, in the order of the report.
pub(crate) fn goals() -> Vec<Goal> {
    [speed(), latency(), cost(), flatness(), neighbours()]
        .into_iter()
        .flatten()
        .collect()
}

fn at_least(
    (key, words): (&'static str, &'static str),
    (wanted, unit): (f64, &'static str),
    find: fn(&Summary) -> Option<Found>,
) -> Goal {
    Goal {
        key,
        words,
        bound: Bound::AtLeast(wanted),
        unit,
        find,
    }
}

fn at_most(
    (key, words): (&'static str, &'static str),
    (wanted, unit): (f64, &'static str),
    find: fn(&Summary) -> Option<Found>,
) -> Goal {
    Goal {
        bound: Bound::AtMost(wanted),
        ..at_least((key, words), (wanted, unit), find)
    }
}

fn speed() -> Vec<Goal> {
    vec![
        at_least(
            (
                "drain-debezium",
                "Drain, rows marked, beside Debezium Server tuned",
            ),
            (5.0, "×"),
            |summary| faster(summary, "drain/ours", &["debezium-tuned"]),
        ),
        at_least(
            ("drain-go", "Drain, rows marked, beside the poller in Go"),
            (10.0, "×"),
            |summary| faster(summary, "drain/ours", &pollers(summary, "naive-go")),
        ),
        at_least(
            (
                "drain-poller",
                "Drain, rows marked, beside the best poller of any batch",
            ),
            (1.5, "×"),
            |summary| faster(summary, "drain/ours", &pollers(summary, "naive-")),
        ),
        at_least(
            (
                "delete-debezium",
                "Drain, rows deleted, beside Debezium Server tuned",
            ),
            (7.0, "×"),
            |summary| faster(summary, "drain/ours/delete", &["debezium-tuned"]),
        ),
        at_least(
            (
                "delete-poller",
                "Drain, rows deleted, beside the best poller of any batch",
            ),
            (2.0, "×"),
            |summary| faster(summary, "drain/ours/delete", &pollers(summary, "naive-")),
        ),
        at_least(
            (
                "drain-limit",
                "Drain, rows marked, beside claiming and marking alone",
            ),
            (0.8, "×"),
            |summary| {
                let limit = summary.median("limit/limit-postgres", "rows_per_s")?;
                let marked = summary.median("drain/ours", "marked_rows_per_s")?;
                Some(found(marked / limit, "the same table without Kafka"))
            },
        ),
    ]
}

fn latency() -> Vec<Goal> {
    vec![
        at_most(
            (
                "latency-p50",
                "Commit to Kafka at 1,000 transactions a second, p50",
            ),
            (3.0, "ms"),
            |summary| median(summary, "latency/ours/1000", "p50_ms"),
        ),
        at_most(
            (
                "latency-p99",
                "Commit to Kafka at 1,000 transactions a second, p99",
            ),
            (10.0, "ms"),
            |summary| median(summary, "latency/ours/1000", "p99_ms"),
        ),
        at_least(
            (
                "latency-rivals",
                "The best rival's p99 at 1,000 transactions a second, beside ours",
            ),
            (3.0, "×"),
            p99_beside_rivals,
        ),
        at_most(
            (
                "latency-2000",
                "Commit to Kafka at 2,000 transactions a second, p99",
            ),
            (15.0, "ms"),
            |summary| median(summary, "latency/ours/2000", "p99_ms"),
        ),
        at_most(
            (
                "pause",
                "The first event after a pause, commit to Kafka, p50",
            ),
            (30.0, "ms"),
            |summary| median(summary, "pause/ours", "p50_ms"),
        ),
    ]
}

fn cost() -> Vec<Goal> {
    vec![
        at_most(
            ("cpu", "CPU time of the relay for a million rows"),
            (5.0, "s"),
            |summary| median(summary, "drain/ours", "own_cpu_s_per_million"),
        ),
        at_least(
            (
                "memory",
                "Peak memory of Debezium Server beside the relay's",
            ),
            (20.0, "×"),
            memory_beside_debezium,
        ),
        at_most(
            (
                "memory-flat",
                "Peak memory over 10 M waiting rows beside 10 k",
            ),
            (FLAT, "×"),
            |summary| {
                let peak = |title| summary.median(title, "peak_mib");
                Some(found(
                    peak("memory/ours/10M")? / peak("memory/ours/10k")?,
                    "",
                ))
            },
        ),
        at_most(
            ("idle", "Idle, CPU time of the relay"),
            (2.0, "% of a core"),
            |summary| median(summary, "idle/ours", "own_cpu_percent"),
        ),
        at_most(
            ("idle-postgresql", "Idle, CPU time of PostgreSQL"),
            (0.5, "% of a core"),
            |summary| median(summary, "idle/ours", "postgres_cpu_percent"),
        ),
    ]
}

fn flatness() -> Vec<Goal> {
    vec![
        at_most(
            (
                "open-reader",
                "A reading transaction held open: poll cost and latency beside none",
            ),
            (FLAT, "×"),
            |summary| late_worsening(summary, "open/ours/reader"),
        ),
        at_most(
            (
                "open-writer",
                "A writing transaction held open: poll cost and latency beside none",
            ),
            (FLAT, "×"),
            |summary| late_worsening(summary, "open/ours/writer"),
        ),
        at_most(
            (
                "published",
                "10 M published rows: poll cost, latency and rate beside none",
            ),
            (FLAT, "×"),
            published_worsening,
        ),
        at_most(
            (
                "aggregates",
                "From 1 k to 1 M aggregates: poll cost and rate, the worst beside the best",
            ),
            (FLAT, "×"),
            aggregates_worsening,
        ),
    ]
}

fn neighbours() -> Vec<Goal> {
    vec![
        at_least(
            (
                "hot",
                "One aggregate with 10 % of all rows: the rate of the others beside none",
            ),
            (0.9, "×"),
            |summary| {
                ratio(
                    summary,
                    "others_rows_per_s",
                    "hot/ours/10 %",
                    "hot/ours/0 %",
                )
            },
        ),
        at_least(
            (
                "writer",
                "Writers into the outbox beside writers into a plain table",
            ),
            (0.9, "×"),
            |summary| {
                ratio(
                    summary,
                    "transactions_per_s",
                    "price/ours/outbox",
                    "price/ours/plain",
                )
            },
        ),
        at_least(
            ("relays", "Two relays on one backlog beside one"),
            (0.9, "×"),
            |summary| ratio(summary, "rows_per_s", "relays/ours/2", "relays/ours/1"),
        ),
        at_most(
            ("kill-lost", "Events lost in a kill at full speed"),
            (0.0, ""),
            |summary| largest(summary, "kill/ours", "lost"),
        ),
        at_most(
            (
                "kill",
                "Duplicates after a kill at full speed: what was in flight or unmarked",
            ),
            (WINDOW_ROWS, "rows"),
            |summary| largest(summary, "kill/ours", "duplicates"),
        ),
    ]
}

#[cfg(test)]
mod tests;
