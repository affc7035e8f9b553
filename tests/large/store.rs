//! Large payloads in a store of objects: what consumers find there, and what a failure on the way costs.

use serde_json::Value;

use super::{assert_described, explained, of_key, others_flow, write_large};
use crate::support::lanes::named_relay;
use crate::support::s3::{BUCKET, KEY, S3};
use crate::support::{Kafka, Outbox, Probes, Received, Receiver, SOON, peak_memory_mib};

/// Where payloads go.
const STORE: &str = "s3://payloads/shop";

/// The settings and variables by which payloads go to a store.
fn claims(store: &S3) -> [(&str, &str); 7] {
    [
        ("large_payload.action", "claim_check"),
        ("large_payload.over_bytes", "1024"),
        ("large_payload.store", STORE),
        ("AWS_ACCESS_KEY_ID", KEY.0),
        ("AWS_SECRET_ACCESS_KEY", KEY.1),
        ("AWS_ENDPOINT_URL", &store.endpoint),
        ("AWS_ALLOW_HTTP", "true"),
    ]
}

/// What a consumer finds by a record, which the reference must describe.
fn found(store: &S3, record: &Received) -> Vec<u8> {
    let location = record.header("claim-check").expect("it is a reference");
    let value = record.value.as_deref().expect("it is no tombstone");
    let reference: Value = serde_json::from_slice(value).expect("it is JSON");
    assert_eq!(reference["location"].as_str(), Some(location));
    let name = location.strip_prefix(&format!("s3://{BUCKET}/"));
    let name = name.expect("it leads into the bucket");
    let payload = store.object(name);
    let payload = payload.expect("the object is there before its record");
    assert_described(&reference, &payload);
    payload
}

/// Whether this is the payload of the outbox's one row of this number, byte for byte.
async fn is_of(outbox: &Outbox, seq: i64, payload: &[u8]) -> bool {
    sqlx::query_scalar("SELECT convert_to(payload::text, 'UTF8') = $1 FROM outbox WHERE seq = $2")
        .bind(payload)
        .bind(seq)
        .fetch_one(&outbox.pool)
        .await
        .expect("the row is there")
}

#[tokio::test]
async fn payloads_of_any_size_are_found_by_their_references_and_small_in_the_relay() {
    let mut store = S3::absent();
    store.start().await;
    let outbox = Outbox::create().await;
    outbox.write("1", "{\"n\": 1}").await;
    write_large(&outbox, "1", 40_000_000).await;
    write_large(&outbox, "1", 2_000).await;
    outbox.write("1", "{\"n\": 4}").await;
    let (code, lines) = explained(&outbox, "2", &claims(&store)).await;
    assert_eq!(code, 0, "{lines:?}");
    let relay = named_relay(&outbox, "only", &claims(&store));
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("published_at IS NULL").await, 0);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = of_key(&receiver.read_to_end(SOON).await, "1");
    assert_eq!(records.len(), 4);
    assert_eq!(records[0].value.as_deref(), Some(&b"{\"n\": 1}"[..]));
    assert_eq!(records[3].value.as_deref(), Some(&b"{\"n\": 4}"[..]));
    for (seq, record) in [(2, &records[1]), (3, &records[2])] {
        let payload = found(&store, record);
        assert!(is_of(&outbox, seq, &payload).await, "{seq}");
    }
    let sent = String::from_utf8_lossy(records[1].value.as_deref().unwrap_or_default());
    assert!(lines.iter().any(|line| line.ends_with(&*sent)), "{lines:?}");
    let relays = peak_memory_mib(relay.pid());
    println!("the relay took {relays} MiB");
    assert!(relays < 120, "{relays} MiB: fetched as a whole");
}

#[tokio::test]
async fn while_the_store_is_away_its_payloads_wait_with_their_aggregates_alone() {
    let mut store = S3::absent();
    let outbox = Outbox::create().await;
    let probes = Probes::new();
    let settings = [&claims(&store)[..], &[("http.listen", &probes.listen)]].concat();
    write_large(&outbox, "large", 20_000_000).await;
    outbox.write("large", "{\"n\": 2}").await;
    outbox.write_many(200, 20).await;
    let mut check = outbox.verb(&["check"], &settings);
    assert_eq!(check.wait_exit(SOON).await, 69);
    let told = check.stdout().join("\n");
    assert!(told.contains("AWS_ENDPOINT_URL"), "{told}");
    let relay = named_relay(&outbox, "only", &settings);
    others_flow(&outbox, 2).await;
    let logged = relay.logs("storing large payloads failed", SOON).await;
    let told = probes.wait_for("store: ", SOON).await;
    assert!(!logged.contains("canary") && !told.contains("canary"));
    let refused = "dead_state IS NOT NULL OR attempts > 0";
    assert_eq!(outbox.count(refused).await, 0);
    store.start().await;
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = of_key(&receiver.read_to_end(SOON).await, "large");
    assert_eq!(records.len(), 2);
    found(&store, &records[0]);
    assert_eq!(records[1].value.as_deref(), Some(&b"{\"n\": 2}"[..]));
    let mut check = outbox.verb(&["check"], &claims(&store));
    assert_eq!(check.wait_exit(SOON).await, 0, "{:#?}", check.stdout());
    let mut wrong = claims(&store);
    wrong[4].1 = "another";
    let mut check = outbox.verb(&["check"], &wrong);
    assert_eq!(check.wait_exit(SOON).await, 1, "{:#?}", check.stdout());
    let told = check.stdout().join("\n");
    assert!(told.contains("the store refuses us"), "{told}");
}
