//! `completions`: the script by which a shell completes this program's words.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, say};

/// Print the script by which a shell completes this command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay completions bash > /etc/bash_completion.d/outbox-relay")]
pub(super) struct Completions {
    /// The shell to write it for
    shell: Shell,
}

impl Completions {
    /// Writes the script to stdout.
    pub(super) fn run(&self) -> Exit {
        let mut script = Vec::new();
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        say(&String::from_utf8_lossy(&script))
    }
}
