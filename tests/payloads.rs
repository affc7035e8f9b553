//! Columns of other names and types than ours: from the table to Kafka, and what is told where they
//! cannot be served.

use crate::support::{Kafka, Outbox, Received, Receiver, SOON};

/// An outbox whose payload is of a type.
async fn outbox(kind: &str) -> Outbox {
    let outbox = Outbox::create().await;
    let change = format!("ALTER TABLE outbox ALTER COLUMN payload TYPE {kind} USING NULL");
    outbox.execute(&change).await;
    outbox
}

/// Writes a payload that an expression makes, and what arrives of it.
async fn carried(outbox: &Outbox, expression: &str, settings: &[(&str, &str)]) -> Received {
    let write = format!(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', '1', 'OrderPlaced', {expression})"
    );
    outbox.execute(&write).await;
    let _relay = outbox.relay(settings);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let mut all = receiver.read_to_end(SOON).await;
    all.pop().expect("the event arrives")
}

#[tokio::test]
async fn a_payload_of_any_type_arrives_byte_for_byte() {
    for (column, expression, value, content_type) in [
        (
            "text",
            "E'no \"json\"\\n'",
            &b"no \"json\"\n"[..],
            "text/plain",
        ),
        ("varchar(9)", "'{\"b\":1 }'", b"{\"b\":1 }", "text/plain"),
        (
            "bytea",
            "'\\x00ff5c27'",
            b"\x00\xff\\'",
            "application/octet-stream",
        ),
        (
            "json",
            "'{\"b\": 1.50,  \"a\":1e400}'",
            b"{\"b\": 1.50,  \"a\":1e400}",
            "application/json",
        ),
    ] {
        let outbox = outbox(column).await;
        let record = carried(&outbox, expression, &[]).await;
        assert_eq!(record.value.as_deref(), Some(value), "{column}");
        assert_eq!(
            record.header("content-type"),
            Some(content_type),
            "{column}"
        );
    }
}

#[tokio::test]
async fn a_payload_too_large_for_any_record_is_dead_and_later_ones_go_on_whatever_its_type() {
    for (column, large) in [
        ("text", "repeat('x', 30000000)"),
        ("bytea", "decode(repeat('00', 30000000), 'hex')"),
        ("json", "to_json(repeat('x', 30000000))"),
    ] {
        let outbox = outbox(column).await;
        outbox
            .execute(&format!(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
                 VALUES ('order', '1', 'OrderPlaced', {large})"
            ))
            .await;
        let record = carried(&outbox, "'1'", &[("failure.on_dead", "table")]).await;
        assert_eq!(record.value.as_deref(), Some(&b"1"[..]), "{column}");
        let reason =
            "dead_state = 'dead' AND last_error LIKE 'the row is too large for any record%'";
        assert_eq!(outbox.count(reason).await, 1, "{column}");
    }
}

#[tokio::test]
async fn columns_of_other_names_and_types_are_read_under_ours_and_absent_ones_are_done_without() {
    let outbox = Outbox::create().await;
    for change in [
        "RENAME COLUMN event_type TO \"Type\"",
        "RENAME COLUMN created_at TO written",
        "RENAME COLUMN partition_key TO key",
        "DROP COLUMN headers",
        "DROP COLUMN topic",
        "ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE bigint USING 0",
        "ALTER COLUMN written DROP DEFAULT, ALTER COLUMN written TYPE timestamp",
        "ALTER COLUMN key TYPE uuid USING NULL, ALTER COLUMN \"Type\" DROP NOT NULL",
    ] {
        for part in change.split(", ") {
            outbox.execute(&format!("ALTER TABLE outbox {part}")).await;
        }
    }
    outbox
        .execute(
            "INSERT INTO outbox (id, aggregate_type, aggregate_id, \"Type\", payload, key, written)
             VALUES (41, 'order', '1', 'Placed', '{}', NULL, '2026-07-01 12:00'),
                 (42, 'order', '1', NULL, NULL, '00000000-0000-0000-0000-0000000000ab',
                 '2026-07-01 12:00:01')",
        )
        .await;
    let settings = [
        ("database.columns.event_type", "Type"),
        ("database.columns.created_at", "written"),
        ("database.columns.partition_key", "key"),
        ("database.columns.headers", ""),
        ("database.columns.topic", ""),
        ("database.created_at_zone", "Europe/Berlin"),
    ];
    let _relay = outbox.relay(&settings);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let of = |id: &str| {
        let found = records
            .iter()
            .find(|record| record.header("ce_id") == Some(id));
        found.expect("it arrives under its own id")
    };
    let (first, second) = (of("41"), of("42"));
    assert_eq!(first.header("ce_type"), Some("Placed"));
    assert_eq!(first.header("ce_time"), Some("2026-07-01T10:00:00.000000Z"));
    assert_eq!(first.key.as_deref(), Some(&b"1"[..]));
    assert_eq!(second.header("ce_type"), Some(""));
    let key = b"00000000-0000-0000-0000-0000000000ab";
    assert_eq!(second.key.as_deref(), Some(&key[..]));
    for arguments in [
        &["status"][..],
        &["dead", "list"],
        &["dead", "show", "1"],
        &["route", "--explain", "--seq", "1"],
    ] {
        let mut verb = outbox.verb(arguments, &settings);
        assert_eq!(verb.wait_exit(SOON).await, 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn columns_that_cannot_be_served_end_a_relay_at_its_start_by_the_keys_of_their_settings() {
    let outbox = Outbox::create().await;
    outbox.execute("ALTER TABLE outbox DROP COLUMN topic").await;
    let settings = [
        ("database.columns.payload", "created_at"),
        ("database.columns.headers", "Header"),
    ];
    for (verb, code) in [("run", 64), ("check", 1)] {
        let mut process = outbox.verb(&[verb], &settings);
        assert_eq!(process.wait_exit(SOON).await, code, "{verb}");
        let told = [process.stdout(), process.stderr()].concat().join("\n");
        for text in [
            "database.columns.payload: its type is timestamptz",
            "database.columns.headers: public.outbox has no column \"Header\"",
            "database.columns.topic: public.outbox has no column \"topic\"",
        ] {
            assert!(told.contains(text), "{verb}: {told}");
        }
    }
    let nowhere = [
        ("database.columns.topic", ""),
        ("database.created_at_zone", "Mars/Olympus"),
    ];
    let mut relay = outbox.verb(&["run"], &nowhere);
    assert_eq!(relay.wait_exit(SOON).await, 64);
    relay.logs("database.created_at_zone", SOON).await;
}
