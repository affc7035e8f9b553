//! The benchmark: `make bench`, or `outbox-relay-bench --help`.
//!
//! # The map
//!
//! ```text
//! run        the turns of a plan, told as they go      arguments   the command line
//! plan       what is left, in which order              catalogue   all cells
//! cell       one measurement of one contender          machine     what it was measured on
//! cells/     a file for each way to measure
//! contender  who is measured           servers  bed  backlog  writers   what they are put to
//! watch  log  spent  statements        how it is seen
//! results    the file, a line a result                 figures     numbers by name
//! report/    the page and its charts, made from the results
//! ```
//!
//! What is measured runs in processes of its own; the bench only writes, looks and reads. The servers
//! and the processes are those of the relay's tests (`tests/support`).

mod arguments;
mod backlog;
mod bed;
mod catalogue;
mod cell;
mod cells;
mod contender;
mod figures;
mod flood;
mod log;
mod machine;
mod plan;
mod report;
mod results;
mod run;
mod servers;
mod spent;
mod statements;
#[path = "../../tests/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;
mod watch;
mod writers;

use arguments::{Arguments, Verb};
use cell::Cell;
use clap::Parser;
use results::Results;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.verb {
        None => {
            run::run(&arguments).await?;
            if arguments.ends_with_report() {
                report(&arguments)?;
            }
            Ok(())
        }
        Some(Verb::Report) => report(&arguments),
    }
}

fn report(arguments: &Arguments) -> anyhow::Result<()> {
    let results = Results::open(&arguments.results())?;
    let titles: Vec<String> = catalogue::cells(false).iter().map(Cell::title).collect();
    report::write(support::repository(), results.lines(), &titles)
}

/// The wall clock, for people (RFC 3339).
#[expect(
    clippy::disallowed_methods,
    reason = "results say when they were found"
)]
fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn say(line: &str) {
    println!("{line}");
}
