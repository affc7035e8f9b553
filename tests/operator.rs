//! `dead` on a real database: what it lists and shows. What an operator decides is in `decisions`.

mod decisions;

use serde_json::Value;

use crate::support::{Outbox, RelayProcess, SOON};

/// One event in each state, and three of one aggregate; those that are not dead are nobody's business.
const EVENTS: &str = r#"
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers, topic) VALUES
    ('order', '1', 'OrderPlaced', '{"n": "canary"}', '{"tenant": "canary"}', NULL),
    ('order', '1', 'OrderPaid', '{}', NULL, NULL),
    ('order', '2', 'OrderPlaced', '{}', NULL, 'audit'),
    ('user', '1', 'UserLeft', NULL, '["canary"]', '..'),
    ('user', '2', 'UserLeft', '{}', NULL, NULL),
    ('order', '3', 'OrderPlaced', '{}', NULL, NULL),
    ('order', '1', 'OrderSent', '{}', NULL, NULL);
UPDATE outbox SET dead_state = 'dead', dead_at = now() - interval '3 hours', attempts = 2,
    dead_class = 'record', last_error = 'too large' WHERE seq = 1;
UPDATE outbox SET published_at = now() WHERE seq = 2;
UPDATE outbox SET dead_state = 'blocked', first_failed_at = now() - interval '3 days',
    dead_class = 'topic' WHERE seq = 3;
UPDATE outbox SET dead_state = 'dead_lettered', dead_at = now(), dead_class = 'record' WHERE seq = 4;
UPDATE outbox SET dead_state = 'discarded', dead_at = now(), dead_class = 'record' WHERE seq = 5;
"#;

async fn outbox() -> Outbox {
    let outbox = Outbox::create().await;
    outbox.execute(EVENTS).await;
    outbox
}

/// Runs `dead` with these arguments; returns its exit code and what it told.
async fn dead(outbox: &Outbox, arguments: &[&str]) -> (i32, String, String) {
    ended(outbox.verb(&[&["dead"], arguments].concat(), &[])).await
}

async fn ended(mut verb: RelayProcess) -> (i32, String, String) {
    let code = verb.wait_exit(SOON).await;
    (code, verb.stdout().join("\n"), verb.stderr().join("\n"))
}

/// What `dead list --json` tells.
async fn list(outbox: &Outbox, filter: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = dead(outbox, &[&["list", "--json"], filter].concat()).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{filter:?}");
    serde_json::from_str(&stdout).expect("it prints an array")
}

/// The numbers of the events that a filter finds.
async fn found(outbox: &Outbox, filter: &[&str]) -> Vec<i64> {
    let events = list(outbox, filter).await;
    events
        .iter()
        .map(|event| event["seq"].as_i64().expect("a number"))
        .collect()
}

#[tokio::test]
async fn a_list_has_the_promised_keys_and_finds_what_the_filters_say() {
    let outbox = outbox().await;
    let events = list(&outbox, &[]).await;
    let first = events[0].as_object().unwrap();
    let mut keys: Vec<&str> = first.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "aggregate_id",
            "aggregate_type",
            "attempts",
            "class",
            "dead_at",
            "error",
            "event_type",
            "id",
            "seq",
            "state",
            "topic"
        ]
    );
    assert_eq!(first["topic"], outbox.topic.as_str());
    assert_eq!(first["class"], "record");
    assert_eq!(first["error"], "too large");
    assert_eq!(first["attempts"], 2);
    assert_eq!(first["state"], "dead");
    assert!(first["dead_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(events[1]["dead_at"], Value::Null);
    assert_eq!(events[2]["topic"], "..");
    for (filter, seqs) in [
        (&[][..], &[1, 3, 4][..]),
        (&["--topic", &outbox.topic], &[1]),
        (&["--topic", ".."], &[4]),
        (&["--aggregate", "1"], &[1, 4]),
        (&["--aggregate", "order/1"], &[1]),
        (&["--type", "OrderPlaced"], &[1, 3]),
        (&["--class", "topic"], &[3]),
        (&["--state", "blocked,discarded"], &[3, 5]),
        (&["--older-than", "2h"], &[1, 3]),
        (&["--older-than", "2h", "--newer-than", "1d"], &[1]),
        (&["--newer-than", "2h"], &[4]),
        (&["--type", "nothing"], &[]),
    ] {
        assert_eq!(found(&outbox, filter).await, seqs, "{filter:?}");
    }
    let (code, stdout, stderr) = dead(&outbox, &["list", "--json", "--limit", "2"]).await;
    let limited: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, limited.as_array().unwrap().len()), (0, 2));
    assert!(stderr.contains("--limit"), "{stderr}");
}

#[tokio::test]
async fn people_are_shown_what_happened_and_no_content_unless_they_ask() {
    let outbox = outbox().await;
    outbox
        .execute("UPDATE outbox SET aggregate_id = E'\\x1b[2J' WHERE seq = 4")
        .await;
    let (code, table, _) = dead(&outbox, &["list"]).await;
    assert_eq!((code, table.lines().count()), (0, 4), "{table}");
    assert!(table.contains("too large"), "{table}");
    assert!(table.contains(r"user/\u{1b}[2J"), "{table}");
    let (code, text, _) = dead(&outbox, &["show", "1"]).await;
    assert_eq!(code, 0, "{text}");
    for told in ["order/1", "too large", "dead: set aside", "tenant"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("canary"), "{text}");
    let (_, text, _) = dead(&outbox, &["show", "1", "--payload"]).await;
    assert!(text.contains(r#"{"n": "canary"}"#), "{text}");
    assert!(text.contains(r#"{"tenant": "canary"}"#), "{text}");
    let (_, text, _) = dead(&outbox, &["show", "4"]).await;
    assert!(text.contains("not an object but of kind array"), "{text}");
    assert!(text.contains("a tombstone"), "{text}");
    for (seq, state) in [("2", "published"), ("6", "waits"), ("5", "discarded")] {
        let (code, text, _) = dead(&outbox, &["show", seq]).await;
        assert!(code == 0 && text.contains(state), "{seq}: {text}");
    }
    let (code, stdout, stderr) = dead(&outbox, &["show", "99"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
}
