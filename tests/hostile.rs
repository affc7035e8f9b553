//! Bad input: what a writer can put into its columns, through a real relay to a real broker. Each has
//! a verdict, and none stops or delays anything else.

mod generated;
mod weights;

use std::collections::HashMap;

use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::{Kafka, Outbox, Received, Receiver, RelayProcess, SOON};

/// Part of every secret text; no log may show it.
const CANARY: &str = "canary";

/// Whatever is dead, the table alone keeps it.
const SETTINGS: [(&str, &str); 5] = {
    let [a, b, c, d] = LONG_LEASES;
    [a, b, c, d, ("failure.on_dead", "table")]
};

/// A topic that keeps what is older than any record should be.
async fn lasting_topic() -> String {
    let topic = Kafka::unique("hostile");
    let kafka = Kafka::shared().await;
    kafka
        .create_topic(&topic, 6, &[("retention.ms", "-1")])
        .await;
    topic
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Published,
    /// Dead, with this word in its reason.
    Dead(&'static str),
}
use Verdict::{Dead, Published};

/// A row: its event type, which names it; columns and values beside it; and its verdict.
type Case = (&'static str, &'static str, &'static str, Verdict);

/// `n` bytes of text that cannot be compressed well.
const NOISE: &str =
    "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, ({n}) / 32) AS i)";

const CASES: [Case; 47] = [
    ("dots", "topic", "'..'", Dead("topic")),
    ("one dot", "topic", "'.'", Dead("topic")),
    ("no topic", "topic", "''", Dead("topic")),
    ("long topic", "topic", "repeat('x', 300)", Dead("topic")),
    ("huge topic", "topic", "repeat('x', 3000000)", Dead("topic")),
    (
        "vast topic",
        "topic",
        "repeat('x', 300000000)",
        Dead("large"),
    ),
    ("internal", "topic", "'__consumer_offsets'", Dead("topic")),
    ("line", "topic", "E'a\\nb'", Dead("topic")),
    ("foreign", "topic", "'Bücher'", Dead("topic")),
    ("list", "headers", "'[\"canary\"]'", Dead("header")),
    ("text", "headers", "'\"canary\"'", Dead("header")),
    ("number", "headers", "'7'", Dead("header")),
    ("null headers", "headers", "'null'", Published),
    ("no headers", "headers", "'{}'", Published),
    ("nameless", "headers", "'{\"\": \"canary\"}'", Published),
    (
        "controls",
        "headers",
        r#"'{"a\u0001\r\n\u007f": "\u0002\r\n"}'"#,
        Published,
    ),
    (
        "nested",
        "headers",
        r#"'{"a": {"b": [1, null]}, "c": null}'"#,
        Published,
    ),
    (
        "many",
        "headers",
        "(SELECT jsonb_object_agg('h' || i, i) FROM generate_series(1, 10000) AS i)",
        Published,
    ),
    (
        "too many",
        "headers",
        "(SELECT jsonb_object_agg('header' || i, i) FROM generate_series(1, 100000) AS i)",
        Dead("arge"),
    ),
    (
        "large header",
        "headers",
        "jsonb_build_object('canary', {1048576})",
        Dead("arge"),
    ),
    (
        "vast header",
        "headers",
        "jsonb_build_object('canary', repeat('x', 200000000))",
        Dead("large"),
    ),
    ("no key", "partition_key", "''", Published),
    ("long key", "partition_key", "{65536}", Published),
    ("huge key", "partition_key", "{1048576}", Dead("arge")),
    (
        "vast key",
        "partition_key",
        "repeat('x', 300000000)",
        Dead("large"),
    ),
    ("tombstone", "payload", "NULL", Published),
    ("null", "payload", "'null'", Published),
    ("empty text", "payload", "'\"\"'", Published),
    ("a digit", "payload", "'1'", Published),
    ("long number", "payload", "'1e100000'", Published),
    ("below", "payload", "to_jsonb({990000})", Published),
    ("above", "payload", "to_jsonb({1000020})", Dead("arge")),
    ("thrice", "payload", "to_jsonb({3000000})", Dead("arge")),
    (
        "squeezed",
        "payload",
        "to_jsonb(repeat('canary', 1000000))",
        Dead("arge"),
    ),
    (
        "vast",
        "payload",
        "jsonb_build_object('canary', repeat('x', 260000000))",
        Dead("large"),
    ),
    (
        "deep",
        "payload",
        "(repeat('[', 2000) || repeat(']', 2000))::jsonb",
        Published,
    ),
    ("endless", "created_at", "'infinity'", Dead("created_at")),
    (
        "beginningless",
        "created_at",
        "'-infinity'",
        Dead("created_at"),
    ),
    ("remote", "created_at", "'294276-12-31'", Dead("created_at")),
    (
        "ancient",
        "created_at",
        "'4713-01-01 BC'",
        Dead("created_at"),
    ),
    (
        "future",
        "created_at",
        "'9999-12-31 23:59:59.999999Z'",
        Dead("imestamp"),
    ),
    ("roman", "created_at", "'0001-01-01Z'", Published),
    (
        "before",
        "created_at",
        "'1969-12-31 23:59:59.999Z'",
        Published,
    ),
    ("epoch", "created_at", "'1970-01-01Z'", Published),
    ("long ago", "available_at", "'-infinity'", Published),
    (
        "nil",
        "id",
        "'00000000-0000-0000-0000-000000000000'",
        Published,
    ),
    (
        "twin",
        "id",
        "'00000000-0000-0000-0000-000000000000'",
        Published,
    ),
];

/// Fills the noise in.
fn value(template: &str) -> String {
    let noisy = template.split_once('{').and_then(|(before, rest)| {
        let (bytes, after) = rest.split_once('}')?;
        bytes.parse::<u32>().ok()?;
        Some(format!("{before}{}{after}", NOISE.replace("{n}", bytes)))
    });
    noisy.unwrap_or_else(|| template.to_owned())
}

/// Writes each case, and after it a good event of the same aggregate.
async fn write(outbox: &Outbox) {
    for (name, column, template, _) in CASES {
        let payload = if column == "payload" {
            "headers"
        } else {
            "payload"
        };
        let value = value(template);
        outbox
            .execute(&format!(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, {payload}, {column})
                 VALUES ('order', '{name}', '{name}', '{{}}', {value});
                 INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
                 VALUES ('order', '{name}', 'next', '{{}}')"
            ))
            .await;
    }
}

/// Panics unless each case came to its verdict, with a reason that shows no part of an event.
async fn assert_verdicts(outbox: &Outbox) {
    let rows: Vec<(String, bool, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT event_type, published_at IS NOT NULL, dead_class, last_error FROM outbox
         WHERE event_type <> 'next' ORDER BY seq",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("rows are read");
    assert_eq!(rows.len(), CASES.len());
    for ((name, published, class, error), (case, _, _, verdict)) in rows.iter().zip(CASES) {
        assert_eq!(name, case);
        let reason = error.as_deref().unwrap_or_default();
        match verdict {
            Published => assert!(*published && class.is_none(), "{name}: {reason}"),
            Dead(word) => {
                assert!(!published && class.as_deref() == Some("record"), "{name}");
                assert!(reason.contains(word), "{name}: {reason}");
            }
        }
        assert!(!reason.contains(CANARY), "{name}: {reason}");
    }
    let unpublished = "event_type = 'next' AND published_at IS NULL";
    assert_eq!(
        outbox.count(unpublished).await,
        0,
        "every aggregate went on"
    );
}

/// Panics if something came that should not have, or not as it was written.
fn assert_arrived(records: &[Received]) {
    let published = CASES.iter().filter(|case| case.3 == Published).count();
    assert_eq!(records.len(), published + CASES.len());
    let by_type: HashMap<&str, &Received> = records
        .iter()
        .filter_map(|record| Some((record.header("ce_type")?, record)))
        .collect();
    let header = |of: &str, name: &str| by_type[of].header(name).map(str::to_owned);
    assert_eq!(header("nameless", "").as_deref(), Some(CANARY));
    let name = "a\u{1}\r\n\u{7f}";
    assert_eq!(header("controls", name).as_deref(), Some("\u{2}\r\n"));
    assert_eq!(by_type["many"].headers.len(), 10_007);
    assert_eq!(by_type["no key"].key.as_deref(), Some(&b""[..]));
    assert_eq!(by_type["long key"].key.as_ref().map(Vec::len), Some(65_536));
    assert_eq!(by_type["tombstone"].value, None);
    assert_eq!(by_type["null"].value.as_deref(), Some(&b"null"[..]));
    assert_eq!(
        by_type["long number"].value.as_ref().map(Vec::len),
        Some(100_001)
    );
    assert_eq!(
        by_type["epoch"].header("ce_time"),
        Some("1970-01-01T00:00:00.000000Z")
    );
}

#[tokio::test]
async fn each_hostile_value_has_its_verdict_and_the_next_event_of_its_aggregate_goes_on() {
    let outbox = Outbox::create().await;
    write(&outbox).await;
    shown_by_verbs(&outbox).await;
    let topic = lasting_topic().await;
    let own = [("RUST_LOG", "trace"), ("route.topic", &topic)];
    let mut relay = named_relay(&outbox, "only", &[&SETTINGS[..], &own].concat());
    outbox.drained(SOON).await;
    assert_verdicts(&outbox).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&topic]).await;
    assert_arrived(&receiver.read_to_end(SOON).await);
    let shown = shown_by_verbs(&outbox).await;
    assert!(!shown.contains(CANARY), "a verb shows what is in an event");
    ends_discreetly(&mut relay).await;
}

/// Has every verb that looks at rows look at these; returns all that they told.
async fn shown_by_verbs(outbox: &Outbox) -> String {
    let mut told = Vec::new();
    let seqs: Vec<i64> = sqlx::query_scalar("SELECT seq FROM outbox WHERE event_type LIKE '%less'")
        .fetch_all(&outbox.pool)
        .await
        .expect("rows are read");
    let shows = seqs.iter().map(|seq| format!("dead show {seq}"));
    let verbs = [
        "status",
        "status --json",
        "check",
        "dead list",
        "dead list --json",
    ];
    for verb in verbs.map(str::to_owned).into_iter().chain(shows) {
        let arguments: Vec<&str> = verb.split(' ').collect();
        let mut process = outbox.verb(&arguments, &[]);
        let code = process.wait_exit(SOON).await;
        // Illegal topics are something that a check finds wrong.
        let most = i32::from(verb == "check");
        assert!(code <= most, "{verb}: {code} {:?}", process.stderr());
        told.extend([process.stdout(), process.stderr()].concat());
    }
    told.join("\n")
}

/// Ends a relay cleanly, and panics if its log shows a part of an event.
async fn ends_discreetly(relay: &mut RelayProcess) {
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let lines = [relay.stdout(), relay.stderr()].concat();
    let telling = lines.iter().find(|line| line.contains(CANARY));
    assert_eq!(telling, None, "a log line shows what is in an event");
}

#[tokio::test]
async fn what_is_no_text_or_no_key_is_refused_to_the_writer_by_the_table() {
    let outbox = Outbox::create().await;
    for (column, value) in [
        ("aggregate_id", "NULL"),
        ("aggregate_type", "NULL"),
        ("event_type", "NULL"),
        ("created_at", "NULL"),
        ("topic", "E'a\\000b'"),
        ("headers", r#"'{"a": "\u0000"}'"#),
        ("payload", "'{\"n\": NaN}'"),
    ] {
        let (mut columns, mut values) = (column.to_owned(), value.to_owned());
        for needed in ["aggregate_type", "aggregate_id", "event_type"] {
            if needed != column {
                columns = [&columns, ", ", needed].concat();
                values.push_str(", 'x'");
            }
        }
        let sql = format!("INSERT INTO outbox ({columns}) VALUES ({values})");
        let written = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&outbox.pool)
            .await;
        assert!(written.is_err(), "{column}");
    }
}

/// Rows that the application changes or deletes after they were written, also while they fly.
#[tokio::test]
async fn rows_that_are_changed_or_deleted_meanwhile_hold_nothing_up() {
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &SETTINGS);
    for _ in 0..20 {
        outbox.write_many(500, 50).await;
        // Each locks its rows in the order in which marks do: the server would end one of two that met
        // in different orders, and it might be this one.
        for (change, of) in [
            ("DELETE FROM outbox", 3),
            (
                "UPDATE outbox SET payload = '{}', event_type = 'Changed'",
                7,
            ),
        ] {
            let rows =
                format!("SELECT seq FROM outbox WHERE seq % {of} = 0 ORDER BY seq FOR UPDATE");
            outbox
                .execute(&format!("{change} WHERE seq = ANY (ARRAY({rows}))"))
                .await;
        }
    }
    outbox.drained(SOON).await;
    let kept: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM outbox")
        .fetch_all(&outbox.pool)
        .await
        .expect("rows are read");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let arrived: std::collections::HashSet<&str> = records
        .iter()
        .filter_map(|record| record.header("ce_id"))
        .collect();
    for id in kept {
        assert!(arrived.contains(id.to_string().as_str()), "{id}");
    }
}
