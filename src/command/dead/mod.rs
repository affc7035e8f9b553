//! `dead`: events that failed for good: what they are, and what an operator decides about them.
//!
//! Owns what its verbs share: the way to the tables, and how a row's text is shown. Each verb is one
//! file; which events a verb is about is in `filter`.

mod act;
mod filter;
mod list;
mod show;

use std::path::Path;

use chrono::DateTime;

use super::{Done, Exit, Refusal, access, plain, settings};
use crate::decide::route::Routes;
use crate::event::Event;
use crate::outbox::columns;
use crate::outbox::dead::{DeadEvents, Row};
use crate::outbox::error::OutboxError;
use crate::outbox::identity::Identity;
use crate::outbox::names::Names;
use crate::outbox::one::one;
use crate::outbox::session::{Purpose, Session};

/// List dead events, look at one, have them tried again, or give them up
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay dead list --topic orders-events --newer-than 2h
  outbox-relay dead show 17
  outbox-relay dead retry 17
  outbox-relay dead discard 17 --reason 'replaced by event 21'

An event is dead when Kafka refused it for good. What then becomes of it is `on_dead`:
  blocked              it waits for you, and later events of its aggregate wait behind it
  dead_letter_pending  the same, until Kafka has its dead letter
  dead_lettered        set aside; Kafka has its dead letter
  dead                 set aside; the table alone keeps it
  discarded            you gave it up

Mend the cause first, then retry. list and show need a relay's rights; retry and discard those of
`migrate --grant-operator`. Each decision is kept in <table>_relay_audit: who, when, what and why.")]
pub(super) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

/// What can be done about dead events.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    List(list::List),
    Show(show::Show),
    Retry(act::Retry),
    Discard(act::Discard),
}

impl Dead {
    /// Does what was asked.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let mut desk = Desk::open(file).await?;
        let done = match &self.verb {
            Verb::List(verb) => verb.run(&mut desk).await,
            Verb::Show(verb) => verb.run(&mut desk).await,
            Verb::Retry(verb) => verb.run(&mut desk, file).await,
            Verb::Discard(verb) => verb.run(&mut desk, file).await,
        };
        desk.session.close().await;
        done
    }
}

/// What a verb works with.
#[derive(Debug)]
struct Desk {
    names: Names,
    routes: Routes,
    record_bytes_max: u64,
    events: DeadEvents,
    session: Session,
}

impl Desk {
    /// Connects, and makes sure that the tables are those of this version.
    async fn open(file: Option<&Path>) -> Result<Self, Refusal> {
        let settings = settings(file)?;
        let names = Names::new(&settings.database.schema, &settings.database.table);
        let mut session = Session::new(&access(&settings, "dead")?, Purpose::Keep);
        let identity = Identity::read(&mut session, &names)
            .await
            .map_err(|error| away(&error, &names))?;
        identity
            .check_versions()
            .map_err(|error| Refusal::new(Exit::Unavailable, &error))?;
        let names = columns::look(&mut session, &settings.database)
            .await
            .map_err(|error| away(&error, &names))?;
        Ok(Self {
            events: DeadEvents::new(&names),
            names,
            routes: settings.routes(),
            record_bytes_max: settings.record_bytes_max(),
            session,
        })
    }

    /// The topic that a row asks for, legal or not; empty where it asks for none. The row is read again
    /// where more of it decides than lists show.
    async fn topic(&mut self, row: &Row) -> Result<String, Refusal> {
        if let Some(name) = self.routes.name_by_kind(&event_of(row)) {
            return Ok(name);
        }
        let (seq, bytes_max) = (row.at.seq, self.record_bytes_max);
        let whole = one(&mut self.session, &self.names, seq, bytes_max)
            .await
            .map_err(|error| self.away(&error))?;
        let name = whole.and_then(|event| self.routes.name(&event.ok()?));
        Ok(name.unwrap_or_default())
    }

    /// What a failed statement is told as.
    fn away(&self, error: &OutboxError) -> Refusal {
        away(error, &self.names)
    }
}

/// As much of an event as lists show.
fn event_of(row: &Row) -> Event {
    Event {
        at: row.at,
        own_id: None,
        lane: row.lane,
        key: row.key.clone(),
        event_type: row.event_type.clone(),
        payload: None,
        headers: None,
        topic: row.topic.clone(),
        partition_key: None,
        created_at: DateTime::UNIX_EPOCH,
        wait_ms: 0,
        judged: None,
    }
}

fn away(error: &OutboxError, names: &Names) -> Refusal {
    // insufficient_privilege
    let text = if error.code() == Some("42501") {
        format!("{error}: run `outbox-relay migrate --grant-operator ROLE`")
    } else {
        error.told_with_cure(names)
    };
    Refusal {
        exit: Exit::Unavailable,
        text,
    }
}

/// An aggregate in few letters.
fn aggregate(row: &Row) -> String {
    let key = &row.key;
    plain(&format!("{}/{}", key.aggregate_type, key.aggregate_id), 48)
}
