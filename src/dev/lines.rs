//! How a run looks: a line for each arrival, and the summary.
//!
//! Owns columns. Writes nothing itself. There are no colours in it, so that it reads the same in a
//! terminal and in a file.

use std::time::Duration;

use super::Arrival;
use super::story::Summary;

/// The heads of the columns of [`arrival`].
pub fn heading() -> String {
    row(
        ("TOPIC", "PARTITION", "OFFSET"),
        ("KEY", "TYPE", "COMMIT TO KAFKA"),
    )
}

/// One record. Of an event that the sample service did not write, only an upper bound of the time
/// is known: since its row was made.
pub fn arrival(arrival: &Arrival, delay: Option<Duration>) -> String {
    let time = delay.map_or_else(|| format!("< {}", milliseconds(arrival.age)), milliseconds);
    row(
        (
            &arrival.topic,
            &arrival.partition.to_string(),
            &arrival.offset.to_string(),
        ),
        // What others wrote must not steer a terminal.
        (
            &arrival.key.escape_debug().to_string(),
            &arrival.event_type.escape_debug().to_string(),
            &time,
        ),
    )
}

fn row(
    (topic, partition, offset): (&str, &str, &str),
    (key, kind, time): (&str, &str, &str),
) -> String {
    format!("{topic:<16} {partition:>9} {offset:>7}  {key:<12} {kind:<16} {time:>15}")
}

/// What a run of the sample service came to, line by line.
pub fn summary(summary: &Summary) -> String {
    let none = |count: usize, what: &str| match count {
        0 => format!("none {what}"),
        _ => format!("{count} {what}"),
    };
    let mut lines = vec![
        finding(
            "committed",
            Some(summary.committed),
            &format!("in {} transactions", summary.transactions),
            None,
        ),
        finding(
            "published",
            Some(summary.committed - summary.lost),
            &format!(
                "{}, {} seen twice",
                none(summary.lost, "lost"),
                summary.duplicates
            ),
            Some(summary.lost),
        ),
        finding(
            "marked",
            Some(summary.committed - summary.unmarked),
            &none(summary.unmarked, "left in the outbox"),
            Some(summary.unmarked),
        ),
        finding(
            "rolled back",
            Some(summary.rolled_back),
            &none(summary.rolled_back_seen, "seen"),
            Some(summary.rolled_back_seen),
        ),
        finding(
            "order",
            None,
            &match summary.swaps {
                0 => format!("kept in {} aggregates", summary.aggregates),
                swaps => format!("{swaps} came after a later one"),
            },
            Some(summary.swaps),
        ),
    ];
    lines.extend(times(summary));
    if summary.others + summary.others_waiting > 0 {
        lines.push(others(summary));
    }
    lines.join("\n")
}

/// What became of events that the sample service did not write.
pub fn others(summary: &Summary) -> String {
    let waiting = format!("seen, {} left in the outbox", summary.others_waiting);
    finding("others'", Some(summary.others), &waiting, None)
}

fn times(summary: &Summary) -> Option<String> {
    let (p50, p99) = (summary.p50?, summary.p99?);
    let text = format!("p50 {}, p99 {}", milliseconds(p50), milliseconds(p99));
    Some(finding("commit to Kafka", None, &text, None))
}

/// A line of the summary; it has a verdict where faults were looked for.
fn finding(name: &str, count: Option<usize>, text: &str, faults: Option<usize>) -> String {
    let count = count.map(|count| count.to_string()).unwrap_or_default();
    let verdict = match faults {
        None => "",
        Some(0) => "ok",
        Some(_) => "FAILED",
    };
    let line = format!("{name:<16} {count:>7}  {text:<32} {verdict}");
    line.trim_end().to_owned()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn sound() -> Summary {
        Summary {
            transactions: 10,
            committed: 12,
            lost: 0,
            duplicates: 0,
            rolled_back: 3,
            rolled_back_seen: 0,
            aggregates: 5,
            swaps: 0,
            unmarked: 0,
            others: 0,
            others_waiting: 0,
            p50: Some(Duration::from_micros(2_340)),
            p99: Some(Duration::from_millis(9)),
        }
    }

    #[test]
    fn a_summary_says_what_was_checked() {
        let text = summary(&sound());
        assert_eq!(text.matches("ok").count(), 4, "{text}");
        assert!(
            !text.contains("FAILED") && !text.contains("others"),
            "{text}"
        );
        assert!(text.contains("p50 2.3 ms, p99 9.0 ms"), "{text}");
    }

    #[test]
    fn every_fault_has_its_line() {
        let faults: [fn(&mut Summary); 4] = [
            |summary| summary.lost = 1,
            |summary| summary.unmarked = 1,
            |summary| summary.rolled_back_seen = 1,
            |summary| summary.swaps = 1,
        ];
        for fault in faults {
            let mut broken = sound();
            fault(&mut broken);
            let text = summary(&broken);
            assert_eq!(text.matches("FAILED").count(), 1, "{text}");
            assert!(!broken.holds());
        }
    }

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        let line = arrival(
            &Arrival {
                topic: "order-events".to_owned(),
                partition: 0,
                offset: 7,
                key: "\u{1b}[2J".to_owned(),
                event_type: "Placed\n".to_owned(),
                id: None,
                at: Instant::now(),
                age: Duration::from_millis(5),
            },
            None,
        );
        assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
        assert!(line.ends_with("< 5.0 ms"), "{line}");
    }
}
