//! The page: `docs/performance.md`, in the order in which somebody reads it.
//!
//! Owns the words around the tables. Pure.

use serde_json::Value;

use super::charts::Chart;
use super::goals::goals;
use super::names::label;
use super::notes::Notes;
use super::sections;
use super::summary::Summary;
use super::table::number;

const OPENING: &str = "\
# Performance

How fast the relay is, what it costs, and how that compares with what people use today: a poller as
most teams write it, and Debezium Server with its outbox event router. Everything here was measured on
one machine by `make bench`, in one run or in several, whose commits stand at the end;
`outbox-relay-bench report` made this page from
`benches/results/results.jsonl`. Ratios carry over to other machines, absolute figures do not.

The base case: 300,000 waiting events with 300-byte payloads over 10,000 aggregates, written one a
transaction, a topic of 6 partitions on one broker, strict order, rows marked, no compression. Each
cell differs from it in one factor. Figures are medians, with the smallest and the largest in
parentheses. A drain is timed from a contender's start until the topic holds the last row.
";

/// The whole page; charts are named by their files.
pub(crate) fn page(summary: &Summary, notes: &Notes, charts: &[Chart], missing: &[&str]) -> String {
    let parts = [
        OPENING.to_owned(),
        aims(summary, notes),
        side_by_side(summary, charts),
        choices(summary),
        steadiness(summary, charts),
        prices(summary),
        not_measured(summary, missing),
        machine(summary),
    ];
    parts.join("\n")
}

fn aims(summary: &Summary, notes: &Notes) -> String {
    let goals = goals();
    let table = sections::goals(summary, &goals);
    let misses = sections::misses(summary, &goals, notes);
    let explained = if misses.is_empty() {
        String::new()
    } else {
        format!("\nWhat binds where a goal is not reached:\n\n{misses}")
    };
    format!(
        "## Goals\n\nWhere a rate can be told in several ways (from a program's start or from its \
         first record, on\nKafka or marked as well), the one that is least kind to the relay is \
         judged.\n\n{table}{explained}"
    )
}

fn side_by_side(summary: &Summary, charts: &[Chart]) -> String {
    let section = |heading: &str, files: &[&str], table: String| {
        format!("### {heading}\n\n{}{table}", pictures(charts, files))
    };
    let latency = sections::latency(summary, "1000");
    [
        "## Side by side\n".to_owned(),
        section(
            "A backlog of 300,000 rows",
            &["drain.svg", "cpu.svg", "memory.svg"],
            sections::drain(summary, ""),
        ),
        section("A million rows, once", &[], sections::drain(summary, "1M rows")),
        section(
            "Latency at 1,000 one-row transactions a second",
            &["latency.svg"],
            format!("From the answer to the writer's commit until the broker appended the record.\n\n{latency}"),
        ),
        section("Latency at 2,000 a second", &[], sections::latency(summary, "2000")),
        section("Nothing to do", &[], sections::idle(summary)),
        section("A kill at half of 200,000 rows", &[], sections::kill(summary)),
        section("The limits", &[], sections::limits(summary)),
    ]
    .join("\n")
}

/// The charts of these files, as many of them as were drawn.
fn pictures(charts: &[Chart], files: &[&str]) -> String {
    let wanted = charts.iter().filter(|chart| files.contains(&chart.file));
    let pictures =
        wanted.map(|chart| format!("![{}](performance/{})\n\n", chart.title, chart.file));
    pictures.collect::<Vec<_>>().concat()
}

fn choices(summary: &Summary) -> String {
    let rate = [
        ("rows/s", "rows_per_s"),
        ("CPU s a million rows", "own_cpu_s_per_million"),
        ("PostgreSQL's", "postgres_cpu_s_per_million"),
        ("peak MiB", "peak_mib"),
    ];
    let hot = [
        ("rows/s of the others", "others_rows_per_s"),
        ("rows/s in all", "rows_per_s"),
    ];
    let of = |cell, base, columns: &[_]| sections::variants(summary, cell, base, columns);
    [
        format!(
            "## The relay's own choices\n\n{}",
            of("drain", "base case", &rate)
        ),
        format!("### Payloads\n\n{}", sections::payloads(summary)),
        format!("### Relays on one backlog\n\n{}", of("relays", "", &rate)),
        format!(
            "### One aggregate with so much of all rows\n\n{}",
            of("hot", "", &hot)
        ),
    ]
    .join("\n")
}

fn steadiness(summary: &Summary, charts: &[Chart]) -> String {
    let aggregates = [("rows/s", "rows_per_s"), ("a poll, ms", "poll_ms")];
    let published = [
        ("drain, rows/s", "drain_rows_per_s"),
        ("its poll, ms", "drain_poll_ms"),
        ("at 1,000/s: p50 ms", "latency_p50_ms"),
        ("p99 ms", "latency_p99_ms"),
        ("its poll, ms", "latency_poll_ms"),
    ];
    let pause = [
        ("p50 ms", "p50_ms"),
        ("p99 ms", "p99_ms"),
        ("max ms", "max_ms"),
    ];
    let section = |heading: &str, cell, columns: &[_]| {
        format!(
            "### {heading}\n\n{}",
            sections::variants(summary, cell, "relay", columns)
        )
    };
    [
        format!(
            "## What stays as it is while work grows\n\n{}",
            pictures(charts, &["open-poll.svg", "open.svg", "flat.svg"]).trim_end()
        ),
        format!(
            "\n### A transaction held open, at 5,000 events a second\n\n{}",
            sections::open(summary)
        ),
        section("Aggregates", "aggregates", &aggregates),
        section("Published rows in the table", "published", &published),
        section("Waiting rows", "memory", &[("peak MiB", "peak_mib")]),
        section("The first event after a pause of 3 s", "pause", &pause),
    ]
    .join("\n")
}

fn prices(summary: &Summary) -> String {
    let price = [
        ("transactions/s", "transactions_per_s"),
        ("p50 ms", "p50_ms"),
        ("p99 ms", "p99_ms"),
    ];
    let size = [
        ("program, MiB", "program_mib"),
        ("at most", "program_mib_max"),
        ("image, MiB", "image_mib"),
        ("at most", "image_mib_max"),
    ];
    format!(
        "## What a writer pays\n\nOne row of the service's own and, but for `nothing`, an event: a `plain` \
         table has its primary key\nalone, `notified` is the outbox with a notifying trigger, `relayed` \
         the outbox with a relay at work\non the same cores.\n\n{}\n## What is shipped\n\n{}",
        sections::variants(summary, "price", "", &price),
        sections::variants(summary, "sizes", "release", &size)
    )
}

fn not_measured(summary: &Summary, missing: &[&str]) -> String {
    let skipped = summary.skipped().iter();
    let skipped = skipped.map(|(who, reason)| format!("- {}: skipped, {reason}\n", label(who)));
    let missing = missing
        .iter()
        .map(|title| format!("- `{title}`: no result\n"));
    let list = skipped.chain(missing).collect::<Vec<_>>().concat();
    let opening = "## What was not measured\n\nA network with latency, several brokers, TLS, and \
                   contenders on machines of their own: PostgreSQL,\nKafka, the writers and the \
                   contender share the cores.\n";
    if list.is_empty() {
        opening.to_owned()
    } else {
        format!("{opening}\n{list}")
    }
}

fn machine(summary: &Summary) -> String {
    let heading = "## Machine, versions, settings\n\n";
    let Some(last) = summary.machines().last() else {
        return format!("{heading}Not told.\n");
    };
    let figures = last.figures.0.iter();
    let figures = figures.map(|(name, value)| (name.replace('_', " "), number(*value)));
    let settings = last.settings.as_object().into_iter().flatten();
    let settings = settings.map(|(name, value)| (name.clone(), words(value)));
    let commits = commits(summary).join(", ");
    let told = [("measured".to_owned(), last.at.clone())].into_iter();
    let told = told
        .chain(figures)
        .chain(settings)
        .chain([("all commits".to_owned(), commits)]);
    let lines = told.map(|(name, value)| format!("- {name}: {value}\n"));
    format!("{heading}{}", lines.collect::<Vec<_>>().concat())
}

fn words(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The commits that were measured, each once.
fn commits(summary: &Summary) -> Vec<&str> {
    let mut commits: Vec<&str> = Vec::new();
    for machine in summary.machines() {
        if let Some(commit) = machine.settings["commit"].as_str()
            && !commits.contains(&commit)
        {
            commits.push(commit);
        }
    }
    commits
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{line, skipped};
    use super::*;

    #[test]
    fn a_page_without_results_says_everywhere_that_nothing_was_measured() {
        let page = page(&Summary::default(), &Notes::default(), &[], &["drain/ours"]);
        let figures = page
            .lines()
            .filter(|line| line.starts_with("| ") && line.contains("yes |"));
        assert_eq!(figures.count(), 0, "{page}");
        assert!(page.contains("Not measured."));
        assert!(page.contains("- `drain/ours`: no result\n"), "{page}");
    }

    #[test]
    fn who_was_skipped_is_named_with_the_reason() {
        let summary = Summary::of(&[skipped("drain/naive-go-100", "go is not installed")]);
        let page = page(&summary, &Notes::default(), &[], &[]);
        assert!(
            page.contains("- poller in Go, batch 100: skipped, go is not installed\n"),
            "{page}"
        );
    }

    #[test]
    fn runs_of_several_commits_are_told() {
        let mut first = line("machine/", 1, &[("cores", 2.0)]);
        first.settings = serde_json::json!({"commit": "abc"});
        let mut second = first.clone();
        second.settings = serde_json::json!({"commit": "def"});
        let page = page(&Summary::of(&[first, second]), &Notes::default(), &[], &[]);
        assert!(page.contains("- all commits: abc, def\n"), "{page}");
        assert!(page.contains("- cores: 2\n"), "{page}");
    }
}
