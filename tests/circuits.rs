//! What waits behind a failed row or a failing topic: however much it is, it costs the others
//! nothing, and it goes on in order.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::support::{Kafka, Outbox, Probes, Received, Receiver, SOON, eventually};

async fn wait_for_published(outbox: &Outbox, rows: i64) {
    eventually("published rows", SOON, async || {
        let found = outbox.count("published_at IS NOT NULL").await;
        (found == rows).then_some(()).ok_or(found)
    })
    .await;
}

/// Visits stand still for this long once all are counted.
const COUNTED_WITHIN: Duration = Duration::from_secs(4);
/// A sample of the backlog visits so many entries at most, every fifteen seconds.
const SAMPLED_MAX: u64 = 20_000;

/// The index of the poll, and that of the rows for later.
const UNPUBLISHED: &str = "outbox_unpublished";
const DELAYED: &str = "outbox_delayed";

/// Writes one event each to two hundred aggregates, in every lane, and waits for them: then each lane
/// was read up to its end.
async fn read_to_the_end(outbox: &Outbox) {
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'other', n::text, 'A', '{}' FROM generate_series(1, 200) AS n",
        )
        .await;
    wait_for_published(outbox, 200).await;
    // A session's visits show up to a second later, and those of an idle relay are few.
    let mut last = (outbox.index_visits(UNPUBLISHED).await, Instant::now());
    eventually("the first walk is counted", SOON, async || {
        let now = outbox.index_visits(UNPUBLISHED).await;
        if now - last.0 > 5_000 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > COUNTED_WITHIN).then_some(()).ok_or(now)
    })
    .await;
}

/// Writes twenty events one by one and waits for each. Panics if a relay visits more of the index
/// meanwhile than samples of the backlog explain: who walks over what waits visits a million.
async fn assert_cheap(outbox: &Outbox) {
    let published = outbox.count("published_at IS NOT NULL").await;
    let (before, begun) = (outbox.index_visits(UNPUBLISHED).await, Instant::now());
    for n in 1..=20 {
        outbox.write(&format!("healthy {n}"), "{}").await;
        wait_for_published(outbox, published + n).await;
    }
    let cost = u64::try_from(outbox.index_visits(UNPUBLISHED).await - before)
        .expect("visits are counted up");
    let samples = begun.elapsed().as_secs() / 15 + 2;
    let polls_max = 20_000;
    assert!(
        cost < samples * SAMPLED_MAX + polls_max,
        "{cost} entries visited in {:?}",
        begun.elapsed()
    );
}

/// First deliveries of each key rise.
fn assert_in_order(records: &[Received]) {
    let mut last: HashMap<Option<Vec<u8>>, i64> = HashMap::new();
    for record in records {
        let value: Value = serde_json::from_slice(record.value.as_deref().expect("a payload"))
            .expect("payloads are JSON");
        let n = value["n"].as_i64().unwrap_or(0);
        let before = last.insert(record.key.clone(), n).unwrap_or(-1);
        assert!(before < n || n == 0, "{n} after {before}");
    }
}

#[tokio::test]
async fn ten_thousand_blocked_aggregates_cost_nobody_anything_and_go_on_in_order() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', (n % 10000)::text, 'A', jsonb_build_object('n', n)
             FROM generate_series(1, 60000) AS n;
             UPDATE outbox SET dead_state = 'blocked', dead_class = 'record', last_error = 'why',
                 attempts = 2, first_failed_at = now()
             WHERE seq <= 10000",
        )
        .await;
    let _relay = outbox.relay(&[("failure.on_dead", "block")]);
    read_to_the_end(&outbox).await;
    assert_cheap(&outbox).await;
    assert_eq!(
        outbox.count("published_at IS NOT NULL").await,
        220,
        "and no other"
    );
    outbox
        .execute(
            "UPDATE outbox SET dead_state = NULL, dead_class = NULL, last_error = NULL,
                 attempts = 0, first_failed_at = NULL WHERE dead_state = 'blocked';
             UPDATE outbox_relay_lanes SET rereads = rereads + 1",
        )
        .await;
    wait_for_published(&outbox, 60_220).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 60_220, "each once");
    assert_in_order(&records);
}

#[tokio::test]
async fn what_waits_behind_an_open_circuit_costs_nobody_anything_and_goes_on_in_order() {
    let outbox = Outbox::create().await;
    let missing = Kafka::unique("missing");
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, topic)
         SELECT 'lost', (n % 10000)::text, 'A', jsonb_build_object('n', n), $1
         FROM generate_series(1, 60000) AS n",
    )
    .bind(&missing)
    .execute(&outbox.pool)
    .await
    .expect("events are written");
    let probes = Probes::new();
    let relay = outbox.relay(&[("http.listen", &probes.listen)]);
    relay.logs("the topic takes nothing", SOON).await;
    let told = probes.wait_for(&missing, SOON).await;
    assert!(
        told.contains("create the topic"),
        "the cure is told: {told}"
    );
    assert!(
        told.contains("\"ready\":true"),
        "others are delivered: {told}"
    );
    read_to_the_end(&outbox).await;
    assert_cheap(&outbox).await;

    Kafka::shared().await.create_topic(&missing, 3, &[]).await;
    wait_for_published(&outbox, 60_220).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&missing]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 60_000, "each once");
    assert_in_order(&records);
    assert_eq!(
        outbox.count("attempts > 0 OR dead_state IS NOT NULL").await,
        0
    );
}

/// A page of what was passed over is looked at again each second, and a few rows are new.
const VISITS_PER_SECOND: u64 = 2_000;

/// Finds aggregates of one lane, by writing events of many.
const OF_ONE_LANE: &str = "
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
    SELECT 'order', n::text, 'A' FROM generate_series(1, 2000) AS n;
    CREATE TABLE of_lane AS SELECT aggregate_id FROM outbox WHERE lane = 3 ORDER BY seq LIMIT 50;
    DELETE FROM outbox";

/// Fifty aggregates of one lane have a hundred delayed rows each to a topic that is missing, and one
/// each, for a later time, to another topic.
#[tokio::test]
async fn delayed_rows_behind_an_open_circuit_keep_no_others_of_their_lane_and_go_on_in_order() {
    let outbox = Outbox::create().await;
    let missing = Kafka::unique("missing");
    outbox.execute(OF_ONE_LANE).await;
    let write = "
        INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, topic, available_at)
        SELECT 'order', aggregate_id, 'A', jsonb_build_object('n', n), $1,
            now() - interval '1 hour' + n * interval '1 second'
        FROM generate_series(1, $2) AS n, of_lane ORDER BY n";
    for (topic, rows) in [(Some(&missing), 100), (None, 1)] {
        let write = sqlx::query(write).bind(topic).bind(rows);
        write
            .execute(&outbox.pool)
            .await
            .expect("events are written");
    }
    outbox
        .execute("UPDATE outbox SET available_at = now() - interval '1 minute' WHERE topic IS NULL")
        .await;
    let relay = outbox.relay(&[]);
    relay.logs("the topic takes nothing", SOON).await;
    let opened = Instant::now();
    wait_for_published(&outbox, 50).await;
    println!("the others were published {:?} after", opened.elapsed());

    let walked = Instant::now();
    eventually("the first walk is counted", SOON, async || {
        let waited = walked.elapsed();
        (waited > COUNTED_WITHIN)
            .then_some(())
            .ok_or(format!("after {waited:?}"))
    })
    .await;
    let (before, begun) = (outbox.index_visits(DELAYED).await, Instant::now());
    let mut others = 50;
    while begun.elapsed() < COUNTED_WITHIN * 2 {
        outbox
            .execute(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, available_at)
                 SELECT 'order', aggregate_id, 'B', '{}', now() FROM of_lane LIMIT 1",
            )
            .await;
        others += 1;
        wait_for_published(&outbox, others).await;
    }
    let visits = u64::try_from(outbox.index_visits(DELAYED).await - before).expect("they count up");
    println!("{visits} entries visited in {:?}", begun.elapsed());
    let seconds = begun.elapsed().as_secs() + 2;
    let visits_max = (seconds / 15 + 1) * SAMPLED_MAX + seconds * VISITS_PER_SECOND;
    assert!(visits < visits_max, "{visits} of {visits_max}");

    Kafka::shared().await.create_topic(&missing, 3, &[]).await;
    wait_for_published(&outbox, 5_000 + others).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&missing]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 5_000, "each once");
    assert_in_order(&records);
}
