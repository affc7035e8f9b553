//! A writer that stays open for long: what is published above its numbers is not stepped over again and
//! again, and its rows come in their order once it ends.

use std::time::Duration;

use super::{published, write_round};
use crate::support::lanes::{LONG_LEASES, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Receiver, SOON, throughout};

/// So many rounds of 200 rows are published above the open writer's.
const ROUNDS: i64 = 150;
/// Polls that step over all of these visit a million entries in a few seconds.
const VISITS_MAX: i64 = 300_000;
const A_WHILE: Duration = Duration::from_secs(5);

/// The index of the polls.
const UNPUBLISHED: &str = "outbox_unpublished";

#[tokio::test]
async fn what_is_published_above_an_open_writer_is_not_stepped_over_again() {
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &LONG_LEASES);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    let mut early = outbox.pool.begin().await.unwrap();
    write_round(&mut *early, "early", 40, 1).await;
    for round in 1..=ROUNDS {
        write_round(&outbox.pool, "other", 200, round).await;
    }
    published(&outbox, "other").await;
    let before = outbox.index_visits(UNPUBLISHED).await;
    throughout("the relay polls", A_WHILE, async || Ok(())).await;
    let visits = outbox.index_visits(UNPUBLISHED).await - before;
    println!("{visits} entries visited in {A_WHILE:?}");
    assert!(visits < VISITS_MAX, "{visits}");
    early.commit().await.unwrap();
    write_round(&outbox.pool, "early", 40, 2).await;
    published(&outbox, "early").await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let count = usize::try_from(200 * ROUNDS).unwrap() + 80;
    assert_once_in_order(&receiver.read_to_end(SOON).await, count);
}
