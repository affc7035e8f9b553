//! What becomes of a row that failed for good, by `failure.on_dead`: a dead letter, or a blocked
//! aggregate. All of it on a topic that takes no large record.

use serde_json::Value;

use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON, eventually};

/// An outbox whose events all go to one topic of one partition, which takes small records alone.
struct Narrow {
    outbox: Outbox,
    topic: String,
}

impl Narrow {
    async fn create() -> Self {
        let topic = Kafka::unique("narrow");
        Kafka::shared()
            .await
            .create_topic(&topic, 1, &[("max.message.bytes", "2000")])
            .await;
        Self {
            outbox: Outbox::create().await,
            topic,
        }
    }

    fn relay(&self, settings: &[(&str, &str)]) -> RelayProcess {
        let own = [("route.topic", self.topic.as_str())];
        let all = [&LONG_LEASES[..], &own, settings].concat();
        named_relay(&self.outbox, "only", &all)
    }

    /// Writes one event; a large one is refused by the topic.
    async fn write(&self, aggregate: &str, n: i32, is_large: bool) {
        sqlx::query(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers)
             SELECT 'order', $1, 'OrderPlaced', jsonb_build_object('n', $2::int, 'text', CASE
                 WHEN $3 THEN (SELECT string_agg(md5(random()::text), '')
                     FROM generate_series(1, 160)) ELSE '' END), '{\"own\": \"header\"}'",
        )
        .bind(aggregate)
        .bind(n)
        .bind(is_large)
        .execute(&self.outbox.pool)
        .await
        .expect("an event is written");
    }

    /// Waits until so many rows are in this state.
    async fn wait_for_state(&self, state: &str, rows: i64) {
        let wanted = format!("{rows} rows {state}");
        eventually(&wanted, SOON, async || {
            let condition = format!("dead_state = '{state}'");
            let found = self.outbox.count(&condition).await;
            (found == rows).then_some(()).ok_or(found)
        })
        .await;
    }

    async fn wait_for_published(&self, rows: i64) {
        eventually("published rows", SOON, async || {
            let found = self.outbox.count("published_at IS NOT NULL").await;
            (found == rows).then_some(()).ok_or(found)
        })
        .await;
    }

    /// What an operator does who mends a row and lets it be tried again.
    async fn mend_and_retry(&self, state: &str) {
        self.outbox
            .execute(&format!(
                "WITH mended AS (
                     UPDATE outbox SET payload = payload - 'text', dead_state = NULL,
                         dead_at = NULL, dead_class = NULL, last_error = NULL, attempts = 0,
                         first_failed_at = NULL
                     WHERE dead_state = '{state}' RETURNING lane
                 )
                 UPDATE outbox_relay_lanes SET rereads = rereads + 1
                 WHERE lane IN (SELECT lane FROM mended)"
            ))
            .await;
    }

    /// The numbers of an aggregate's events as they arrived.
    async fn arrived(&self, aggregate: &str) -> Vec<i64> {
        let receiver = Receiver::start(Kafka::shared().await, &[&self.topic]).await;
        let records = receiver.read_to_end(SOON).await;
        records
            .iter()
            .filter(|record| record.key.as_deref() == Some(aggregate.as_bytes()))
            .map(|record| {
                let value = record.value.as_deref().expect("no tombstone was written");
                let value: Value = serde_json::from_slice(value).expect("payloads are JSON");
                value["n"].as_i64().expect("payloads are numbered")
            })
            .collect()
    }
}

#[tokio::test]
async fn a_dead_letter_says_why_and_its_aggregate_goes_on() {
    let narrow = Narrow::create().await;
    let kafka = Kafka::shared().await;
    let letters = format!("{}.dlq", narrow.topic);
    kafka.create_topic(&letters, 1, &[]).await;
    for n in 1..=3 {
        narrow.write("hit", n, n == 2).await;
        narrow.write("spared", n, false).await;
    }
    let mut relay = narrow.relay(&[]);
    narrow.wait_for_published(5).await;
    narrow.wait_for_state("dead_lettered", 1).await;
    assert_eq!(narrow.outbox.count("dead_at IS NOT NULL").await, 1);
    assert_eq!(narrow.arrived("hit").await, [1, 3]);

    let receiver = Receiver::start(kafka, &[&letters]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 1, "one dead letter");
    let letter = &records[0];
    assert_eq!(letter.key.as_deref(), Some(&b"hit"[..]));
    let value: Value = serde_json::from_slice(letter.value.as_deref().unwrap()).unwrap();
    assert_eq!(value["n"], 2, "the original payload");
    let header = |name: &str| {
        let found = letter.headers.iter().find(|(known, _)| known == name);
        let value = found
            .unwrap_or_else(|| panic!("no header {name}"))
            .1
            .clone();
        String::from_utf8(value.unwrap()).unwrap()
    };
    assert_eq!(header("own"), "header");
    assert_eq!(header("ce_subject"), "hit");
    assert_eq!(header("dead_letter_class"), "record");
    assert!(header("dead_letter_error").to_lowercase().contains("large"));
    assert_eq!(header("dead_letter_attempts"), "2");
    assert_eq!(header("dead_letter_topic"), narrow.topic);
    assert_eq!(header("dead_letter_event_id"), header("ce_id"));
    let first: chrono::DateTime<chrono::Utc> =
        header("dead_letter_first_failed_at").parse().unwrap();
    let last: chrono::DateTime<chrono::Utc> = header("dead_letter_at").parse().unwrap();
    assert!(first <= last && last - first < chrono::TimeDelta::minutes(1));
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn an_aggregate_waits_while_its_dead_letters_topic_is_away() {
    let narrow = Narrow::create().await;
    let kafka = Kafka::shared().await;
    let letters = format!("{}.dlq", narrow.topic);
    for aggregate in ["a", "b", "c"] {
        for n in 1..=4 {
            narrow.write(aggregate, n, n == 2).await;
        }
    }
    narrow.write("spared", 1, false).await;
    let mut relay = narrow.relay(&[]);
    narrow.wait_for_state("dead_letter_pending", 3).await;
    narrow.wait_for_published(4).await;
    narrow.write("spared", 2, false).await;
    narrow.wait_for_published(5).await;
    assert_eq!(narrow.outbox.count("dead_at IS NOT NULL").await, 0);
    // A relay that takes over knows the verdict, and waits for the same topic.
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let _second = narrow.relay(&[("failure.dead_letter_format", "document")]);
    narrow.write("spared", 3, false).await;
    narrow.wait_for_published(6).await;
    assert_eq!(narrow.outbox.count("published_at IS NOT NULL").await, 6);
    kafka.create_topic(&letters, 1, &[]).await;
    narrow.wait_for_state("dead_lettered", 3).await;
    narrow.wait_for_published(12).await;
    for aggregate in ["a", "b", "c"] {
        assert_eq!(narrow.arrived(aggregate).await, [1, 3, 4]);
    }
    let receiver = Receiver::start(kafka, &[&letters]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 3, "one dead letter each");
    let value: Value = serde_json::from_slice(records[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(
        value["original_event"]["n"], 2,
        "the original payload, in a document"
    );
}

#[tokio::test]
async fn a_blocked_aggregate_waits_for_an_operator_and_then_goes_on_in_order() {
    let narrow = Narrow::create().await;
    for n in 1..=4 {
        narrow.write("hit", n, n == 2).await;
        narrow.write("spared", n, false).await;
    }
    let mut relay = narrow.relay(&[("failure.on_dead", "block")]);
    narrow.wait_for_state("blocked", 1).await;
    narrow.wait_for_published(5).await;
    // A restart blocks nothing else, tries nothing again, and lets nothing through.
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let second = narrow.relay(&[("failure.on_dead", "block")]);
    narrow.write("hit", 5, false).await;
    narrow.write("spared", 5, false).await;
    narrow.wait_for_published(6).await;
    assert_eq!(narrow.outbox.count("attempts = 2").await, 1);
    narrow.mend_and_retry("blocked").await;
    narrow.wait_for_published(10).await;
    assert_eq!(narrow.arrived("hit").await, [1, 2, 3, 4, 5]);
    drop(second);
}

#[tokio::test]
async fn a_dead_row_that_is_mended_is_published_within_a_renewal() {
    let narrow = Narrow::create().await;
    narrow.write("hit", 1, true).await;
    narrow.write("hit", 2, false).await;
    let _relay = narrow.relay(&[("failure.on_dead", "table")]);
    narrow.wait_for_state("dead", 1).await;
    narrow.wait_for_published(1).await;
    narrow.mend_and_retry("dead").await;
    narrow.wait_for_published(2).await;
    assert_eq!(narrow.arrived("hit").await, [2, 1], "behind later ones");
}

/// What waits at the start is handed over before the client has a connection, so as one batch.
#[tokio::test]
async fn a_bad_neighbour_costs_no_row_its_life_where_one_refusal_is_enough() {
    let narrow = Narrow::create().await;
    narrow.write("hit", 1, true).await;
    for n in 2..=6 {
        narrow.write(&format!("neighbour {n}"), n, false).await;
    }
    let settings = [("failure.on_dead", "table"), ("failure.attempts_max", "1")];
    let _relay = narrow.relay(&settings);
    narrow.wait_for_published(5).await;
    narrow.wait_for_state("dead", 1).await;
}

#[tokio::test]
async fn a_topic_that_is_not_allowed_is_never_reached() {
    let outbox = Outbox::create().await;
    let kafka = Kafka::shared().await;
    let forbidden = kafka.topic("forbidden", 1).await;
    let _relay = outbox.relay(&[("topics.allow", &outbox.topic)]);
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic)
         VALUES ('order', '1', 'OrderPlaced', $1), ('order', '1', 'OrderPlaced', NULL)",
    )
    .bind(&forbidden)
    .execute(&outbox.pool)
    .await
    .unwrap();
    outbox.drained(SOON).await;
    let refused = "dead_state = 'dead' AND last_error LIKE '%topics.allow%'";
    assert_eq!(outbox.count(refused).await, 1);
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 1);
    let receiver = Receiver::start(kafka, &[&forbidden]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 0);
}
