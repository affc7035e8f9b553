//! The cells in which all contenders are compared, and the limits.

use super::{BASE_ROWS, ROUNDS, delete, once, thrice};
use crate::cell::{Cell, Measure};
use crate::cells::drain::Drain;
use crate::contender::Contender::{self, Debezium, Go, Kafka, Naive, Ours, Postgres};
use crate::writers::Writing;

/// The poller in Go at its best.
const GO: Contender = Go("franz-go");
/// The same with the client that is used most: it stands beside the other in the base cases alone.
const GO_MOST_USED: Contender = Go("kafka-go");
/// All who move rows, as they are compared.
const ALL: [Contender; 7] = [
    Ours,
    Naive(100),
    Naive(1_000),
    Naive(5_000),
    GO,
    Debezium("default"),
    Debezium("tuned"),
];
/// At a rate the batch of a poller hardly matters: one speaks for all.
const AT_A_RATE: [Contender; 5] = [
    Ours,
    Naive(1_000),
    GO,
    Debezium("default"),
    Debezium("tuned"),
];

pub(super) fn drains() -> Vec<Cell> {
    let takes_s = |who| match who {
        GO_MOST_USED => 60,
        Debezium(_) => 32,
        Go(_) | Naive(100) => 25,
        Ours | Naive(_) | Kafka | Postgres => 17,
    };
    let drain = |who| {
        thrice(
            "drain",
            who,
            "",
            takes_s(who),
            Measure::Drain(Drain::of(BASE_ROWS)),
        )
    };
    let mut cells: Vec<Cell> = ALL.into_iter().chain([GO_MOST_USED]).map(drain).collect();
    cells.insert(
        1,
        thrice(
            "drain",
            Ours,
            "delete",
            16,
            Measure::Drain(delete(BASE_ROWS)),
        ),
    );
    cells
}

/// A million rows, once.
pub(super) fn large_drains() -> Vec<Cell> {
    const ROWS: i64 = 1_000_000;
    let takes_s = |who| match who {
        Debezium(_) => 80,
        Go(_) | Naive(100) => 75,
        Ours | Naive(_) | Kafka | Postgres => 50,
    };
    let drain = |who| {
        once(
            "drain",
            who,
            "1M rows",
            takes_s(who),
            Measure::Drain(Drain::of(ROWS)),
        )
    };
    let mut cells: Vec<Cell> = ALL.into_iter().map(drain).collect();
    cells.push(once(
        "drain",
        Ours,
        "delete, 1M rows",
        48,
        Measure::Drain(delete(ROWS)),
    ));
    cells
}

pub(super) fn limits(rows: i64) -> Vec<Cell> {
    let marks = |deletes| Measure::ClaimAndMark { rows, deletes };
    let flood = |codec: Option<&'static str>| Measure::Flood {
        records: 600_000,
        properties: codec
            .into_iter()
            .map(|codec| ("compression.type", codec))
            .collect(),
    };
    vec![
        thrice("limit", Postgres, "", 16, marks(false)),
        thrice("limit", Postgres, "delete", 16, marks(true)),
        thrice("limit", Kafka, "", 3, flood(None)),
        thrice("limit", Kafka, "lz4", 3, flood(Some("lz4"))),
        thrice("limit", Kafka, "zstd", 3, flood(Some("zstd"))),
    ]
}

pub(super) fn kills() -> Vec<Cell> {
    let kill = |who| {
        let takes_s = if matches!(who, Ours | Naive(_)) {
            30
        } else {
            40
        };
        let cell = thrice("kill", who, "", takes_s, Measure::Kill { rows: 200_000 });
        let rounds = if who == Ours { 10 } else { ROUNDS };
        Cell { rounds, ..cell }
    };
    ALL.into_iter().map(kill).collect()
}

pub(super) fn at_rates() -> Vec<Cell> {
    let latency = |who, per_s: u32| {
        let measure = Measure::Latency(Writing::single(per_s, 60));
        thrice("latency", who, &per_s.to_string(), 70, measure)
    };
    let mut cells = Vec::new();
    for who in AT_A_RATE {
        cells.extend([1_000, 2_000].map(|per_s| latency(who, per_s)));
        cells.push(thrice("idle", who, "", 32, Measure::Idle { seconds: 20 }));
    }
    cells.push(latency(GO_MOST_USED, 1_000));
    cells.push(once("pause", Ours, "", 100, Measure::Pause { pauses: 30 }));
    cells
}
