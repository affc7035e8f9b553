//! Large payloads: what stays in the database, how consumers find it, and what a failure on the way
//! costs.

mod failing;
#[cfg(feature = "object-store")]
mod store;

use outbox_relay::outbox::large::Payloads;
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::session::{Access, Purpose, Session};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::readme::pages::{blocks, page};
use crate::support::lanes::named_relay;
use crate::support::{Kafka, Outbox, Received, Receiver, SOON, eventually, peak_memory_mib};

/// Payloads of more than a kilobyte are large.
const CLAIMS: [(&str, &str); 2] = [
    ("large_payload.action", "claim_check"),
    ("large_payload.over_bytes", "1024"),
];

/// Writes an event whose payload prints as this many bytes and a few, hard to compress.
async fn write_large(outbox: &Outbox, aggregate_id: &str, bytes: u32) {
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', '{aggregate_id}', 'Large',
                 jsonb_build_object('x', string_agg(md5(n::text), ''), 'n', 1.50)
             FROM generate_series(1, {bytes} / 32) AS n"
        ))
        .await;
}

/// The records of one aggregate, in the order of their partition.
fn of_key(records: &[Received], key: &str) -> Vec<Received> {
    let mut of_key: Vec<Received> = records
        .iter()
        .filter(|record| record.key.as_deref() == Some(key.as_bytes()))
        .cloned()
        .collect();
    of_key.sort_by_key(|record| record.offset);
    of_key
}

/// The reference that a record holds.
fn reference(record: &Received) -> Value {
    let location = record.header("claim-check");
    assert_eq!(location, Some("postgresql:public.outbox_payload"));
    let value = record
        .value
        .as_deref()
        .expect("a reference is no tombstone");
    let reference: Value = serde_json::from_slice(value).expect("it is JSON");
    assert_eq!(reference["location"].as_str(), location);
    assert_eq!(reference["id"].as_str(), record.header("ce_id"));
    reference
}

/// What a statement of the page fetches by this id.
async fn fetch(outbox: &Outbox, sql: &str, id: &str) -> Vec<u8> {
    let sql = sql.replace("01234567-89ab-cdef-0123-456789abcdef", id);
    let payload = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&outbox.pool);
    payload
        .await
        .expect("the payload is there before its record")
}

/// What a reference says of a payload must be true.
fn assert_described(reference: &Value, payload: &[u8]) {
    assert_eq!(reference["size_bytes"], payload.len());
    let digits = Sha256::digest(payload);
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    assert_eq!(reference["sha256"], digits.collect::<Vec<_>>().concat());
}

/// Waits until nothing is unpublished but so many rows.
async fn others_flow(outbox: &Outbox, waiting: i64) {
    eventually("the others flow", SOON, async || {
        match outbox.count("published_at IS NULL").await {
            now if now == waiting => Ok(()),
            now => Err(now),
        }
    })
    .await;
}

/// What a consumer fetches by a record, which the reference must describe.
async fn fetched(outbox: &Outbox, record: &Received) -> Vec<u8> {
    let reference = reference(record);
    let id = reference["id"].as_str().expect("it is a text");
    let [whole, pieces] = &blocks(&page("docs/large-payloads.md"), "sql")[..] else {
        panic!("the page has two ways to fetch a payload");
    };
    let payload = fetch(outbox, whole, id).await;
    let start = fetch(outbox, pieces, id).await;
    assert!(payload.starts_with(&start) && start.len() == payload.len().min(8_388_608));
    assert_described(&reference, &payload);
    payload
}

async fn stored(outbox: &Outbox) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM outbox_payload")
        .fetch_one(&outbox.pool)
        .await
        .expect("the table is there")
}

#[tokio::test]
async fn a_payload_of_sixty_megabytes_is_fetched_by_its_reference_and_never_by_the_relay() {
    let outbox = Outbox::create().await;
    outbox.write_many(500, 50).await;
    outbox.write("vast", "{\"n\": 1}").await;
    write_large(&outbox, "vast", 60_000_000).await;
    outbox.write("vast", "{\"n\": 2}").await;
    outbox.write_numbered(501..=1_000, 50).await;
    let relay = named_relay(&outbox, "only", &CLAIMS);
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("published_at IS NULL").await, 0);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 1_003);
    let [before, vast, after] = &of_key(&records, "vast")[..] else {
        panic!("one of them is lost, or came twice");
    };
    assert_eq!(before.value.as_deref(), Some(&b"{\"n\": 1}"[..]));
    assert_eq!(after.value.as_deref(), Some(&b"{\"n\": 2}"[..]));
    let payload = fetched(&outbox, vast).await;
    assert!(payload.len() > 60_000_000);
    let same: bool = sqlx::query_scalar(
        "SELECT convert_to(payload::text, 'UTF8') = $1 FROM outbox WHERE event_type = 'Large'",
    )
    .bind(&payload)
    .fetch_one(&outbox.pool)
    .await
    .unwrap();
    assert!(same, "byte for byte as it is printed");
    let unmarked = records
        .iter()
        .filter(|record| record.header("claim-check").is_none());
    assert_eq!(unmarked.count(), 1_002);
    assert_eq!(stored(&outbox).await, 1);
    let relays = peak_memory_mib(relay.pid());
    println!("the relay took {relays} MiB");
    assert!(relays < 150, "{relays} MiB: fetched");
}

/// On both sides of the border, and where jsonb takes much more than it prints.
#[tokio::test]
async fn only_what_prints_as_more_than_the_border_is_large() {
    let outbox = Outbox::create().await;
    let claims = [CLAIMS[0], ("large_payload.over_bytes", "100000")];
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', n::text, 'Border', to_jsonb(repeat('x', 99998 + n))
             FROM generate_series(0, 1) AS n
             UNION ALL
             SELECT 'order', 'digits', 'Border', jsonb_agg(n % 10) FROM generate_series(1, 33000) n
             UNION ALL
             SELECT 'order', 'null', 'Border', NULL",
        )
        .await;
    let _relay = named_relay(&outbox, "only", &claims);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 4);
    for record in &records {
        let key = record.key.as_deref();
        let is_large = record.header("claim-check").is_some();
        assert_eq!(is_large, key == Some(b"1"), "{key:?}");
    }
    assert_eq!(
        fetched(&outbox, &of_key(&records, "1")[0]).await.len(),
        100_001
    );
}

#[tokio::test]
async fn a_payload_outlives_the_row_that_was_deleted_once_it_was_published() {
    let outbox = Outbox::create().await;
    let settings = [&CLAIMS[..], &[("relay.after_publish", "delete")]].concat();
    write_large(&outbox, "1", 5_000).await;
    let _relay = named_relay(&outbox, "only", &settings);
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("true").await, 0);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert!(fetched(&outbox, &records[0]).await.len() > 5_000);
}

/// Payloads of one published event, one that waits, one that was given up and one whose row is gone, and
/// young ones of the same.
#[tokio::test]
async fn old_payloads_go_in_batches_and_those_of_waiting_events_stay() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', '1', 'Large', '{}' FROM generate_series(1, 900);
             UPDATE outbox SET published_at = now() WHERE seq % 3 = 0;
             UPDATE outbox SET dead_state = 'dead', dead_at = now() WHERE seq % 3 = 1;
             INSERT INTO outbox_payload (event_id, seq, payload, size_bytes, sha256, kept_since)
             SELECT id, seq, '', 0, '', now() - CASE WHEN seq <= 450 THEN interval '8 hours'
                 ELSE interval '6 hours' END FROM outbox;
             DELETE FROM outbox WHERE seq % 6 = 3",
        )
        .await;
    let access = Access::new(outbox.url(), "test", 10_000).unwrap();
    let mut session = Session::new(&access, Purpose::Keep);
    let payloads = Payloads::new(&Names::new("public", "outbox"), 1_000_000);
    assert_eq!(payloads.tidy(&mut session, 7).await.unwrap(), 300);
    assert_eq!(stored(&outbox).await, 600);
    let left = |condition: &str| {
        format!("(SELECT count(*) FROM outbox_payload AS p WHERE {condition}) = 300 AND seq = 2")
    };
    let of_waiting = "p.seq % 3 = 2 AND kept_since > now() - interval '1 minute'";
    assert_eq!(outbox.count(&left(of_waiting)).await, 1, "kept from now on");
    assert_eq!(
        outbox.count(&left("p.seq % 3 <> 2 AND p.seq > 450")).await,
        1
    );
    assert_eq!(payloads.tidy(&mut session, 7).await.unwrap(), 0);
}

#[tokio::test]
async fn a_relay_removes_old_payloads_by_itself() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox_payload (event_id, seq, payload, size_bytes, sha256, kept_since)
             SELECT gen_random_uuid(), n, '', 0, '', now() - make_interval(hours => 167 + 2 * n)
             FROM generate_series(0, 1) AS n",
        )
        .await;
    let relay = named_relay(&outbox, "only", &CLAIMS);
    relay.logs("kept long enough", SOON).await;
    assert_eq!(stored(&outbox).await, 1);
}

/// The record of an event that is explained, as lines.
async fn explained(outbox: &Outbox, seq: &str, settings: &[(&str, &str)]) -> (i32, Vec<String>) {
    let mut verb = outbox.verb(&["route", "--explain", "--seq", seq], settings);
    (verb.wait_exit(SOON).await, verb.stdout())
}

#[tokio::test]
async fn explain_shows_the_reference_that_the_relay_will_send_and_stores_nothing() {
    let outbox = Outbox::create().await;
    write_large(&outbox, "1", 20_000).await;
    write_large(&outbox, "1", 9_000_000).await;
    outbox.write("1", "{\"n\": 3}").await;
    let mut values = Vec::new();
    for seq in ["1", "2", "3"] {
        let (code, lines) = explained(&outbox, seq, &CLAIMS).await;
        assert_eq!(code, 0, "{lines:?}");
        let value = lines
            .iter()
            .find_map(|line| line.strip_prefix("value      "));
        values.push(value.expect("there is a record").to_owned());
    }
    assert_eq!(stored(&outbox).await, 0);
    let _relay = named_relay(&outbox, "only", &CLAIMS);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = of_key(&receiver.read_to_end(SOON).await, "1");
    let sent = records.iter().map(|record| {
        let value = record.value.clone().expect("none is a tombstone");
        String::from_utf8(value).expect("each is JSON")
    });
    assert_eq!(sent.collect::<Vec<_>>(), values);
}

#[cfg(not(feature = "object-store"))]
#[tokio::test]
async fn a_program_that_knows_no_store_says_so_at_the_start() {
    let outbox = Outbox::create().await;
    let settings = [CLAIMS[0], ("large_payload.store", "s3://payloads/shop")];
    let mut run = outbox.relay(&settings);
    assert_eq!(run.wait_exit(SOON).await, 64);
    run.logs("--features object-store", SOON).await;
    let mut check = outbox.verb(&["check"], &settings);
    assert_eq!(check.wait_exit(SOON).await, 1);
    let told = check.stdout().join("\n");
    assert!(told.contains("--features object-store"), "{told}");
}
