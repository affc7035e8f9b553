//! `dead list`: which events are dead, for people and for programs.
//!
//! Owns the two forms. Shows nothing of a payload or a header.

use serde_json::{Value, json};

use super::filter::{Filter, Found, Walk};
use super::{Desk, aggregate, plain};
use crate::command::{Done, say, tell};

/// Without `--limit` so many are listed.
const EVENTS_DEFAULT: u64 = 1_000;

/// List dead events, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dead list
  outbox-relay dead list --state blocked --older-than 30m
  outbox-relay dead list --json | jq 'group_by(.topic) | map({topic: .[0].topic, dead: length})'

Lists the first 1,000; --limit shows more. `dead show SEQ` tells all of one event.")]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Print a JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl List {
    /// Looks, and tells.
    pub(super) async fn run(&self, desk: &mut Desk) -> Done {
        let events_max = self.filter.limit().unwrap_or(EVENTS_DEFAULT);
        let shown_max = usize::try_from(events_max).unwrap_or(usize::MAX);
        // One more tells whether there are more.
        let mut walk = Walk::new(&self.filter, events_max.saturating_add(1));
        let mut found = Vec::new();
        loop {
            let portion = walk.next(desk).await?;
            if portion.is_empty() {
                break;
            }
            found.extend(portion);
        }
        let more = found.len() > shown_max;
        found.truncate(shown_max);
        let told = if self.json {
            say(&Value::Array(found.iter().map(json_of).collect()).to_string())
        } else if found.is_empty() {
            say("no dead event")
        } else {
            say(&table_of(&found))
        };
        if more {
            tell(&format!(
                "there are more: --limit shows more than {events_max}"
            ));
        }
        Ok(told)
    }
}

/// The form for programs: its keys are a promise.
fn json_of(found: &Found) -> Value {
    let row = &found.event.row;
    json!({
        "id": row.at.id,
        "seq": row.at.seq,
        "topic": found.topic,
        "aggregate_type": row.key.aggregate_type,
        "aggregate_id": row.key.aggregate_id,
        "event_type": row.event_type,
        "class": row.class,
        "error": row.error,
        "attempts": row.attempts,
        "dead_at": row.dead_at,
        "state": found.event.state.word(),
    })
}

/// The form for people.
fn table_of(found: &[Found]) -> String {
    let head = [
        "SEQ",
        "STATE",
        "CLASS",
        "TRIES",
        "SINCE (UTC)",
        "TOPIC",
        "AGGREGATE",
        "TYPE",
        "ERROR",
    ];
    let lines: Vec<[String; 9]> = std::iter::once(head.map(str::to_owned))
        .chain(found.iter().map(cells))
        .collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let lines = lines.iter().map(|line| {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn cells(found: &Found) -> [String; 9] {
    let row = &found.event.row;
    let text = |text: &Option<String>, letters_max| {
        text.as_ref()
            .map_or_else(|| "-".to_owned(), |text| plain(text, letters_max))
    };
    [
        row.at.seq.to_string(),
        found.event.state.word().to_owned(),
        text(&row.class, 16),
        row.attempts.to_string(),
        found
            .event
            .since
            .map_or_else(|| "-".to_owned(), |since| since.format("%F %T").to_string()),
        plain(&found.topic, 40),
        aggregate(row),
        plain(&row.event_type, 32),
        text(&row.error, 100),
    ]
}
