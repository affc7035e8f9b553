//! One relay whose probes and memory are looked at.
//!
//! Owns the relay's process and the address of its probes. Knows no fault.

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Outbox, RelayProcess, eventually, free_port};

/// A probe answers at once; this is for a busy machine.
const PROBE_WITHIN: Duration = Duration::from_secs(5);
/// Readiness tells of an outage after at most a delivery's time-out.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A relay and the address of its probes.
pub(super) struct Watched {
    pub(super) relay: RelayProcess,
    listen: String,
}

impl Watched {
    /// Starts a relay.
    pub(super) fn start(outbox: &Outbox, settings: &[(&str, &str)]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let relay = outbox.relay(&[settings, &[("http.listen", listen.as_str())]].concat());
        Self { relay, listen }
    }

    /// The answer of a probe: status line, headers and body.
    async fn probe(&self, path: &str) -> Result<String, String> {
        let asking = async {
            let mut stream = TcpStream::connect(&self.listen).await?;
            let ask = format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
            stream.write_all(ask.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        timeout(PROBE_WITHIN, asking)
            .await
            .map_err(|elapsed| elapsed.to_string())?
            .map_err(|error| error.to_string())
    }

    /// Waits until it says that it is ready.
    pub(super) async fn is_ready(&self) {
        eventually("readiness", TOLD_WITHIN, async || {
            let answer = self.probe("/readyz").await?;
            let is_ready = answer.starts_with("HTTP/1.1 200");
            is_ready.then_some(()).ok_or(answer)
        })
        .await;
    }

    /// Waits until it says that it is not ready for this reason, and is alive all the same.
    pub(super) async fn is_not_ready(&self, reason: &str) {
        eventually(reason, TOLD_WITHIN, async || {
            let answer = self.probe("/readyz").await?;
            let told = answer.starts_with("HTTP/1.1 503") && answer.contains(reason);
            told.then_some(()).ok_or(answer)
        })
        .await;
        let alive = self.probe("/livez").await.expect("it answers");
        assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    }

    /// The most memory it has ever had, in MiB.
    pub(super) fn peak_memory_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.relay.pid()))
            .expect("the relay runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let peak_kib: u64 = peak_kib
            .and_then(|peak| peak.parse().ok())
            .expect("the kernel tells the peak in kB");
        peak_kib / 1024
    }
}
