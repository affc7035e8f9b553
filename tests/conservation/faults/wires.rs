//! The wire to the database swallows, slows, cuts and loses what it carries.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{WINDOW_ROWS, behind_proxy};
use crate::conservation::dice::{Dice, seed_or};
use crate::conservation::site::{Site, note};
use crate::support::lanes::{SHORT_LEASES, named_relay, wait_for_shares};
use crate::support::{Kafka, Outbox, Postgres, Proxy, Receiver, SOON, Way, eventually, throughout};

/// A statement's time-out of 10 s, the answer's margin, and a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(15 + 2);

#[tokio::test]
async fn a_wire_that_swallows_everything_is_noticed_within_fifteen_seconds() {
    let (proxy, site) = behind_proxy(&[]).await;
    proxy.black_hole();
    let begun = Instant::now();
    site.watched
        .is_not_ready("database: the database did not answer")
        .await;
    note(&format!("noticed after {:?}", begun.elapsed()));
    assert!(begun.elapsed() < NOTICED_WITHIN, "{:?}", begun.elapsed());
    proxy.cut();
    proxy.release();
    site.is_back("black hole").await;
    site.end(vec![WINDOW_ROWS]).await;
}

/// One way alone: the relay hears nothing, yet what it says arrives when nobody waits any more.
#[tokio::test]
async fn statements_that_arrive_long_after_they_were_given_up_do_no_harm() {
    let quick = [("database.statement_timeout_ms", "1500")];
    let (proxy, site) = behind_proxy(&quick).await;
    for _ in 0..2 {
        proxy.hold(Way::ToServer);
        site.watched
            .is_not_ready("database: the database did not answer")
            .await;
        proxy.release();
        site.is_back("statements held").await;
        proxy.hold(Way::ToClient);
        site.watched
            .is_not_ready("database: the database did not answer")
            .await;
        proxy.release();
        site.is_back("answers held").await;
    }
    site.end(vec![WINDOW_ROWS; 4]).await;
}

/// Leases may be lost to the other relay; they are never held by both.
#[tokio::test]
async fn a_database_that_takes_five_seconds_to_answer_breaks_no_order() {
    let (proxy, site) = behind_proxy(&SHORT_LEASES).await;
    let _sound = named_relay(&site.outbox, "sound", &[]);
    wait_for_shares(&site.outbox, &[("sound", 8), ("watched", 8)], SOON).await;
    proxy.delay(Duration::from_millis(2_500));
    wait_for_shares(&site.outbox, &[("sound", 16)], SOON).await;
    site.backlog_grows(500).await;
    proxy.delay(Duration::ZERO);
    wait_for_shares(&site.outbox, &[("sound", 8), ("watched", 8)], SOON).await;
    site.is_back("slow answers").await;
    site.end(vec![WINDOW_ROWS; 2]).await;
}

/// Each answer takes longer than the time between two looks at writers, or for delayed rows, and a
/// transaction stays open, so that there is always a writer to look at.
#[tokio::test]
async fn a_database_that_is_far_away_is_read_all_the_same() {
    let (proxy, site) = behind_proxy(&[]).await;
    let mut writer = site.outbox.pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
         VALUES ('order', '1', 'OrderPlaced')",
    )
    .execute(&mut *writer)
    .await
    .unwrap();
    proxy.delay(Duration::from_millis(120));
    for _ in 0..10 {
        site.flows(SOON).await;
    }
    writer.commit().await.unwrap();
    proxy.delay(Duration::ZERO);
    site.is_back("far away").await;
    site.end(Vec::new()).await;
}

#[tokio::test]
async fn a_relay_cut_off_from_its_database_stops_before_its_leases_end() {
    let (proxy, site) = behind_proxy(&SHORT_LEASES).await;
    wait_for_shares(&site.outbox, &[("watched", 16)], SOON).await;
    proxy.black_hole();
    let _heir = named_relay(&site.outbox, "heir", &[]);
    wait_for_shares(&site.outbox, &[("heir", 16)], SOON).await;
    let by_watched = || {
        let records = site.receiver.records();
        let of = |record: &&crate::support::Received| record.header("ce_source") != Some("heir");
        records.iter().filter(of).count()
    };
    let before = by_watched();
    site.flows(SOON).await;
    throughout(
        "it hands nothing over",
        Duration::from_secs(3),
        async || {
            let now = by_watched();
            (now == before)
                .then_some(())
                .ok_or(format!("{now}, not {before}"))
        },
    )
    .await;
    proxy.cut();
    proxy.release();
    wait_for_shares(&site.outbox, &[("heir", 8), ("watched", 8)], SOON).await;
    site.is_back("cut off from the database").await;
    site.end(vec![WINDOW_ROWS]).await;
}

/// Writes one event with this id.
async fn write(outbox: &Outbox, id: Uuid, topic: Option<&str>) {
    sqlx::query(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, topic)
         VALUES ($1, 'order', '1', 'OrderPlaced', '{\"n\": 1}', $2)",
    )
    .bind(id)
    .bind(topic)
    .execute(&outbox.pool)
    .await
    .expect("an event is written");
}

/// Waits until the proxy has lost so many answers.
async fn lost(proxy: &Proxy, answers: usize) {
    eventually("an answer is lost", SOON, async || {
        let lost = proxy.sprung();
        (lost == answers).then_some(()).ok_or(lost)
    })
    .await;
}

#[tokio::test]
async fn a_mark_whose_answer_is_lost_is_written_again_and_nothing_is_sent_again() {
    let (proxy, site) = behind_proxy(&[]).await;
    for answer in 1..=10 {
        let id = Uuid::new_v4();
        // Only a mark names an event by its id.
        proxy.lose_answer_to(id.as_bytes());
        write(&site.outbox, id, None).await;
        lost(&proxy, answer).await;
        site.flows(SOON).await;
    }
    site.is_back("lost answers").await;
    site.end(Vec::new()).await;
}

#[tokio::test]
async fn a_death_whose_answer_is_lost_is_written_once() {
    const DEAD: &str = "SELECT attempts, dead_class, dead_at::text, last_error FROM outbox
        WHERE id = $1 AND dead_at IS NOT NULL";
    let outbox = Outbox::create().await;
    let (proxy, url) = outbox.proxied().await;
    let relay = named_relay(&outbox, "watched", &[("database.url", &url)]);
    wait_for_shares(&outbox, &[("watched", 16)], SOON).await;
    let id = Uuid::new_v4();
    proxy.lose_answer_to(id.as_bytes());
    write(&outbox, id, Some("no topic")).await;
    lost(&proxy, 1).await;
    let first: (i32, String, String, String) = eventually("it is dead", SOON, async || {
        let row = sqlx::query_as(DEAD)
            .bind(id)
            .fetch_optional(&outbox.pool)
            .await;
        row.expect("the outbox answers")
    })
    .await;
    relay.logs("keeping leases failed", SOON).await;
    // A later death comes after the one that is written again.
    let next = Uuid::new_v4();
    write(&outbox, next, Some("no topic")).await;
    eventually("the next is dead", SOON, async || {
        (outbox.count("dead_at IS NOT NULL").await == 2).then_some(())
    })
    .await;
    let now: (i32, String, String, String) = sqlx::query_as(DEAD)
        .bind(id)
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(now, first);
}

/// Whatever was on the wire: claims, renewals, pages, marks, and the sessions' settings.
#[tokio::test]
async fn answers_cut_off_anywhere_lose_nothing_and_repeat_nothing() {
    let (proxy, site) = behind_proxy(&[]).await;
    let mut dice = Dice::new(seed_or(6));
    for cut in 1..=30 {
        let way = [Way::ToClient, Way::ToServer][dice.below(2)];
        proxy.cut_after(way, dice.below(20_000));
        lost(&proxy, cut).await;
    }
    site.is_back("cuts").await;
    site.end(Vec::new()).await;
}

/// Up to 200 ms each way, changing all the time, and every now and then nothing for a while.
#[tokio::test]
async fn wires_that_jitter_and_stall_only_slow_it_down() {
    let (kafka, to_kafka) = Kafka::proxied(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let (to_database, url) = outbox.proxied().await;
    let settings = [
        ("database.url", url.as_str()),
        ("kafka.brokers", to_kafka.address()),
        ("relay.window_rows", "1000"),
    ];
    let site = Site::start(outbox, &kafka, &settings).await;
    let mut dice = Dice::new(seed_or(7));
    for proxy in [&to_kafka, &to_database].repeat(20) {
        let ms = u64::try_from(dice.below(100)).expect("it is small");
        proxy.delay(Duration::from_millis(ms));
        if dice.percent(20) {
            proxy.hold([Way::ToClient, Way::ToServer][dice.below(2)]);
            site.backlog_grows(50).await;
            proxy.release();
        }
        site.flows(SOON).await;
    }
    site.is_back("jitter").await;
    site.end(Vec::new()).await;
}

#[tokio::test]
async fn a_record_whose_confirmation_is_lost_is_stored_once() {
    let (kafka, proxy) = Kafka::proxied(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    let _relay = named_relay(&outbox, "only", &[("kafka.brokers", proxy.address())]);
    for answer in 1..=5 {
        let id = Uuid::new_v4();
        proxy.lose_answer_to(id.to_string().as_bytes());
        write(&outbox, id, None).await;
        lost(&proxy, answer).await;
        outbox.drained(SOON).await;
    }
    assert_eq!(receiver.read_to_end(SOON).await.len(), 5);
}
