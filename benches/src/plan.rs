//! The plan of a run: which rounds of which cells are left, in which order, and for how long.
//!
//! Pure: cells and results in, turns out.
//!
//! Invariant: rounds are interleaved: all cells are measured once before any is measured again, so
//! that what drifts on a machine does not fall on one contender.

use crate::cell::Cell;
use crate::results::Line;

/// One round of one cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) round: u32,
}

/// The cells whose title begins with one of these; all if there are none.
pub(crate) fn chosen(cells: Vec<Cell>, filters: &[String]) -> Vec<Cell> {
    let is_chosen = |cell: &Cell| {
        let title = cell.title();
        filters.is_empty()
            || filters
                .iter()
                .any(|filter| title.starts_with(filter.as_str()))
    };
    cells.into_iter().filter(is_chosen).collect()
}

/// What is left to measure, in order.
pub(crate) fn turns<'a>(cells: &'a [Cell], rounds_max: u32, done: &[Line]) -> Vec<Turn<'a>> {
    let most = cells.iter().map(|cell| cell.rounds).max().unwrap_or(0);
    (1..=most.min(rounds_max))
        .flat_map(|round| cells.iter().map(move |cell| Turn { cell, round }))
        .filter(|turn| turn.round <= turn.cell.rounds && !is_done(turn, done))
        .collect()
}

fn is_done(turn: &Turn<'_>, done: &[Line]) -> bool {
    done.iter()
        .any(|line| line.skipped.is_none() && is_about(line, turn.cell) && line.round == turn.round)
}

/// Whether a line tells of this cell.
pub(crate) fn is_about(line: &Line, cell: &Cell) -> bool {
    line.cell == cell.name
        && line.contender == cell.contender.name()
        && line.variant == cell.variant
}

/// How long these turns take, in seconds, where those before took so much more or less than was
/// thought.
pub(crate) fn left_s(turns: &[Turn<'_>], thought_s: u32, took_s: f64) -> f64 {
    let left_s: u32 = turns.iter().map(|turn| turn.cell.takes_s).sum();
    let factor = if thought_s == 0 {
        1.0
    } else {
        took_s / f64::from(thought_s)
    };
    f64::from(left_s) * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Measure;
    use crate::contender::Contender;
    use crate::figures::Figures;

    fn cell(name: &'static str, variant: &str, rounds: u32) -> Cell {
        Cell {
            name,
            contender: Contender::Ours,
            variant: variant.to_owned(),
            rounds,
            takes_s: 10,
            measure: Measure::Sizes,
        }
    }

    fn line(name: &str, round: u32, skipped: Option<&str>) -> Line {
        Line {
            cell: name.to_owned(),
            contender: "ours".to_owned(),
            variant: String::new(),
            round,
            at: String::new(),
            figures: Figures::default(),
            settings: serde_json::Value::Null,
            skipped: skipped.map(str::to_owned),
        }
    }

    fn shown(turns: &[Turn<'_>]) -> Vec<(&'static str, u32)> {
        turns
            .iter()
            .map(|turn| (turn.cell.name, turn.round))
            .collect()
    }

    #[test]
    fn rounds_are_interleaved_and_end_with_each_cells_own() {
        let cells = [cell("drain", "", 3), cell("kill", "", 1)];
        let left = turns(&cells, 2, &[]);
        assert_eq!(shown(&left), [("drain", 1), ("kill", 1), ("drain", 2)]);
    }

    #[test]
    fn what_was_measured_is_not_measured_again_and_what_was_skipped_is() {
        let cells = [cell("drain", "", 2), cell("kill", "", 1)];
        let done = [line("drain", 1, None), line("kill", 1, Some("no Java"))];
        assert_eq!(shown(&turns(&cells, 3, &done)), [("kill", 1), ("drain", 2)]);
    }

    #[test]
    fn a_filter_is_the_beginning_of_a_title() {
        let cells = vec![
            cell("drain", "delete", 1),
            cell("drain", "", 1),
            cell("idle", "", 1),
        ];
        let titles = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
            let chosen = chosen(cells.clone(), &filters);
            chosen.iter().map(Cell::title).collect::<Vec<_>>()
        };
        assert_eq!(titles(&["drain/ours/"]), ["drain/ours/delete"]);
        assert_eq!(
            titles(&["idle", "drain/ours/d"]),
            ["drain/ours/delete", "idle/ours"]
        );
        assert_eq!(titles(&[]).len(), 3);
    }

    #[test]
    fn an_estimate_learns_from_what_was() {
        let cells = [cell("drain", "", 2)];
        let left = turns(&cells, 2, &[]);
        assert!((left_s(&left, 0, 0.0) - 20.0).abs() < 1e-9);
        assert!((left_s(&left, 10, 15.0) - 30.0).abs() < 1e-9);
    }
}
