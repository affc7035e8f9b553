//! What the Java client sees of records that a relay has published.

use crate::support::{Kafka, Outbox, Received, Receiver, SOON, seen_by_java};

/// A text as the console consumer shows it.
fn shown(text: Option<&[u8]>) -> String {
    text.map_or("null".into(), String::from_utf8_lossy)
        .into_owned()
}

/// A record as the console consumer shows it.
fn line(record: &Received) -> String {
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}:{}", shown(value.as_deref())));
    [
        format!("CreateTime:{}", record.timestamp_ms.unwrap_or_default()),
        format!("Partition:{}", record.partition),
        format!("Offset:{}", record.offset),
        headers.collect::<Vec<_>>().join(","),
        shown(record.key.as_deref()),
        shown(record.value.as_deref()),
    ]
    .join("\t")
}

/// All that a record can hold: a key beyond ASCII and none, a payload and none, headers and null ones.
#[tokio::test]
async fn the_java_client_sees_what_the_relay_has_published() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers)
               SELECT 'order', 'größe-🚚-' || n, 'OrderPlaced',
                   CASE WHEN n % 3 > 0 THEN jsonb_build_object('n', n, 'text', 'é€🚚') END,
                   '{"tenant": "acme", "flag": true, "nothing": null}'
               FROM generate_series(1, 60) AS n;
               INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, partition_key)
               VALUES ('order', 'own', 'OrderPlaced', '{"n": 61}', 'a key of its own')"#,
        )
        .await;
    let _relay = outbox.relay(&[]);
    outbox.drained(SOON).await;
    let kafka = Kafka::shared().await;
    let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let mut seen = seen_by_java(kafka, &outbox.topic, 61).await;
    let mut expected: Vec<String> = records.iter().map(line).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let own = seen.iter().filter(|line| {
        line.ends_with("\ta key of its own\t{\"n\": 61}") && line.contains("ce_type:OrderPlaced,")
    });
    assert_eq!(own.count(), 1);
    let tombstones = seen.iter().filter(|line| line.ends_with("\tnull"));
    assert_eq!(tombstones.count(), 20);
}
