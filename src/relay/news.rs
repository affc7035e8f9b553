//! What the loop and those who work for it tell each other.
//!
//! Owns the vocabulary between tasks, nothing else.

use super::health::Doing;
use crate::decide::reading::Sighting;
use crate::decide::window::{Burial, Page};
use crate::event::{Epoch, EventRef, Lane, Lease};
use crate::outbox::error::OutboxError;
use crate::outcome::Failure;
use crate::record::Record;

/// What a task tells the loop.
#[derive(Debug)]
pub(super) enum News {
    /// The reader saw who writes.
    Sighted(Sighting),
    /// The reader saw the last number drawn.
    Drawn(i64),
    /// The reader saw whether any row is for later.
    DelayedTold(bool),
    /// The reader brings a page.
    Page(Page),
    /// The reader's statement failed; what its session learned is void.
    ReadFailed(OutboxError),
    /// A large payload is stored, and this is the record that refers to it; or there can be none; or its
    /// row is not to be published any more.
    Carried(EventRef, Option<Result<Record, Failure>>),
    /// A marker's batch is committed.
    Marked {
        /// Which marker.
        marker: usize,
        /// How many rows it still found unpublished.
        rows: u64,
    },
    /// A marker's batch failed, or may have.
    MarkFailed {
        /// Which marker.
        marker: usize,
        /// Why.
        error: OutboxError,
    },
    /// The keeper claimed a lane.
    Claimed {
        /// Its lease.
        lease: Lease,
        /// Until when its rows may be handed over, in boot milliseconds.
        fly_until_ms: u64,
    },
    /// The keeper renewed its leases by a synchronous commit.
    Renewed {
        /// The lanes still held.
        lanes: Vec<Lease>,
        /// Until when their rows may be handed over, in boot milliseconds.
        fly_until_ms: u64,
        /// How many marks had committed when the commit began.
        marks_committed: u64,
        /// The database's clock less our boot-time clock, in milliseconds.
        database_ahead_ms: i64,
        /// The keeper's how-manieth connection it was.
        session: u64,
    },
    /// Another relay should have this lane.
    Surplus(Lane),
    /// The lease of this lane is gone.
    Lost(Lane),
    /// This lane was given back.
    Released(Lane),
    /// The keeper claims nothing more: every claim was told before.
    Retired,
    /// It is written what became of this row, or that is not ours to write any more.
    Buried(EventRef),
    /// The keeper has done all that was due, after a failure.
    Kept,
    /// This part failed for this reason, which names the cure, and is tried again.
    Failed(Doing, String),
}

/// What the loop asks of the keeper.
#[derive(Debug)]
pub(super) enum Errand {
    /// Give this lane back: nothing of it is unreported or unmarked.
    Release(Lane, Epoch),
    /// Write what became of this row, which failed for good.
    Bury(Burial),
    /// Nothing of this lost lane is unreported or unmarked any more: it may be claimed again.
    Settled(Lane),
    /// Renew now: many marks wait to be durable.
    Sync,
    /// Claim nothing more.
    Retire,
}
