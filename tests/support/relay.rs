//! The built program as a process, as an operator runs it.
//!
//! Owns its environment, its signals and its output. Knows nothing of what it does.
//!
//! Invariant: nothing of the tests' own environment reaches the program but `PATH`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::process::{self, Process};
use super::{eventually, variable};

/// The program that was built.
const PROGRAM: &str = env!("CARGO_BIN_EXE_outbox-relay");
/// How many of the last lines a failed wait shows.
const SHOWN: usize = 40;

/// Lines that the program wrote, still growing.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Keeps every line of an output until its end.
    fn keep(output: impl Read + Send + 'static) -> (Self, thread::JoinHandle<()>) {
        let kept = Self::default();
        let thread = thread::spawn({
            let kept = kept.clone();
            move || {
                for line in BufReader::new(output).split(b'\n') {
                    let Ok(line) = line else { return };
                    kept.lock()
                        .push(String::from_utf8_lossy(&line).into_owned());
                }
            }
        });
        (kept, thread)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("no reader of lines panics")
    }

    fn last(&self) -> String {
        let lines = self.lock();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

/// A process of the built program; it is killed when this is dropped, and when the tests end. Its
/// log is shown when its test fails.
pub(crate) struct RelayProcess {
    process: Process,
    stdout: Lines,
    stderr: Lines,
    readers: Vec<thread::JoinHandle<()>>,
}

impl RelayProcess {
    /// Starts `outbox-relay run` with settings by their keys: `("kafka.brokers", "…")`.
    pub(crate) fn run(settings: &[(&str, &str)]) -> Self {
        Self::start(&["run"], settings)
    }

    /// Starts the program with any arguments. A setting without a dot is taken for a variable of
    /// the environment as it stands.
    pub(crate) fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_program(PROGRAM, arguments, settings)
    }

    /// Starts another program in the relay's place.
    pub(crate) fn start_program(
        program: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = command(program, arguments, settings);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(command);
        let (stdout, stderr) = process.outputs();
        let (stdout, stdout_reader) = Lines::keep(stdout.expect("it was piped"));
        let (stderr, stderr_reader) = Lines::keep(stderr.expect("it was piped"));
        Self {
            process,
            stdout,
            stderr,
            readers: vec![stdout_reader, stderr_reader],
        }
    }

    /// Starts the program with outputs that are somebody else's: nothing of them is kept.
    pub(crate) fn start_into(
        (stdout, stderr): (Stdio, Stdio),
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = command(PROGRAM, arguments, settings);
        command.stdout(stdout).stderr(stderr);
        Self {
            process: Process::start(command),
            stdout: Lines::default(),
            stderr: Lines::default(),
            readers: Vec::new(),
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid().as_raw_pid()
    }

    /// Asks it to stop, as an orchestrator does.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Asks it to stop, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        self.process.signal(Signal::INT);
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&self) {
        self.process.signal(Signal::KILL);
    }

    /// Stops its clock.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Ends a freeze.
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Whether it has not ended yet.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.exit_code().is_none()
    }

    /// Waits for its end and for the last of its output; returns the exit code, or 128 and the
    /// signal's number.
    pub(crate) async fn wait_exit(&mut self, within: Duration) -> i32 {
        let code = self.process.ended("outbox-relay", within).await;
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader of lines does not panic");
        }
        code
    }

    /// What it printed so far: results.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.lock().clone()
    }

    /// What it logged so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.lock().clone()
    }

    /// Waits for a line of its log that contains a text, and returns that line.
    pub(crate) async fn logs(&self, text: &str, within: Duration) -> String {
        let what = format!("a line of the log with {text:?}");
        eventually(&what, within, async || {
            let lines = self.stderr.lock();
            let line = lines.iter().find(|line| line.contains(text)).cloned();
            drop(lines);
            line.ok_or_else(|| self.stderr.last())
        })
        .await
    }
}

impl Drop for RelayProcess {
    #[expect(clippy::print_stderr, reason = "a failed test shows the relay's log")]
    fn drop(&mut self) {
        self.process.end_by(Signal::KILL);
        if thread::panicking() {
            eprintln!(
                "outbox-relay {} logged:\n{}",
                self.pid(),
                self.stderr.last()
            );
        }
    }
}

/// A program with settings, and with nothing else from here.
fn command(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = process::mortal("KILL", None, Path::new(program));
    command
        .env_clear()
        .env("PATH", variable("PATH").unwrap_or_default())
        .envs(
            settings
                .iter()
                .map(|(key, value)| (variable_of(key), value)),
        )
        .args(arguments);
    command
}

/// The variable of the environment that gives a setting. A property of librdkafka has dots of its
/// own, which become single underscores.
fn variable_of(key: &str) -> String {
    if !key.contains('.') {
        return key.to_owned();
    }
    let key = match key.strip_prefix("kafka.properties.") {
        Some(property) => format!("kafka__properties__{}", property.replace('.', "_")),
        None => key.replace('.', "__"),
    };
    format!("OUTBOX_RELAY__{}", key.to_uppercase())
}
