//! The database's clock jumps, by which leases are kept.

use std::time::Duration;

use outbox_relay::process::clock;
use tokio::time::Instant;

use super::WINDOW_ROWS;
use crate::conservation::checker;
use crate::conservation::observe::{self, After};
use crate::conservation::site::note;
use crate::conservation::workload::Ledger;
use crate::support::lanes::{SHORT_TTL, named_relay, wait_for_shares};
use crate::support::{Clock, Kafka, Outbox, Postgres, Receiver, RelayProcess, SOON};

const HOUR_S: i32 = 3_600;
/// How far the clock is set back when nobody is left to renew.
const BACK_S: i32 = 20;
const BACK: Duration = Duration::from_secs(20);
/// What a busy machine may take beside.
const SLACK: Duration = Duration::from_secs(10);

fn relay(outbox: &Outbox, name: &str) -> RelayProcess {
    named_relay(outbox, name, &[("relay.window_rows", "1000")])
}

/// Ahead, every lease has run out at once, and lanes are taken from who still hands over what it
/// had read. Back, leases last until they are renewed; where their owner has died meanwhile, for
/// as long as the jump.
#[tokio::test]
async fn a_database_clock_that_jumps_loses_and_reorders_nothing() {
    let time = Clock::new();
    let postgres = Postgres::private_in(&time.environment(), &[]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let one = relay(&outbox, "one");
    wait_for_shares(&outbox, &[("one", 16)], SOON).await;
    let _other = relay(&outbox, "other");
    wait_for_shares(&outbox, &[("one", 8), ("other", 8)], SOON).await;

    let mut jumps = 0;
    for ahead_s in [HOUR_S, 0, HOUR_S, 0] {
        for _ in 0..3 {
            outbox.write_many(2_000, 200).await;
            time.set(ahead_s);
        }
        jumps += 1;
        outbox.drained(SOON).await;
        wait_for_shares(&outbox, &[("one", 8), ("other", 8)], SOON).await;
        assert_eq!(is_ahead_s(&outbox).await, ahead_s, "the clock was set");
    }

    outbox.write_many(2_000, 200).await;
    one.kill();
    time.set(-BACK_S);
    let killed = Instant::now();
    wait_for_shares(&outbox, &[("other", 16)], BACK + SHORT_TTL + SLACK).await;
    note(&format!("taken over after {:?}", killed.elapsed()));
    assert!(killed.elapsed() > SHORT_TTL, "before the leases had ended");
    outbox.drained(SOON).await;

    let mut ledger = Ledger::default();
    ledger.add_bulk(&outbox.pool).await;
    let windows = vec![WINDOW_ROWS; 2 * jumps + 1];
    let history = observe::history(&outbox, &receiver, ledger, After::Mark, windows).await;
    note(&format!(
        "{} records, {} twice",
        history.delivered.len(),
        checker::duplicates(&history.delivered)
    ));
    checker::assert_conserved(&history);
}

/// How far the server's clock is ahead of ours, which is the same but for the jump.
async fn is_ahead_s(outbox: &Outbox) -> i32 {
    let ours = clock::wall();
    let theirs: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(&outbox.pool)
        .await
        .expect("the server answers");
    let ahead_s = (theirs - ours).num_seconds();
    i32::try_from((ahead_s + 30) / 60 * 60).expect("it is about an hour")
}
