//! A relay that is short of what the system gives: descriptors, and time.

use std::process::Command;
use std::time::Duration;

use super::WINDOW_ROWS;
use crate::conservation::site::{Site, note};
use crate::support::lanes::{SHORT_LEASES, named_relay};
use crate::support::{Kafka, Outbox, Postgres, RelayProcess, SOON, throughout};

/// How long a relay is watched that can do nothing.
const A_WHILE: Duration = Duration::from_secs(3);

/// Bounds the descriptors of a process that runs: those beyond stay open, and none is added.
fn bound_descriptors(relay: &RelayProcess, count: &str) {
    let bound = Command::new("prlimit")
        .arg(format!("--pid={}", relay.pid()))
        .arg(format!("--nofile={count}:"))
        .status()
        .expect("prlimit is part of util-linux");
    assert!(bound.success(), "{bound}");
}

/// Its connections are cut, and there is no descriptor for new ones.
#[tokio::test]
async fn without_descriptors_it_waits_and_with_them_it_goes_on() {
    let (kafka, kafka_wire) = Kafka::proxied(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let (wire, url) = outbox.proxied().await;
    let settings = [
        ("relay.window_rows", "1000"),
        ("database.url", url.as_str()),
        ("kafka.brokers", kafka_wire.address()),
    ];
    let site = Site::start(outbox, &kafka, &settings).await;
    bound_descriptors(&site.watched.relay, "3");
    wire.cut();
    site.watched
        .relay
        .logs("no connection to the database", SOON)
        .await;
    let accepted = wire.accepted();
    throughout("there is no way in", A_WHILE, async || {
        let now = wire.accepted();
        (now == accepted).then_some(()).ok_or(now.to_string())
    })
    .await;
    kafka_wire.cut();
    site.backlog_grows(500).await;
    bound_descriptors(&site.watched.relay, "1024");
    site.is_back("descriptors").await;
    site.end(vec![WINDOW_ROWS]).await;
}

/// It runs for a small part of the time, so that its leases end now and then while it stands still.
#[tokio::test]
async fn starved_of_time_it_may_lose_lanes_and_reorders_nothing() {
    const SPELLS: usize = 8;
    let settings = [&SHORT_LEASES[..], &[("relay.window_rows", "1000")]].concat();
    let kafka = Kafka::shared().await;
    let site = Site::start(Outbox::create().await, kafka, &settings).await;
    let _sound = named_relay(&site.outbox, "sound", &[("relay.window_rows", "1000")]);
    let starved = &site.watched.relay;
    for spell in 1..=SPELLS {
        starved.freeze();
        // Now and then for longer than its leases last.
        let still = Duration::from_millis(if spell % 4 == 0 { 6_000 } else { 800 });
        throughout("it stands still", still, async || Ok(())).await;
        starved.thaw();
        let runs = Duration::from_millis(40);
        throughout("it runs", runs, async || Ok(())).await;
    }
    site.flows(SOON).await;
    let lost = starved
        .stderr()
        .iter()
        .filter(|line| line.contains("lane lost"))
        .count();
    note(&format!("starved: {lost} lanes lost"));
    site.end(vec![WINDOW_ROWS; SPELLS]).await;
}
