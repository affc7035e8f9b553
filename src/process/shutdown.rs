//! How a process is asked to stop: by SIGTERM, by SIGINT, or by itself.
//!
//! Owns the signals and the token that says that a stop was asked for. Does not know what has to
//! be done before the end, nor how long it takes.
//!
//! Invariants: a token that was requested stays so; a second signal ends the process at once,
//! whatever the rest of the program is doing, because it is awaited on a thread of its own.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::end_at_once;

/// Says whether the process shall stop; every clone says the same.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    /// A token that was not requested yet and that no signal requests.
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// A token that SIGTERM or SIGINT requests; the second of them ends the process.
    pub fn on_signals() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let mut signals = Signals::listen(&runtime)?;
        let token = Self::default();
        let requested = token.clone();
        let wait = move || {
            runtime.block_on(signals.next());
            requested.request();
            end_at_once(runtime.block_on(signals.next()));
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(wait)?;
        Ok(token)
    }

    /// Asks for a stop.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until a stop is asked for; safe to drop half-way.
    pub async fn wait(&self) {
        let mut changes = self.0.subscribe();
        // It cannot be closed: this token is one of its senders.
        while !*changes.borrow_and_update() && changes.changed().await.is_ok() {}
    }
}

/// The signals that ask for a stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over: from here on none of them ends the process by itself.
    fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _inside = runtime.enter();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and gives the exit code of a process that it ends, which is 128 and
    /// the signal's number, as shells have it.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => 128 + SignalKind::terminate().as_raw_value(),
            _ = self.interrupt.recv() => 128 + SignalKind::interrupt().as_raw_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;
    use crate::process::child;

    #[tokio::test]
    async fn every_clone_hears_of_a_stop_however_late_it_asks() {
        let token = Shutdown::default();
        let clone = token.clone();
        assert!(!clone.requested());
        let waiting = tokio::spawn(async move { clone.wait().await });
        token.request();
        waiting.await.unwrap();
        assert!(token.clone().requested());
        token.clone().wait().await;
    }

    /// A child that hears of a stop and goes on; not for ever, or a broken end would hang the tests.
    #[test]
    fn in_a_child_a_stop_is_ignored() {
        if !child::is_child() {
            return;
        }
        let token = Shutdown::on_signals().unwrap();
        child::say("ready");
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(token.wait());
        child::say("asked to stop");
        let (_open, nothing) = std::sync::mpsc::channel::<()>();
        let patience = std::time::Duration::from_secs(20);
        assert!(
            nothing.recv_timeout(patience).is_err(),
            "no second signal ended it"
        );
    }

    /// The exit code of a child that gets these two signals.
    fn exit_code_after(first: Signal, second: Signal) -> Option<i32> {
        let (mut process, mut stderr) =
            child::start("process::shutdown::tests::in_a_child_a_stop_is_ignored");
        let pid = Pid::from_child(&process);
        child::wait_for("ready", &mut stderr);
        kill_process(pid, first).unwrap();
        child::wait_for("asked to stop", &mut stderr);
        assert!(
            process.try_wait().unwrap().is_none(),
            "the first signal ended it"
        );
        kill_process(pid, second).unwrap();
        process.wait().unwrap().code()
    }

    #[test]
    fn the_first_signal_asks_and_the_second_ends_the_process() {
        assert_eq!(exit_code_after(Signal::TERM, Signal::TERM), Some(143));
        assert_eq!(exit_code_after(Signal::TERM, Signal::INT), Some(130));
        assert_eq!(exit_code_after(Signal::INT, Signal::TERM), Some(143));
    }
}
