//! Faults of wires and servers under load, each under its own name: what it may cost and no more.
//!
//! A proxy stands between the relay and what it depends on; writers, the judge and the tests' own
//! questions go past it.

mod backup;
mod brokers;
mod clocks;
mod cut_off;
mod discs;
mod failover;
mod pruning;
mod refusals;
mod scarce;
mod split;
pub(super) mod steps;
mod topics;
mod wires;

use super::site::Site;
use crate::support::{Kafka, Outbox, Proxy};

/// Rows that a relay may have handed over and not yet marked.
const WINDOW_ROWS: usize = 1_000;

/// A relay at work with a proxy before its database.
async fn behind_proxy(settings: &[(&str, &str)]) -> (Proxy, Site) {
    let outbox = Outbox::create().await;
    let (proxy, url) = outbox.proxied().await;
    let through = [
        ("relay.window_rows", "1000"),
        ("relay.name", "watched"),
        ("database.url", &url),
    ];
    let settings = [&through[..], settings].concat();
    let site = Site::start(outbox, Kafka::shared().await, &settings).await;
    (proxy, site)
}
