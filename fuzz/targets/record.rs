//! From a row to a record: whatever a row holds, it becomes a record that carries all of it, or a
//! defect; it never ends the process.
#![no_main]

use std::collections::HashSet;
use std::sync::Arc;

use chrono::DateTime;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use outbox_relay::decide::envelope::Envelope;
use outbox_relay::decide::route::Route;
use outbox_relay::decide::topic::check_topic;
use outbox_relay::event::{Event, EventRef, Lane, OrderingKey};
use uuid::Uuid;

/// What a writer can put into a row.
#[derive(Debug, Arbitrary)]
struct Row {
    template: String,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: Option<String>,
    headers: Option<String>,
    topic: Option<String>,
    partition_key: Option<String>,
    created_at_us: i64,
}

fuzz_target!(|row: Row| {
    let mut route = Route::parse(&row.template)
        .or_else(|_wrong| Route::parse("{aggregate_type}.{event_type}"))
        .expect("this template is right");
    let event = Event {
        at: EventRef {
            seq: 1,
            id: Uuid::nil(),
        },
        lane: Lane(0),
        key: OrderingKey {
            aggregate_type: row.aggregate_type,
            aggregate_id: row.aggregate_id.clone(),
        },
        event_type: row.event_type,
        payload: row.payload.clone(),
        headers: row.headers,
        topic: row.topic,
        partition_key: row.partition_key.clone(),
        created_at: DateTime::from_timestamp_micros(row.created_at_us).unwrap_or_default(),
        wait_ms: 0,
        judged: None,
    };
    let topic = route
        .topic(&event)
        .inspect(|topic| check_topic(topic).expect("no illegal name leaves the route"))
        .unwrap_or_else(|_defect| Arc::from("other"));
    let Ok(record) = Envelope::new("/fuzz").record(&event, topic) else {
        return;
    };
    let key = row.partition_key.unwrap_or(row.aggregate_id);
    assert_eq!(record.key(), Some(key.as_bytes()));
    assert_eq!(record.value(), row.payload.as_deref().map(str::as_bytes));
    let names: HashSet<&str> = record.headers().map(|(name, _)| name).collect();
    assert_eq!(names.len(), record.headers().len(), "no name stands twice");
    let weight = record.value().map_or(0, <[u8]>::len) + record.key().map_or(0, <[u8]>::len);
    assert!(record.size_bytes() >= weight);
});
