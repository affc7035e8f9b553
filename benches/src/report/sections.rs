//! The tables of the report, each from the cells that it shows.
//!
//! Owns their columns. Pure: a summary in, Markdown out.

use super::goals::{Goal, Verdict, rate_beside};
use super::names::label;
use super::notes::Notes;
use super::summary::Summary;
use super::table::{NOT_MEASURED, Table, figure, number, times};

/// Each goal beside what was found.
pub(crate) fn goals(summary: &Summary, goals: &[Goal]) -> String {
    let mut table = Table::new(&["Goal", "wanted", "found", "reached"]);
    for goal in goals {
        let Verdict { found, reached } = goal.judge(summary);
        let found = found.map_or_else(
            || NOT_MEASURED.to_owned(),
            |found| match found.against.as_str() {
                "" => goal.shown(found.value),
                against => format!("{} ({against})", goal.shown(found.value)),
            },
        );
        let reached = match reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        table.push(goal.words, [goal.wanted(), found, reached.to_owned()]);
    }
    table.markdown()
}

/// Why each goal that was missed was missed, where somebody has found out.
pub(crate) fn misses(summary: &Summary, goals: &[Goal], notes: &Notes) -> String {
    let missed = goals
        .iter()
        .filter(|goal| goal.judge(summary).reached == Some(false));
    let lines = missed.map(|goal| {
        let note = notes.of(goal.key).unwrap_or("not explained yet.");
        format!("- **{}**: {note}\n", goal.words)
    });
    lines.collect::<Vec<_>>().concat()
}

/// Everybody on one backlog.
pub(crate) fn drain(summary: &Summary, variant: &str) -> String {
    let mut table = Table::new(&[
        "",
        "outbox-relay is",
        "rows/s from its start",
        "rows/s from its first record",
        "CPU s a million rows",
        "PostgreSQL's",
        "Kafka's",
        "peak MiB",
    ]);
    let title = |who: &str| title("drain", who, variant);
    for who in summary.contenders("drain", variant) {
        let of = |name| figure(summary.spread(&title(who), name));
        let beside = rate_beside(summary, &title("ours"), &title(who));
        let cells = [
            unless_ours(who, times(beside)),
            of("rows_per_s"),
            of("rows_per_s_flowing"),
            of("own_cpu_s_per_million"),
            of("postgres_cpu_s_per_million"),
            of("kafka_cpu_s_per_million"),
            of("peak_mib"),
        ];
        table.push(label(who), cells);
    }
    table.markdown()
}

/// Everybody at one rate.
pub(crate) fn latency(summary: &Summary, per_s: &str) -> String {
    let mut table = Table::new(&[
        "",
        "its p99 ÷ outbox-relay's",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "CPU, % of a core",
        "PostgreSQL's",
    ]);
    let title = |who: &str| title("latency", who, per_s);
    let p99_ms = |who| summary.median(&title(who), "p99_ms");
    for who in summary.contenders("latency", per_s) {
        let of = |name| figure(summary.spread(&title(who), name));
        let beside = p99_ms(who)
            .zip(p99_ms("ours"))
            .map(|(its, ours)| its / ours);
        let cells = [
            unless_ours(who, times(beside)),
            of("p50_ms"),
            of("p95_ms"),
            of("p99_ms"),
            of("max_ms"),
            of("own_cpu_percent"),
            of("postgres_cpu_percent"),
        ];
        table.push(label(who), cells);
    }
    table.markdown()
}

/// Everybody with nothing to do.
pub(crate) fn idle(summary: &Summary) -> String {
    let columns = [
        ("CPU, % of a core", "own_cpu_percent"),
        ("PostgreSQL's", "postgres_cpu_percent"),
        ("resident MiB", "resident_mib"),
    ];
    by_contender(summary, "idle", &columns)
}

/// Everybody killed at full speed.
pub(crate) fn kill(summary: &Summary) -> String {
    let columns = [
        ("duplicates", "duplicates"),
        ("lost", "lost"),
        ("s from the kill to the next record", "resumed_after_s"),
    ];
    let table = by_contender(summary, "kill", &columns);
    let values = summary.values("kill/ours", "duplicates");
    if values.len() < 2 {
        return table;
    }
    let values: Vec<String> = values.into_iter().map(number).collect();
    format!(
        "{table}\nDuplicates of each kill of outbox-relay, in order: {}.\n",
        values.join(", ")
    )
}

/// What nobody can pass.
pub(crate) fn limits(summary: &Summary) -> String {
    let mut table = Table::new(&["", "rows/s"]);
    for who in ["limit-postgres", "limit-kafka"] {
        for variant in ["", "delete", "lz4", "zstd"] {
            let spread = summary.spread(&title("limit", who, variant), "rows_per_s");
            if spread.is_some() {
                table.push(named(&label(who), variant), [figure(spread)]);
            }
        }
    }
    table.markdown()
}

/// The relay's own cells by variant; where there are several, each beside the first.
pub(crate) fn variants(
    summary: &Summary,
    cell: &str,
    base: &str,
    columns: &[(&str, &str)],
) -> String {
    let variants = summary.variants(cell);
    let [(_, first), ..] = columns else {
        return Table::new(&[]).markdown();
    };
    let value = |variant: &str| summary.median(&title(cell, "ours", variant), first);
    let reference = variants.first().and_then(|variant| value(variant));
    let is_compared = variants.len() > 1;
    let mut head = vec![""];
    head.extend(is_compared.then_some("beside the first"));
    head.extend(columns.iter().map(|(words, _)| *words));
    let mut table = Table::new(&head);
    for variant in variants {
        let title = title(cell, "ours", variant);
        let beside = value(variant)
            .zip(reference)
            .map(|(this, first)| this / first);
        let figures = columns
            .iter()
            .map(|(_, name)| figure(summary.spread(&title, name)));
        let name = if variant.is_empty() { base } else { variant };
        table.push(
            name,
            is_compared
                .then(|| times(beside))
                .into_iter()
                .chain(figures),
        );
    }
    table.markdown()
}

/// Payloads of different size.
pub(crate) fn payloads(summary: &Summary) -> String {
    let mut table = Table::new(&["payload", "rows/s", "MB/s of payload", "peak MiB"]);
    for variant in summary.variants("payload") {
        let title = title("payload", "ours", variant);
        let bytes = summary
            .setting(&title, "/backlog/payload_bytes")
            .and_then(serde_json::Value::as_f64);
        let rows_per_s = summary.median(&title, "rows_per_s");
        let mb_per_s = bytes
            .zip(rows_per_s)
            .map(|(bytes, rate)| bytes * rate / 1e6);
        let cells = [
            figure(summary.spread(&title, "rows_per_s")),
            mb_per_s.map_or_else(|| NOT_MEASURED.to_owned(), number),
            figure(summary.spread(&title, "peak_mib")),
        ];
        table.push(variant, cells);
    }
    table.markdown()
}

/// Poll and latency over the time that a transaction stays open.
pub(crate) fn open(summary: &Summary) -> String {
    let mut table = Table::new(&["", "10 s", "20 s", "40 s", "60 s", "80 s"]);
    for holder in summary.variants("open") {
        for (words, name) in [
            ("a poll, ms", "poll_ms"),
            ("latency p50, ms", "p50_ms"),
            ("latency p99, ms", "p99_ms"),
        ] {
            let at = |until_s| {
                let title = title("open", "ours", holder);
                figure(summary.spread(&title, &format!("{name}_at_{until_s}s")))
            };
            table.push(format!("{holder}: {words}"), [10, 20, 40, 60, 80].map(at));
        }
    }
    table.markdown()
}

/// Nobody stands beside itself.
fn unless_ours(who: &str, text: String) -> String {
    if who == "ours" {
        "–".to_owned()
    } else {
        text
    }
}

fn by_contender(summary: &Summary, cell: &str, columns: &[(&str, &str)]) -> String {
    let mut head = vec![""];
    head.extend(columns.iter().map(|(words, _)| *words));
    let mut table = Table::new(&head);
    for who in summary.contenders(cell, "") {
        let title = title(cell, who, "");
        let cells = columns
            .iter()
            .map(|(_, name)| figure(summary.spread(&title, name)));
        table.push(label(who), cells);
    }
    table.markdown()
}

fn title(cell: &str, who: &str, variant: &str) -> String {
    if variant.is_empty() {
        format!("{cell}/{who}")
    } else {
        format!("{cell}/{who}/{variant}")
    }
}

fn named(name: &str, variant: &str) -> String {
    if variant.is_empty() {
        name.to_owned()
    } else {
        format!("{name}, {variant}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::line;
    use super::super::goals;
    use super::*;

    #[test]
    fn a_rival_stands_beside_the_relay_by_its_ratio() {
        let summary = Summary::of(&[
            line(
                "drain/ours",
                1,
                &[("rows_per_s", 100.0), ("peak_mib", 20.0)],
            ),
            line("drain/debezium-tuned", 1, &[("rows_per_s", 25.0)]),
        ]);
        let table = drain(&summary, "");
        assert!(
            table.contains("| outbox-relay | – | 100 | not measured |"),
            "{table}"
        );
        assert!(
            table.contains("| Debezium Server, tuned | 4 × | 25 | not measured |"),
            "{table}"
        );
    }

    #[test]
    fn a_goal_that_is_missed_is_explained_and_one_without_figures_is_not_judged() {
        let summary = Summary::of(&[line("idle/ours", 1, &[("own_cpu_percent", 3.0)])]);
        let all = goals::goals();
        let table = goals(&summary, &all);
        assert!(
            table.contains("| at most 2 % of a core | 3 % of a core | **no** |"),
            "{table}"
        );
        assert!(
            table.contains("| at most 3 ms | not measured | – |"),
            "{table}"
        );
        let notes = Notes::parse("idle = \"The clock ticks.\"", &["idle"]).unwrap();
        let told = misses(&summary, &all, &notes);
        assert_eq!(
            told,
            "- **Idle, CPU time of the relay**: The clock ticks.\n"
        );
        let silent = misses(&summary, &all, &Notes::default());
        assert!(silent.ends_with("not explained yet.\n"), "{silent}");
    }

    #[test]
    fn the_distribution_of_kills_is_shown_in_order() {
        let summary = Summary::of(&[
            line("kill/ours", 1, &[("duplicates", 300.0), ("lost", 0.0)]),
            line("kill/ours", 2, &[("duplicates", 100.0), ("lost", 0.0)]),
        ]);
        let table = kill(&summary);
        assert!(
            table.contains("| outbox-relay | 200 (100–300) | 0 | not measured |"),
            "{table}"
        );
        assert!(table.ends_with("in order: 100, 300.\n"), "{table}");
    }

    #[test]
    fn a_variant_stands_beside_the_first() {
        let summary = Summary::of(&[
            line("relays/ours/1", 1, &[("rows_per_s", 100.0)]),
            line("relays/ours/2", 1, &[("rows_per_s", 95.0)]),
        ]);
        let table = variants(&summary, "relays", "", &[("rows/s", "rows_per_s")]);
        assert!(table.contains("| 2 | 0.95 × | 95 |"), "{table}");
    }
}
