//! A throw-away world to try the relay in: a database, a Kafka, a service that writes, and an
//! audience.
//!
//! Owns the parts and what they tell each other. Does not know the relay: the verb puts it between
//! the outbox and Kafka, and the parts judge from outside what came through.
//!
//! Invariant: nothing of it outlives the process, whatever ends it.

pub mod audience;
mod folder;
pub mod kafka;
pub mod lines;
mod machine;
pub mod postgres;
pub mod service;
pub mod story;
pub mod table;

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::event::OrderingKey;

/// Why the world could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// There is nothing to start.
    #[error(
        "PostgreSQL's server programs (13 or newer) are not on this machine; this line installs \
         them:\n  sudo apt-get install -y --no-install-recommends postgresql"
    )]
    NoServer,
    /// The folder of the server could not be made.
    #[error("the folder {folder} for a throw-away PostgreSQL: {error}")]
    Folder {
        /// Where it should have been.
        folder: String,
        /// Why it is not there.
        error: io::Error,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {error}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// A program did not do its work, or not for long enough.
    #[error("{program} failed; the end of its log:\n{log}")]
    Failed {
        /// Which.
        program: String,
        /// What it said last.
        log: String,
    },
    /// The in-process Kafka, or a client of it, could not be made.
    #[error("Kafka in this process: {0}")]
    Kafka(String),
}

/// How a transaction of the sample service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It committed.
    Committed,
    /// It was rolled back.
    RolledBack,
}

/// What the parts tell the one who watches.
#[derive(Debug)]
pub enum News {
    /// A transaction has written these events and is about to end. It still holds the locks of
    /// their aggregates, so this news comes in each aggregate's own order.
    Written {
        /// The events, each with its aggregate.
        events: Vec<(Uuid, OrderingKey)>,
        /// When.
        at: Instant,
    },
    /// A transaction has ended. Where this never comes, nobody knows how it ended.
    Ended {
        /// Its events.
        ids: Vec<Uuid>,
        /// How.
        fate: Fate,
    },
    /// A record was read from Kafka.
    Arrived(Arrival),
}

/// A record as a consumer sees it; its payload is nobody's business here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, as text.
    pub key: String,
    /// The event's type, where a header gives it.
    pub event_type: String,
    /// The event's id, where a header gives it.
    pub id: Option<Uuid>,
    /// When it was seen.
    pub at: Instant,
    /// How long before that its row was made.
    pub age: Duration,
}
