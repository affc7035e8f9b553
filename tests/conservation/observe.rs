//! What a run has come to, gathered for the judge.
//!
//! Owns the questions to the outbox and the reading of records. Judges nothing.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::checker::{Delivered, History, Shown};
use super::toll::Arrival;
use super::workload::Ledger;
use crate::support::{Outbox, Received, Receiver};

/// How long reading a topic to its end may take.
const READ_WITHIN: Duration = Duration::from_mins(2);

/// What the relays' rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Mark,
    /// A committed row that is gone was published.
    Delete,
}

/// Settles what the writers do not know, and gathers the whole history of a run that is over.
pub(super) async fn history(
    outbox: &Outbox,
    receiver: &Receiver,
    mut ledger: Ledger,
    after: After,
    windows_lost: Vec<usize>,
) -> History {
    ledger.settle(&outbox.pool).await;
    let records = receiver.read_to_end(READ_WITHIN).await;
    let mut shown = rows(outbox).await;
    if after == After::Delete {
        for event in &ledger.committed {
            shown.entry(event.id).or_insert(Shown::Marked);
        }
    }
    History {
        committed: ledger.committed,
        rolled_back: ledger.rolled_back,
        delivered: delivered(&records),
        shown,
        windows_lost,
    }
}

/// The records that were received, with who published each and when it came since the run began.
pub(super) async fn arrivals(outbox: &Outbox, receiver: &Receiver, begun: Instant) -> Vec<Arrival> {
    let rows: Vec<(Uuid, i16)> = sqlx::query_as("SELECT id, lane FROM outbox")
        .fetch_all(&outbox.pool)
        .await
        .expect("the outbox answers");
    let lanes: HashMap<Uuid, i16> = rows.into_iter().collect();
    let (records, times) = (receiver.records(), receiver.times());
    let of = |(record, at): (&Received, Instant)| {
        let id = id_of(record);
        let relay = record.header("ce_source").expect("every record says whose");
        Arrival {
            id,
            relay: relay.to_owned(),
            lane: lanes.get(&id).copied(),
            at: at.saturating_duration_since(begun),
        }
    };
    records.iter().zip(times).map(of).collect()
}

fn id_of(record: &Received) -> Uuid {
    let id = record.header("ce_id").and_then(|id| id.parse().ok());
    id.expect("every record names its event")
}

/// The records as the judge wants them.
pub(super) fn delivered(records: &[Received]) -> Vec<Delivered> {
    let of = |record: &Received| Delivered {
        id: id_of(record),
        aggregate: record
            .key
            .clone()
            .and_then(|key| String::from_utf8(key).ok())
            .expect("every record has a key of text"),
    };
    records.iter().map(of).collect()
}

async fn rows(outbox: &Outbox) -> HashMap<Uuid, Shown> {
    let rows: Vec<(Uuid, bool, bool)> =
        sqlx::query_as("SELECT id, published_at IS NOT NULL, dead_at IS NOT NULL FROM outbox")
            .fetch_all(&outbox.pool)
            .await
            .expect("the outbox answers");
    let of = |(id, published, dead)| {
        let shown = match (published, dead) {
            (true, _) => Shown::Marked,
            (false, true) => Shown::Dead,
            (false, false) => Shown::Waiting,
        };
        (id, shown)
    };
    rows.into_iter().map(of).collect()
}
