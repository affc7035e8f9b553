//! A cell: one measurement of one contender, that differs from the base case in one factor.
//!
//! Owns its name and its way to be measured. Knows no order of cells.

use anyhow::Result;
use serde::Serialize;

use crate::cells::drain::Drain;
use crate::cells::long::Holder;
use crate::cells::price::Price;
use crate::cells::{idle, kill, latency, limits, long, memory, pause, published, sizes};
use crate::contender::Contender;
use crate::figures::Figures;
use crate::servers::Servers;
use crate::writers::Writing;

/// One thing to measure, in several rounds.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// What is measured.
    pub(crate) name: &'static str,
    /// Who.
    pub(crate) contender: Contender,
    /// What differs from the base case; empty if nothing.
    pub(crate) variant: String,
    /// How often.
    pub(crate) rounds: u32,
    /// How long a round takes, roughly, in seconds.
    pub(crate) takes_s: u32,
    /// How.
    pub(crate) measure: Measure,
}

impl Cell {
    /// Its name for people and filters: `drain/ours/delete`.
    pub(crate) fn title(&self) -> String {
        let title = format!("{}/{}", self.name, self.contender.name());
        if self.variant.is_empty() {
            title
        } else {
            format!("{title}/{}", self.variant)
        }
    }
}

/// The ways to measure, with all that they are given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub(crate) enum Measure {
    /// A backlog until all of it is on Kafka.
    Drain(Drain),
    /// From commit to Kafka at a rate.
    Latency(Writing),
    /// Nothing to do.
    Idle { seconds: u32 },
    /// The first event after a pause.
    Pause { pauses: u32 },
    /// A kill at half of a backlog.
    Kill { rows: i64 },
    /// Records from memory.
    Flood {
        records: i64,
        properties: Vec<(&'static str, &'static str)>,
    },
    /// Reading and marking alone.
    ClaimAndMark { rows: i64, deletes: bool },
    /// What a writer pays.
    Price { writes: Price, seconds: u32 },
    /// A transaction that stays open.
    Long { holder: Holder, writing: Writing },
    /// A table full of published rows.
    Published {
        published_rows: i64,
        writing: Writing,
        drain: Drain,
    },
    /// Memory over a backlog.
    Memory { rows: i64 },
    /// What is shipped.
    Sizes,
}

impl Measure {
    /// Measures once.
    pub(crate) async fn run(&self, servers: &Servers, contender: Contender) -> Result<Figures> {
        match self {
            Self::Drain(drain) => drain.measure(servers, contender).await,
            Self::Latency(writing) => latency::measure(servers, contender, *writing).await,
            Self::Idle { seconds } => idle::measure(servers, contender, *seconds).await,
            Self::Pause { pauses } => pause::measure(servers, contender, *pauses).await,
            Self::Kill { rows } => kill::measure(servers, contender, *rows).await,
            Self::Flood {
                records,
                properties,
            } => limits::flood(servers, *records, properties).await,
            Self::ClaimAndMark { rows, deletes } => {
                limits::claim_and_mark(servers, *rows, *deletes).await
            }
            Self::Price { writes, seconds } => writes.measure(servers, *seconds).await,
            Self::Long { holder, writing } => long::measure(servers, *holder, *writing).await,
            Self::Published {
                published_rows,
                writing,
                drain,
            } => published::measure(servers, *published_rows, *writing, drain).await,
            Self::Memory { rows } => memory::measure(servers, *rows).await,
            Self::Sizes => sizes::measure(),
        }
    }
}
