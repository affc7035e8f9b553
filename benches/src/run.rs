//! A run: the turns of a plan one after the other, told as they go.
//!
//! Owns the telling and what becomes of a turn that fails: it is told, the others go on, and the run
//! ends with a failure.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;

use anyhow::{Result, anyhow, bail};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::arguments::Arguments;
use crate::catalogue;
use crate::cell::Cell;
use crate::cells::drain::Drain;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::machine;
use crate::plan::{self, Turn};
use crate::results::{Line, Results};
use crate::servers::Servers;
use crate::{now, say};

/// The figures that a line of progress shows, where a cell has them.
const SHOWN: [&str; 10] = [
    "rows_per_s",
    "others_rows_per_s",
    "transactions_per_s",
    "drain_rows_per_s",
    "p50_ms",
    "p99_ms",
    "own_cpu_percent",
    "peak_mib",
    "duplicates",
    "program_mib",
];

/// Measures what was asked for.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let cells = plan::chosen(catalogue::cells(arguments.quick), &arguments.cells);
    if cells.is_empty() {
        bail!("no cell's title begins so; --list shows them all");
    }
    if arguments.list {
        list(&cells);
        return Ok(());
    }
    let mut results = Results::open(&arguments.results())?;
    if arguments.fresh || arguments.quick {
        results.begin_anew()?;
    }
    let cells = able(cells, &mut results)?;
    let turns = plan::turns(&cells, arguments.rounds, results.lines());
    if turns.is_empty() {
        say("nothing is left to measure; --fresh begins anew");
        return Ok(());
    }
    warn_of_another_commit(&results);
    let servers = Servers::start().await?;
    results.append(machine::line(&servers, arguments.quick).await?)?;
    warm(&servers, arguments.quick).await?;
    measure(&servers, &turns, &mut results).await
}

/// The first drains of fresh servers are slow; nobody shall have them. What the broker's Java spends on a
/// row falls by a third from the first to the third.
async fn warm(servers: &Servers, quick: bool) -> Result<()> {
    let (drains, rows) = if quick { (1, 100_000) } else { (3, 600_000) };
    for _ in 0..drains {
        Drain::of(rows).measure(servers, Contender::Ours).await?;
    }
    Ok(())
}

fn list(cells: &[Cell]) {
    for cell in cells {
        let Cell {
            rounds, takes_s, ..
        } = cell;
        say(&format!(
            "{:<34} {rounds:>2} x {takes_s:>3} s",
            cell.title()
        ));
    }
}

/// Leaves the cells of those out who cannot run here, and says so, here and in the results.
fn able(cells: Vec<Cell>, results: &mut Results) -> Result<Vec<Cell>> {
    let mut told: HashSet<String> = HashSet::new();
    let mut able = Vec::new();
    let mut reasons: Vec<(Contender, Option<String>)> = Vec::new();
    for cell in cells {
        let known = reasons.iter().find(|(who, _)| *who == cell.contender);
        let reason = known.map_or_else(|| cell.contender.unable(), |(_, reason)| reason.clone());
        reasons.push((cell.contender, reason.clone()));
        let Some(reason) = reason else {
            able.push(cell);
            continue;
        };
        if told.insert(cell.contender.name()) {
            say(&format!("SKIPPED {}: {reason}", cell.contender.name()));
        }
        let is_there = results
            .lines()
            .iter()
            .any(|line| plan::is_about(line, &cell));
        if !is_there {
            results.append(line(&cell, 0, Err(reason)))?;
        }
    }
    Ok(able)
}

fn warn_of_another_commit(results: &Results) {
    let mut machines = results
        .lines()
        .iter()
        .filter(|line| line.cell == machine::CELL);
    let last = machines
        .next_back()
        .and_then(|line| line.settings.get("commit")?.as_str());
    let now = machine::commit();
    if last.is_some() && last != now.as_deref() {
        say("NOTE: some results are of another commit; --fresh begins anew");
    }
}

async fn measure(servers: &Servers, turns: &[Turn<'_>], results: &mut Results) -> Result<()> {
    let (count, in_all_s) = (turns.len(), plan::left_s(turns, 0, 0.0));
    say(&format!("{count} to measure, some {}", minutes(in_all_s)));
    let began = Instant::now();
    let mut thought_s = 0;
    let mut failed = 0;
    for (place, turn) in turns.iter().enumerate() {
        let measuring = turn.cell.measure.run(servers, turn.cell.contender);
        let measured = AssertUnwindSafe(measuring).catch_unwind().await;
        let measured = measured.unwrap_or_else(|_told| Err(anyhow!("it panicked")));
        thought_s += turn.cell.takes_s;
        let left_s = plan::left_s(
            &turns[place + 1..],
            thought_s,
            began.elapsed().as_secs_f64(),
        );
        let found = match &measured {
            Ok(figures) => shown(figures),
            Err(error) => format!("FAILED: {error:#}"),
        };
        let title = turn.cell.title();
        say(&format!(
            "[{}/{count}] {title}, round {}: {found} (left: {})",
            place + 1,
            turn.round,
            minutes(left_s)
        ));
        match measured {
            Ok(figures) => results.append(line(turn.cell, turn.round, Ok(figures)))?,
            Err(_told) => failed += 1,
        }
    }
    if failed > 0 {
        bail!(
            "{failed} of {} failed; they are measured by the next run",
            turns.len()
        );
    }
    Ok(())
}

fn line(cell: &Cell, round: u32, found: Result<Figures, String>) -> Line {
    let (figures, skipped) = match found {
        Ok(figures) => (figures, None),
        Err(reason) => (Figures::default(), Some(reason)),
    };
    Line {
        cell: cell.name.to_owned(),
        contender: cell.contender.name(),
        variant: cell.variant.clone(),
        round,
        at: now(),
        figures,
        settings: serde_json::to_value(&cell.measure).unwrap_or_default(),
        skipped,
    }
}

fn shown(figures: &Figures) -> String {
    let shown = SHOWN.iter().filter_map(|name| {
        let value = figures.get(name)?;
        let decimals = usize::from(value.abs() < 100.0 && value.fract() != 0.0);
        Some(format!("{name} {value:.decimals$}"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn minutes(seconds: f64) -> String {
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}
