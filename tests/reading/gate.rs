//! A poll that is held back after it has taken its snapshot: a row policy of the server waits for
//! a lock when the poll comes to one row.

use super::{published, write_round};
use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Postgres, Probes, Receiver, SOON, eventually};

/// The role `relay` sees the aggregate `gate` only while nobody holds the lock 4711.
const GATE: &str = "
CREATE FUNCTION pass(aggregate_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF aggregate_id = 'gate1' THEN
        PERFORM pg_advisory_lock_shared(4711), pg_advisory_unlock_shared(4711);
    END IF;
    RETURN true;
END $$;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY gate ON outbox TO relay USING (pass(aggregate_id));
";

/// Records may stay unconfirmed for long here, and statements wait.
const PATIENT: [(&str, &str); 3] = [
    ("kafka.message_timeout_ms", "30000"),
    ("lanes.lease_ttl_ms", "40000"),
    ("database.statement_timeout_ms", "60000"),
];

/// The relay's sessions that wait at the gate.
async fn at_the_gate(outbox: &Outbox) -> Vec<i32> {
    sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'
             AND wait_event = 'advisory'",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("sessions can be listed")
}

/// When the relay's heartbeat runs out.
async fn expiry(outbox: &Outbox) -> chrono::DateTime<chrono::Utc> {
    sqlx::query_scalar("SELECT max(expires_at) FROM outbox_relay_relays")
        .fetch_one(&outbox.pool)
        .await
        .expect("a relay runs")
}

/// After the second of two renewals one has begun after this was called, and has returned.
async fn wait_for_two_renewals(outbox: &Outbox) {
    for _ in 0..2 {
        let latest = expiry(outbox).await;
        eventually("a renewal", SOON, async || {
            (expiry(outbox).await > latest).then_some(())
        })
        .await;
    }
}

/// The poll belongs to a session that knows nothing: it shows the rows that fly as unpublished.
/// They are confirmed and marked, all before its page arrives.
#[tokio::test]
async fn a_page_that_is_older_than_the_marks_of_its_rows_sends_none_of_them_again() {
    let mut kafka = Kafka::private(&[]).await;
    let postgres = Postgres::private(&[]).await;
    let outbox = Outbox::create_on(&postgres, &kafka).await;
    outbox.execute("CREATE ROLE relay LOGIN").await;
    outbox.migrate(&["--grant-relay", "relay"]).await;
    outbox.execute(GATE).await;
    let probes = Probes::new();
    let url = outbox.url_as("relay", "x");
    let own = [
        ("database.url", url.as_str()),
        ("http.listen", &probes.listen),
    ];
    let _relay = named_relay(&outbox, "only", &[&PATIENT[..], &own].concat());
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    write_round(&outbox.pool, "flying", 50, 1).await;
    published(&outbox, "flying").await;
    kafka.freeze();
    write_round(&outbox.pool, "flying", 50, 2).await;
    probes.wait_for("kafka: ", SOON).await;

    let mut keeper = outbox.pool.acquire().await.unwrap();
    let lock = "SELECT pg_advisory_lock(4711)";
    sqlx::query(lock).execute(&mut *keeper).await.unwrap();
    write_round(&outbox.pool, "gate", 1, 1).await;
    let first = eventually("a poll at the gate", SOON, async || {
        at_the_gate(&outbox).await.first().copied()
    })
    .await;
    let cut = format!("SELECT pg_terminate_backend({first})");
    outbox.execute(&cut).await;
    let second = eventually("a new session at the gate", SOON, async || {
        at_the_gate(&outbox)
            .await
            .first()
            .copied()
            .filter(|pid| *pid != first)
    })
    .await;
    kafka.thaw();
    published(&outbox, "flying").await;
    wait_for_two_renewals(&outbox).await;
    assert_eq!(at_the_gate(&outbox).await, [second], "the same poll");
    let unlock = "SELECT pg_advisory_unlock(4711)";
    sqlx::query(unlock).execute(&mut *keeper).await.unwrap();
    outbox.drained(SOON).await;
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 101);
}
