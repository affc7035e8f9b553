//! The report as a page of Markdown, for somebody who was not there.
//!
//! Owns the words and the tables. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::report::{Campaign, Report, Sums};
use super::spread::Spread;
use crate::conservation::faults::steps::{Blow, Cell, Step};
use crate::conservation::incident::Kind;
use crate::conservation::toll::Toll;

/// What was done, for a stranger.
const OPENING: &str = "\
What a long run of `make chaos` did to relays under load, and what came of it. Six writers commit events to
an outbox in a real PostgreSQL; three of ten of their transactions are rolled back, and some stay open
for a while. One to four relays with short leases (4 s) and a small window (400 rows) carry the events to
a real Apache Kafka of one broker, through wires that the run controls. Everything is on one machine.

- A **campaign** begins with a clean stop of each relay. Then relays are stopped, killed and frozen, both
  servers are restarted, crashed and frozen, and wires are cut, silenced and slowed, one thing after the
  other, at random from a seed. At its end one relay drains what is left, and every record in Kafka is
  compared with what the writers know that they committed, and with what the outbox shows.
- Between campaigns single **steps** of the protocol are struck, each before it takes effect and after it:
  the wire breaks, it stalls for 3 s, or the relay is killed right there (window: 300 rows).

A seed gives the schedule and the writers' choices again, though not the machine's timing.
";

/// How duplicates are counted.
const DUPLICATES: &str = "\
Records in Kafka beyond the first of an event, for each time that something was done. A duplicate is
counted once: for a relay that was killed or is frozen and had published its event, else for the latest
thing that was done to one that had, or to all. What may come twice is what was handed over and not yet
marked: the window of the relay that was struck, or of all four.
";

/// How times are measured.
const TIMES: &str = "\
From the end of what was done to the next first delivery of an event, as a consumer sees it. Where a
relay was killed, frozen or stopped it counts from that moment, and only an event of the lanes that it
held, delivered by another relay, ends it; where servers and wires were struck it counts from when the
server answers again, or the wire carries again. What had come by itself before then counts as nothing.
*Then more*: something else was struck before that, and its time is in it. A relay that held no lanes, or
of whose lanes no event was left to deliver, is not measured.
";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let sums = report.sums();
    let parts = [
        format!("# Chaos\n\n{OPENING}"),
        again(report),
        format!("## What came of it\n\n{}", verdict(report)),
        results(report, &sums),
        format!("## Duplicates\n\n{DUPLICATES}"),
        duplicates(&sums.tolls),
        format!("## Until records flowed again\n\n{TIMES}"),
        times(&sums.tolls),
        "## Steps\n\nHow often each was struck, and the most duplicates of it.\n".to_owned(),
        steps(report),
        "## Campaigns\n".to_owned(),
        campaigns(&report.campaigns),
        "## On what\n".to_owned(),
        table(&["", ""], report.facts.iter().map(fact)),
    ];
    parts.join("\n")
}

fn again(report: &Report) -> String {
    let Report {
        minutes,
        first_seed,
        ..
    } = report;
    format!(
        "```sh\nSEED={first_seed} CHAOS_MINUTES={minutes} make chaos    # the report: target/chaos.md\n```\n"
    )
}

fn verdict(report: &Report) -> String {
    match &report.failure {
        None => "Nothing was lost, reordered, invented or falsely marked, and nothing came twice without a \
            cause.\n"
            .to_owned(),
        Some(failure) => format!("**The run failed.**\n\n```text\n{failure}\n```\n"),
    }
}

fn results(report: &Report, sums: &Sums) -> String {
    let done = |kinds: &[Kind]| {
        let of = |toll: &&Toll| kinds.iter().any(|kind| kind.told() == toll.what);
        sums.tolls.iter().filter(of).count()
    };
    let wrong = sums.wrong;
    let rows = [
        ("Time", minutes(report.took)),
        ("Campaigns", report.campaigns.len().to_string()),
        ("Relays struck", done(&Kind::OF_RELAYS).to_string()),
        ("Servers and wires struck", done(&Kind::STRIKES).to_string()),
        ("Steps struck", report.struck.len().to_string()),
        ("Events committed", sums.committed.to_string()),
        ("Events rolled back", sums.rolled_back.to_string()),
        (
            "Events published",
            (sums.records - sums.duplicates).to_string(),
        ),
        ("Duplicates", sums.duplicates.to_string()),
        ("**Losses**", wrong.losses.to_string()),
        ("**Inversions**", wrong.inversions.to_string()),
        (
            "**Phantoms** (rolled back, or never written)",
            wrong.phantoms.to_string(),
        ),
        (
            "**False marks** (marked, and not in Kafka)",
            wrong.false_marks.to_string(),
        ),
        ("Other faults", wrong.other.to_string()),
    ];
    table(&["", ""], rows.iter().map(fact))
}

fn fact((name, value): &(&str, String)) -> Vec<String> {
    vec![(*name).to_owned(), value.clone()]
}

/// The names of all that can be done, in the order of the tables.
fn names() -> impl Iterator<Item = &'static str> {
    let kinds = [&Kind::OF_RELAYS[..], &Kind::STRIKES].concat();
    kinds.into_iter().map(Kind::told).chain(Cell::TOLD)
}

fn duplicates(tolls: &[Toll]) -> String {
    let head = ["", "Times", "Allowed", "min", "median", "p90", "max"];
    let rows = names().filter_map(|name| {
        let mine = || tolls.iter().filter(|toll| toll.what == name);
        let allowed = mine().map(|toll| toll.bound_rows).max()?;
        let spread = Spread::of(mine().map(|toll| toll.duplicates))?;
        let mut row = vec![name.to_owned(), spread.count.to_string()];
        row.push(allowed.to_string());
        row.extend(cells_of(spread, |rows| rows.to_string()));
        Some(row)
    });
    table(&head, rows)
}

fn times(tolls: &[Toll]) -> String {
    let head = ["", "Measured", "min", "median", "p90", "max"];
    let row = |name: &str, is_alone| {
        let mine = |toll: &&Toll| toll.what == name && toll.is_alone == is_alone;
        let times = tolls.iter().filter(mine).filter_map(|toll| toll.recovery);
        let spread = Spread::of(times)?;
        let more = if is_alone { "" } else { ", then more" };
        let mut row = vec![format!("{name}{more}"), spread.count.to_string()];
        row.extend(cells_of(spread, seconds));
        Some(row)
    };
    let rows = names().flat_map(|name| [row(name, true), row(name, false)]);
    table(&head, rows.flatten())
}

fn cells_of<T>(spread: Spread<T>, told: impl Fn(T) -> String) -> [String; 4] {
    [spread.min, spread.median, spread.p90, spread.max].map(told)
}

fn steps(report: &Report) -> String {
    let blows = [Blow::Error, Blow::Stall, Blow::Kill];
    let head = ["", "wire broke", "wire stalled", "relay was killed"];
    let places = Step::ALL
        .iter()
        .flat_map(|step| [true, false].map(|before| (*step, before)));
    let rows = places.map(|(step, before)| {
        let place = if before { "before" } else { "after" };
        let mut row = vec![format!("{place} {}", step.told())];
        row.extend(blows.map(|blow| {
            let (times, most) = report.of_cell(Cell { step, before, blow });
            match times {
                0 => "not yet".to_owned(),
                _ => format!("{times} ×, {most}"),
            }
        }));
        row
    });
    table(&head, rows)
}

fn campaigns(campaigns: &[Campaign]) -> String {
    let head = [
        "Seed",
        "Time",
        "Struck",
        "Committed",
        "Rolled back",
        "Records",
        "Duplicates",
    ];
    let rows = campaigns.iter().map(|Campaign { seed, took, sums }| {
        let counts = [
            sums.tolls.len(),
            sums.committed,
            sums.rolled_back,
            sums.records,
            sums.duplicates,
        ];
        let mut row = vec![seed.to_string(), minutes(*took)];
        row.extend(counts.iter().map(ToString::to_string));
        row
    });
    table(&head, rows)
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut table = line(&head);
    let rule = vec!["---".to_owned(); head.len()];
    table.push_str(&line(&rule).replace(' ', ""));
    for row in rows {
        table.push_str(&line(&row));
    }
    table
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03} s", time.as_secs(), time.subsec_millis())
}

fn minutes(time: Duration) -> String {
    let mut text = String::new();
    let (hours, minutes) = (time.as_secs() / 3_600, time.as_secs() / 60 % 60);
    if hours > 0 {
        write!(text, "{hours} h ").expect("a text grows");
    }
    write!(text, "{minutes} min {} s", time.as_secs() % 60).expect("a text grows");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toll(kind: Kind, duplicates: usize, recovery_ms: Option<u64>) -> Toll {
        Toll {
            what: kind.told(),
            bound_rows: kind.bound_rows(),
            duplicates,
            recovery: recovery_ms.map(Duration::from_millis),
            is_alone: recovery_ms != Some(60_000),
        }
    }

    fn report() -> Report {
        let tolls = vec![
            toll(Kind::Kill, 12, Some(4_321)),
            toll(Kind::Kill, 0, None),
            toll(Kind::Kill, 7, Some(90)),
            toll(Kind::CutKafka, 0, Some(60_000)),
        ];
        let sums = Sums {
            committed: 100,
            records: 119,
            duplicates: 19,
            tolls,
            ..Sums::default()
        };
        Report {
            facts: vec![("librdkafka", "2.0".to_owned())],
            minutes: 60,
            took: Duration::from_secs(3_725),
            first_seed: 77,
            campaigns: vec![Campaign {
                seed: 77,
                took: Duration::from_secs(65),
                sums,
            }],
            struck: vec![(Cell::all()[0], Sums::default())],
            failure: None,
        }
    }

    #[test]
    fn each_kind_has_a_line_of_its_own_and_its_spread() {
        let page = page(&report());
        for line in [
            "SEED=77 CHAOS_MINUTES=60 make chaos",
            "| Time | 1 h 2 min 5 s |",
            "| Relays struck | 3 |",
            "| Servers and wires struck | 1 |",
            "| Events published | 100 |",
            "| **Losses** | 0 |",
            "| relay killed | 3 | 400 | 0 | 7 | 12 | 12 |",
            "| relay killed | 2 | 0.090 s | 0.090 s | 4.321 s | 4.321 s |",
            "| wires to Kafka cut | 1 | 1600 | 0 | 0 | 0 | 0 |",
            "| wires to Kafka cut, then more | 1 | 60.000 s | 60.000 s | 60.000 s | 60.000 s |",
            "| before claiming lanes | 1 ×, 0 | not yet | not yet |",
            "| 77 | 1 min 5 s | 4 | 100 | 0 | 119 | 19 |",
            "| librdkafka | 2.0 |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("relay frozen |"), "{page}");
    }

    #[test]
    fn a_failure_stands_where_the_verdict_stands() {
        let mut report = report();
        assert!(page(&report).contains("Nothing was lost"));
        report.failure = Some("SEED=77: 1 is not in Kafka".to_owned());
        let page = page(&report);
        assert!(page.contains("**The run failed.**"), "{page}");
        assert!(page.contains("SEED=77: 1 is not in Kafka"), "{page}");
        assert!(!page.contains("Nothing was lost"), "{page}");
    }
}
