//! Relays of another make on the same outbox: whom a relay shares with, and whom it refuses.

use crate::support::{Outbox, SOON, eventually};

async fn execute(outbox: &Outbox, statement: &'static str) {
    sqlx::query(statement)
        .execute(&outbox.pool)
        .await
        .expect("the statement is legal");
}

async fn holds(outbox: &Outbox, relay: &str, lanes: i64) {
    eventually(&format!("{lanes} lanes of {relay}"), SOON, async || {
        let held: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox_relay_lanes WHERE owner = $1")
                .bind(relay)
                .fetch_one(&outbox.pool)
                .await
                .expect("the lanes are counted");
        (held == lanes).then_some(()).ok_or(held)
    })
    .await;
}

/// A relay that must refuse: its exit code is told, and that it touched nothing.
async fn refusal(outbox: &Outbox) -> String {
    let mut relay = outbox.relay(&[]);
    assert_eq!(relay.wait_exit(SOON).await, 64);
    let touched: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM outbox_relay_relays)
            + (SELECT count(*) FROM outbox_relay_lanes WHERE epoch > 0)",
    )
    .fetch_one(&outbox.pool)
    .await
    .expect("the tables are there");
    assert_eq!(touched, 0, "no heartbeat and no lane");
    relay.stderr().join("\n")
}

/// What the neighbour of the next version would have written: its heartbeat and its half of the
/// lanes.
#[tokio::test]
async fn a_neighbouring_version_of_the_same_protocol_shares_the_lanes() {
    let outbox = Outbox::create().await;
    execute(
        &outbox,
        "WITH neighbour AS (
            INSERT INTO outbox_relay_relays (token, name, version, routing, expires_at)
            VALUES (gen_random_uuid(), 'neighbour', '0.2.0', '', now() + interval '1 hour')
            RETURNING token, name, expires_at
        )
        UPDATE outbox_relay_lanes AS l
        SET owner = n.name, token = n.token, epoch = l.epoch + 1, expires_at = n.expires_at
        FROM neighbour AS n WHERE l.lane % 2 = 0",
    )
    .await;
    let _relay = outbox.relay(&[("relay.name", "ours")]);
    holds(&outbox, "ours", 8).await;
    holds(&outbox, "neighbour", 8).await;
    execute(
        &outbox,
        "WITH gone AS (DELETE FROM outbox_relay_relays WHERE name = 'neighbour' RETURNING token)
        UPDATE outbox_relay_lanes AS l SET owner = NULL, token = NULL, expires_at = NULL
        FROM gone WHERE l.token = gone.token",
    )
    .await;
    holds(&outbox, "ours", 16).await;
}

#[tokio::test]
async fn another_kafka_is_refused_until_it_is_adopted() {
    const RECORDED: &str = "SELECT kafka_cluster_id FROM outbox_relay_identity";
    let outbox = Outbox::create().await;
    execute(
        &outbox,
        "UPDATE outbox_relay_identity SET kafka_cluster_id = 'another'",
    )
    .await;
    let log = refusal(&outbox).await;
    assert!(log.contains("--adopt-kafka-cluster"), "{log}");
    let recorded: String = sqlx::query_scalar(RECORDED)
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(recorded, "another", "a refusal records nothing");

    let adopting = outbox.verb(&["run", "--adopt-kafka-cluster"], &[]);
    adopting.logs("relay started", SOON).await;
    let recorded: String = sqlx::query_scalar(RECORDED)
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_ne!(recorded, "another");
    drop(adopting);
    let relay = outbox.relay(&[]);
    relay.logs("relay started", SOON).await;
}
