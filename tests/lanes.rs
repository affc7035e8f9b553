//! Lanes and leases among real relays: even shares, hand-over, crash, freeze, and who may join.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::lanes::{LONG_LEASES, SHORT_TTL, held, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Postgres, Probes, Receiver, SOON, eventually, throughout};

/// What a busy machine is forgiven beyond a promise.
const SLACK: Duration = Duration::from_secs(4);

#[tokio::test]
async fn relays_that_come_and_go_share_the_lanes_evenly_within_seconds() {
    let outbox = Outbox::create().await;
    let first = named_relay(&outbox, "r0", &[]);
    wait_for_shares(&outbox, &[("r0", 16)], SOON).await;
    let names = ["r1", "r2", "r3", "r4", "r5", "r6", "r7"];
    let start = |names: &[&str]| -> Vec<_> {
        let relays = names.iter().map(|name| named_relay(&outbox, name, &[]));
        relays.collect()
    };
    let mut relays = start(&names[..3]);
    let four = ["r0", "r1", "r2", "r3"].map(|name| (name, 4));
    wait_for_shares(&outbox, &four, SOON).await;
    relays.extend(start(&names[3..]));
    let mut eight = names.map(|name| (name, 2)).to_vec();
    eight.push(("r0", 2));
    wait_for_shares(&outbox, &eight, SOON).await;
    for relay in &relays {
        relay.terminate();
    }
    wait_for_shares(&outbox, &[("r0", 16)], SOON).await;
    for mut relay in relays {
        assert_eq!(relay.wait_exit(SOON).await, 0);
    }
    drop(first);
}

#[tokio::test]
async fn a_killed_relays_lanes_are_published_again_within_their_ttl_and_two_seconds() {
    let outbox = Outbox::create().await;
    let first = named_relay(&outbox, "first", &[]);
    let _second = named_relay(&outbox, "second", &[]);
    wait_for_shares(&outbox, &[("first", 8), ("second", 8)], SOON).await;
    first.kill();
    let killed = Instant::now();
    outbox.write_many(400, 200).await;
    outbox.drained(SOON).await;
    let took = killed.elapsed();
    println!("published again {took:?} after the kill; the leases last {SHORT_TTL:?}");
    let promise = SHORT_TTL + Duration::from_secs(2);
    assert!(took < promise + SLACK, "{took:?}");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 400);
}

#[tokio::test]
async fn a_relay_that_is_asked_to_stop_hands_its_lanes_over_in_under_a_second() {
    let outbox = Outbox::create().await;
    let mut first = named_relay(&outbox, "first", &[]);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    let _second = named_relay(&outbox, "second", &[]);
    wait_for_shares(&outbox, &[("first", 8), ("second", 8)], SOON).await;
    outbox.write_many(5_000, 500).await;
    first.terminate();
    let asked = Instant::now();
    wait_for_shares(&outbox, &[("second", 16)], SOON).await;
    let took = asked.elapsed();
    println!("handed over within {took:?}");
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
    assert_eq!(first.wait_exit(SOON).await, 0);
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 5_000);
}

/// Frozen for a third of what its leases last, with records under way.
#[tokio::test]
async fn a_freeze_shorter_than_the_leases_moves_no_lane_and_repeats_nothing() {
    let outbox = Outbox::create().await;
    let frozen = named_relay(&outbox, "frozen", &LONG_LEASES);
    wait_for_shares(&outbox, &[("frozen", 16)], SOON).await;
    let _other = named_relay(&outbox, "other", &LONG_LEASES);
    wait_for_shares(&outbox, &[("frozen", 8), ("other", 8)], SOON).await;
    let (held_before, epochs_before) = (held(&outbox).await, epochs(&outbox).await);
    for _ in 0..2 {
        outbox.write_many(5_000, 500).await;
        frozen.freeze();
        throughout("no lane moves", Duration::from_secs(5), async || {
            let held = held(&outbox).await;
            (held == held_before)
                .then_some(())
                .ok_or(format!("{held:?}"))
        })
        .await;
        assert!(outbox.count("published_at IS NULL").await > 0, "half waits");
        frozen.thaw();
        outbox.drained(SOON).await;
    }
    assert_eq!(epochs(&outbox).await, epochs_before);
    assert!(
        !frozen
            .stderr()
            .iter()
            .any(|line| line.contains("lane lost"))
    );
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), 10_000, "nothing is repeated");
    assert_eq!(outbox.count("attempts > 0").await, 0);
}

/// How often lanes have been taken over, in all.
async fn epochs(outbox: &Outbox) -> i64 {
    sqlx::query_scalar("SELECT sum(epoch)::bigint FROM outbox_relay_lanes")
        .fetch_one(&outbox.pool)
        .await
        .expect("the leases are there")
}

/// The frozen relay has the rows in its window, due while it is frozen. When it goes on, its own
/// memory says that they may fly; only its lease says that they may not.
#[tokio::test]
async fn a_stale_owner_hands_nothing_over_that_it_had_read() {
    let outbox = Outbox::create().await;
    let stale = named_relay(&outbox, "stale", &[]);
    wait_for_shares(&outbox, &[("stale", 16)], SOON).await;
    let mut transaction = outbox.pool.begin().await.unwrap();
    for sql in [
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', n::text, 'OrderPlaced', jsonb_build_object('n', n)
         FROM generate_series(1, 400) AS n",
        "UPDATE outbox SET next_attempt_at = now() + interval '9 seconds' WHERE seq <= 200",
    ] {
        sqlx::query(sql).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    // The later half is of the same page: once it is published, the earlier one was read.
    eventually("the rows that are due", SOON, async || {
        (outbox.count("published_at IS NOT NULL").await == 200).then_some(())
    })
    .await;
    stale.freeze();
    let _heir = named_relay(&outbox, "heir", &[]);
    wait_for_shares(&outbox, &[("heir", 16)], SOON).await;
    outbox.drained(SOON).await;
    stale.thaw();
    stale.logs("lane lost", SOON).await;
    wait_for_shares(&outbox, &[("heir", 8), ("stale", 8)], SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_once_in_order(&records, 400);
    let of_the_heir = records
        .iter()
        .filter(|record| record.header("ce_source") == Some("heir"));
    assert_eq!(of_the_heir.count(), 200, "what was due after the take-over");
}

/// The heir is frozen too, but holds its leases: nobody may publish until it goes on.
#[tokio::test]
async fn a_stale_owner_reads_nothing_of_lanes_that_another_took_over() {
    let outbox = Outbox::create().await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let stale = named_relay(&outbox, "stale", &[]);
    wait_for_shares(&outbox, &[("stale", 16)], SOON).await;
    stale.freeze();
    let heir = named_relay(&outbox, "heir", &LONG_LEASES);
    wait_for_shares(&outbox, &[("heir", 16)], SOON).await;
    heir.freeze();
    outbox.write_many(400, 200).await;
    stale.thaw();
    stale.logs("lane lost", SOON).await;
    throughout("nobody publishes", Duration::from_secs(3), async || {
        let published = outbox.count("published_at IS NOT NULL").await;
        let seen = receiver.records().len();
        (published == 0 && seen == 0)
            .then_some(())
            .ok_or_else(|| format!("{published} marked, {seen} records"))
    })
    .await;
    heir.thaw();
    outbox.drained(SOON).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 400);
}

/// The joining relay is there before Kafka is held back, because it could not start without it.
#[tokio::test]
async fn a_lane_with_unreported_rows_is_released_only_after_its_reports() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let joining = named_relay(&outbox, "joining", &[]);
    wait_for_shares(&outbox, &[("joining", 16)], SOON).await;
    joining.freeze();
    let probes = Probes::new();
    let patient = [
        ("kafka.message_timeout_ms", "25000"),
        ("lanes.lease_ttl_ms", "30000"),
        ("http.listen", &probes.listen),
    ];
    let _first = named_relay(&outbox, "first", &patient);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    kafka.freeze();
    outbox.write_many(400, 200).await;
    probes.wait_for("kafka: ", SOON).await;
    joining.thaw();
    wait_for_relays(&outbox, 2).await;
    throughout(
        "no busy lane is let go",
        Duration::from_secs(3),
        async || {
            let held = held(&outbox).await;
            let still = held.get("first").map_or(0, Vec::len);
            (still == 16).then_some(()).ok_or(format!("{held:?}"))
        },
    )
    .await;
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 0);
    kafka.thaw();
    wait_for_shares(&outbox, &[("first", 8), ("joining", 8)], SOON).await;
    outbox.drained(SOON).await;
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 400);
}

#[tokio::test]
async fn no_transaction_is_open_while_records_fly() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let probes = Probes::new();
    let _relay = named_relay(
        &outbox,
        "only",
        &[&LONG_LEASES[..], &[("http.listen", &probes.listen)]].concat(),
    );
    outbox.write_many(2_000, 500).await;
    eventually("records fly", SOON, async || {
        (outbox.count("published_at IS NOT NULL").await > 0).then_some(())
    })
    .await;
    kafka.freeze();
    outbox.write_many(2_000, 500).await;
    probes.wait_for("kafka: ", SOON).await;
    throughout(
        "no session keeps a snapshot",
        Duration::from_secs(3),
        async || {
            outbox.write_many(10, 10).await;
            let open: Vec<String> = sqlx::query_scalar(
                "SELECT concat_ws(' ', state, clock_timestamp() - xact_start, query)
             FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'
                 AND (state <> 'active' AND (xact_start IS NOT NULL
                         OR backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)
                     OR clock_timestamp() - xact_start > interval '1 second')",
            )
            .fetch_all(&outbox.pool)
            .await
            .unwrap();
            open.is_empty().then_some(()).ok_or(open.join("; "))
        },
    )
    .await;
    assert!(
        outbox.count("published_at IS NULL").await >= 2_000,
        "they fly"
    );
    kafka.thaw();
    outbox.drained(SOON).await;
}

#[tokio::test]
async fn a_relay_that_disagrees_with_what_was_recorded_refuses_to_start() {
    let outbox = Outbox::create().await;
    let mut first = outbox.relay(&[]);
    first.logs("relay started", SOON).await;
    first.terminate();
    assert_eq!(first.wait_exit(SOON).await, 0);
    for (change, named) in [
        (
            "UPDATE outbox_relay_identity SET kafka_cluster_id = 'another'",
            "Kafka cluster `another`",
        ),
        (
            "UPDATE outbox_relay_identity SET protocol = protocol + 1",
            "protocol",
        ),
        (
            "INSERT INTO outbox_relay_migrations (version, name) VALUES (99, 'later')",
            "version 99",
        ),
    ] {
        sqlx::query(change).execute(&outbox.pool).await.unwrap();
        let mut refused = outbox.relay(&[]);
        assert_eq!(refused.wait_exit(SOON).await, 64, "{change}");
        let log = refused.stderr().join("\n");
        assert!(log.contains(named), "{change}: {log}");
        assert_eq!(held(&outbox).await.len(), 0, "it claimed nothing");
    }
}

/// Waits until so many relays are counted among those that share the lanes.
async fn wait_for_relays(outbox: &Outbox, count: i64) {
    eventually(&format!("{count} live relays"), SOON, async || {
        let alive: i64 =
            sqlx::query_scalar("SELECT count(*) FROM outbox_relay_relays WHERE expires_at > now()")
                .fetch_one(&outbox.pool)
                .await
                .expect("the relays are there");
        (alive == count).then_some(()).ok_or(format!("{alive}"))
    })
    .await;
}
