//! The charts of the report: which figures each shows.
//!
//! Owns their files and titles. Pure. A chart without figures is not drawn.

use anyhow::Result;

use super::draw::{Curve, Row, Words, bars, curves, dots};
use super::names::label;
use super::summary::Summary;
use crate::figures::f64_of;

/// A chart that was drawn.
pub(crate) struct Chart {
    /// Its file, below `docs/performance`.
    pub(crate) file: &'static str,
    /// What it shows, in words.
    pub(crate) title: &'static str,
    pub(crate) svg: String,
}

const PERCENTILES: [&str; 4] = ["p50", "p95", "p99", "max"];
/// The spans over which a transaction is held open, by their ends.
const SPANS_S: [i64; 8] = [10, 20, 30, 40, 50, 60, 70, 80];

/// All that there are figures for.
pub(crate) fn charts(summary: &Summary) -> Result<Vec<Chart>> {
    let drawn = [
        drain(summary),
        latency(summary),
        cpu(summary),
        memory(summary),
        open(
            summary,
            ("open-poll.svg", "One poll while a transaction is held open"),
            "poll_ms",
        ),
        open(
            summary,
            (
                "open.svg",
                "Median latency while a transaction is held open",
            ),
            "p50_ms",
        ),
        flat(summary),
    ];
    drawn.into_iter().filter_map(Result::transpose).collect()
}

fn drain(summary: &Summary) -> Result<Option<Chart>> {
    let mut rows = vec![
        rate(summary, "drain/ours", "outbox-relay, rows marked"),
        rate(summary, "drain/ours/delete", "outbox-relay, rows deleted"),
    ];
    for who in rivals(summary, "drain", "") {
        rows.push(rate(summary, &format!("drain/{who}"), &label(who)));
    }
    rows.push(rate(
        summary,
        "limit/limit-postgres",
        &label("limit-postgres"),
    ));
    let words = Words {
        title: "Drain of 300,000 waiting rows",
        unit: "rows/s, from a contender's start",
        kinds: &[],
    };
    chart(
        "drain.svg",
        &words,
        &rows.into_iter().flatten().collect::<Vec<_>>(),
        bars,
    )
}

fn rate(summary: &Summary, title: &str, name: &str) -> Option<Row> {
    one(summary, (title, "rows_per_s"), name)
}

/// A row of one figure with its range.
fn one(summary: &Summary, (title, figure): (&str, &str), name: &str) -> Option<Row> {
    let spread = summary.spread(title, figure)?;
    Some(Row {
        name: name.to_owned(),
        values: vec![spread.median],
        range: (spread.rounds > 1).then_some((spread.min, spread.max)),
        is_ours: title.contains("/ours"),
    })
}

fn latency(summary: &Summary) -> Result<Option<Chart>> {
    let row = |who: &str| {
        let title = format!("latency/{who}/1000");
        several(
            summary,
            &title,
            &PERCENTILES.map(|name| format!("{name}_ms")),
            &label(who),
        )
    };
    let words = Words {
        title: "Commit to Kafka at 1,000 transactions a second",
        unit: "ms, logarithmic",
        kinds: &PERCENTILES,
    };
    let who = summary.contenders("latency", "1000").into_iter();
    chart(
        "latency.svg",
        &words,
        &who.filter_map(row).collect::<Vec<_>>(),
        dots,
    )
}

/// A row of several figures; none unless all were measured.
fn several(summary: &Summary, title: &str, figures: &[String], name: &str) -> Option<Row> {
    let values: Option<Vec<f64>> = figures
        .iter()
        .map(|figure| summary.median(title, figure))
        .collect();
    Some(Row {
        name: name.to_owned(),
        values: values?,
        range: None,
        is_ours: title.contains("/ours"),
    })
}

fn cpu(summary: &Summary) -> Result<Option<Chart>> {
    let figures = ["own", "postgres", "kafka"].map(|name| format!("{name}_cpu_s_per_million"));
    let row = |who: &str| several(summary, &format!("drain/{who}"), &figures, &label(who));
    let words = Words {
        title: "CPU time for a million rows",
        unit: "s",
        kinds: &["the contender's", "PostgreSQL's", "Kafka's"],
    };
    let who = summary.contenders("drain", "").into_iter();
    chart(
        "cpu.svg",
        &words,
        &who.filter_map(row).collect::<Vec<_>>(),
        bars,
    )
}

fn memory(summary: &Summary) -> Result<Option<Chart>> {
    let row = |who: &str| one(summary, (&format!("drain/{who}"), "peak_mib"), &label(who));
    let words = Words {
        title: "Peak memory in a drain",
        unit: "MiB",
        kinds: &[],
    };
    let who = summary.contenders("drain", "").into_iter();
    chart(
        "memory.svg",
        &words,
        &who.filter_map(row).collect::<Vec<_>>(),
        bars,
    )
}

fn open(
    summary: &Summary,
    (file, title): (&'static str, &'static str),
    figure: &str,
) -> Result<Option<Chart>> {
    let curve = |holder: &str| {
        let at = |until_s: i64| {
            let figure = format!("{figure}_at_{until_s}s");
            Some((
                f64_of(until_s),
                summary.median(&format!("open/ours/{holder}"), &figure)?,
            ))
        };
        Curve {
            name: format!("held by {holder}"),
            points: SPANS_S.into_iter().filter_map(at).collect(),
        }
    };
    let drawn: Vec<Curve> = summary.variants("open").into_iter().map(curve).collect();
    if drawn.iter().all(|curve| curve.points.is_empty()) {
        return Ok(None);
    }
    let words = Words {
        title,
        unit: "ms",
        kinds: &[],
    };
    let svg = curves(&words, &drawn)?;
    Ok(Some(Chart { file, title, svg }))
}

/// Rates beside those of the base case, in percent.
fn flat(summary: &Summary) -> Result<Option<Chart>> {
    let share = |name: &str, (title, figure): (&str, &str), (base, of_base): (&str, &str)| {
        let spread = summary.spread(title, figure)?;
        let base = summary.median(base, of_base)?;
        Some(Row {
            name: name.to_owned(),
            values: vec![spread.median / base * 100.0],
            range: None,
            is_ours: true,
        })
    };
    let base = ("drain/ours", "rows_per_s");
    let mut rows = vec![share("10k aggregates", base, base)];
    for variant in summary.variants("aggregates") {
        let title = format!("aggregates/ours/{variant}");
        rows.push(share(
            &format!("{variant} aggregates"),
            (&title, "rows_per_s"),
            base,
        ));
    }
    let drained = "drain_rows_per_s";
    let empty = ("published/ours/0", drained);
    rows.push(share(
        "10M published rows",
        ("published/ours/10M", drained),
        empty,
    ));
    rows.push(share(
        "1M waiting rows",
        ("drain/ours/1M rows", "rows_per_s"),
        base,
    ));
    let words = Words {
        title: "Rate of a drain beside the base case's",
        unit: "%",
        kinds: &[],
    };
    chart(
        "flat.svg",
        &words,
        &rows.into_iter().flatten().collect::<Vec<_>>(),
        bars,
    )
}

/// Whom the relay is compared with in a cell.
fn rivals<'a>(summary: &'a Summary, cell: &str, variant: &str) -> Vec<&'a str> {
    let mut rivals = summary.contenders(cell, variant);
    rivals.retain(|who| *who != "ours");
    rivals
}

fn chart(
    file: &'static str,
    words: &Words<'static>,
    rows: &[Row],
    draw: fn(&Words<'_>, &[Row]) -> Result<String>,
) -> Result<Option<Chart>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let svg = draw(words, rows)?;
    let title = words.title;
    Ok(Some(Chart { file, title, svg }))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::line;
    use super::*;

    fn files(summary: &Summary) -> Vec<&'static str> {
        charts(summary)
            .unwrap()
            .into_iter()
            .map(|chart| chart.file)
            .collect()
    }

    #[test]
    fn a_chart_without_figures_is_not_drawn() {
        assert_eq!(files(&Summary::default()), Vec::<&str>::new());
        let peak = Summary::of(&[line("drain/ours", 1, &[("peak_mib", 20.0)])]);
        assert_eq!(files(&peak), ["memory.svg"]);
    }

    #[test]
    fn a_contender_with_half_of_its_percentiles_is_left_out() {
        let all = [
            ("p50_ms", 1.0),
            ("p95_ms", 2.0),
            ("p99_ms", 3.0),
            ("max_ms", 4.0),
        ];
        let summary = Summary::of(&[
            line("latency/ours/1000", 1, &all),
            line("latency/debezium-tuned/1000", 1, &all[..2]),
        ]);
        let charts = charts(&summary).unwrap();
        assert!(charts[0].svg.contains("outbox-relay"));
        assert!(!charts[0].svg.contains("Debezium"));
    }
}
