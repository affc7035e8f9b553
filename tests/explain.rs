//! `route --explain` on rows that are written nowhere: what it shows, where, and how it ends.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Outbox, SOON};

/// The exit code, stdout and stderr for this row on stdin and these routes.
fn explain(arguments: &[&str], routes: &str, row: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let file = folder.path().join("relay.toml");
    std::fs::write(&file, routes).expect("the file is written");
    let mut verb = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
        .args(["route", "--explain"])
        .args(arguments)
        .env_clear()
        .env("OUTBOX_RELAY_CONFIG", &file)
        .env(
            "OUTBOX_RELAY__DATABASE__URL",
            "postgres://nobody@localhost/shop",
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built for this test");
    let mut stdin = verb.stdin.take().expect("it was piped");
    stdin.write_all(row.as_bytes()).expect("it reads its stdin");
    drop(stdin);
    let output = verb.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

const ROUTES: &str = r#"
    [[routes]]
    match = { event_type = "a*" }
    topic = "{payload.region}-events"
    partition = "3"
    order = "none"
"#;

fn row(event_type: &str, payload: &str) -> String {
    format!(
        r#"{{"aggregate_type": "order", "aggregate_id": "o-1", "event_type": "{event_type}",
            "id": "01234567-89ab-cdef-0123-456789abcdef", "payload": {payload},
            "created_at": "2026-03-04T05:06:07+00:00", "headers": {{"note": "a\u001b[2J"}},
            "published_at": null}}"#
    )
}

#[test]
fn the_route_and_the_record_are_shown_and_a_terminal_obeys_nothing_of_them() {
    let row = row("a1", r#"{"region": "eu",  "n": 1.50}"#);
    let (code, shown, _) = explain(&[], ROUTES, &row);
    assert_eq!(code, Some(0));
    for line in [
        "route      routes[0]",
        "topic      eu-events",
        "partition  3",
        "timestamp  1772600767000",
        "key        o-1",
        "header     ce_id: 01234567-89ab-cdef-0123-456789abcdef",
        r"header     note: a\u{1b}[2J",
        r#"value      {"region": "eu",  "n": 1.50}"#,
        "on_dead    dead_letter, to eu-events.dlq",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert!(shown.contains("order      none: "), "{shown}");
}

#[test]
fn programs_get_the_record_as_it_is() {
    let (code, shown, _) = explain(&["--json"], ROUTES, &row("b", "null"));
    assert_eq!(code, Some(0));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["route"], "route");
    assert_eq!(shown["order"], "strict");
    assert_eq!(shown["dead_letter_topic"], "order-events.dlq");
    let record = &shown["record"];
    assert_eq!(record["value"], Value::Null, "a tombstone");
    assert_eq!(record["partition"], Value::Null);
    let headers = record["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["note", "a\u{1b}[2J"])));
}

#[test]
fn an_event_that_becomes_no_record_ends_with_1_and_its_reason_shows_no_value() {
    let (code, shown, told) = explain(&[], ROUTES, &row("a", r#"{"region": ["canary"]}"#));
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("route      routes[0]") && !shown.contains("value "),
        "{shown}"
    );
    assert!(
        told.contains("payload.region is an object or an array"),
        "{told}"
    );
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn what_is_no_row_ends_with_64_and_shows_no_value() {
    for wrong in [
        "",
        "canary",
        r#"{"event_type": "canary"}"#,
        r#"{"aggregate_type": 7}"#,
        "[]",
    ] {
        let (code, shown, told) = explain(&[], "", wrong);
        assert_eq!((code, shown.as_str()), (Some(64), ""), "{wrong}");
        assert!(
            told.contains("aggregate_type, aggregate_id and event_type"),
            "{told}"
        );
        assert!(!told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn an_event_that_is_not_there_or_too_large_for_any_record_ends_with_1() {
    let outbox = Outbox::create().await;
    let explain = async |seq: &str| {
        let mut verb = outbox.verb(&["route", "--explain", "--seq", seq], &[]);
        (
            verb.wait_exit(SOON).await,
            verb.stdout(),
            verb.stderr().join(" "),
        )
    };
    let (code, shown, told) = explain("7").await;
    assert_eq!((code, shown.len()), (1, 0));
    assert!(told.contains("there is no event 7"), "{told}");
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', '1', 'Large', jsonb_agg(md5(n::text)) FROM generate_series(1, 60000) n",
        )
        .await;
    let (code, _, told) = explain("1").await;
    assert_eq!(code, 1);
    assert!(told.contains("too large for the client"), "{told}");
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', '1', 'Vast', to_jsonb(repeat('x', 9000000)))",
        )
        .await;
    let (code, _, told) = explain("2").await;
    assert_eq!(code, 1);
    assert!(told.contains("too large for any record"), "{told}");
}

/// A digit takes four times as much room in jsonb as it prints: this takes 3 MB, and prints 750 KB.
#[tokio::test]
async fn a_payload_that_prints_small_is_explained_as_the_record_that_the_relay_makes() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "ALTER TABLE outbox ALTER payload SET STORAGE EXTERNAL;
             INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', '1', 'Digits', jsonb_agg(n % 10) FROM generate_series(1, 250000) n",
        )
        .await;
    let stored = outbox.count("pg_column_size(payload) > 2000000").await;
    assert_eq!(stored, 1);
    let mut verb = outbox.verb(&["route", "--explain", "--seq", "1"], &[]);
    assert_eq!(verb.wait_exit(SOON).await, 0, "{:?}", verb.stderr());
    let _relay = outbox.relay(&[]);
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 1);
}
