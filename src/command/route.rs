//! `route`: which way one event would take, and the record that it would become.
//!
//! Owns what is read and the form of the answer. What routes make of an event is decided where the relay
//! asks too; nothing is sent.
//!
//! Invariant: what is in an event is shown on stdout alone.

use std::io::read_to_string;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::seen::Seen;
use super::{Done, Exit, Refusal, access, plain, say, settings, tell};
use crate::decide::dead::{LetterTopic, OnDead};
use crate::decide::envelope::Envelope;
use crate::decide::route::Route as Way;
use crate::event::{Event, EventRef, Lane, OrderingKey, Payload};
use crate::outbox::names::Names;
use crate::outbox::session::{Purpose, Session};
use crate::outcome::Defect;
use crate::process::clock;
use crate::process::settings::Settings;
use crate::record::{Record, SchemaName};

/// Show which route an event takes, and the record that it becomes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay route --explain --seq 17
  echo '{\"aggregate_type\": \"order\", \"aggregate_id\": \"42\", \"event_type\": \"OrderPaid\",
         \"payload\": {\"total\": 99.5}}' | outbox-relay route --explain

Reads a row of the outbox by its number, or without --seq a row as JSON from stdin: the columns by
their names, of which these three are needed. Nothing is sent and nothing is changed. What is in the
event is shown as it stands. Exit code 1 if the event becomes no record, or is not there.")]
pub(super) struct Route {
    /// Show the route and the record
    #[arg(long, required = true)]
    explain: bool,
    /// The event's number; without it the event comes from stdin
    #[arg(long, value_name = "N")]
    seq: Option<i64>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// A row as it is given on stdin.
#[derive(Deserialize)]
struct Given {
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: Option<Box<RawValue>>,
    headers: Option<Box<RawValue>>,
    topic: Option<String>,
    partition_key: Option<String>,
    id: Option<Uuid>,
    seq: Option<i64>,
    created_at: Option<DateTime<Utc>>,
}

/// The way of an event, and what became of it.
struct Explained<'a> {
    name: String,
    way: &'a Way,
    letter_topic: Option<Arc<str>>,
    /// What the value is encoded by when it is sent.
    schema: Option<Arc<SchemaName>>,
    record: Result<Record, Defect>,
}

impl Route {
    /// Reads the event, and tells.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        debug_assert!(self.explain, "there is nothing else that it does");
        let settings = settings(file)?;
        let seen = match self.seq {
            Some(seq) => stored(&settings, seq).await?,
            None => Seen::whole(&settings, given()?),
        };
        let mut routes = settings.routes();
        let name = routes.name_for(&seen.event);
        let schema = match routes.route(&seen.event).1 {
            Ok(topic) => routes.schema(&seen.event, &topic).ok().flatten(),
            Err(_) => None,
        };
        let (way, topic) = routes.route(&seen.event);
        let envelope = Envelope::new(settings.events.source.clone());
        let letter_topic = topic.as_ref().ok().and_then(|topic| {
            let template = LetterTopic::parse(&settings.failure.dead_letter_topic).ok();
            template
                .filter(|_| way.on_dead == OnDead::DeadLetter)?
                .of(topic)
        });
        let explained = Explained {
            name,
            way,
            letter_topic,
            schema,
            record: topic.and_then(|topic| seen.record(&settings, &envelope, (&way.form, topic))),
        };
        let told = if self.json {
            say(&json_of(&explained).to_string())
        } else {
            say(&text_of(&explained))
        };
        if let Err(defect) = &explained.record {
            tell(&format!("this event becomes no record: {defect}"));
            return Ok(Exit::Failed);
        }
        Ok(told)
    }
}

/// The event of this number in the outbox.
async fn stored(settings: &Settings, seq: i64) -> Result<Seen, Refusal> {
    let names = Names::new(&settings.database.schema, &settings.database.table);
    let mut session = Session::new(&access(settings, "route")?, Purpose::Look);
    let found = Seen::read(&mut session, settings, seq, true).await;
    session.close().await;
    let failed = |text: String| Refusal {
        exit: Exit::Failed,
        text,
    };
    found
        .map_err(|error| Refusal {
            exit: Exit::Unavailable,
            text: error.told_with_cure(&names),
        })?
        .ok_or_else(|| failed(format!("there is no event {seq}")))?
        .map_err(|defect| failed(format!("this event becomes no record: {defect}")))
}

/// The event on stdin.
fn given() -> Result<Event, Refusal> {
    let wrong = |text: String| Refusal {
        exit: Exit::Usage,
        text,
    };
    let text = read_to_string(std::io::stdin())
        .map_err(|error| wrong(format!("stdin cannot be read: {error}")))?;
    let given: Given = serde_json::from_str(&text).map_err(|error| {
        // The parser's own reason may quote a value.
        let (line, column) = (error.line(), error.column());
        wrong(format!(
            "stdin is not the JSON of a row, at line {line}, column {column}: an object with \
             aggregate_type, aggregate_id and event_type, and any other columns"
        ))
    })?;
    let text_of = |json: Option<Box<RawValue>>| json.map(|json| json.get().to_owned());
    Ok(Event {
        at: EventRef {
            seq: given.seq.unwrap_or_default(),
            id: given.id.unwrap_or_else(Uuid::new_v4),
        },
        own_id: None,
        lane: Lane(0),
        key: OrderingKey {
            aggregate_type: given.aggregate_type,
            aggregate_id: given.aggregate_id,
        },
        event_type: given.event_type,
        payload: text_of(given.payload).map(Payload::Json),
        headers: text_of(given.headers),
        topic: given.topic,
        partition_key: given.partition_key,
        created_at: given.created_at.unwrap_or_else(clock::wall),
        wait_ms: 0,
        judged: None,
    })
}

/// Bytes of a record, which are text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn text_of(explained: &Explained<'_>) -> String {
    let way = explained.way;
    let on_dead = match &explained.letter_topic {
        Some(topic) => format!("{}, to {topic}", way.on_dead),
        None => way.on_dead.to_string(),
    };
    let mut lines = vec![
        ("route", explained.name.clone()),
        ("order", format!("{}: {}", way.order, way.about_order())),
        ("on_dead", on_dead),
    ];
    if let Some(schema) = &explained.schema {
        lines.push((
            "schema",
            format!(
                "{}, {schema}: the value is shown as it is before",
                schema.kind
            ),
        ));
    }
    if let Ok(record) = &explained.record {
        let shown = |bytes: Option<&[u8]>, none: &str| {
            bytes.map_or_else(|| none.to_owned(), |bytes| plain(&text(bytes), usize::MAX))
        };
        let partition = match (record.partition, record.key()) {
            (Some(number), _) => number.to_string(),
            (None, Some(_)) => "by the key".to_owned(),
            (None, None) => "any".to_owned(),
        };
        lines.extend([
            ("topic", record.topic.to_string()),
            ("partition", partition),
            ("timestamp", record.timestamp_ms.to_string()),
            ("key", shown(record.key(), "none")),
        ]);
        lines.extend(record.headers().map(|(name, value)| {
            let name = plain(name, usize::MAX);
            ("header", format!("{name}: {}", shown(value, "null")))
        }));
        lines.push(("value", shown(record.value(), "none: a tombstone")));
    }
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:<10} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The form for programs: its keys are a promise.
fn json_of(explained: &Explained<'_>) -> Value {
    let record = explained.record.as_ref().ok().map(|record| {
        let headers = record
            .headers()
            .map(|(name, value)| json!([name, value.map(text)]));
        json!({
            "topic": record.topic.as_ref(),
            "partition": record.partition,
            "timestamp_ms": record.timestamp_ms,
            "key": record.key().map(text),
            "headers": headers.collect::<Vec<_>>(),
            "value": record.value().map(text),
        })
    });
    json!({
        "route": explained.name,
        "order": explained.way.order.to_string(),
        "on_dead": explained.way.on_dead.to_string(),
        "dead_letter_topic": explained.letter_topic.as_deref(),
        "subject": explained.schema.as_ref().map(|schema| &schema.subject),
        "defect": explained.record.as_ref().err().map(|defect| &defect.reason),
        "record": record,
    })
}
