//! Arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use outbox_relay::command::{Cli, Exit};
use outbox_relay::process::{panic, telemetry};
use tikv_jemallocator::Jemalloc;

// Rows are allocated on one thread and freed on another, in Rust and in librdkafka: under glibc's
// allocator that was a quarter of the relay's CPU time. It takes the place of C's `malloc` too.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    panic::install();
    let exit = match Cli::read(std::env::args_os()) {
        Ok(cli) => run(cli).unwrap_or_else(|error| {
            let _told = writeln!(std::io::stderr(), "{error:#}");
            Exit::Bug
        }),
        Err(exit) => exit,
    };
    telemetry::flush();
    exit.into()
}

/// Runs a verb to its end.
fn run(cli: Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    Ok(runtime.block_on(cli.run()))
}
