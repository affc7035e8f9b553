//! A relay at work under load, while something is done to what it stands on.
//!
//! Owns the writers, the receiver and the relay, and has the run judged at its end. Knows no fault.

use std::time::Duration;

use tokio::time::Instant;

use super::checker;
use super::dice::{Dice, seed_or};
use super::observe::{self, After};
use super::watched::Watched;
use super::workload::Workload;
use crate::support::{Kafka, Outbox, Receiver, SOON, eventually};

/// Records flow again within 5 s; the rest is for a busy machine, and for the server itself, which
/// answers a first client before it serves every other.
const FLOWS_WITHIN: Duration = Duration::from_secs(5 + 15);
/// What the window, the producer's queue and the program itself may take, in MiB. A relay that
/// kept the backlog of an outage in memory would need far more.
pub(super) const MEMORY_MIB: u64 = 128;

/// An outbox and all that is at work on it.
pub(super) struct Site {
    pub(super) outbox: Outbox,
    pub(super) receiver: Receiver,
    pub(super) watched: Watched,
    workload: Workload,
}

impl Site {
    /// Sets all to work and waits until records flow.
    pub(super) async fn start(outbox: Outbox, kafka: &Kafka, settings: &[(&str, &str)]) -> Self {
        let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
        let workload = Workload::start(outbox.url(), &Dice::new(seed_or(5)));
        let watched = Watched::start(&outbox, settings);
        let site = Self {
            outbox,
            receiver,
            watched,
            workload,
        };
        site.flows(SOON).await;
        site.watched.is_ready().await;
        site
    }

    /// Waits for records that are not there yet.
    pub(super) async fn flows(&self, within: Duration) {
        let wanted = self.receiver.count() + 100;
        eventually("records flow", within, async || {
            let seen = self.receiver.count();
            (seen >= wanted).then_some(()).ok_or(seen)
        })
        .await;
    }

    /// Waits until writers have committed so many more events.
    pub(super) async fn backlog_grows(&self, events: usize) {
        let wanted = self.workload.committed() + events;
        eventually("writers write", SOON, async || {
            let committed = self.workload.committed();
            (committed >= wanted).then_some(()).ok_or(committed)
        })
        .await;
    }

    /// Records flow again, the relay says so, and no row was blamed.
    pub(super) async fn is_back(&self, what: &str) {
        let begun = Instant::now();
        self.flows(FLOWS_WITHIN).await;
        note(&format!(
            "{what}: records flow after {:?}, peak memory {} MiB",
            begun.elapsed(),
            self.watched.peak_memory_mib()
        ));
        self.watched.is_ready().await;
        assert_eq!(self.outbox.count("attempts > 0").await, 0);
    }

    /// Ends the run and has it judged, with what was written to aggregates that are mere numbers; so many rows may have been delivered twice.
    pub(super) async fn end(self, windows_lost: Vec<usize>) {
        self.end_after(After::Mark, windows_lost).await;
    }

    /// As [`end`](Self::end), where rows may have become something else than marked.
    pub(super) async fn end_after(mut self, after: After, windows_lost: Vec<usize>) {
        let mut ledger = self.workload.stop().await;
        ledger.add_bulk(&self.outbox.pool).await;
        self.outbox.drained(SOON).await;
        let peak_mib = self.watched.peak_memory_mib();
        assert!(peak_mib <= MEMORY_MIB, "{peak_mib} MiB");
        assert_eq!(self.outbox.count("attempts > 0").await, 0);
        self.watched.relay.terminate();
        assert_eq!(self.watched.relay.wait_exit(SOON).await, 0);
        let history =
            observe::history(&self.outbox, &self.receiver, ledger, after, windows_lost).await;
        note(&format!(
            "{} records, {} duplicates",
            history.delivered.len(),
            checker::duplicates(&history.delivered)
        ));
        checker::assert_conserved(&history);
    }
}

#[expect(clippy::print_stderr, reason = "what was measured is worth a line")]
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}
