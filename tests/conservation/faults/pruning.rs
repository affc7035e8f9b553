//! Operators who delete old rows while others are published.

use std::time::Duration;

use crate::conservation::observe::After;
use crate::conservation::site::{Site, note};
use crate::support::{Kafka, Outbox, throughout};

/// How long they are at it.
const A_WHILE: Duration = Duration::from_secs(8);
/// The statement of the manual, with a shorter time.
const PRUNE: &str = "DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM outbox
    WHERE published_at < now() - interval '200 milliseconds'
    ORDER BY seq LIMIT 10000)";

#[tokio::test]
async fn old_rows_that_two_operators_delete_take_nothing_with_them() {
    let outbox = Outbox::create().await;
    let site = Site::start(outbox, Kafka::shared().await, &[]).await;
    let prune = async || {
        throughout("rows can be deleted", A_WHILE, async || {
            site.outbox.execute(PRUNE).await;
            Ok(())
        })
        .await;
    };
    tokio::join!(prune(), prune());
    let left = site.outbox.count("true").await;
    let delivered = i64::try_from(site.receiver.count()).expect("they are counted");
    note(&format!("{delivered} records, {left} rows are left"));
    assert!(left < delivered / 2, "{left} of {delivered}: nothing went");
    site.flows(A_WHILE).await;
    site.end_after(After::Delete, Vec::new()).await;
}
