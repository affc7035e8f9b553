//! One relay on real servers: what reaches Kafka, in which form, and what the outbox shows then.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::tally::number;
use crate::support::{Kafka, Outbox, Postgres, Receiver, SOON, throughout};

#[tokio::test]
async fn a_committed_row_becomes_the_record_that_is_promised() {
    let outbox = Outbox::create().await;
    let relay = outbox.relay(&[]);
    let (id, created): (uuid::Uuid, chrono::DateTime<chrono::Utc>) = sqlx::query_as(
        r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers)
           VALUES ('order', '42', 'OrderPlaced', '{"b": 1.10, "a": "x"}',
               '{"tenant": "acme", "n": 1.50, "none": null, "ce_source": "/shop"}')
           RETURNING id, created_at"#,
    )
    .fetch_one(&outbox.pool)
    .await
    .unwrap();
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.wait_for(1, SOON).await;
    let record = &records[0];
    assert_eq!(record.key.as_deref(), Some(&b"42"[..]));
    assert_eq!(
        record.value.as_deref(),
        Some(&br#"{"a": "x", "b": 1.10}"#[..]),
        "the payload exactly as PostgreSQL prints it"
    );
    assert_eq!(record.timestamp_ms, Some(created.timestamp_millis()));
    assert_eq!(record.header("ce_specversion"), Some("1.0"));
    assert_eq!(record.header("ce_id"), Some(id.to_string().as_str()));
    assert_eq!(record.header("ce_type"), Some("OrderPlaced"));
    assert_eq!(record.header("ce_subject"), Some("42"));
    assert_eq!(record.header("content-type"), Some("application/json"));
    assert_eq!(
        record.header("ce_source"),
        Some("/shop"),
        "the row's own wins"
    );
    assert_eq!(record.header("tenant"), Some("acme"));
    assert_eq!(record.header("n"), Some("1.50"));
    assert!(record.headers.contains(&("none".to_owned(), None)));
    let sources = record
        .headers
        .iter()
        .filter(|(name, _)| name == "ce_source");
    assert_eq!(sources.count(), 1, "never both");
    outbox.drained(SOON).await;
    drop(relay);
}

#[tokio::test]
async fn a_rolled_back_row_is_never_published() {
    let outbox = Outbox::create().await;
    let _relay = outbox.relay(&[]);
    let mut transaction = outbox.pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', '1', 'OrderPlaced', '{}')",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    transaction.rollback().await.unwrap();
    outbox.write("2", "{}").await;
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key.as_deref(), Some(&b"2"[..]));
}

#[tokio::test]
async fn a_row_may_name_its_topic_and_its_record_key() {
    let outbox = Outbox::create().await;
    let kafka = Kafka::shared().await;
    let other = kafka.topic("audit", 1).await;
    let _relay = outbox.relay(&[]);
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic, partition_key)
         VALUES ('order', '42', 'OrderErased', $1, 'region-7')",
    )
    .bind(&other)
    .execute(&outbox.pool)
    .await
    .unwrap();
    let receiver = Receiver::start(kafka, &[&other]).await;
    let records = receiver.wait_for(1, SOON).await;
    assert_eq!(records[0].key.as_deref(), Some(&b"region-7"[..]));
    assert_eq!(records[0].value, None, "no payload is a tombstone");
}

#[tokio::test]
async fn a_backlog_drains_in_order_and_a_stop_duplicates_nothing() {
    let outbox = Outbox::create().await;
    outbox.write_many(20_000, 100).await;
    // Slow enough that the stop comes half-way on any machine.
    let mut relay = outbox.relay(&[
        ("relay.window_rows", "100"),
        ("kafka.properties.linger.ms", "50"),
    ]);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    receiver.wait_for(2_000, SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let left = outbox.count("published_at IS NULL").await;
    assert!(left > 0, "it was stopped half-way");
    let mut second = outbox.relay(&[]);
    outbox.drained(SOON).await;
    second.terminate();
    assert_eq!(second.wait_exit(SOON).await, 0);
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 20_000, "nothing lost, nothing twice");
    let mut last = HashMap::new();
    for record in &records {
        let value: serde_json::Value =
            serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let n = value["n"].as_i64().unwrap();
        let before = last.insert(record.key.clone(), n).unwrap_or(0);
        assert!(before < n, "{n} after {before}");
    }
}

#[tokio::test]
async fn a_row_for_later_waits_for_its_time_and_holds_back_nobody() {
    let outbox = Outbox::create().await;
    let relay = outbox.relay(&[]);
    relay.logs("relay started", SOON).await;
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, available_at)
         VALUES ('order', '1', 'Reminder', '{}', clock_timestamp() + interval '4 seconds')",
    )
    .execute(&outbox.pool)
    .await
    .unwrap();
    outbox.write("1", "{}").await;
    outbox.drained(SOON).await;
    let early: bool = sqlx::query_scalar(
        "SELECT (SELECT published_at < available_at FROM outbox WHERE event_type = 'Reminder')
            OR (SELECT published_at > (SELECT available_at FROM outbox
                    WHERE event_type = 'Reminder')
                FROM outbox WHERE event_type = 'OrderPlaced')",
    )
    .fetch_one(&outbox.pool)
    .await
    .unwrap();
    assert!(!early, "the reminder in time, the other row before it");
}

/// Events are known by their place and their id: one id twice is two events.
#[tokio::test]
async fn two_rows_with_one_event_id_are_both_published_and_in_order() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload)
             SELECT md5((n % 100)::text)::uuid, 'order', (n % 30)::text, 'OrderPlaced',
                 jsonb_build_object('n', n)
             FROM generate_series(1, 600) AS n",
        )
        .await;
    let _relay = outbox.relay(&[]);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 600, "each row once");
    let mut last = HashMap::new();
    for record in &records {
        let number = number(record);
        let before = last.insert(record.key.clone(), number).unwrap_or(0);
        assert!(before < number, "{number} after {before}");
    }
    assert_eq!(last.len(), 30);
}

/// A broker keeps what it knows of a producer for a day (`producer.id.expiration.ms`): here a second.
#[tokio::test]
async fn a_producer_that_the_broker_has_forgotten_publishes_on() {
    let kafka = Kafka::private(&[
        ("producer.id.expiration.ms", "1000"),
        ("producer.id.expiration.check.interval.ms", "200"),
    ])
    .await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let _relay = outbox.relay(&[]);
    for _ in 0..3 {
        outbox.write_many(100, 20).await;
        outbox.drained(SOON).await;
        throughout("nothing happens", Duration::from_secs(3), async || Ok(())).await;
    }
    assert_eq!(outbox.count("attempts > 0").await, 0);
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 300, "each once");
}
