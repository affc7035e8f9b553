//! A move on real servers: a connector's file goes through `import`, and the relay that runs by what comes out
//! sends what the connector sent.

use std::fs;

use serde_json::json;

use crate::adoption::shapes::DEBEZIUM_TABLE;
use crate::adoption::table;
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON, temporary_file};

const ID: &str = "5f9a1f3e-0a52-4a63-9f0e-0d8f6a3f3c11";

/// Writes an event as it would stand in the table of a team that moved.
async fn write(outbox: &Outbox, payload: Option<&str>, headers: &str) {
    sqlx::query(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, headers, created_at)
         VALUES ($1::uuid, 'eu_order', '42', 'OrderCreated', $2::jsonb, $3::jsonb,
             '2023-11-14T22:13:20.123456Z')",
    )
    .bind(ID)
    .bind(payload)
    .bind(headers)
    .execute(&outbox.pool)
    .await
    .expect("an event is written");
}

/// The settings without the names of columns, for a table of our own.
fn without_columns(toml: &str) -> String {
    let (before, columns) = toml
        .split_once("[database.columns]")
        .expect("they are there");
    let (_, after) = columns.split_once("\n[").expect("another table follows");
    format!("{before}\n[{after}")
}

/// The file of a connector whose topics begin with a prefix.
fn connector(prefix: &str) -> String {
    json!({"name": "shop", "config": {
        "database.password": "canary",
        "table.include.list": "public.outbox",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": false,
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.regex": "([a-z]+)_(?<kind>.*)",
        "transforms.outbox.route.topic.replacement": format!("{prefix}.${{kind}}.$1"),
        "transforms.outbox.table.fields.additional.placement":
            "type:header:eventType,tenant:envelope,part:partition",
        "transforms.outbox.table.expand.json.payload": "true",
        "transforms.outbox.route.tombstone.on.empty.payload": "true",
    }})
    .to_string()
}

#[tokio::test]
async fn a_relay_by_an_imported_connector_sends_what_the_connector_sent() {
    let kafka = Kafka::shared().await;
    let outbox = Outbox::create().await;
    let prefix = Kafka::unique("debezium");
    let topic = format!("{prefix}.order.eu");
    kafka.create_topic(&topic, 6, &[]).await;
    let folder = tempfile::tempdir().expect("a folder is made");
    let (theirs, ours) = (
        folder.path().join("c.json"),
        folder.path().join("relay.toml"),
    );
    fs::write(&theirs, connector(&prefix)).expect("the file is written");
    let theirs = theirs.to_str().expect("the name is text");
    let mut import = RelayProcess::start(&["import", "debezium", theirs], &[]);
    assert_eq!(import.wait_exit(SOON).await, 0);
    let (toml, told) = (import.stdout().join("\n"), import.stderr().join("\n"));
    assert!(told.contains("database.password: is not printed"), "{told}");
    assert!(!format!("{toml}{told}").contains("canary"));
    fs::write(&ours, without_columns(&toml)).expect("the file is written");

    let payload = r#"{"total": 1e2, "id": 42, "note": null, "tags": []}"#;
    write(
        &outbox,
        Some(payload),
        r#"{"part": 3, "tenant": "acmé", "trace": "t-1"}"#,
    )
    .await;
    write(&outbox, None, r#"{"part": 3}"#).await;
    let _relay = RelayProcess::start(
        &["run", "--config", ours.to_str().expect("the name is text")],
        &[
            ("database.url", outbox.url()),
            ("kafka.brokers", kafka.brokers()),
            ("http.listen", "127.0.0.1:0"),
        ],
    );
    let receiver = Receiver::start(kafka, &[&topic]).await;
    let records = receiver.wait_for(2, SOON).await;
    let [event, tombstone] = records.as_slice() else {
        panic!("two records: {records:?}")
    };
    for record in [event, tombstone] {
        assert_eq!(record.key.as_deref(), Some(&b"\"42\""[..]));
        assert_eq!(record.partition, 3);
        assert_eq!(record.timestamp_ms, Some(1_700_000_000_123));
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(headers[..2], ["id", "eventType"]);
        assert_eq!(record.header("id"), Some(ID));
        assert_eq!(record.header("eventType"), Some("OrderCreated"));
    }
    assert_eq!(
        event.headers.len(),
        3,
        "what was placed elsewhere is no header"
    );
    assert_eq!(event.header("trace"), Some("t-1"));
    let value = event.value.as_deref().map(String::from_utf8_lossy);
    let expected = r#"{"payload":{"id":42,"total":100},"tenant":"acmé"}"#;
    assert_eq!(value.as_deref(), Some(expected));
    assert_eq!(tombstone.value, None);
}

/// All that a team of the documentation's own table does, but for stopping its connector.
#[tokio::test]
async fn a_table_of_debeziums_is_adopted_and_served_by_what_the_import_prints() {
    let kafka = Kafka::shared().await;
    let outbox = table(&DEBEZIUM_TABLE.replace("TABLE outbox", "TABLE outboxevent")).await;
    let prefix = Kafka::unique("debezium");
    let topic = format!("{prefix}.Order");
    kafka.create_topic(&topic, 6, &[]).await;
    let connector = json!({
        "table.include.list": "public.outboxevent",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": format!("{prefix}.${{routedByValue}}"),
    });
    let connector = temporary_file(&connector.to_string());
    let mut import = RelayProcess::start(&["import", "debezium", &connector], &[]);
    assert_eq!(import.wait_exit(SOON).await, 0);
    let settings = temporary_file(&import.stdout().join("\n"));
    let verb = |verb: &[&str]| outbox.verb(&[&["--config", &settings], verb].concat(), &[]);
    let mut adopt = verb(&["migrate", "--adopt", "--apply"]);
    assert_eq!(adopt.wait_exit(SOON).await, 0, "{:?}", adopt.stderr());
    let write = format!(
        "INSERT INTO outboxevent VALUES ('{ID}', 'Order', '7', 'OrderPaid', '{{\"total\": 1.50}}')"
    );
    outbox.execute(&write).await;
    let _relay = verb(&["run"]);
    let receiver = Receiver::start(kafka, &[&topic]).await;
    let records = receiver.wait_for(1, SOON).await;
    assert_eq!(records[0].key.as_deref(), Some(&b"7"[..]));
    assert_eq!(records[0].value.as_deref(), Some(&b"{\"total\": 1.50}"[..]));
    assert_eq!(records[0].header("id"), Some(ID));
}
