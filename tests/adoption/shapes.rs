//! The tables that teams and common libraries have, each adopted and served by settings alone.

use super::{SINCE, adopt, adopted, table};
use crate::readme::pages::{blocks, page};
use crate::support::{Kafka, Outbox, Received, Receiver, RelayProcess, SOON, temporary_file};

/// What the tables lack.
const LACKS: [(&str, &str); 4] = [
    ("database.columns.headers", ""),
    ("database.columns.topic", ""),
    ("database.columns.partition_key", ""),
    ("database.columns.available_at", ""),
];
const DEBEZIUM: [(&str, &str); 4] = [
    ("database.columns.aggregate_type", "aggregatetype"),
    ("database.columns.aggregate_id", "aggregateid"),
    ("database.columns.event_type", "type"),
    ("database.columns.created_at", ""),
];
pub(crate) const DEBEZIUM_TABLE: &str = "CREATE TABLE outbox (
    id uuid NOT NULL CONSTRAINT outbox_pk PRIMARY KEY,
    aggregatetype varchar(255) NOT NULL, aggregateid varchar(255) NOT NULL,
    type varchar(255) NOT NULL, payload jsonb)";
/// Keys whose lanes are easily computed otherwise.
const KEYS: [(&str, &str); 6] = [
    ("order", "1"),
    ("order", "a\\b"),
    ("", ""),
    ("1:a", "b"),
    ("größe", "日本 \\\\134"),
    ("o", "rder1"),
];

/// What arrives of a table that is adopted by these settings: its rows since then, and one that a role
/// writes that may do nothing else.
async fn served(
    outbox: &Outbox,
    since: &[&str],
    write: &str,
    settings: &[(&str, &str)],
) -> Vec<Received> {
    adopted(outbox, since, settings).await;
    let mut service = outbox.pool.acquire().await.expect("a session is free");
    let role = outbox.topic.replace('-', "_");
    let as_role = format!(
        "CREATE ROLE {role}; GRANT INSERT ON outbox TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role};
         REVOKE ALL ON SEQUENCE outbox_seq_seq FROM {role};
         SET ROLE {role}; {write}; RESET ROLE"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(as_role))
        .execute(&mut *service)
        .await
        .expect("a service needs no new right");
    let mut check = outbox.verb(&["check"], settings);
    assert_eq!(check.wait_exit(SOON).await, 0, "{:?}", check.stdout());
    let _relay = outbox.relay(settings);
    crate::support::eventually("the rows are published", SOON, async || {
        match outbox.count("published_at IS NULL").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    })
    .await;
    let mut status = outbox.verb(&["status"], settings);
    assert_eq!(status.wait_exit(SOON).await, 0);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    receiver.read_to_end(SOON).await
}

fn value(record: &Received) -> &str {
    std::str::from_utf8(record.value.as_deref().expect("a payload")).expect("it is text")
}

#[tokio::test]
async fn the_settings_that_the_page_shows_adopt_and_serve_the_table_that_it_is_about() {
    let outbox = table(&DEBEZIUM_TABLE.replace("TABLE outbox", "TABLE outboxevent")).await;
    let toml = &blocks(&page("docs/existing-tables.md"), "toml")[0];
    let file = temporary_file(toml);
    let verb = |verb: &[&str]| outbox.verb(&[&["--config", &file], verb].concat(), &[]);
    let mut adopt = verb(&["migrate", "--adopt", "--apply"]);
    assert_eq!(adopt.wait_exit(SOON).await, 0);
    let write =
        "INSERT INTO outboxevent VALUES (gen_random_uuid(), 'Order', '7', 'OrderPaid', '[1]')";
    outbox.execute(write).await;
    let _relay = verb(&["run"]);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.wait_for(1, SOON).await;
    assert_eq!(value(&records[0]), "[1]");
}

#[tokio::test]
async fn a_debezium_table_is_served() {
    let outbox = table(DEBEZIUM_TABLE).await;
    let write =
        "INSERT INTO outbox VALUES (gen_random_uuid(), 'Order', '7', 'OrderPaid', '{\"a\": 1}')";
    outbox.execute(write).await;
    let settings = [&LACKS[..], &DEBEZIUM].concat();
    let records = served(&outbox, &[], write, &settings).await;
    assert_eq!(records.len(), 1, "what was there counts as published");
    assert_eq!(value(&records[0]), "{\"a\": 1}");
    assert_eq!(records[0].header("ce_type"), Some("OrderPaid"));
    assert_eq!(records[0].key.as_deref(), Some(&b"7"[..]));
}

#[tokio::test]
async fn a_quarkus_table_is_served() {
    let outbox = table(
        "CREATE TABLE outbox (id uuid NOT NULL, aggregatetype varchar(255) NOT NULL,
            aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL,
            \"timestamp\" timestamp NOT NULL, payload varchar(8000),
            tracingspancontext varchar(256), PRIMARY KEY (id))",
    )
    .await;
    let write = |at: &str, text: &str| {
        format!(
            "INSERT INTO outbox VALUES (gen_random_uuid(), 'Order', '7', 'OrderPaid', '{at}', '{text}')"
        )
    };
    for (at, text) in [
        ("2026-11-01 12:00:02", "third"),
        ("2026-10-31 23:59:59", "none"),
        ("2026-11-01 12:00:01", "second"),
        ("2026-11-01 01:00:00", "first"),
    ] {
        outbox.execute(&write(at, text)).await;
    }
    let settings = [
        &LACKS[..],
        &DEBEZIUM[..3],
        &[
            ("database.columns.created_at", "timestamp"),
            ("database.created_at_zone", "Europe/Berlin"),
            ("route.format", "raw"),
        ],
    ]
    .concat();
    let since = ["--since", SINCE];
    let records = served(&outbox, &since, &write("2026-11-02", "fourth"), &settings).await;
    let values: Vec<&str> = records.iter().map(value).collect();
    assert_eq!(values, ["first", "second", "third", "fourth"]);
}

#[tokio::test]
async fn a_bare_table_with_a_counter_a_topic_and_a_key_is_served() {
    let outbox = table(
        "CREATE TABLE outbox (id bigserial PRIMARY KEY, written_at timestamptz DEFAULT now(),
            topic varchar(249) NOT NULL, key varchar(100), value text)",
    )
    .await;
    let write = format!(
        "INSERT INTO outbox (topic, key, value) SELECT '{}', 'k', 'v' || n
         FROM generate_series(1, 3) AS n",
        outbox.topic
    );
    outbox.execute(&write).await;
    let settings = [
        ("database.columns.aggregate_type", ""),
        ("database.columns.aggregate_id", "key"),
        ("database.columns.event_type", ""),
        ("database.columns.payload", "value"),
        ("database.columns.headers", ""),
        ("database.columns.partition_key", ""),
        ("database.columns.available_at", ""),
        ("database.columns.created_at", "written_at"),
    ];
    let since = ["--since", SINCE];
    let records = served(&outbox, &since, &write, &settings).await;
    let values: Vec<&str> = records.iter().map(value).collect();
    assert_eq!(values, ["v1", "v2", "v3", "v1", "v2", "v3"]);
    let ids: Vec<&str> = records
        .iter()
        .filter_map(|record| record.header("ce_id"))
        .collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn a_bare_table_with_bytes_and_numbers_for_keys_is_served() {
    let outbox = table(
        "CREATE TABLE outbox (id bigserial PRIMARY KEY, uuid uuid NOT NULL DEFAULT gen_random_uuid(),
            event_name varchar NOT NULL, event_key bigint NOT NULL, payload bytea NOT NULL,
            options jsonb, created_at timestamp(6) NOT NULL DEFAULT now())",
    )
    .await;
    let write = "INSERT INTO outbox (event_name, event_key, payload, options)
        VALUES ('paid', 7, '\\x00ff', '{\"tenant\": \"acme\"}')";
    let settings = [
        ("database.columns.id", "uuid"),
        ("database.columns.aggregate_type", ""),
        ("database.columns.aggregate_id", "event_key"),
        ("database.columns.event_type", "event_name"),
        ("database.columns.headers", "options"),
        ("database.columns.topic", ""),
        ("database.columns.partition_key", ""),
        ("database.columns.available_at", ""),
    ];
    let records = served(&outbox, &[], write, &settings).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value.as_deref(), Some(&[0, 255][..]));
    assert_eq!(records[0].key.as_deref(), Some(&b"7"[..]));
    assert_eq!(records[0].header("tenant"), Some("acme"));
}

#[tokio::test]
async fn what_is_printed_adopts_through_psql_and_the_lanes_are_those_of_our_own_table() {
    let outbox = table(DEBEZIUM_TABLE).await;
    outbox
        .execute("ALTER TABLE outbox ADD COLUMN at timestamptz NOT NULL DEFAULT now()")
        .await;
    let ours = Outbox::create().await;
    for half in [&KEYS[..3], &KEYS[3..]] {
        for (kind, id) in half {
            sqlx::query("INSERT INTO outbox VALUES (gen_random_uuid(), $1, $2, 'x', NULL)")
                .bind(kind)
                .bind(id)
                .execute(&outbox.pool)
                .await
                .expect("an event is written");
            sqlx::query(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type) VALUES ($1, $2, 'x')",
            )
            .bind(kind)
            .bind(id)
            .execute(&ours.pool)
            .await
            .expect("an event is written");
        }
        let settings = [
            &LACKS[..],
            &DEBEZIUM[..3],
            &[("database.columns.created_at", "at")],
        ]
        .concat();
        if half[0] == KEYS[0] {
            let mut print: RelayProcess = adopt(&outbox, &["--since", SINCE], &settings);
            assert_eq!(print.wait_exit(SOON).await, 0);
            let script = print.stdout().join("\n");
            assert!(script.contains("there are 3 that wait"), "{script}");
            crate::migration::psql(outbox.url(), &script);
            let said = adopted(&outbox, &[], &settings).await;
            assert!(said.contains("adopted already"), "{said}");
        }
    }
    let lanes = "SELECT array_agg(lane ORDER BY seq) FROM outbox";
    let [adopted, made]: [Vec<i16>; 2] = [
        sqlx::query_scalar(lanes)
            .fetch_one(&outbox.pool)
            .await
            .expect("the rows have lanes"),
        sqlx::query_scalar(lanes)
            .fetch_one(&ours.pool)
            .await
            .expect("the rows have lanes"),
    ];
    assert_eq!(adopted, made);
}
