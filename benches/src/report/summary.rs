//! The summary: what the rounds of each cell have found, as medians with the smallest and largest.
//!
//! Owns which lines count. Knows not what a figure means.
//!
//! Invariant: what was not measured has no figure here, never a made-up one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::figures::{Figures, sorted};
use crate::results::Line;

/// The cell that tells of the machine.
const MACHINE: &str = "machine";

/// One figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    fn of(values: Vec<f64>) -> Option<Self> {
        let sorted = sorted(values);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self {
            median: f64::midpoint(below, above),
            min,
            max,
            rounds: sorted.len(),
        })
    }
}

/// All rounds of one cell.
#[derive(Debug)]
struct Measured {
    cell: String,
    contender: String,
    variant: String,
    rounds: BTreeMap<u32, Figures>,
    settings: Value,
}

/// What a results file says.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    measured: Vec<Measured>,
    skipped: BTreeMap<String, String>,
    machines: Vec<Line>,
}

impl Summary {
    /// Of two lines about one round, the later counts. Who could run later was not skipped.
    pub(crate) fn of(lines: &[Line]) -> Self {
        let mut summary = Self::default();
        for line in lines {
            summary.take(line);
        }
        let Self {
            measured, skipped, ..
        } = &mut summary;
        skipped.retain(|who, _| !measured.iter().any(|measured| measured.contender == *who));
        summary
    }

    fn take(&mut self, line: &Line) {
        if let Some(reason) = &line.skipped {
            self.skipped.insert(line.contender.clone(), reason.clone());
        } else if line.cell == MACHINE {
            self.machines.push(line.clone());
        } else {
            let measured = self.measured_mut(line);
            measured.rounds.insert(line.round, line.figures.clone());
            measured.settings = line.settings.clone();
        }
    }

    fn measured_mut(&mut self, line: &Line) -> &mut Measured {
        let known = |measured: &Measured| {
            measured.cell == line.cell
                && measured.contender == line.contender
                && measured.variant == line.variant
        };
        let place = self.measured.iter().position(known).unwrap_or_else(|| {
            self.measured.push(Measured {
                cell: line.cell.clone(),
                contender: line.contender.clone(),
                variant: line.variant.clone(),
                rounds: BTreeMap::new(),
                settings: Value::Null,
            });
            self.measured.len() - 1
        });
        &mut self.measured[place]
    }

    /// Finds a cell by its title: `drain/ours` or `drain/ours/delete`.
    fn find(&self, title: &str) -> Option<&Measured> {
        let mut parts = title.splitn(3, '/');
        let (cell, contender) = (parts.next()?, parts.next()?);
        let variant = parts.next().unwrap_or_default();
        self.measured.iter().find(|measured| {
            measured.cell == cell && measured.contender == contender && measured.variant == variant
        })
    }

    /// Whether a cell was measured, or its contender is known to be unable.
    pub(crate) fn tells_of(&self, title: &str) -> bool {
        let who = title.split('/').nth(1).unwrap_or_default();
        self.find(title).is_some() || self.skipped.contains_key(who)
    }

    /// A figure of a cell, over its rounds.
    pub(crate) fn spread(&self, title: &str, figure: &str) -> Option<Spread> {
        let rounds = self.find(title)?.rounds.values();
        Spread::of(rounds.filter_map(|figures| figures.get(figure)).collect())
    }

    /// The median of a figure of a cell.
    pub(crate) fn median(&self, title: &str, figure: &str) -> Option<f64> {
        Some(self.spread(title, figure)?.median)
    }

    /// All values of a figure, in order.
    pub(crate) fn values(&self, title: &str, figure: &str) -> Vec<f64> {
        let rounds = self
            .find(title)
            .into_iter()
            .flat_map(|cell| cell.rounds.values());
        sorted(rounds.filter_map(|figures| figures.get(figure)).collect())
    }

    /// Who was measured in a cell, in the order of the results.
    pub(crate) fn contenders(&self, cell: &str, variant: &str) -> Vec<&str> {
        let of_cell = |measured: &&Measured| measured.cell == cell && measured.variant == variant;
        let measured = self.measured.iter().filter(of_cell);
        measured
            .map(|measured| measured.contender.as_str())
            .collect()
    }

    /// What the relay was measured with in a cell, in the order of the results.
    pub(crate) fn variants(&self, cell: &str) -> Vec<&str> {
        let of_ours = |measured: &&Measured| measured.cell == cell && measured.contender == "ours";
        let measured = self.measured.iter().filter(of_ours);
        measured.map(|measured| measured.variant.as_str()).collect()
    }

    /// What a cell was given.
    pub(crate) fn setting(&self, title: &str, pointer: &str) -> Option<&Value> {
        self.find(title)?.settings.pointer(pointer)
    }

    /// Who could not run, and why.
    pub(crate) fn skipped(&self) -> &BTreeMap<String, String> {
        &self.skipped
    }

    /// The machine of each run into these results, oldest first.
    pub(crate) fn machines(&self) -> &[Line] {
        &self.machines
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{line, skipped};
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_of_two_between_them() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        let three = spread(&[30.0, 10.0, 20.0]).unwrap();
        assert_eq!(
            (three.median, three.min, three.max, three.rounds),
            (20.0, 10.0, 30.0, 3)
        );
        assert_eq!(spread(&[10.0, 20.0]).map(|of| of.median), Some(15.0));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn of_two_lines_about_one_round_the_later_counts() {
        let summary = Summary::of(&[
            line("drain/ours", 1, &[("rows_per_s", 1.0)]),
            line("drain/ours", 2, &[("rows_per_s", 5.0)]),
            line("drain/ours", 1, &[("rows_per_s", 3.0)]),
        ]);
        assert_eq!(summary.values("drain/ours", "rows_per_s"), [3.0, 5.0]);
    }

    #[test]
    fn cells_are_told_apart_by_all_three_parts() {
        let summary = Summary::of(&[
            line("drain/ours", 1, &[("rows_per_s", 1.0)]),
            line("drain/ours/delete", 1, &[("rows_per_s", 2.0)]),
            line("drain/naive-rust-100", 1, &[("rows_per_s", 3.0)]),
        ]);
        assert_eq!(summary.median("drain/ours/delete", "rows_per_s"), Some(2.0));
        assert_eq!(summary.median("drain/ours/lz4", "rows_per_s"), None);
        assert_eq!(summary.contenders("drain", ""), ["ours", "naive-rust-100"]);
        assert_eq!(summary.variants("drain"), ["", "delete"]);
    }

    #[test]
    fn who_ran_after_all_was_not_skipped() {
        let summary = Summary::of(&[
            skipped("drain/naive-go-100", "go is not installed"),
            skipped("drain/debezium-tuned", "mvn is not installed"),
            line("drain/naive-go-100", 1, &[("rows_per_s", 1.0)]),
        ]);
        let who: Vec<&String> = summary.skipped().keys().collect();
        assert_eq!(who, ["debezium-tuned"]);
        assert!(summary.tells_of("kill/debezium-tuned"));
        assert!(!summary.tells_of("kill/naive-go-100"));
    }
}
