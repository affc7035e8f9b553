//! A fail-over to a standby that had not seen all: what it lost, it lost before the relay; what is
//! written after it is delivered, though its numbers were used before.

use std::collections::{HashMap, HashSet};

use sqlx::PgPool;
use uuid::Uuid;

use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::{Kafka, Outbox, Postgres, Probes, Receiver, SOON, eventually};

const WRITE: &str = "
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
    SELECT 'order', (n % 50)::text, 'OrderPlaced', jsonb_build_object('n', n)
    FROM generate_series(1, $1) AS n RETURNING id, seq";

async fn write(pool: &PgPool, events: i32) -> HashMap<Uuid, i64> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(WRITE)
        .bind(events)
        .fetch_all(pool)
        .await
        .expect("events are written");
    rows.into_iter().collect()
}

/// Waits until so many rows are marked, as this server shows them.
async fn marked(pool: &PgPool, rows: i64) {
    eventually(&format!("{rows} rows are marked"), SOON, async || {
        let marked: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox WHERE published_at IS NOT NULL")
                .fetch_one(pool)
                .await
                .expect("the server answers");
        (marked == rows).then_some(()).ok_or(marked)
    })
    .await;
}

#[tokio::test]
async fn a_fail_over_is_followed_and_a_number_that_is_used_again_is_another_event() {
    let mut primary = Postgres::private(&[]).await;
    let outbox = Outbox::create_on(&primary, Kafka::shared().await).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let mut standby = primary.standby().await;
    let heir = PgPool::connect_lazy(&outbox.url_through(&standby.address())).unwrap();
    let (proxy, url) = outbox.proxied().await;
    let probes = Probes::new();
    let settings = [
        ("database.url", url.as_str()),
        ("http.listen", &probes.listen),
    ];
    let mut relay = named_relay(&outbox, "only", &settings);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;

    let kept = write(&outbox.pool, 300).await;
    marked(&outbox.pool, 300).await;
    marked(&heir, 300).await;
    // These rows are copied, their marks are not.
    relay.freeze();
    let unmarked = write(&outbox.pool, 100).await;
    eventually("the standby has them", SOON, async || {
        let seen = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&heir)
            .await;
        let seen: i64 = seen.expect("the standby answers");
        (seen == 400).then_some(()).ok_or(seen)
    })
    .await;
    standby.stop_immediate().await;
    relay.thaw();
    let lost = write(&outbox.pool, 300).await;
    marked(&outbox.pool, 700).await;

    primary.stop_immediate().await;
    standby.start().await;
    proxy.lead_to(&standby.address());
    let answer = probes
        .wait_for("the database is not the primary", SOON)
        .await;
    assert!(
        answer.contains("let database.url lead to the primary"),
        "{answer}"
    );
    standby.promote().await;
    probes.wait_for("\"ready\":true", SOON).await;
    let new = write(&heir, 200).await;
    marked(&heir, 600).await;

    let numbers: HashSet<i64> = lost.values().copied().collect();
    let again = new.values().filter(|seq| numbers.contains(seq)).count();
    assert!(again > 100, "only {again} numbers are used again");
    let records = receiver.read_to_end(SOON).await;
    let mut seen: Vec<Uuid> = records
        .iter()
        .filter_map(|record| record.header("ce_id")?.parse().ok())
        .collect();
    let twice = seen.len() - 900;
    assert!(twice <= unmarked.len(), "{twice} events twice");
    let mut wanted: Vec<Uuid> = [kept, unmarked, lost, new]
        .iter()
        .flat_map(HashMap::keys)
        .copied()
        .collect();
    seen.sort_unstable();
    wanted.sort_unstable();
    seen.dedup();
    assert_eq!(seen, wanted, "each event");
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    drop(proxy);
}
