//! From a row to a record: whatever a row holds, it becomes a record that carries all of it, or a
//! defect; it never ends the process.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;

use chrono::DateTime;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use outbox_relay::decide::dead::OnDead;
use outbox_relay::decide::envelope::{Envelope, Format};
use outbox_relay::decide::order::Order;
use outbox_relay::decide::route::{Fault, Route, RouteSpec, Routes, Usual};
use outbox_relay::decide::topic::{Allowed, check_topic};
use outbox_relay::event::{Event, EventRef, Lane, OrderingKey, Payload};
use uuid::Uuid;

/// What a writer can put into a row.
#[derive(Debug, Arbitrary)]
struct Row {
    template: String,
    format: u8,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: Option<Content>,
    headers: Option<String>,
    topic: Option<String>,
    partition_key: Option<String>,
    created_at_us: i64,
}

/// A payload of any kind.
#[derive(Debug, Arbitrary)]
enum Content {
    Json(String),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Content> for Payload {
    fn from(content: Content) -> Self {
        match content {
            Content::Json(text) => Self::Json(text),
            Content::Text(text) => Self::Text(text),
            Content::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// The route that a template makes.
fn route(template: &str, format: u8) -> Result<Route, Vec<Fault>> {
    let usual = Usual {
        topic: template.to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: match format % 6 {
            0 => Format::Payload,
            1 => Format::Cloudevents,
            2 => Format::HeaderPayload,
            3 => Format::Event,
            4 => Format::Debezium,
            _ => Format::Raw,
        },
        order: Order::Strict,
        on_dead: OnDead::Table,
    };
    RouteSpec::default().read(&usual)
}

fuzz_target!(|row: Row| {
    let route = route(&row.template, row.format)
        .or_else(|_wrong| route("{aggregate_type}.{event_type}", row.format))
        .expect("this template is right");
    let mut routes = Routes::new(Vec::new(), route, Allowed::default());
    let event = Event {
        at: EventRef {
            seq: 1,
            id: Uuid::nil(),
        },
        own_id: None,
        lane: Lane(0),
        key: OrderingKey {
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id.clone(),
        },
        event_type: row.event_type,
        payload: row.payload.map(Payload::from),
        headers: row.headers,
        topic: row.topic,
        partition_key: row.partition_key.clone(),
        created_at: DateTime::from_timestamp_micros(row.created_at_us).unwrap_or_default(),
        wait_ms: 0,
        judged: None,
    };
    let (route, topic) = routes.route(&event);
    let topic = topic
        .inspect(|topic| check_topic(topic).expect("no illegal name leaves the route"))
        .unwrap_or_else(|_defect| Arc::from("other"));
    let Ok(record) = Envelope::new("/fuzz").record(&event, &route.form, topic) else {
        return;
    };
    let key = row.partition_key.unwrap_or(row.aggregate_id);
    assert_eq!(record.key(), Some(key.as_bytes()));
    let bytes = event.payload.as_ref().map(Payload::bytes);
    let json = event.payload.as_ref();
    let json = json
        .filter(|payload| matches!(payload, Payload::Json(_)))
        .map(Payload::bytes);
    match route.form.format {
        Format::Payload | Format::Raw | Format::Debezium => assert_eq!(record.value(), bytes),
        Format::Cloudevents | Format::HeaderPayload | Format::Event => {
            let untouched = json.is_none_or(|payload| {
                let value = record.value().expect("a payload becomes a value");
                value
                    .strip_suffix(b"}")
                    .is_some_and(|value| value.ends_with(payload))
            });
            assert!(untouched);
        }
    }
    let names: HashSet<&str> = record.headers().map(|(name, _)| name).collect();
    assert_eq!(names.len(), record.headers().len(), "no name stands twice");
    let weight = record.value().map_or(0, <[u8]>::len) + record.key().map_or(0, <[u8]>::len);
    assert!(record.size_bytes() >= weight);
});
