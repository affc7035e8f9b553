//! The reading rules on real servers: each test is a schedule under which a plain cursor, or a
//! relay that trusts its last page, loses an event, sends it twice or lets one overtake.

mod gate;
mod in_vain;
mod straggler;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use crate::support::lanes::{LONG_LEASES, held, named_relay, wait_for_shares};
use crate::support::tally::{assert_once_in_order, number};
use crate::support::{Kafka, Outbox, Receiver, SOON, eventually};

/// What a busy machine is forgiven beyond a promise.
const SLACK: Duration = Duration::from_secs(6);
/// A row that was committed is published within this time.
const PROMPT: Duration = Duration::from_secs(1);

/// Writes one event for each of so many aggregates, all with this number.
async fn write_round<'c>(
    to: impl sqlx::PgExecutor<'c>,
    prefix: &str,
    aggregates: i32,
    number: i64,
) {
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', $1 || key, 'OrderPlaced', jsonb_build_object('n', $3)
         FROM generate_series(1, $2) AS key",
    )
    .bind(prefix)
    .bind(aggregates)
    .bind(number)
    .execute(to)
    .await
    .expect("events are written");
}

/// Waits until all events of the aggregates with this prefix are published; returns how long.
async fn published(outbox: &Outbox, prefix: &str) -> Duration {
    let began = Instant::now();
    let waiting = format!("aggregate_id LIKE '{prefix}%' AND published_at IS NULL");
    eventually(
        &format!("events of {prefix}"),
        SOON,
        async || match outbox.count(&waiting).await {
            0 => Ok(()),
            left => Err(format!("{left} wait")),
        },
    )
    .await;
    began.elapsed()
}

/// The early numbers stay invisible for ten seconds, far below what is published meanwhile. Once
/// they show, each is followed at once by a later row of its own aggregate.
#[tokio::test]
async fn a_number_drawn_early_comes_within_a_second_of_its_commit_and_blocks_nobody() {
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &LONG_LEASES);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    let mut early = outbox.pool.begin().await.unwrap();
    write_round(&mut *early, "early", 40, 1).await;
    let began = Instant::now();
    let mut rounds = 0;
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_secs(10) {
        rounds += 1;
        write_round(&outbox.pool, "other", 40, rounds).await;
        slowest = slowest.max(published(&outbox, "other").await);
    }
    early.commit().await.unwrap();
    let committed = Instant::now();
    write_round(&outbox.pool, "early", 40, 2).await;
    published(&outbox, "early").await;
    let took = committed.elapsed();
    println!("published {took:?} after the commit; meanwhile others took {slowest:?} at most");
    assert!(took < PROMPT + SLACK, "{took:?}");
    assert!(slowest < PROMPT + SLACK, "{slowest:?}");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let count = 40 * (usize::try_from(rounds).unwrap() + 2);
    assert_once_in_order(&receiver.read_to_end(SOON).await, count);
}

/// A prepared transaction belongs to no session; its rows are committed by anyone, at any time.
#[tokio::test]
async fn a_prepared_transaction_is_waited_for_like_any_writer() {
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &LONG_LEASES);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    let name = Kafka::unique("prepared");
    let mut writer = outbox.pool.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut *writer).await.unwrap();
    write_round(&mut *writer, "early", 40, 1).await;
    let prepare = format!("PREPARE TRANSACTION '{name}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut *writer)
        .await
        .unwrap();
    for round in 1..=20 {
        write_round(&outbox.pool, "other", 40, round).await;
        published(&outbox, "other").await;
    }
    let commit = format!("COMMIT PREPARED '{name}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(commit))
        .execute(&mut *writer)
        .await
        .unwrap();
    write_round(&outbox.pool, "early", 40, 2).await;
    let took = published(&outbox, "early").await;
    assert!(took < PROMPT + SLACK, "{took:?}");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 40 * 22);
}

/// The heir has never seen the waiting row fail: the table alone says that it waits.
#[tokio::test]
async fn a_waiting_row_holds_back_its_key_and_no_other_after_a_take_over() {
    let outbox = Outbox::create().await;
    let first = named_relay(&outbox, "first", &[]);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    let mut transaction = outbox.pool.begin().await.unwrap();
    write_round(&mut *transaction, "waiting", 20, 1).await;
    sqlx::query("UPDATE outbox SET next_attempt_at = now() + interval '15 seconds'")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    write_round(&outbox.pool, "waiting", 20, 2).await;
    write_round(&outbox.pool, "other", 100, 1).await;
    published(&outbox, "other").await;
    first.kill();
    let _heir = named_relay(&outbox, "heir", &[]);
    wait_for_shares(&outbox, &[("heir", 16)], SOON).await;
    write_round(&outbox.pool, "waiting", 20, 3).await;
    write_round(&outbox.pool, "other", 100, 2).await;
    published(&outbox, "other").await;
    let early = "aggregate_id LIKE 'waiting%' AND published_at <
        (SELECT max(next_attempt_at) FROM outbox)";
    assert_eq!(outbox.count("now() < next_attempt_at").await, 20, "in time");
    published(&outbox, "waiting").await;
    assert_eq!(outbox.count(early).await, 0);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 260);
}

/// The cold keys come after the hot one and share its lanes; its rows fill the window five times.
#[tokio::test]
async fn a_hot_key_keeps_its_order_and_starves_no_cold_one() {
    let outbox = Outbox::create().await;
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', CASE WHEN n <= 5000 THEN 'hot' ELSE 'cold' || n END, 'OrderPlaced',
             jsonb_build_object('n', n)
         FROM generate_series(1, 5050) AS n",
    )
    .execute(&outbox.pool)
    .await
    .unwrap();
    let settings = [&LONG_LEASES[..], &[("relay.window_rows", "1000")]].concat();
    let _relay = named_relay(&outbox, "only", &settings);
    outbox.drained(Duration::from_secs(90)).await;
    let hot_before = outbox
        .count(
            "aggregate_id = 'hot' AND published_at <
                (SELECT max(published_at) FROM outbox WHERE aggregate_id LIKE 'cold%')",
        )
        .await;
    println!("{hot_before} of 5000 hot rows were marked before the last of 50 cold keys");
    assert!(hot_before < 2_500, "{hot_before}");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    assert_once_in_order(&records, 5_050);
    let hot: Vec<i64> = records.iter().map(number).filter(|n| *n <= 5_000).collect();
    assert_eq!(hot, (1..=5_000).collect::<Vec<_>>());
}

/// Whether no more than 10,000 rows wait, and how many do if not.
async fn few_wait(pool: PgPool) -> Result<(), String> {
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE published_at IS NULL")
        .fetch_one(&pool)
        .await
        .expect("rows are counted");
    (waiting <= 10_000)
        .then_some(())
        .ok_or(format!("{waiting} rows wait"))
}

/// Writes rounds for as long as somebody wants to know which is the last, and lets no more than
/// some 20,000 rows wait: how long the rest takes is then no question of who is the faster.
fn keep_writing(
    pool: PgPool,
) -> (
    tokio::task::JoinHandle<()>,
    tokio::sync::watch::Receiver<i64>,
) {
    let (rounds_in, rounds) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        for round in 1.. {
            write_round(&pool, "", 200, round).await;
            if round % 50 == 0 {
                let pool = pool.clone();
                eventually("the writer's turn", SOON, move || few_wait(pool.clone())).await;
            }
            if rounds_in.send(round).is_err() {
                break;
            }
        }
    });
    (writing, rounds)
}

#[tokio::test]
async fn pages_read_while_lanes_change_hands_lose_nothing_and_repeat_nothing() {
    let outbox = Outbox::create().await;
    let _first = named_relay(&outbox, "first", &LONG_LEASES);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    let (writing, rounds) = keep_writing(outbox.pool.clone());
    let mut leavers = Vec::new();
    for turn in 0..6 {
        let name = format!("joiner{turn}");
        let joiner = named_relay(&outbox, &name, &LONG_LEASES);
        eventually(&format!("lanes of {name}"), SOON, async || {
            let held = held(&outbox).await;
            held.contains_key(&name)
                .then_some(())
                .ok_or(format!("{held:?}"))
        })
        .await;
        joiner.terminate();
        leavers.push(joiner);
    }
    let written = *rounds.borrow();
    drop(rounds);
    writing.await.unwrap();
    for mut leaver in leavers {
        assert_eq!(leaver.wait_exit(SOON).await, 0);
    }
    outbox.drained(SOON).await;
    println!("more than {written} rounds of 200 rows while six relays joined and left");
    let count = usize::try_from(outbox.count("true").await).unwrap();
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, count);
}

/// Whatever a session was doing when it is cut, what it had learned is void, and what the window
/// holds is shown to the next session again.
#[tokio::test]
async fn sessions_cut_under_load_lose_nothing_and_repeat_nothing() {
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &LONG_LEASES);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    let (writing, rounds) = keep_writing(outbox.pool.clone());
    for _ in 0..20 {
        let marked = outbox.count("published_at IS NOT NULL").await;
        let cut = eventually("sessions to cut", SOON, async || {
            let cut: i64 = sqlx::query_scalar(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'",
            )
            .fetch_one(&outbox.pool)
            .await
            .unwrap();
            (cut > 0).then_some(cut)
        })
        .await;
        assert!(cut > 0);
        eventually("marks go on", SOON, async || {
            (outbox.count("published_at IS NOT NULL").await > marked).then_some(())
        })
        .await;
    }
    drop(rounds);
    writing.await.unwrap();
    outbox.drained(SOON).await;
    let count = usize::try_from(outbox.count("true").await).unwrap();
    println!("{count} rows while sessions were cut 20 times");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, count);
}
