//! `import`: settings of another program as ours.
//!
//! Owns the file and the two ways out: our settings on stdout, what a person has to look at on stderr. What
//! takes the place of what is decided in `decide::import`.
//!
//! Invariant: no value of a setting that may be secret is shown.

use std::fs::read_to_string;
use std::path::PathBuf;

use super::{Done, Exit, Refusal, say, tell};
use crate::decide::import::import;

/// Make settings of those of Debezium's outbox event router
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay import debezium connector.json > relay.toml

FILE is the JSON of a Kafka Connect connector, its properties, or those of Debezium Server or of
Quarkus' outbox extension. The settings go to stdout; what has no equivalent goes to stderr, each
option with what to do. Secrets are not shown.")]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

/// Whose settings they are.
#[derive(Debug, clap::Subcommand)]
enum From {
    /// Debezium's outbox event router
    Debezium {
        /// The file
        file: PathBuf,
    },
}

impl Import {
    /// Reads the file, and tells.
    pub(super) fn run(&self) -> Done {
        let From::Debezium { file } = &self.from;
        let wrong = |text: String| Refusal {
            exit: Exit::Usage,
            text: format!("{}: {text}", file.display()),
        };
        let text = read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let imported = import(&text).map_err(|error| wrong(error.to_string()))?;
        for note in &imported.notes {
            tell(&format!("{}: {}", note.key, note.text));
        }
        Ok(say(&imported.toml))
    }
}
