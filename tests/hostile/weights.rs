//! Rows that are too heavy: at the border of what a record may weigh, and far beyond it. What cannot
//! be a record is neither printed nor fetched, or the memory of relay and database would tell.

use super::{SETTINGS, ends_discreetly};
use crate::support::lanes::named_relay;
use crate::support::{Kafka, Outbox, Postgres, Receiver, SOON, peak_memory_mib};

/// The most memory that a session of the relay had, in MiB.
async fn session_peak_mib(outbox: &Outbox) -> u64 {
    let pids: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("sessions are listed");
    let peaks = pids.into_iter().map(peak_memory_mib);
    peaks.max().expect("the relay has sessions")
}

#[tokio::test]
async fn a_record_of_the_largest_size_arrives_and_one_byte_more_is_dead() {
    let outbox = Outbox::create().await;
    let limit = [("kafka.properties.message.max.bytes", "100000")];
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', lpad(n::text, 4, '0'), 'OrderPlaced', to_jsonb(repeat('x', 99000 + n))
             FROM generate_series(0, 1100) AS n",
        )
        .await;
    let _relay = named_relay(&outbox, "only", &[&SETTINGS[..], &limit].concat());
    outbox.drained(SOON).await;
    let (published, dead) = ("published_at IS NOT NULL", "dead_state IS NOT NULL");
    let border = outbox.count(published).await;
    assert!((400..1_000).contains(&border), "{border}");
    let in_turn = format!("({published}) = (aggregate_id::integer < {border})");
    assert_eq!(outbox.count(&in_turn).await, 1_101, "one border");
    for (seq, code) in [(border, 0), (border + 1, 1)] {
        let arguments = ["route", "--explain", "--seq", &seq.to_string()];
        let mut verb = outbox.verb(&arguments, &[("events.source", "only"), limit[0]]);
        let told = verb.wait_exit(SOON).await;
        assert_eq!(told, code, "{seq}, and the client lets {border} pass");
    }
    let large = format!("{dead} AND dead_class = 'record' AND last_error LIKE '%arge%'");
    assert_eq!(outbox.count(&large).await, 1_101 - border);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(i64::try_from(records.len()), Ok(border));
}

/// A quarter of a gigabyte, which compresses to a hundredth: jsonb takes no more.
#[tokio::test]
async fn a_vast_payload_is_judged_unprinted_and_unfetched() {
    let postgres = Postgres::private(&[("shared_buffers", "16MB")]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    outbox.write_many(1_000, 100).await;
    for _ in 0..4 {
        outbox
            .execute(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
                 VALUES ('order', '1', 'Vast', jsonb_build_object('x', repeat('x', 260000000)))",
            )
            .await;
        outbox.write_many(1_000, 100).await;
    }
    let mut relay = named_relay(&outbox, "only", &SETTINGS);
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("dead_class = 'record'").await, 4);
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 5_000);
    let (relays, databases) = (
        peak_memory_mib(relay.pid()),
        session_peak_mib(&outbox).await,
    );
    println!("the relay took {relays} MiB, its largest session {databases} MiB");
    assert!(relays < 200, "{relays} MiB: fetched");
    assert!(
        databases < 700,
        "{databases} MiB: printed, beside what it takes unpacked"
    );
    ends_discreetly(&mut relay).await;
}

/// A number of a few bytes prints as 131,072 digits: a row of two kilobytes as a gigabyte, which takes
/// the server longer than a statement may, or as more than it can print at all.
#[tokio::test]
async fn a_row_that_the_database_cannot_print_is_dead_and_its_neighbours_are_read() {
    let postgres = Postgres::private(&[("shared_buffers", "16MB")]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    outbox.write_many(500, 100).await;
    for (column, numbers) in [("payload", 20_000), ("payload", 5_000), ("headers", 20_000)] {
        let list = format!("(SELECT jsonb_agg(1e131071) FROM generate_series(1, {numbers}))");
        outbox
            .execute(&format!(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, {column})
                 VALUES ('order', '1', 'Bomb', jsonb_build_object('x', {list}))"
            ))
            .await;
        outbox.write_many(500, 100).await;
    }
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', '2', 'Long', '[1e100000, -1e-16000, 0, 1.5]')",
        )
        .await;
    let hasty = [("database.statement_timeout_ms", "2000")];
    let mut relay = named_relay(&outbox, "only", &[&SETTINGS[..], &hasty].concat());
    outbox.drained(SOON).await;
    relay.logs("reading its rows one by one", SOON).await;
    let bombs = "event_type = 'Bomb' AND dead_class = 'record' AND last_error LIKE '%print%'";
    assert_eq!(outbox.count(bombs).await, 3);
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 2_001);
    let relays = peak_memory_mib(relay.pid());
    assert!(relays < 200, "{relays} MiB: fetched");
    ends_discreetly(&mut relay).await;
}
