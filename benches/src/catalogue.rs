//! The catalogue: all cells, in full or in the quick form.
//!
//! Owns the sizes and how long each takes on two cores. The base case is 300,000 payloads of 300
//! bytes over 10,000 aggregates, to a topic of 6 partitions, in strict order, marked, without
//! compression; each cell differs from it in one factor.

mod alone;
mod compared;

use crate::backlog::Backlog;
use crate::cell::{Cell, Measure};
use crate::cells::drain::Drain;
use crate::contender::Contender::{self, Naive, Ours};
use crate::writers::Writing;

const ROUNDS: u32 = 3;
const BASE_ROWS: i64 = Backlog::BASE.rows;

/// The cells of a run.
pub(crate) fn cells(quick: bool) -> Vec<Cell> {
    if quick { quick_cells() } else { full_cells() }
}

/// Everything.
fn full_cells() -> Vec<Cell> {
    let parts = [
        vec![once("sizes", Ours, "", 1, Measure::Sizes)],
        compared::drains(),
        compared::limits(BASE_ROWS),
        alone::variants(),
        alone::payloads(),
        alone::relays(),
        alone::hot(),
        compared::kills(),
        compared::at_rates(),
        alone::poisoned(),
        alone::prices(),
        alone::open_transactions(),
        alone::flatness(),
        compared::large_drains(),
    ];
    parts.into_iter().flatten().collect()
}

/// What daily work asks: ours, the naive poller in Rust and the limits, small and once.
fn quick_cells() -> Vec<Cell> {
    const ROWS: i64 = 100_000;
    let latency = |per_s| Measure::Latency(Writing::single(per_s, 10));
    let naive = [100, 1_000, 5_000].map(|batch| {
        once(
            "drain",
            Naive(batch),
            "",
            9,
            Measure::Drain(Drain::of(ROWS)),
        )
    });
    let mut cells = vec![
        once("sizes", Ours, "", 1, Measure::Sizes),
        once("drain", Ours, "", 8, Measure::Drain(Drain::of(ROWS))),
        once("drain", Ours, "delete", 8, Measure::Drain(delete(ROWS))),
    ];
    cells.extend(naive);
    cells.extend(compared::limits(ROWS));
    cells.extend([
        once(
            "relays",
            Ours,
            "2",
            8,
            Measure::Drain(Drain {
                relays: 2,
                ..Drain::of(ROWS)
            }),
        ),
        once("latency", Ours, "1000", 15, latency(1_000)),
        once("latency", Naive(1_000), "1000", 15, latency(1_000)),
        once("latency", Ours, "2000", 15, latency(2_000)),
        once("idle", Ours, "", 18, Measure::Idle { seconds: 8 }),
        once("pause", Ours, "", 18, Measure::Pause { pauses: 4 }),
        once("kill", Ours, "", 26, Measure::Kill { rows: 50_000 }),
    ]);
    for cell in &mut cells {
        cell.rounds = 1;
    }
    cells
}

fn delete(rows: i64) -> Drain {
    Drain::of(rows).with("relay.after_publish", "delete")
}

fn thrice(
    name: &'static str,
    contender: Contender,
    variant: &str,
    takes_s: u32,
    measure: Measure,
) -> Cell {
    let cell = once(name, contender, variant, takes_s, measure);
    Cell {
        rounds: ROUNDS,
        ..cell
    }
}

fn once(
    name: &'static str,
    contender: Contender,
    variant: &str,
    takes_s: u32,
    measure: Measure,
) -> Cell {
    let variant = variant.to_owned();
    Cell {
        name,
        contender,
        variant,
        rounds: 1,
        takes_s,
        measure,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_cells_have_one_title() {
        for quick in [false, true] {
            let titles: Vec<String> = cells(quick).iter().map(Cell::title).collect();
            let distinct: HashSet<&String> = titles.iter().collect();
            assert_eq!(distinct.len(), titles.len(), "{titles:#?}");
        }
    }

    #[test]
    fn a_run_fits_into_its_time() {
        let takes_s = |quick| -> u32 {
            cells(quick)
                .iter()
                .map(|cell| cell.rounds * cell.takes_s)
                .sum()
        };
        assert!(takes_s(false) < 9_000, "{}", takes_s(false));
        assert!(takes_s(true) < 240, "{}", takes_s(true));
    }
}
