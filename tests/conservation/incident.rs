//! What is done to relays, servers and wires.
//!
//! Owns the kinds, their names, and how many rows each may have delivered twice. Touches nothing.

use std::time::Duration;

use super::fleet::{RELAYS, WINDOW_ROWS};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stop,
    LateStop,
    Kill,
    Freeze,
    StopPostgres,
    CrashPostgres,
    StopKafka,
    CrashKafka,
    FreezeKafka,
    CutDatabase,
    SilenceDatabase,
    CutKafka,
    SilenceKafka,
    SlowWires,
}

impl Kind {
    /// All that strikes every relay at once, by way of what it stands on.
    pub(super) const STRIKES: [Self; 10] = [
        Self::StopPostgres,
        Self::CrashPostgres,
        Self::StopKafka,
        Self::CrashKafka,
        Self::FreezeKafka,
        Self::CutDatabase,
        Self::SilenceDatabase,
        Self::CutKafka,
        Self::SilenceKafka,
        Self::SlowWires,
    ];

    /// All that strikes one relay.
    pub(super) const OF_RELAYS: [Self; 4] = [Self::Stop, Self::LateStop, Self::Kill, Self::Freeze];

    /// Its name in a report.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Stop => "relay stopped",
            Self::LateStop => "relay stopped, its grace ran out",
            Self::Kill => "relay killed",
            Self::Freeze => "relay frozen",
            Self::StopPostgres => "PostgreSQL restarted",
            Self::CrashPostgres => "PostgreSQL crashed",
            Self::StopKafka => "Kafka restarted",
            Self::CrashKafka => "Kafka killed",
            Self::FreezeKafka => "Kafka frozen",
            Self::CutDatabase => "wires to PostgreSQL cut",
            Self::SilenceDatabase => "wires to PostgreSQL silent",
            Self::CutKafka => "wires to Kafka cut",
            Self::SilenceKafka => "wires to Kafka silent",
            Self::SlowWires => "all wires slow",
        }
    }

    /// Rows that may have been delivered twice for it.
    ///
    /// Whatever was in flight may be sent again: a record whose report did not come in time, and a
    /// lane whose relay could not renew its lease.
    pub(super) fn bound_rows(self) -> usize {
        match self {
            Self::Stop => 0,
            Self::LateStop | Self::Kill | Self::Freeze => WINDOW_ROWS,
            Self::StopPostgres
            | Self::CrashPostgres
            | Self::StopKafka
            | Self::CrashKafka
            | Self::FreezeKafka
            | Self::CutDatabase
            | Self::SilenceDatabase
            | Self::CutKafka
            | Self::SilenceKafka
            | Self::SlowWires => RELAYS * WINDOW_ROWS,
        }
    }
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub(super) struct Incident {
    pub(super) kind: Kind,
    /// The relay that it was done to; without one it was done to all.
    pub(super) relay: Option<String>,
    /// The lanes that the relay held then.
    pub(super) lanes: Vec<i16>,
    /// How many records had been received when it began.
    pub(super) records: usize,
    /// When that was, by the run's clock.
    pub(super) begun: Duration,
    /// How many had been received when the relay was back; one that was killed never is.
    pub(super) back: Option<usize>,
    /// Since when records should flow again.
    pub(super) over: Duration,
}
