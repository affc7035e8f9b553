//! What is asked on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::support;

/// Measures outbox-relay beside what people use today, on a PostgreSQL and an Apache Kafka that it
/// starts for itself.
///
/// Every result is appended at once to a results file; what that holds already is not measured again,
/// so that a run may be ended and begun anew. Cells are measured in interleaved rounds. A contender
/// that cannot run here (no Go, no Java 21) is skipped, aloud. A run that is not quick ends with the
/// report: docs/performance.md and its charts.
#[derive(Debug, Parser)]
#[command(
    name = "outbox-relay-bench",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        outbox-relay-bench                            everything, some two and a half hours on 2 cores\n  \
        outbox-relay-bench --quick                    ours, the naive poller and the limits, some 3 minutes\n  \
        outbox-relay-bench --list                     all cells, with their rounds and seconds\n  \
        outbox-relay-bench drain latency --rounds 1   a part of it, once\n  \
        outbox-relay-bench drain/ours/delete          one cell"
)]
pub(crate) struct Arguments {
    /// What else to do than to measure.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
    /// Cells whose titles begin so; all if none is given.
    pub(crate) cells: Vec<String>,
    /// The quick form: few rows, one round, the quick rivals alone. It is measured anew each time.
    #[arg(long)]
    pub(crate) quick: bool,
    /// At most so many rounds of each cell.
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true)]
    pub(crate) rounds: u32,
    /// Forget the results that are there, and begin anew.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Show the cells, and measure nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Where results go. By default those of the quick form stay below `target/`, the others are
    /// `benches/results/results.jsonl`.
    #[arg(long, value_name = "FILE", global = true)]
    results: Option<PathBuf>,
}

/// What can be done without measuring.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Verb {
    /// Make docs/performance.md and its charts from the results.
    Report,
}

impl Arguments {
    /// Whether it measures into the results that the report is made from.
    pub(crate) fn ends_with_report(&self) -> bool {
        !self.quick && !self.list && self.results.is_none()
    }

    /// Where results go.
    pub(crate) fn results(&self) -> PathBuf {
        let of_its_form = if self.quick {
            "target/bench-quick.jsonl"
        } else {
            "benches/results/results.jsonl"
        };
        let default = || support::repository().join(of_its_form);
        self.results.clone().unwrap_or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
