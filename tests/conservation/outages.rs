//! Outages: Kafka or `PostgreSQL` goes away under load and comes back; the relay lives through it.
//!
//! Each outage proves the same: nothing is lost, no attempt is counted against a row, readiness
//! says why, memory stays bounded though a backlog grows, and records flow again soon after.

use super::site::{MEMORY_MIB, Site, note};
use super::watched::Watched;
use crate::support::{Kafka, Outbox, Postgres, Receiver, SOON};

/// Rows that wait when a server is back, as one bulk of some 200 MiB of records.
const BULK_ROWS: i32 = 100_000;
const WINDOW_ROWS: usize = 2_000;
const SETTINGS: [(&str, &str); 1] = [("relay.window_rows", "2000")];

/// Servers of one's own, and all that is at work on them.
async fn site(settings: &[(&str, &str)]) -> (Postgres, Kafka, Site) {
    let (postgres, kafka) = tokio::join!(Postgres::private(&[]), Kafka::private(&[]));
    let outbox = Outbox::create_on(&postgres, &kafka).await;
    let site = Site::start(outbox, &kafka, settings).await;
    (postgres, kafka, site)
}

#[tokio::test]
async fn kafka_may_stop_crash_and_freeze_and_all_is_conserved() {
    let (_postgres, mut kafka, site) = site(&SETTINGS).await;
    kafka.stop().await;
    site.watched.is_not_ready("kafka: ").await;
    site.backlog_grows(1_000).await;
    kafka.start().await;
    site.is_back("Kafka stopped").await;

    kafka.kill().await;
    site.watched.is_not_ready("kafka: ").await;
    kafka.start().await;
    site.is_back("Kafka killed").await;

    kafka.freeze();
    site.watched.is_not_ready("kafka: ").await;
    site.backlog_grows(1_000).await;
    kafka.thaw();
    site.is_back("Kafka frozen").await;
    site.end(vec![WINDOW_ROWS; 3]).await;
}

#[tokio::test]
async fn postgresql_may_restart_and_crash_and_nothing_is_delivered_twice() {
    let (mut postgres, _kafka, site) = site(&SETTINGS).await;
    postgres.stop_fast().await;
    site.watched.is_not_ready("database: ").await;
    postgres.start().await;
    site.is_back("PostgreSQL stopped").await;

    postgres.stop_immediate().await;
    site.watched.is_not_ready("database: ").await;
    postgres.start().await;
    site.is_back("PostgreSQL crashed").await;
    site.end(Vec::new()).await;
}

/// A backlog that is larger than the memory allowed: what is held is the window, never the rest.
#[tokio::test]
async fn a_backlog_of_an_outage_stays_in_the_database() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let watched = Watched::start(&outbox, &[]);
    outbox.write("1", "{}").await;
    outbox.drained(SOON).await;
    kafka.stop().await;
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', (n % 5000)::text, 'OrderPlaced',
            jsonb_build_object('n', n, 'text', repeat('x', 2000))
         FROM generate_series(1, $1) AS n",
    )
    .bind(BULK_ROWS)
    .execute(&outbox.pool)
    .await
    .unwrap();
    watched.is_not_ready("kafka: ").await;
    kafka.start().await;
    outbox.drained(SOON).await;
    let peak_mib = watched.peak_memory_mib();
    note(&format!("bulk: peak memory {peak_mib} MiB"));
    assert!(peak_mib <= MEMORY_MIB, "{peak_mib} MiB");
    assert_eq!(outbox.count("attempts > 0").await, 0);
}

/// Marks commit asynchronously, so a crash may take them back. The server's own writer of
/// its log is made slow, and the relay is frozen meanwhile, so that one crash or the next does.
#[tokio::test]
async fn marks_that_a_crash_takes_back_are_written_again_and_nothing_is_sent_again() {
    const EVENTS: usize = 500;
    let mut postgres = Postgres::private(&[
        ("wal_writer_delay", "10000"),
        ("wal_writer_flush_after", "1GB"),
        ("autovacuum", "off"),
    ])
    .await;
    let kafka = Kafka::shared().await;
    let outbox = Outbox::create_on(&postgres, kafka).await;
    let relay = outbox.relay(&[
        ("lanes.lease_ttl_ms", "300000"),
        ("lanes.renew_ms", "60000"),
    ]);
    let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
    outbox.write("first", "{}").await;
    outbox.drained(SOON).await;
    let mut written = 1;
    let mut taken_back = 0;
    while taken_back == 0 {
        assert!(written < 10 * EVENTS, "no crash took a mark back");
        outbox.write_many(500, 50).await;
        written += EVENTS;
        outbox.drained(SOON).await;
        relay.freeze();
        postgres.stop_immediate().await;
        postgres.start().await;
        taken_back = outbox.count("published_at IS NULL").await;
        relay.thaw();
        outbox.drained(SOON).await;
    }
    note(&format!("{taken_back} marks taken back"));
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(records.len(), written, "nothing is sent again");
}
