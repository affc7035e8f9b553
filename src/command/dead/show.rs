//! `dead show`: all that the table knows of one event.
//!
//! Owns the form. Payload and header values are shown only where they are asked for.

use chrono::{DateTime, Utc};

use super::{Desk, plain};
use crate::command::{Done, Exit, Refusal, say};
use crate::outbox::dead::{Shown, Standing, show};
use crate::outcome::DeadState;

/// Show everything about one event, dead or not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dead show 17
  outbox-relay dead show 17 --payload

Exit code 1 if there is no such event.")]
pub(super) struct Show {
    /// The event's number, as `dead list` tells it
    seq: i64,
    /// Show the payload and the values of the headers too
    #[arg(long)]
    payload: bool,
}

impl Show {
    /// Looks, and tells.
    pub(super) async fn run(&self, desk: &mut Desk) -> Done {
        let shown = show(&mut desk.session, &desk.names, self.seq, self.payload)
            .await
            .map_err(|error| desk.away(&error))?;
        match shown {
            Some(shown) => Ok(say(&text_of(&shown, &desk.topic(&shown.row).await?))),
            None => Err(Refusal {
                exit: Exit::Failed,
                text: format!("there is no event {}", self.seq),
            }),
        }
    }
}

fn text_of(shown: &Shown, topic: &str) -> String {
    let row = &shown.row;
    let whole = |text: &str| plain(text, usize::MAX);
    let maybe = |text: &Option<String>| text.as_deref().map(whole);
    let topic = match (&row.topic, topic) {
        (Some(own), _) => format!("{} (its own)", whole(own)),
        (None, "") => "none by its route".to_owned(),
        (None, topic) => format!("{} (by its route)", whole(topic)),
    };
    let mut lines = vec![
        ("event", Some(format!("{} {}", row.at.seq, row.at.id))),
        ("state", Some(state_text(shown).to_owned())),
        ("class", maybe(&row.class)),
        ("error", maybe(&row.error)),
        ("attempts", Some(row.attempts.to_string())),
        ("topic", Some(topic)),
        (
            "aggregate",
            Some(format!(
                "{}/{}",
                whole(&row.key.aggregate_type),
                whole(&row.key.aggregate_id)
            )),
        ),
        ("type", Some(whole(&row.event_type))),
        ("key", maybe(&shown.partition_key)),
        ("lane", Some(row.lane.to_string())),
        ("created", time_text(shown.created_at)),
        ("available", time_text(shown.available_at)),
        ("failed", time_text(shown.first_failed_at)),
        ("retry", time_text(shown.next_attempt_at)),
        ("dead", time_text(row.dead_at)),
        ("published", time_text(shown.published_at)),
        ("payload", Some(payload_text(shown.payload_bytes))),
        ("headers", Some(headers_text(shown))),
    ];
    lines.extend(shown.history.iter().map(|audit| {
        let reason = audit
            .reason
            .as_deref()
            .map_or_else(String::new, |reason| format!(": {}", whole(reason)));
        let at = audit.at.format("%F %T UTC");
        (
            "decided",
            Some(format!(
                "{at} {} by {}{reason}",
                audit.action,
                whole(&audit.who)
            )),
        )
    }));
    let mut text: Vec<String> = lines
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:<10} {}", value?)))
        .collect();
    let contents = [("payload", &shown.payload), ("headers", &shown.headers)];
    text.extend(
        contents
            .into_iter()
            .filter_map(|(name, content)| Some(format!("\n{name}:\n{}", whole(content.as_ref()?)))),
    );
    text.join("\n")
}

/// What became of an event, and what that means.
fn state_text(shown: &Shown) -> &'static str {
    match shown.state {
        _ if shown.published_at.is_some() => "published",
        None => "waits to be published",
        Some(Standing::Failed(DeadState::Blocked)) => {
            "blocked: it and its aggregate wait for an operator"
        }
        Some(Standing::Failed(DeadState::DeadLetterPending)) => {
            "dead_letter_pending: its aggregate waits until Kafka has its dead letter"
        }
        Some(Standing::Failed(DeadState::DeadLettered)) => {
            "dead_lettered: set aside, and Kafka has its dead letter"
        }
        Some(Standing::Failed(DeadState::Dead)) => "dead: set aside, and the table alone keeps it",
        Some(Standing::Discarded) => "discarded: an operator gave it up",
    }
}

fn time_text(time: Option<DateTime<Utc>>) -> Option<String> {
    time.map(|time| time.format("%F %T%.3f UTC").to_string())
}

fn payload_text(payload_bytes: Option<i32>) -> String {
    payload_bytes.map_or_else(
        || "none: a tombstone".to_owned(),
        |bytes| format!("{bytes} bytes as stored"),
    )
}

fn headers_text(shown: &Shown) -> String {
    match shown.headers_kind.as_deref() {
        None => "none".to_owned(),
        Some("object") => {
            let names = shown.header_names.iter().map(|name| plain(name, 64));
            names.collect::<Vec<_>>().join(", ")
        }
        Some(kind) => format!("not an object but of kind {kind}"),
    }
}
