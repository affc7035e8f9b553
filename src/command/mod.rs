//! The command line: which verbs there are, what they are given, and what their exit codes mean.
//!
//! Owns parsing, help and dispatch; each verb is one file, and a line in [`Verb`]
//! and in [`Cli::run`]. Does not do any
//! verb's work.
//!
//! Invariants: results go to stdout, everything else to stderr; every end has one of the codes of
//! [`Exit`].

mod check;
mod completions;
mod dead;
mod dev;
mod health;
mod import;
mod migrate;
mod route;
mod run;
mod seen;
mod status;
mod topics;

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use crate::outbox::session::Access;
use crate::process::panic;
use crate::process::settings::{Settings, SettingsError, environment};

/// How a process ends; the numbers are those of `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Clean,
    /// A check that the verb itself made failed.
    Failed,
    /// The command line or the settings are wrong.
    Usage,
    /// A dependency could not be reached or used.
    Unavailable,
    /// The program is wrong.
    Bug,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Failed => 1,
            Exit::Usage => 64,
            Exit::Unavailable => 69,
            Exit::Bug => panic::EXIT_CODE,
        })
    }
}

/// The version of this program and of the Kafka client in it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!("{} (librdkafka {librdkafka})", env!("CARGO_PKG_VERSION"))
});

/// What `--help` begins with.
const ABOUT: &str = "\
Moves events from a PostgreSQL outbox table to Apache Kafka, in order, exactly when their \
transaction commits.";

/// What `--help` ends with.
const MORE: &str = "\
Settings come from three layers, each over the one before: the defaults, a TOML file, and the
environment (OUTBOX_RELAY__SECTION__KEY, for example OUTBOX_RELAY__DATABASE__URL). What is wrong
in them is told all at once.

Results go to stdout, logs to stderr. Exit codes: 0 done, 1 a check failed, 64 wrong usage or
settings, 69 a dependency cannot be reached or used, 70 a bug, 130 or 143 stopped at once by a
second signal.

`outbox-relay VERB --help` shows an example of each verb.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "outbox-relay", version = VERSION.as_str(), about = ABOUT, after_help = MORE)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub struct Cli {
    /// A TOML file of settings; it needs only the keys that it changes
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "OUTBOX_RELAY_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,

    #[command(subcommand)]
    verb: Verb,
}

/// What it can be asked to do; each verb tells its own help.
#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Migrate(migrate::Migrate),
    Check(check::Check),
    Route(route::Route),
    Topics(topics::Declared),
    Status(status::Show),
    Dead(dead::Dead),
    Dev(dev::Dev),
    Health(health::Health),
    Import(import::Import),
    Completions(completions::Completions),
}

/// What a verb came to.
type Done = Result<Exit, Refusal>;

/// Why a verb was not done: what is told on stderr, and how the process ends.
#[derive(Debug)]
struct Refusal {
    exit: Exit,
    text: String,
}

impl Refusal {
    /// An error and all that caused it, as one sentence.
    fn new(exit: Exit, error: &dyn Error) -> Self {
        let causes = successors(Some(error), |&error| error.source());
        let texts: Vec<_> = causes.map(ToString::to_string).collect();
        Self {
            exit,
            text: texts.join(": "),
        }
    }
}

impl From<SettingsError> for Refusal {
    fn from(error: SettingsError) -> Self {
        Self::new(Exit::Usage, &error)
    }
}

impl Cli {
    /// Reads the command line; where there is nothing left to do, the error says how it ended.
    pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, Exit> {
        Self::try_parse_from(arguments).map_err(|answer| {
            let exit = if answer.use_stderr() {
                Exit::Usage
            } else {
                Exit::Clean
            };
            answer.print().map_or(Exit::Failed, |()| exit)
        })
    }

    /// Does what was asked, or says why not.
    pub async fn run(self) -> Exit {
        let file = self.config.as_deref();
        let done = match &self.verb {
            Verb::Run(verb) => verb.run(file).await,
            Verb::Migrate(verb) => verb.run(file).await,
            Verb::Check(verb) => verb.run(file).await,
            Verb::Route(verb) => verb.run(file).await,
            Verb::Topics(verb) => verb.run(file).await,
            Verb::Status(verb) => verb.run(file).await,
            Verb::Dead(verb) => verb.run(file).await,
            Verb::Dev(verb) => Box::pin(verb.run(file)).await,
            Verb::Health(verb) => verb.run(file).await,
            Verb::Import(verb) => verb.run(),
            Verb::Completions(verb) => Ok(verb.run()),
        };
        done.unwrap_or_else(|Refusal { exit, text }| {
            tell(&text);
            exit
        })
    }
}

/// The settings of a file and of this process's environment.
fn settings(file: Option<&Path>) -> Result<Settings, SettingsError> {
    Settings::load(file, environment())
}

/// How to open sessions for a verb, by its name.
fn access(settings: &Settings, verb: &str) -> Result<Access, Refusal> {
    let database = &settings.database;
    Access::new(database.url.expose(), verb, database.statement_timeout_ms)
        .map_err(|error| Refusal::new(Exit::Usage, &error))
}

/// Writes a result to stdout. Who stopped reading it wants no more of it: that is no failure.
fn say(text: &str) -> Exit {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Ok(()) => Exit::Clean,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Clean,
        Err(_) => Exit::Failed,
    }
}

/// Writes to stderr what is no result. Without stderr the exit code says it.
fn tell(text: &str) {
    let _told = writeln!(std::io::stderr(), "{text}");
}

/// A number with its thousands apart.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text of a row as a terminal may show it: nothing in it is obeyed, and what is long is cut.
fn plain(text: &str, letters_max: usize) -> String {
    let mut plain = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == letters_max {
            plain.push('…');
            break;
        }
        if matches!(letter, '\'' | '"' | '\\') {
            plain.push(letter);
        } else {
            plain.extend(letter.escape_debug());
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_that_a_row_holds() {
        assert_eq!(plain("a\u{1b}[2J\n\u{202e}b", 99), r"a\u{1b}[2J\n\u{202e}b");
        assert_eq!(plain(r#"Zoë's "ä\b" 日本"#, 99), r#"Zoë's "ä\b" 日本"#);
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(plain("abcd", 3), "abc…");
    }
}
