//! Rows that can never be published: each is set aside with its reason, and delays nobody else.

use crate::support::lanes::{LONG_LEASES, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON};

/// Part of every secret text; no log may show it.
const CANARY: &str = "canary";

/// A row as the relay left it.
#[derive(Debug)]
struct Dead {
    aggregate_id: String,
    dead_class: Option<String>,
    last_error: Option<String>,
    attempts: i32,
    published: bool,
}

/// Its columns, in the order of its fields.
type Columns = (String, Option<String>, Option<String>, i32, bool);

async fn dead(outbox: &Outbox) -> Vec<Dead> {
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT aggregate_id, dead_class, last_error, attempts, published_at IS NOT NULL
         FROM outbox WHERE dead_at IS NOT NULL ORDER BY seq",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("rows are read");
    rows.into_iter()
        .map(
            |(aggregate_id, dead_class, last_error, attempts, published)| Dead {
                aggregate_id,
                dead_class,
                last_error,
                attempts,
                published,
            },
        )
        .collect()
}

/// Panics if what the relay wrote shows a part of an event.
fn assert_discreet(relay: &RelayProcess) {
    let lines = [relay.stdout(), relay.stderr()].concat();
    assert!(lines.len() > 10, "it logged everything: {lines:?}");
    let telling = lines.iter().find(|line| line.contains(CANARY));
    assert_eq!(telling, None, "a log line shows what is in an event");
}

/// A relay that logs all it can.
fn talkative(outbox: &Outbox, settings: &[(&str, &str)]) -> RelayProcess {
    let own = [("RUST_LOG", "trace"), ("failure.on_dead", "table")];
    named_relay(outbox, "only", &[&LONG_LEASES[..], &own, settings].concat())
}

/// All rows go to one partition and share batches; the broker answers for a whole batch. So every
/// neighbour of the large row is refused with it at first.
#[tokio::test]
async fn a_record_the_broker_refuses_is_dead_after_a_try_of_its_own_and_delays_nobody() {
    let outbox = Outbox::create().await;
    let kafka = Kafka::shared().await;
    let topic = Kafka::unique("narrow");
    kafka
        .create_topic(&topic, 1, &[("max.message.bytes", "2000")])
        .await;
    outbox
        .execute(
            r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers)
               SELECT 'order', CASE WHEN n IN (100, 150) THEN 'large canary' ELSE n::text END,
                   'OrderPlaced', jsonb_build_object('n', n, 'canary', CASE WHEN n = 100 THEN
                       (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 160))
                   END), '{"secret": "canary"}'
               FROM generate_series(1, 201) AS n"#,
        )
        .await;
    let mut relay = talkative(&outbox, &[("route.topic", &topic)]);
    outbox.drained(SOON).await;
    let dead = dead(&outbox).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    let large = &dead[0];
    assert_eq!(large.aggregate_id, "large canary");
    assert_eq!(large.dead_class.as_deref(), Some("record"), "{large:?}");
    assert!(large.attempts >= 1, "{large:?}");
    assert!(!large.published, "{large:?}");
    let reason = large.last_error.as_deref().unwrap();
    assert!(reason.to_lowercase().contains("large"), "{reason}");
    assert!(!reason.contains(CANARY), "{reason}");
    let receiver = Receiver::start(kafka, &[&topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 200);
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    assert_discreet(&relay);
}

/// Each aggregate has a row that can be no record, and then a good one.
#[tokio::test]
async fn a_row_that_can_be_no_record_is_dead_with_its_reason_and_its_aggregate_goes_on() {
    let outbox = Outbox::create().await;
    let padding = |pieces: u32| {
        format!(
            "jsonb_build_object('n', 1, 'canary',
                (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, {pieces})))"
        )
    };
    let plain = "'{\"n\": 1, \"canary\": 1}'".to_owned();
    // Id, payload, headers, topic, and a word of the reason.
    let hopeless = [
        ("for the client", padding(700), "NULL", "NULL", "large"),
        ("unread", padding(4_000), "NULL", "NULL", "large"),
        ("list", plain.clone(), "'[\"canary\"]'", "NULL", "header"),
        ("text", plain.clone(), "'\"canary\"'", "NULL", "header"),
        ("name", plain.clone(), "NULL", "'no topic'", "topic"),
        ("dots", plain.clone(), "NULL", "'..'", "topic"),
    ];
    for (id, payload, headers, topic, _) in &hopeless {
        outbox
            .execute(&format!(
                "INSERT INTO outbox
                     (aggregate_type, aggregate_id, event_type, payload, headers, topic)
                 VALUES ('order', '{id}', 'OrderPlaced', {payload}, {headers}, {topic}),
                     ('order', '{id}', 'OrderPlaced', '{{\"n\": 2}}', NULL, NULL)"
            ))
            .await;
    }
    outbox.write_many(200, 200).await;
    let small = [("kafka.properties.message.max.bytes", "10000")];
    let mut relay = talkative(&outbox, &small);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    outbox.drained(SOON).await;
    let dead = dead(&outbox).await;
    assert_eq!(dead.len(), hopeless.len(), "{dead:?}");
    for (row, (id, _, _, _, word)) in dead.iter().zip(&hopeless) {
        assert_eq!(row.aggregate_id, *id);
        assert_eq!(row.dead_class.as_deref(), Some("record"), "{row:?}");
        assert!(!row.published, "{row:?}");
        let reason = row.last_error.as_deref().unwrap();
        assert!(reason.contains(word), "{id}: {reason}");
        assert!(!reason.contains(CANARY), "{id}: {reason}");
    }
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 200 + hopeless.len());
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    assert_discreet(&relay);
}
