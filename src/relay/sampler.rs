//! The sampler: looks every so often at what waits, and keeps the metrics small.
//!
//! Owns a session of its own, so that a slow look delays neither a lease nor a poll. A scrape is
//! answered from what it saw last. Knows no window.
//!
//! Invariant: a look that fails is no news: whoever works with the database tells of its outages.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::outbox::backlog::Backlog;
use crate::outbox::session::Session;
use crate::process::metrics::Metrics;

/// Between two looks at the database.
const LOOK: Duration = Duration::from_secs(15);
/// The first look comes after this: a relay has its lanes by then.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// Between two foldings: at 100,000 deliveries a second they hold less than a megabyte meanwhile.
const FOLD: Duration = Duration::from_millis(500);

/// Samples until the other end of `stop` is dropped.
pub(super) fn start(
    mut session: Session,
    backlog: Backlog,
    metrics: Metrics,
    mut stop: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut look_at = Instant::now() + FIRST_LOOK;
        while let Err(_elapsed) = tokio::time::timeout(FOLD, &mut stop).await {
            metrics.fold();
            if Instant::now() < look_at {
                continue;
            }
            look_at = Instant::now() + LOOK;
            match backlog.sample(&mut session).await {
                Ok(waiting) => metrics.backlog(&waiting),
                Err(error) => tracing::debug!(%error, "the backlog was not sampled"),
            }
        }
        session.close().await;
    })
}
