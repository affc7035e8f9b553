//! What fails on the way of a large payload, and what that costs others.

use std::time::Duration;

use super::{CLAIMS, fetched, of_key, others_flow, stored, write_large};
use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::{Kafka, Outbox, Postgres, Probes, Receiver, SOON, eventually};

/// The topic is made only after the relay is gone that stored the payload.
#[tokio::test]
async fn a_kill_between_copy_and_record_costs_neither() {
    let outbox = Outbox::create().await;
    let topic = Kafka::unique("late");
    let settings = [&CLAIMS[..], &[("route.topic", topic.as_str())]].concat();
    write_large(&outbox, "1", 5_000).await;
    outbox.write("1", "{}").await;
    let first = named_relay(&outbox, "first", &settings);
    eventually("the payload is stored", SOON, async || {
        match stored(&outbox).await {
            1 => Ok(()),
            count => Err(count),
        }
    })
    .await;
    first.kill();
    let kept = "UPDATE outbox_payload SET kept_since = now() - interval '1 year'";
    outbox.execute(kept).await;
    Kafka::shared().await.create_topic(&topic, 3, &[]).await;
    let _second = named_relay(&outbox, "second", &settings);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let records = of_key(&records, "1");
    assert_eq!(records.len(), 2);
    let payload = fetched(&outbox, &records[0]).await;
    assert!(payload.len() > 5_000);
    assert_eq!(records[1].value.as_deref(), Some(&b"{}"[..]));
    let renewed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM outbox_payload WHERE kept_since > now() - interval '1 day'",
    )
    .fetch_one(&outbox.pool)
    .await
    .unwrap();
    assert_eq!(renewed, 1, "it is kept from its second record on");
}

#[tokio::test]
async fn what_cannot_be_stored_waits_with_its_aggregate_alone_and_goes_on_by_itself() {
    let outbox = Outbox::create().await;
    let probes = Probes::new();
    let settings = [&CLAIMS[..], &[("http.listen", probes.listen.as_str())]].concat();
    outbox
        .execute("ALTER TABLE outbox_payload RENAME TO elsewhere")
        .await;
    write_large(&outbox, "large", 5_000).await;
    outbox.write("large", "{\"n\": 2}").await;
    outbox.write_many(200, 20).await;
    let relay = named_relay(&outbox, "only", &settings);
    others_flow(&outbox, 2).await;
    relay.logs("storing large payloads failed", SOON).await;
    probes.wait_for("outbox_payload", SOON).await;
    assert_eq!(
        outbox.count("dead_state IS NOT NULL OR attempts > 0").await,
        0
    );
    outbox
        .execute("ALTER TABLE elsewhere RENAME TO outbox_payload")
        .await;
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = of_key(&receiver.read_to_end(SOON).await, "large");
    fetched(&outbox, &records[0]).await;
    assert_eq!(
        records.last().unwrap().value.as_deref(),
        Some(&b"{\"n\": 2}"[..])
    );
}

/// A stop does not wait for a payload that cannot be stored, and its lane is given back.
#[tokio::test]
async fn a_relay_stops_cleanly_while_a_payload_waits_to_be_stored() {
    let outbox = Outbox::create().await;
    let rename = "ALTER TABLE outbox_payload RENAME TO elsewhere";
    outbox.execute(rename).await;
    write_large(&outbox, "1", 5_000).await;
    let mut relay = named_relay(&outbox, "only", &CLAIMS);
    relay.logs("storing large payloads failed", SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    wait_for_shares(&outbox, &[], Duration::from_secs(1)).await;
}

/// A number of a few bytes prints as 131,072 digits: its page cannot be read, and is read row by row.
#[tokio::test]
async fn a_large_payload_is_told_from_one_that_the_database_cannot_print() {
    let postgres = Postgres::private(&[("shared_buffers", "16MB")]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    write_large(&outbox, "1", 3_000_000).await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', '2', 'Bomb',
                 (SELECT jsonb_agg(1e131071) FROM generate_series(1, 20000)))",
        )
        .await;
    write_large(&outbox, "3", 5_000).await;
    let hasty = [
        ("database.statement_timeout_ms", "2000"),
        ("failure.on_dead", "table"),
    ];
    let relay = named_relay(&outbox, "only", &[&CLAIMS[..], &hasty].concat());
    outbox.drained(SOON).await;
    relay.logs("reading its rows one by one", SOON).await;
    assert_eq!(
        outbox
            .count("event_type = 'Bomb' AND dead_class = 'record'")
            .await,
        1
    );
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 2);
    assert_eq!(stored(&outbox).await, 2);
}

/// An id is a consumer's only way to a payload.
#[tokio::test]
async fn a_second_event_of_the_same_id_is_dead_and_the_first_keeps_its_payload() {
    let outbox = Outbox::create().await;
    write_large(&outbox, "1", 5_000).await;
    write_large(&outbox, "1", 6_000).await;
    outbox
        .execute("UPDATE outbox SET id = (SELECT min(id::text)::uuid FROM outbox)")
        .await;
    let settings = [&CLAIMS[..], &[("failure.on_dead", "table")]].concat();
    let _relay = named_relay(&outbox, "only", &settings);
    outbox.drained(SOON).await;
    assert_eq!(
        outbox.count("seq = 1 AND published_at IS NOT NULL").await,
        1
    );
    let dead = "seq = 2 AND dead_class = 'record' AND last_error LIKE '%same id%'";
    assert_eq!(outbox.count(dead).await, 1);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert!(fetched(&outbox, &records[0]).await.len() < 6_000);
}

/// What a template asks for stays in the database: such an event cannot have its record.
#[tokio::test]
async fn an_event_whose_key_stands_in_its_large_payload_is_dead_and_told_so() {
    let outbox = Outbox::create().await;
    write_large(&outbox, "1", 5_000).await;
    outbox.write("1", "{\"n\": 2}").await;
    let settings = [
        &CLAIMS[..],
        &[("route.key", "{payload.n}"), ("failure.on_dead", "table")],
    ];
    let _relay = named_relay(&outbox, "only", &settings.concat());
    outbox.drained(SOON).await;
    assert_eq!(
        outbox.count("seq = 2 AND published_at IS NOT NULL").await,
        1
    );
    let dead = "seq = 1 AND dead_class = 'record' AND last_error LIKE '%payload.n%'";
    assert_eq!(outbox.count(dead).await, 1);
    assert_eq!(stored(&outbox).await, 0, "nothing refers to it");
}
