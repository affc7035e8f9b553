//! The seam between the relay's loop and whatever publishes for it.
//!
//! Owns the promise: each flight that was taken is reported once. Knows no client.

use crate::event::EventRef;
use crate::outcome::{Failure, Report};
use crate::process::metrics::TopicSlot;
use crate::record::Record;

/// One record under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flight {
    /// The event it carries.
    pub at: EventRef,
    /// The hand-over's ticket, which comes back with the report unchanged.
    pub handed_over: u64,
    /// Where its topic is counted; comes back unchanged too.
    pub topic: TopicSlot,
    /// When its event was created, in milliseconds since the Unix epoch by the database's clock.
    pub created_ms: i64,
}

/// A flight and what became of it.
pub type Landing = (Flight, Report);

/// Hands records to Kafka.
pub trait Publish {
    /// Queues a record; its report follows as a [`Landing`]. A refusal on the spot is returned
    /// instead, and no report follows. `alone` lets the broker judge the record by itself: it
    /// answers for a whole batch, so one bad record fails its neighbours.
    fn publish(&self, flight: Flight, record: &Record, alone: bool) -> Result<(), Failure>;
}
