//! A relay that is cut off from Kafka alone: another that is not takes over, and nothing ping-pongs.

use std::time::Duration;

use crate::conservation::checker;
use crate::conservation::observe::{self, After};
use crate::conservation::site::note;
use crate::conservation::workload::Ledger;
use crate::support::lanes::{held, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Postgres, Proxy, Receiver, SOON, Way, eventually, throughout};

/// Ten seconds of silence, two renewals, the time-outs of what flies, and a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_mins(1);
/// Rows that the relay may have handed over before it was cut off.
const WINDOW_ROWS: usize = 300;

/// A broker, an outbox that feeds it, and a proxy before the broker for the relay to be cut off.
async fn site() -> (Kafka, Proxy, Outbox) {
    let (kafka, proxy) = Kafka::proxied(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    (kafka, proxy, outbox)
}

/// Waits for what a relay says of itself.
async fn says(outbox: &Outbox, name: &str, delivers: bool) {
    let what = format!("{name} says that it delivers: {delivers}");
    eventually(&what, GIVEN_UP_WITHIN, async || {
        let said: Option<bool> =
            sqlx::query_scalar("SELECT delivers FROM outbox_relay_relays WHERE name = $1")
                .bind(name)
                .fetch_optional(&outbox.pool)
                .await
                .expect("the relays are there");
        (said == Some(delivers))
            .then_some(())
            .ok_or(format!("{said:?}"))
    })
    .await;
}

/// Half of the events fly at the cut, in a black hole: their records may or may not have arrived.
#[tokio::test]
async fn a_relay_cut_off_from_kafka_gives_its_lanes_to_one_that_is_not() {
    let (kafka, proxy, outbox) = site().await;
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    let through = [("kafka.brokers", proxy.address())];
    let _apart = named_relay(&outbox, "apart", &through);
    wait_for_shares(&outbox, &[("apart", 16)], SOON).await;
    let _sound = named_relay(&outbox, "sound", &[]);
    wait_for_shares(&outbox, &[("apart", 8), ("sound", 8)], SOON).await;
    outbox.write_numbered(1..=1_000, 200).await;
    outbox.drained(SOON).await;

    proxy.black_hole();
    outbox.write_numbered(1_001..=2_000, 200).await;
    wait_for_shares(&outbox, &[("sound", 16)], GIVEN_UP_WITHIN).await;
    outbox.drained(SOON).await;
    says(&outbox, "apart", false).await;
    throughout("no lane comes back", Duration::from_secs(5), async || {
        let held = held(&outbox).await;
        let all = held.get("sound").is_some_and(|lanes| lanes.len() == 16);
        all.then_some(()).ok_or(format!("{held:?}"))
    })
    .await;

    proxy.cut();
    proxy.release();
    wait_for_shares(&outbox, &[("apart", 8), ("sound", 8)], GIVEN_UP_WITHIN).await;
    outbox.write_numbered(2_001..=3_000, 200).await;
    outbox.drained(SOON).await;
    // What the black hole had swallowed never came out of it: nothing is there twice.
    assert_once_in_order(&receiver.read_to_end(SOON).await, 3_000);
}

#[tokio::test]
async fn a_relay_cut_off_from_kafka_keeps_its_lanes_where_nobody_delivers() {
    let (kafka, proxy, outbox) = site().await;
    let through = [("kafka.brokers", proxy.address())];
    let _one = named_relay(&outbox, "one", &through);
    wait_for_shares(&outbox, &[("one", 16)], SOON).await;
    let _other = named_relay(&outbox, "other", &through);
    wait_for_shares(&outbox, &[("one", 8), ("other", 8)], SOON).await;
    let epochs = epochs(&outbox).await;
    proxy.refuse(true);
    proxy.cut();
    outbox.write_numbered(1..=1_000, 200).await;
    says(&outbox, "one", false).await;
    says(&outbox, "other", false).await;
    throughout("no lane moves", Duration::from_secs(5), async || {
        let now = self::epochs(&outbox).await;
        (now == epochs).then_some(()).ok_or(format!("{now:?}"))
    })
    .await;
    proxy.refuse(false);
    outbox.drained(SOON).await;
    says(&outbox, "one", true).await;
    says(&outbox, "other", true).await;
    assert_eq!(self::epochs(&outbox).await, epochs, "no lane has moved");
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 1_000);
}

/// Bytes that a wire had kept come out when their sender has long given them up, and another has
/// sent the same events and later ones.
#[tokio::test]
async fn what_a_relay_had_sent_before_it_was_cut_off_comes_late_and_costs_its_window_at_most() {
    let (kafka, proxy, outbox) = site().await;
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    let through = [
        ("kafka.brokers", proxy.address()),
        ("relay.window_rows", "300"),
    ];
    let _apart = named_relay(&outbox, "apart", &through);
    wait_for_shares(&outbox, &[("apart", 16)], SOON).await;
    outbox.write_numbered(1..=1_000, 200).await;
    outbox.drained(SOON).await;
    proxy.hold(Way::ToServer);
    outbox.write_numbered(1_001..=2_000, 200).await;
    let _sound = named_relay(&outbox, "sound", &[]);
    wait_for_shares(&outbox, &[("sound", 16)], GIVEN_UP_WITHIN).await;
    outbox.write_numbered(2_001..=3_000, 200).await;
    outbox.drained(SOON).await;
    let before = receiver.read_to_end(SOON).await.len();
    proxy.release();
    says(&outbox, "apart", true).await;
    let mut ledger = Ledger::default();
    ledger.add_bulk(&outbox.pool).await;
    let windows = vec![WINDOW_ROWS];
    let history = observe::history(&outbox, &receiver, ledger, After::Mark, windows).await;
    note(&format!("{} came late", history.delivered.len() - before));
    checker::assert_conserved(&history);
}

/// The epoch of each lane: it rises with every claim.
async fn epochs(outbox: &Outbox) -> Vec<i64> {
    sqlx::query_scalar("SELECT epoch FROM outbox_relay_lanes ORDER BY lane")
        .fetch_all(&outbox.pool)
        .await
        .expect("the leases are there")
}
