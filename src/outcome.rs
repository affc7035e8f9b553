//! The nouns of the way back: what Kafka answered for a record.
//!
//! Owns the answer and its class, and the relay's own refusal of a row ([`Defect`]). Knows no code
//! of any client (see `decide::verdict`) and nothing of what follows from an answer (see
//! `decide::window`).
//!
//! Invariant: a [`Receipt`] is made in one place only, where a delivery report arrives; nothing
//! else lets a row be marked.

use std::fmt;

/// Where Kafka confirmed that it stores a record: a positive delivery report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    partition: i32,
    offset: i64,
}

impl Receipt {
    /// Makes a receipt from a positive delivery report. The offset is `-1001` where the client
    /// knows that the record was stored but not where.
    pub fn from_delivery_report(partition: i32, offset: i64) -> Self {
        Self { partition, offset }
    }

    /// The partition that stores the record.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The record's offset in its partition.
    pub fn offset(&self) -> i64 {
        self.offset
    }
}

/// Whose fault a failure is, and so what may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Only the record is at fault: neither waiting nor an operator mends it.
    Record,
    /// Its topic cannot take it until an operator acts.
    Topic,
    /// The cluster refuses us until an operator acts.
    Cluster,
    /// It passes by itself; the record may have been written all the same.
    Transient,
    /// The producer can no longer be used and must be rebuilt.
    ProducerDead,
    /// Its schema is not known: the registry does not answer, or does not have it yet.
    Registry,
    /// Nothing is wrong with it: it found no room, or bad company. It may go a moment later.
    BackPressure,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Record,
        Self::Topic,
        Self::Cluster,
        Self::Transient,
        Self::ProducerDead,
        Self::Registry,
        Self::BackPressure,
    ];

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|class| class.to_string() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "record",
            Self::Topic => "topic",
            Self::Cluster => "cluster",
            Self::Transient => "transient",
            Self::ProducerDead => "producer_dead",
            Self::Registry => "registry",
            Self::BackPressure => "back_pressure",
        })
    }
}

/// A record that was not confirmed; it may have been written all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({class}, code {code})")]
pub struct Failure {
    /// What may end it.
    pub class: Class,
    /// The client's or broker's error code, 0 where the relay itself refused.
    pub code: i32,
    /// A short fact, free of payload, key and header values.
    pub reason: String,
}

/// Why a row cannot become a record. Its own fault, so waiting does not mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Defect {
    /// A short fact, free of payload, key, header and topic values.
    pub reason: String,
}

impl Defect {
    /// Names what is wrong with the row.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl From<Defect> for Failure {
    /// A defect is a failure that Kafka never had to judge.
    fn from(defect: Defect) -> Self {
        Self {
            class: Class::Record,
            code: 0,
            reason: defect.reason,
        }
    }
}

/// What became of a row that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadState {
    /// It waits for an operator, and its aggregate with it.
    Blocked,
    /// It waits until Kafka has its dead letter, and its aggregate with it.
    DeadLetterPending,
    /// It is set aside; Kafka has its dead letter.
    DeadLettered,
    /// It is set aside; the table alone keeps it.
    Dead,
}

impl DeadState {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Blocked,
        Self::DeadLetterPending,
        Self::DeadLettered,
        Self::Dead,
    ];

    /// The word that the outbox keeps.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::DeadLetterPending => "dead_letter_pending",
            Self::DeadLettered => "dead_lettered",
            Self::Dead => "dead",
        }
    }

    /// Whether its aggregate goes on.
    pub fn is_final(self) -> bool {
        matches!(self, Self::DeadLettered | Self::Dead)
    }
}

/// Why a row failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whose fault it is.
    pub class: Class,
    /// A short fact, free of payload, key and header values.
    pub error: String,
    /// How often Kafka refused it; 0 if no record could be built.
    pub attempts: u32,
    /// When it failed first, in boot milliseconds.
    pub first_failed_ms: u64,
}

/// What a delivery report said.
pub type Report = Result<Receipt, Failure>;
