//! One relay whose probes and memory are looked at.
//!
//! Owns the relay's process. Knows no fault.

use std::time::Duration;

use crate::support::{Outbox, Probes, RelayProcess, eventually, peak_memory_mib};

/// Readiness tells of an outage after at most a delivery's time-out.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A relay and its probes.
pub(super) struct Watched {
    pub(super) relay: RelayProcess,
    probes: Probes,
}

impl Watched {
    /// Starts a relay.
    pub(super) fn start(outbox: &Outbox, settings: &[(&str, &str)]) -> Self {
        let probes = Probes::new();
        let listen = ("http.listen", probes.listen.as_str());
        let relay = outbox.relay(&[settings, &[listen]].concat());
        Self { relay, probes }
    }

    /// Waits until it says that it is ready.
    pub(super) async fn is_ready(&self) {
        self.probes.wait_for("HTTP/1.1 200", TOLD_WITHIN).await;
    }

    /// Waits until it says that it is not ready for this reason, and is alive all the same.
    pub(super) async fn is_not_ready(&self, reason: &str) {
        eventually(reason, TOLD_WITHIN, async || {
            let answer = self.probes.ask("/readyz").await;
            let answer = answer.map_err(|error| error.to_string())?;
            let told = answer.starts_with("HTTP/1.1 503") && answer.contains(reason);
            told.then_some(()).ok_or(answer)
        })
        .await;
        let alive = self.probes.ask("/livez").await.expect("it answers");
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    }

    /// The most memory it has ever had, in MiB.
    pub(super) fn peak_memory_mib(&self) -> u64 {
        peak_memory_mib(self.relay.pid())
    }
}
