//! Ends of relays under load: a stop that is asked for duplicates nothing, a kill at most the window.

use super::checker::{self, duplicates};
use super::dice::{Dice, seed_or};
use super::observe::{self, After};
use super::workload::Workload;
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON, eventually};

const RESTARTS: usize = 10;
/// Rows written at once before each restart, so that it finds a full window.
const BULK_ROWS: i32 = 6_000;
/// Records that must pass between two restarts.
const RECORDS: usize = 300;

async fn pass(receiver: &Receiver, records: usize) {
    let wanted = receiver.count() + records;
    eventually("more records", SOON, async || {
        let seen = receiver.count();
        (seen >= wanted).then_some(()).ok_or(seen)
    })
    .await;
}

async fn stop(relay: &mut RelayProcess) {
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let log = relay.stderr().join("\n");
    assert!(!log.contains("grace ran out"), "{log}");
}

#[tokio::test]
async fn ten_rolling_restarts_under_load_duplicate_nothing() {
    let outbox = Outbox::create().await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let workload = Workload::start(outbox.url(), &Dice::new(seed_or(4)));
    let mut relays = [outbox.relay(&[]), outbox.relay(&[])];
    for restart in 0..RESTARTS {
        outbox.write_many(BULK_ROWS, BULK_ROWS / 2).await;
        pass(&receiver, RECORDS).await;
        let relay = &mut relays[restart % 2];
        stop(relay).await;
        *relay = outbox.relay(&[]);
    }
    let mut ledger = workload.stop().await;
    ledger.add_bulk(&outbox.pool).await;
    outbox.drained(SOON).await;
    for relay in &mut relays {
        stop(relay).await;
    }
    let history = observe::history(&outbox, &receiver, ledger, After::Mark, Vec::new()).await;
    checker::assert_conserved(&history);
}

/// Each kill is counted by itself: what it duplicated is known before the next.
#[tokio::test]
async fn a_kill_duplicates_at_most_the_window() {
    const WINDOW_ROWS: usize = 300;
    const EVENTS: usize = 6_000;
    let settings = [
        ("relay.window_rows", "300"),
        ("lanes.lease_ttl_ms", "3500"),
        ("lanes.renew_ms", "500"),
        ("lanes.margin_ms", "500"),
        ("kafka.message_timeout_ms", "2000"),
    ];
    let outbox = Outbox::create().await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let mut before = 0;
    let mut found = Vec::new();
    for kill in 1..=4 {
        outbox.write_many(6_000, 1_000).await;
        let mut relay = outbox.relay(&settings);
        let first = (kill - 1) * EVENTS + before;
        receiver.wait_for(first + 1_000 * kill, SOON).await;
        relay.kill();
        assert_eq!(relay.wait_exit(SOON).await, 137);
        let _next = outbox.relay(&settings);
        outbox.drained(SOON).await;
        let delivered = observe::delivered(&receiver.read_to_end(SOON).await);
        assert_eq!(delivered.len() - duplicates(&delivered), kill * EVENTS);
        let now = duplicates(&delivered);
        found.push(now - before);
        before = now;
    }
    tell(&found);
    assert!(found.iter().all(|rows| *rows <= WINDOW_ROWS), "{found:?}");
}

#[expect(clippy::print_stderr, reason = "what was measured is worth a line")]
fn tell(found: &[usize]) {
    eprintln!("duplicates after each kill: {found:?}");
}
