//! The nouns of the source side: an event as a row of the outbox holds it, and what names it.
//!
//! Owns no behaviour beyond naming and measuring. Knows neither SQL nor Kafka.
//!
//! Invariants:
//! - an event is named by `(seq, id)`, never by `seq` alone: after a fail-over that lost rows a
//!   sequence number may come back as another event;
//! - the ordering key is `(aggregate_type, aggregate_id)`, whatever key or topic a row asks for.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

/// The name of one event: its place in the outbox and its own identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventRef {
    /// Place in the outbox, drawn from its sequence.
    pub seq: i64,
    /// The event's identity, which consumers see.
    pub id: Uuid,
}

/// One of the fixed buckets into which the ordering keys are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub i16);

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The times a lane has changed hands; a row is handed over only under the epoch that read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// A lane that this relay holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The lane.
    pub lane: Lane,
    /// Under which epoch.
    pub epoch: Epoch,
    /// Moves with each decision of an operator about rows of this lane.
    pub rereads: i64,
}

/// What must stay in order: one aggregate.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingKey {
    /// The kind of aggregate, for example `order`.
    pub aggregate_type: String,
    /// Which one of them.
    pub aggregate_id: String,
}

impl fmt::Debug for OrderingKey {
    /// Shows the kind alone: the id is the writer's, and the record's key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderingKey")
            .field("aggregate_type", &self.aggregate_type)
            .finish_non_exhaustive()
    }
}

/// What the outbox says of a row that failed for good and holds its aggregate back. It is read from a
/// JSON array of these, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Judged {
    /// It waits for an operator; otherwise for its dead letter.
    pub is_blocked: bool,
    /// Whose fault it is, by its word.
    pub class: String,
    /// Why.
    pub error: String,
    /// How often Kafka refused it.
    pub attempts: u32,
    /// How long ago it failed first, in milliseconds.
    pub failed_ago_ms: u64,
}

/// What an event says, as the column of its table holds it.
#[derive(Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON exactly as `PostgreSQL` prints it.
    Json(String),
    /// Text, which may be JSON or not.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Payload {
    /// What a record's value holds of it, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Json(text) | Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Its text, where it is one.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()).ok()
    }
}

impl fmt::Debug for Payload {
    /// Shows its kind alone: the rest is the writer's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
        })
    }
}

/// One row of the outbox, as read.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub at: EventRef,
    /// Its id as the table has it, where that is no UUID; `at` has one that was made of it.
    pub own_id: Option<String>,
    /// The lane its key hashes to.
    pub lane: Lane,
    /// The aggregate it belongs to.
    pub key: OrderingKey,
    /// What happened, for example `OrderPlaced`.
    pub event_type: String,
    /// The payload; `None` is a tombstone.
    pub payload: Option<Payload>,
    /// The row's own headers: the text of a JSON object.
    pub headers: Option<String>,
    /// A topic that wins over the route.
    pub topic: Option<String>,
    /// A record key that wins over the aggregate id.
    pub partition_key: Option<String>,
    /// When the writer created it, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// How long a retry written in the row still has to wait, in milliseconds; 0 if none.
    pub wait_ms: u64,
    /// That it failed for good, and still waits.
    pub judged: Option<Judged>,
}

impl Event {
    /// Its id as the table has it.
    pub fn id_text(&self) -> Cow<'_, str> {
        match &self.own_id {
            Some(own) => own.into(),
            None => self.at.id.to_string().into(),
        }
    }
}

impl fmt::Debug for Event {
    /// Names the event and shows nothing that a writer put into it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("at", &self.at)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Event {
    /// An event as tests need one; what matters to a test, it sets itself.
    pub(crate) fn sample() -> Self {
        Self {
            at: EventRef {
                seq: 5,
                id: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            },
            own_id: None,
            lane: Lane(3),
            key: OrderingKey {
                aggregate_type: "order".to_owned(),
                aggregate_id: "o-1".to_owned(),
            },
            event_type: "OrderPlaced".to_owned(),
            payload: Some(Payload::Json("{\"a\": 1.50}".to_owned())),
            headers: None,
            topic: None,
            partition_key: None,
            created_at: DateTime::from_timestamp_micros(1_772_600_767_000_089)
                .expect("it is a time of this century"),
            wait_ms: 0,
            judged: None,
        }
    }
}
