//! The warden: rebuilds a producer that died or is stuck.
//!
//! Owns the watching of one publisher. Knows no rows: whatever was in flight is reported, and the
//! window sends it again.
//!
//! Invariant: a flight that stayed unreported is a broken promise of the client library, after
//! which nothing held in memory can be trusted: the process ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kafka::producer::KafkaPublisher;
use crate::process::metrics::Metrics;

/// The producer is looked at this often.
const LOOK: Duration = Duration::from_millis(100);
/// Without any report for the message time-out and this much more, the producer is stuck.
const STUCK_MARGIN_MS: u64 = 2_000;

/// Watches until it is aborted.
pub(super) fn start(
    publisher: Arc<KafkaPublisher>,
    message_timeout_ms: u64,
    metrics: Metrics,
) -> JoinHandle<()> {
    let patience = Duration::from_millis(message_timeout_ms + STUCK_MARGIN_MS);
    tokio::spawn(async move {
        let mut landed = (publisher.landed(), Instant::now());
        loop {
            tokio::time::sleep(LOOK).await;
            let now = (publisher.landed(), Instant::now());
            if now.0 != landed.0 || publisher.in_flight() == 0 {
                landed = now;
            }
            let stuck = now.1.duration_since(landed.1) > patience;
            if publisher.is_dead() || stuck {
                rebuild(&publisher, stuck, &metrics).await;
                landed = (publisher.landed(), Instant::now());
            }
        }
    })
}

async fn rebuild(publisher: &KafkaPublisher, stuck: bool, metrics: &Metrics) {
    tracing::warn!(stuck, "the producer can no longer be used: rebuilding it");
    match publisher.rebuild().await {
        Ok(0) => {
            metrics.producer_rebuilt();
            tracing::info!(generation = publisher.generation(), "producer rebuilt");
        }
        Ok(lost) => panic!("{lost} flights were never reported"),
        Err(error) => tracing::warn!(%error, "the producer could not be rebuilt yet"),
    }
}
