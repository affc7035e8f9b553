//! The process itself: its settings, its logs and metrics, its clock and the signals that end it.

pub mod clock;
pub mod metrics;
pub mod panic;
mod scribe;
pub mod settings;
pub mod shutdown;
pub mod telemetry;

#[cfg(test)]
pub(crate) mod child;

/// Ends the process now: nothing is dropped, no lane is released. The log's last lines are waited
/// for, though not for long.
#[expect(
    clippy::exit,
    reason = "a second signal and a panic must not wait for anything"
)]
fn end_at_once(exit_code: i32) -> ! {
    telemetry::flush();
    std::process::exit(exit_code)
}
