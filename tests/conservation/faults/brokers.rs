//! Three brokers: replicas that are missing, leaders that change, brokers that restart one by one.

use super::WINDOW_ROWS;
use crate::conservation::site::Site;
use crate::support::{Cluster, Outbox, Postgres, SOON};

const BROKERS: usize = 3;

/// A relay at work on three brokers; a record must be on so many of them.
async fn site(replicas: &str) -> (Cluster, Site) {
    let cluster = Cluster::start(replicas).await;
    let kafka = cluster.kafka();
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let site = Site::start(outbox, &kafka, &[("relay.window_rows", "1000")]).await;
    (cluster, site)
}

/// An operator's restarts hand leadership over; a crash does not.
#[tokio::test]
async fn brokers_that_restart_and_crash_one_by_one_lose_and_reorder_nothing() {
    let (mut cluster, site) = site("2").await;
    for broker in 0..BROKERS {
        cluster.stop(broker).await;
        site.flows(SOON).await;
        cluster.restart(broker).await;
        site.flows(SOON).await;
    }
    for broker in 0..BROKERS {
        cluster.kill(broker).await;
        site.flows(SOON).await;
        cluster.restart(broker).await;
        site.flows(SOON).await;
    }
    site.is_back("restarts").await;
    site.end(vec![WINDOW_ROWS; BROKERS]).await;
}

/// With two of three replicas where three are wanted, brokers refuse what they already hold.
#[tokio::test]
async fn replicas_that_are_missing_are_waited_for_and_nothing_is_lost() {
    let (mut cluster, site) = site("3").await;
    for _ in 0..2 {
        cluster.kill(2).await;
        site.watched.is_not_ready("kafka: ").await;
        site.backlog_grows(500).await;
        cluster.restart(2).await;
        site.flows(SOON).await;
    }
    site.is_back("replicas").await;
    site.end(vec![WINDOW_ROWS; 2]).await;
}
