//! The two choices an operator makes about events as such: what keeps its order, and what becomes
//! of a row that was published.
//!
//! Owns the words. Does not know where they were written or what follows from them.

use std::fmt;

use serde::Deserialize;

/// What keeps its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// At most one unconfirmed event of an aggregate and topic: nothing overtakes.
    Strict,
    /// Many of an aggregate at once; after a failure the rest is published again from the lowest.
    Pipelined,
    /// Every event by itself.
    None,
}

impl fmt::Display for Order {
    /// The word of the settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Pipelined => "pipelined",
            Self::None => "none",
        })
    }
}

/// What becomes of a row that Kafka has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterPublish {
    /// It stays, with the time in `published_at`.
    Mark,
    /// It goes; there is no replay then.
    Delete,
}
