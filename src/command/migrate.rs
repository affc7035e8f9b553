//! `migrate`: makes the outbox and what stands beside it, or prints how.
//!
//! Owns the arguments. The SQL is the outbox's; what is told of an adoption is in `adopt`.

mod adopt;

use std::path::Path;

use chrono::{DateTime, Utc};

use super::{Done, Exit, Refusal, access, say, settings};
use crate::outbox::adoption::Wish;
use crate::outbox::migration::{self, Grant, MigrationError};
use crate::outbox::names::Names;
use crate::outbox::session::{Purpose, Session};
use crate::process::settings::{Settings, SettingsError, environment};

/// Create the outbox and its tables in the database, or bring them up to date
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay migrate --config relay.toml
  outbox-relay migrate --grant-writer shop --grant-relay relay --grant-operator oncall
  outbox-relay migrate --grant-consumer billing
  outbox-relay migrate --print > outbox.sql
  outbox-relay migrate --adopt --since 2026-11-20T00:00:00Z --apply

What was applied is remembered beside the outbox, in <table>_relay_migrations. Running it again
changes nothing. `run` never migrates.")]
pub(super) struct Migrate {
    /// Print the SQL and change nothing, for teams with their own migration tool
    #[arg(long)]
    print: bool,
    /// How many lanes a new outbox is divided into, 1 to 256 [default: 16]; fixed once it exists
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    lanes: Option<u16>,
    /// Let this role write events
    #[arg(long, value_name = "ROLE")]
    grant_writer: Vec<String>,
    /// Let this role relay them
    #[arg(long, value_name = "ROLE")]
    grant_relay: Vec<String>,
    /// Let this role read them, and decide about those that are dead
    #[arg(long, value_name = "ROLE")]
    grant_operator: Vec<String>,
    /// Let this role fetch payloads that were too large for a record
    #[arg(long, value_name = "ROLE")]
    grant_consumer: Vec<String>,
    /// Make a table that is already there the relay's, while services write to it: print the SQL
    #[arg(long, conflicts_with_all = ["print", "grant_writer", "grant_relay", "grant_operator", "grant_consumer"])]
    adopt: bool,
    /// Do what --adopt prints; may be repeated whenever it was ended
    #[arg(long, requires = "adopt")]
    apply: bool,
    /// Rows that were written since then wait for the relay; without it all count as published
    #[arg(long, value_name = "TIMESTAMP", requires = "adopt")]
    since: Option<DateTime<Utc>>,
    /// How long --adopt lets a service wait for it, in milliseconds, before it gives way
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "adopt",
        value_parser = clap::value_parser!(u32).range(10..=60_000))]
    lock_timeout_ms: u32,
}

/// What to do where there is a table.
const ADOPTING: &str = ": a table that was there before is adopted by `migrate --adopt`";

impl From<MigrationError> for Refusal {
    fn from(error: MigrationError) -> Self {
        let exit = match error {
            MigrationError::Lanes { .. } => Exit::Failed,
            MigrationError::Database(_) => Exit::Unavailable,
        };
        let mut refusal = Self::new(exit, &error);
        // duplicate_table
        if let MigrationError::Database(error) = &error
            && error.code() == Some("42P07")
        {
            refusal.text.push_str(ADOPTING);
        }
        refusal
    }
}

impl Migrate {
    /// Migrates or prints.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let settings = if self.print {
            settings_to_print(file)
        } else {
            settings(file)
        }?;
        if self.adopt {
            let wish = Wish {
                lanes: self.lanes,
                since: self.since,
                lock_timeout_ms: self.lock_timeout_ms,
            };
            return Box::pin(adopt::adopt(&settings, wish, self.apply)).await;
        }
        let names = Names::new(&settings.database.schema, &settings.database.table);
        if self.print {
            return Ok(say(&self.sql(&names)));
        }
        let mut session = Session::new(&access(&settings, "migrate")?, Purpose::Command);
        let applied = self.apply(&mut session, &names).await?;
        session.close().await;
        let outbox = names.outbox();
        Ok(match applied.last() {
            Some(version) => say(&format!("{outbox} is at version {version} now")),
            None => say(&format!(
                "{outbox} was at version {} already",
                migration::VERSION
            )),
        })
    }

    async fn apply(
        &self,
        session: &mut Session,
        names: &Names,
    ) -> Result<Vec<i32>, MigrationError> {
        let applied = migration::apply(session, names, self.lanes).await?;
        for (grant, role) in self.grants() {
            migration::apply_grant(session, names, grant, role).await?;
        }
        Ok(applied)
    }

    fn sql(&self, names: &Names) -> String {
        let grants = self
            .grants()
            .map(|(grant, role)| migration::print_grant(names, grant, role));
        std::iter::once(migration::print(names, self.lanes))
            .chain(grants)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn grants(&self) -> impl Iterator<Item = (Grant, &str)> {
        let roles = [
            (Grant::Writer, &self.grant_writer),
            (Grant::Relay, &self.grant_relay),
            (Grant::Operator, &self.grant_operator),
            (Grant::Consumer, &self.grant_consumer),
        ];
        roles
            .into_iter()
            .flat_map(|(grant, roles)| roles.iter().map(move |role| (grant, role.as_str())))
    }
}

/// What is only printed needs no database: where its URL alone is missing, any will do.
fn settings_to_print(file: Option<&Path>) -> Result<Settings, SettingsError> {
    let nowhere = ("OUTBOX_RELAY__DATABASE__URL", "postgres://nowhere");
    let nowhere = (nowhere.0.to_owned(), nowhere.1.to_owned());
    settings(file).or_else(|error| {
        Settings::load(file, environment().chain([nowhere])).map_err(|_with_url| error)
    })
}
