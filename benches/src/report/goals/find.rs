//! What is found for a goal: each a value from the results, with whom or what it came to stand
//! beside.
//!
//! Owns which figures judge. Pure; `None` unless all that it takes was measured.

use crate::report::names::label;
use crate::report::summary::Summary;

/// Ways to tell how fast a backlog was drained.
const RATES: [&str; 3] = ["rows_per_s", "rows_per_s_flowing", "marked_rows_per_s"];
/// What was found, and against what.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: f64,
    pub(crate) against: String,
}

pub(super) fn found(value: f64, against: &str) -> Found {
    Found {
        value,
        against: against.to_owned(),
    }
}

pub(super) fn median(summary: &Summary, title: &str, figure: &str) -> Option<Found> {
    Some(found(summary.median(title, figure)?, ""))
}

pub(super) fn largest(summary: &Summary, title: &str, figure: &str) -> Option<Found> {
    let values = summary.values(title, figure);
    let against = format!("the largest of {}", values.len());
    Some(found(*values.last()?, &against))
}

pub(super) fn ratio(summary: &Summary, figure: &str, one: &str, other: &str) -> Option<Found> {
    let value = summary.median(one, figure)? / summary.median(other, figure)?;
    Some(found(value, ""))
}

/// The pollers whose names begin so, of those that were measured.
pub(super) fn pollers<'a>(summary: &'a Summary, prefix: &str) -> Vec<&'a str> {
    let mut pollers = summary.contenders("drain", "");
    pollers.retain(|who| who.starts_with(prefix));
    pollers
}

/// How many times as fast as the quickest of these, by the least kind rate.
pub(super) fn faster(summary: &Summary, ours: &str, rivals: &[&str]) -> Option<Found> {
    let ratios = rivals.iter().filter_map(|who| {
        let value = rate_beside(summary, ours, &format!("drain/{who}"))?;
        Some(found(value, &label(who)))
    });
    ratios.min_by(|a, b| a.value.total_cmp(&b.value))
}

/// How many times as fast as another, by the least kind rate that both have.
pub(crate) fn rate_beside(summary: &Summary, ours: &str, other: &str) -> Option<f64> {
    let ratios = RATES
        .iter()
        .filter_map(|rate| Some(summary.median(ours, rate)? / summary.median(other, rate)?));
    ratios.min_by(f64::total_cmp)
}

pub(super) fn p99_beside_rivals(summary: &Summary) -> Option<Found> {
    let ours = summary.median("latency/ours/1000", "p99_ms")?;
    let rivals = summary.contenders("latency", "1000").into_iter();
    let ratios = rivals.filter(|who| *who != "ours").filter_map(|who| {
        let p99_ms = summary.median(&format!("latency/{who}/1000"), "p99_ms")?;
        Some(found(p99_ms / ours, &label(who)))
    });
    ratios.min_by(|a, b| a.value.total_cmp(&b.value))
}

pub(super) fn memory_beside_debezium(summary: &Summary) -> Option<Found> {
    let ours = summary.median("drain/ours", "peak_mib")?;
    let ratios = ["debezium-default", "debezium-tuned"]
        .into_iter()
        .filter_map(|who| {
            let peak_mib = summary.median(&format!("drain/{who}"), "peak_mib")?;
            Some(found(peak_mib / ours, &label(who)))
        });
    ratios.min_by(|a, b| a.value.total_cmp(&b.value))
}

/// The worst of several; `None` unless all were measured.
fn worst(worsenings: impl IntoIterator<Item = (&'static str, Option<f64>)>) -> Option<Found> {
    let all: Option<Vec<Found>> = worsenings
        .into_iter()
        .map(|(name, value)| Some(found(value?, name)))
        .collect();
    all?.into_iter().max_by(|a, b| a.value.total_cmp(&b.value))
}

/// What a transaction that has been open for a minute has made of poll and latency.
pub(super) fn late_worsening(summary: &Summary, title: &str) -> Option<Found> {
    let beside = |figure: &str| {
        let late = |title| mean_of_late_spans(summary, title, figure);
        Some(late(title)? / late("open/ours/nobody")?)
    };
    worst([
        ("poll cost", beside("poll_ms")),
        ("median latency", beside("p50_ms")),
    ])
}

/// The mean over the spans of the last 20 of 80 seconds.
fn mean_of_late_spans(summary: &Summary, title: &str, figure: &str) -> Option<f64> {
    let at = |until_s: u32| summary.median(title, &format!("{figure}_at_{until_s}s"));
    Some(f64::midpoint(at(70)?, at(80)?))
}

pub(super) fn published_worsening(summary: &Summary) -> Option<Found> {
    let more =
        |figure| Some(ratio(summary, figure, "published/ours/10M", "published/ours/0")?.value);
    let less = |figure| Some(more(figure)?.recip());
    worst([
        ("poll cost at a rate", more("latency_poll_ms")),
        ("median latency", more("latency_p50_ms")),
        ("poll cost in a drain", more("drain_poll_ms")),
        ("rate of a drain", less("drain_rows_per_s")),
    ])
}

/// The largest drain has more rows than the others, so only what is told a second and a poll counts.
pub(super) fn aggregates_worsening(summary: &Summary) -> Option<Found> {
    let titles = [
        "drain/ours",
        "aggregates/ours/1k",
        "aggregates/ours/100k",
        "aggregates/ours/1M",
    ];
    let range = |figure| {
        let values: Option<Vec<f64>> = titles
            .iter()
            .map(|title| summary.median(title, figure))
            .collect();
        let values = values?;
        let largest = values.iter().copied().reduce(f64::max)?;
        let smallest = values.iter().copied().reduce(f64::min)?;
        Some(largest / smallest)
    };
    worst([
        ("poll cost", range("poll_ms")),
        ("rate", range("rows_per_s")),
    ])
}
