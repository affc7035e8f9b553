//! Rows that nobody thought of: generated, judged by rules written once more in another way, and sent
//! through the pure part and through a real relay.

use std::collections::{BTreeSet, HashMap};

use outbox_relay::decide::dead::OnDead;
use outbox_relay::decide::envelope::{Envelope, Format};
use outbox_relay::decide::order::Order;
use outbox_relay::decide::route::{RouteSpec, Routes, Usual};
use outbox_relay::decide::topic::Allowed;
use outbox_relay::event::{Event, EventRef, Lane, OrderingKey, Payload};
use outbox_relay::record::Record;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::{SETTINGS, ends_discreetly, lasting_topic};
use crate::support::lanes::named_relay;
use crate::support::{Kafka, Outbox, Received, Receiver, SOON};

/// A row as a writer fills it.
#[derive(Debug, Clone)]
struct Row {
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: Option<String>,
    headers: Option<String>,
    topic: Option<String>,
    partition_key: Option<String>,
    created_at_us: i64,
}

/// Any text, and texts that have broken programs before.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9-]{1,12}",
        2 => ".{0,40}",
        1 => "\\PC{0,8}|[\\x01-\\x1f\\x7f]{1,8}|[\u{202e}\u{200b}\u{feff}\u{1f600}]{1,4}",
        1 => prop::sample::select(vec![
            "", " ", ".", "..", "'", "\"", "\\", "\\\\x00", "%s", "{aggregate_type}", "null",
            "__consumer_offsets", "<script>", "$1", "; DROP TABLE outbox; --", "\u{7f}",
        ]).prop_map(str::to_owned),
        1 => (1..3_000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

/// Any JSON.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn row() -> impl Strategy<Value = Row> {
    let headers = prop::option::of(prop_oneof![
        3 => prop::collection::btree_map(text(), json(), 0..6)
            .prop_map(|all| serde_json::to_string(&all).expect("a map is JSON")),
        1 => json().prop_map(|value| value.to_string()),
    ]);
    let payload = prop::option::of(json().prop_map(|value| value.to_string()));
    // Years 1 to 9999.
    let created_at_us = -62_135_596_800_000_000..253_402_300_800_000_000_i64;
    let names = (text(), text(), text());
    let wishes = (prop::option::of(text()), prop::option::of(text()));
    (names, payload, headers, wishes, created_at_us).prop_map(
        |((aggregate_type, aggregate_id, event_type), payload, headers, wishes, created_at_us)| {
            Row {
                aggregate_type,
                aggregate_id,
                event_type,
                payload,
                headers,
                topic: wishes.0,
                partition_key: wishes.1,
                created_at_us,
            }
        },
    )
}

impl Row {
    fn event(&self, at: EventRef) -> Event {
        Event {
            at,
            own_id: None,
            lane: Lane(0),
            key: OrderingKey {
                aggregate_type: self.aggregate_type.clone(),
                aggregate_id: self.aggregate_id.clone(),
            },
            event_type: self.event_type.clone(),
            payload: self.payload.clone().map(Payload::Json),
            headers: self.headers.clone(),
            topic: self.topic.clone(),
            partition_key: self.partition_key.clone(),
            created_at: chrono::DateTime::from_timestamp_micros(self.created_at_us)
                .expect("the years are legal"),
            wait_ms: 0,
            judged: None,
        }
    }

    /// The topic that it asks for, by the template that the tests use.
    fn asked(&self) -> String {
        let own = self.topic.clone();
        own.unwrap_or_else(|| format!("{}-{}", self.aggregate_type, self.event_type))
    }

    /// Whether its headers are an object, or as good as none.
    fn has_headers_in_order(&self) -> bool {
        self.headers.as_deref().is_none_or(|text| {
            let value: serde_json::Value = serde_json::from_str(text).expect("it was made of JSON");
            value.is_object() || value.is_null()
        })
    }
}

/// What Kafka takes for a name, written once more.
fn is_legal(topic: &str) -> bool {
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    (1..=249).contains(&topic.len())
        && topic.chars().all(|letter| letters.contains(letter))
        && topic != "."
        && topic != ".."
        && !topic.starts_with("__")
}

/// Panics unless a record carries all of its row, and says no less than it weighs.
fn assert_faithful(row: &Row, record: &Record) {
    assert_eq!(&*record.topic, row.asked());
    assert_eq!(record.value(), row.payload.as_deref().map(str::as_bytes));
    let key = row.partition_key.as_ref().unwrap_or(&row.aggregate_id);
    assert_eq!(record.key(), Some(key.as_bytes()));
    let names: BTreeSet<&str> = record.headers().map(|(name, _)| name).collect();
    assert_eq!(names.len(), record.headers().len(), "a name stands twice");
    let own: HashMap<String, serde_json::Value> = row
        .headers
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    for name in own.keys() {
        let found = names.iter().any(|held| held.eq_ignore_ascii_case(name));
        assert!(found, "{name:?} is missing");
    }
    let bytes = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let headers: usize = record
        .headers()
        .map(|(name, value)| name.len() + bytes(value))
        .sum();
    assert!(record.size_bytes() >= bytes(record.key()) + bytes(record.value()) + headers);
}

/// One route for all, by aggregate and event type.
fn routes() -> Routes {
    let usual = Usual {
        topic: "{aggregate_type}-{event_type}".to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: Format::Payload,
        order: Order::Strict,
        on_dead: OnDead::Table,
    };
    let route = RouteSpec::default()
        .read(&usual)
        .expect("the template is right");
    Routes::new(Vec::new(), route, Allowed::default())
}

#[test]
fn a_hundred_thousand_rows_come_to_the_right_verdict_in_the_pure_part() {
    let mut runner = TestRunner::new(Config {
        cases: 1_000,
        failure_persistence: None,
        ..Config::default()
    });
    let rows = prop::collection::vec(row(), 100);
    let judged = runner.run(&rows, |rows| {
        let mut routes = routes();
        let envelope = Envelope::new("/shop");
        for row in &rows {
            let at = EventRef {
                seq: 1,
                id: Uuid::nil(),
            };
            let event = row.event(at);
            let (route, topic) = routes.route(&event);
            let record = topic.and_then(|topic| envelope.record(&event, &route.form, topic));
            let right = is_legal(&row.asked()) && row.has_headers_in_order();
            prop_assert_eq!(record.is_ok(), right, "{:?}: {:?}", row, record.err());
            if let Ok(record) = &record {
                assert_faithful(row, record);
            }
        }
        Ok(())
    });
    judged.unwrap_or_else(|failure| panic!("{failure}"));
}

/// How many rows go through the real relay.
const ROWS: usize = 5_000;

/// Generates rows that a table takes: no text holds NUL. Topics of their own are one that exists or
/// none that could.
fn storable(runner: &mut TestRunner, topic: &str) -> Row {
    let mut row = row()
        .new_tree(runner)
        .expect("a row can be generated")
        .current();
    let texts = [
        &mut row.aggregate_type,
        &mut row.aggregate_id,
        &mut row.event_type,
    ];
    for text in texts {
        text.retain(|letter| letter != '\0');
    }
    let wishes = [
        &mut row.payload,
        &mut row.headers,
        &mut row.topic,
        &mut row.partition_key,
    ];
    for text in wishes.into_iter().flatten() {
        text.retain(|letter| letter != '\0');
        // As JSON spells it.
        *text = text.replace("\\u0000", "");
    }
    if row.topic.as_deref().is_some_and(is_legal) {
        row.topic = Some(topic.to_owned());
    }
    // Kafka refuses times of the future.
    row.created_at_us = row.created_at_us.min(1_700_000_000_000_000);
    row
}

async fn insert(outbox: &Outbox, rows: &[Row]) {
    let mut transaction = outbox.pool.begin().await.expect("a session is free");
    for row in rows {
        sqlx::query(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers, topic,
                 partition_key, created_at)
             VALUES ($1, $2, $3, $4::text::jsonb, $5::text::jsonb, $6, $7,
                 'epoch'::timestamptz + $8 * interval '1 microsecond')",
        )
        .bind(&row.aggregate_type)
        .bind(&row.aggregate_id)
        .bind(&row.event_type)
        .bind(&row.payload)
        .bind(&row.headers)
        .bind(&row.topic)
        .bind(&row.partition_key)
        .bind(row.created_at_us)
        .execute(&mut *transaction)
        .await
        .unwrap_or_else(|error| panic!("{row:?}: {error}"));
    }
    transaction.commit().await.expect("the rows are stored");
}

/// A row as the table has it now: its id, whether it is published, why it is dead, and its payload.
type Stored = (Uuid, bool, Option<String>, Option<String>);

async fn stored(outbox: &Outbox) -> Vec<Stored> {
    sqlx::query_as(
        "SELECT id, published_at IS NOT NULL, dead_class, payload::text FROM outbox ORDER BY seq",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("rows are read")
}

/// Panics unless a row came to its verdict, and arrived with what it holds if it was to.
fn assert_judged(row: &Row, stored: &Stored, arrived: &HashMap<&str, &Received>) {
    let right = row.topic.as_deref().is_none_or(is_legal) && row.has_headers_in_order();
    let (id, published, class, payload) = stored;
    assert_eq!(*published, right, "{row:?}: {class:?}");
    let id = id.to_string();
    if !right {
        assert_eq!(class.as_deref(), Some("record"), "{row:?}");
        assert!(!arrived.contains_key(id.as_str()), "{row:?}");
        return;
    }
    let record = arrived[id.as_str()];
    let value = payload.as_deref().map(str::as_bytes);
    assert_eq!(record.value.as_deref(), value, "{row:?}");
    let key = row.partition_key.as_ref().unwrap_or(&row.aggregate_id);
    assert_eq!(record.key.as_deref(), Some(key.as_bytes()), "{row:?}");
}

#[tokio::test]
async fn five_thousand_rows_come_to_the_right_verdict_in_a_real_relay() {
    let outbox = Outbox::create().await;
    let topic = lasting_topic().await;
    let mut runner = TestRunner::deterministic();
    let rows: Vec<Row> = (0..ROWS).map(|_| storable(&mut runner, &topic)).collect();
    let mut relay = named_relay(
        &outbox,
        "only",
        &[&SETTINGS[..], &[("route.topic", &topic)]].concat(),
    );
    for rows in rows.chunks(500) {
        insert(&outbox, rows).await;
    }
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let by_id = records.iter().map(|record| {
        let id = record.header("ce_id").expect("an event has its id");
        (id, record)
    });
    let arrived: HashMap<&str, &Received> = by_id.collect();
    let stored = stored(&outbox).await;
    assert_eq!(stored.len(), ROWS);
    let published = stored.iter().filter(|row| row.1).count();
    println!("{published} of {ROWS} were published");
    assert!((ROWS / 4..ROWS).contains(&published), "{published}");
    assert_eq!(records.len(), published, "each once");
    for (row, stored) in rows.iter().zip(&stored) {
        assert_judged(row, stored, &arrived);
    }
    ends_discreetly(&mut relay).await;
}
