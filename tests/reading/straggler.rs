//! A writer that stays open for long: what is published above its numbers is not stepped over again and
//! again, whoever else ends meanwhile, and its rows come in their order once it ends.

use std::time::Duration;

use sqlx::{Postgres, Transaction};

use super::{published, write_round};
use crate::support::lanes::{LONG_LEASES, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON, throughout};

/// So many rounds of 200 rows are published above the open writer's.
const ROUNDS: i64 = 150;
/// Polls that step over all of these visit a million entries in a few seconds.
const VISITS_MAX: i64 = 300_000;
const A_WHILE: Duration = Duration::from_secs(5);
/// So many writers end beside the open one, each long after two looks have seen it.
const BRIEF_WRITERS: i64 = 20;
const BRIEFLY: Duration = Duration::from_millis(200);

/// The index of the polls.
const UNPUBLISHED: &str = "outbox_unpublished";

/// A relay, and a transaction that has written and stays open while others write and are published.
async fn beside_an_open_writer(outbox: &Outbox) -> (RelayProcess, Transaction<'static, Postgres>) {
    let relay = named_relay(outbox, "only", &LONG_LEASES);
    wait_for_shares(outbox, &[("only", 16)], SOON).await;
    let begun = outbox.pool.begin().await;
    let mut early = begun.expect("a transaction begins");
    write_round(&mut *early, "early", 40, 1).await;
    for round in 1..=ROUNDS {
        write_round(&outbox.pool, "other", 200, round).await;
    }
    published(outbox, "other").await;
    (relay, early)
}

/// Ends the open writer, after which all rows are published once and in order: its own too, and so many
/// of others than the first.
async fn assert_all_in_order(outbox: &Outbox, early: Transaction<'static, Postgres>, others: i64) {
    early.commit().await.expect("the writer commits");
    write_round(&outbox.pool, "early", 40, 2).await;
    published(outbox, "early").await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let count = usize::try_from(200 * ROUNDS + others).expect("rows are counted up") + 80;
    assert_once_in_order(&receiver.read_to_end(SOON).await, count);
}

#[tokio::test]
async fn what_is_published_above_an_open_writer_is_not_stepped_over_again() {
    let outbox = Outbox::create().await;
    let (_relay, early) = beside_an_open_writer(&outbox).await;
    let before = outbox.index_visits(UNPUBLISHED).await;
    throughout("the relay polls", A_WHILE, async || Ok(())).await;
    let visits = outbox.index_visits(UNPUBLISHED).await - before;
    println!("{visits} entries visited in {A_WHILE:?}");
    assert!(visits < VISITS_MAX, "{visits}");
    assert_all_in_order(&outbox, early, 0).await;
}

#[tokio::test]
async fn a_writer_that_ends_beside_an_open_one_takes_back_its_own_numbers_alone() {
    let outbox = Outbox::create().await;
    let (_relay, early) = beside_an_open_writer(&outbox).await;
    let before = outbox.index_visits(UNPUBLISHED).await;
    for round in 1..=BRIEF_WRITERS {
        let mut brief = outbox.pool.begin().await.unwrap();
        write_round(&mut *brief, "brief", 40, round).await;
        write_round(&outbox.pool, "above", 40, round).await;
        throughout("two looks see it", BRIEFLY, async || Ok(())).await;
        brief.commit().await.unwrap();
        published(&outbox, "brief").await;
    }
    let visits = outbox.index_visits(UNPUBLISHED).await - before;
    println!("{visits} entries visited beside {BRIEF_WRITERS} writers");
    assert!(visits < VISITS_MAX, "{visits}");
    assert_all_in_order(&outbox, early, 2 * 40 * BRIEF_WRITERS).await;
}
