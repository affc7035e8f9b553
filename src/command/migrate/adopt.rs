//! `migrate --adopt`: makes a table that is already there the relay's, or prints how.
//!
//! Owns what is told meanwhile. The steps are the outbox's.

use chrono::{DateTime, Utc};

use crate::command::{Done, Exit, Refusal, grouped, plain, say, tell};
use crate::outbox::adoption::{Adoption, AdoptionError, Wish, take_turn};
use crate::outbox::error::OutboxError;
use crate::outbox::migration;
use crate::outbox::session::{Access, Purpose, Session};
use crate::process::clock;
use crate::process::settings::Settings;

/// A step may take as long as it takes to read a large table.
const STEP_MS: u64 = 24 * 60 * 60 * 1_000;
/// Progress of one kind is told no more often than this.
const PROGRESS_MS: u64 = 1_000;

impl From<AdoptionError> for Refusal {
    fn from(error: AdoptionError) -> Self {
        let exit = match error {
            AdoptionError::Refused(_) | AdoptionError::Database(OutboxError::Columns(_)) => {
                Exit::Usage
            }
            AdoptionError::Held(_) | AdoptionError::Database(_) => Exit::Unavailable,
        };
        Self::new(exit, &error)
    }
}

/// Adopts the table of the settings, or prints how.
pub(super) async fn adopt(settings: &Settings, wish: Wish, applies: bool) -> Done {
    let url = settings.database.url.expose();
    let access =
        Access::new(url, "migrate", STEP_MS).map_err(|error| Refusal::new(Exit::Usage, &error))?;
    let mut session = Session::new(&access, Purpose::Command);
    let done = if applies {
        let mut onlooker = Session::new(&access, Purpose::Look);
        let done = apply(settings, wish, (&mut session, &mut onlooker)).await;
        onlooker.close().await;
        done
    } else {
        print(settings, wish, &mut session).await
    };
    session.close().await;
    done
}

async fn print(settings: &Settings, wish: Wish, session: &mut Session) -> Done {
    let adoption = Adoption::look(session, &settings.database, wish).await?;
    let waiting = adoption
        .waiting(session)
        .await
        .map_err(AdoptionError::from)?;
    let about = about(&adoption, &waiting);
    Ok(say(&format!("{about}\n{}", adoption.script())))
}

async fn apply(
    settings: &Settings,
    wish: Wish,
    (session, onlooker): (&mut Session, &mut Session),
) -> Done {
    take_turn(session, &settings.database).await?;
    let adoption = Adoption::look(session, &settings.database, wish).await?;
    let outbox = adoption.names().outbox();
    if adoption.is_done() {
        return Ok(say(&format!("{outbox} was adopted already")));
    }
    let mut told_ms = 0;
    let mut last = String::new();
    let mut progress = |line: &str| {
        let word = line.split(' ').next().unwrap_or_default().to_owned();
        let now_ms = clock::boot_ms();
        if word != last || now_ms >= told_ms + PROGRESS_MS {
            tell(line);
            (told_ms, last) = (now_ms, word);
        }
    };
    adoption.apply(session, onlooker, &mut progress).await?;
    migration::apply(session, adoption.names(), None).await?;
    Ok(say(&format!(
        "{outbox} is adopted now: a relay may serve it"
    )))
}

/// What the SQL would do to which rows, as comments.
fn about(adoption: &Adoption, waiting: &[(String, i64)]) -> String {
    let outbox = adoption.names().outbox();
    let mut lines = vec![match adoption.rows() {
        0 => format!("{outbox}: no vacuum has counted its rows yet."),
        rows => format!("{outbox}: about {} rows.", grouped(rows)),
    }];
    if let Some(since) = adoption.since() {
        let sum = grouped(waiting.iter().map(|(_, rows)| rows).sum());
        lines.push(format!("Since {} there are {sum} that wait:", time(since)));
        lines.extend(
            waiting
                .iter()
                .map(|(kind, rows)| format!("  {} {}", plain(kind, 60), grouped(*rows))),
        );
        lines.push("All others that are there count as published.".to_owned());
    } else {
        lines.push("All that are there count as published; --since lets some wait.".to_owned());
    }
    lines.push("Nothing is changed: --apply does what follows, and may be repeated.".to_owned());
    let comments: Vec<String> = lines.iter().map(|line| format!("-- {line}")).collect();
    comments.join("\n")
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339()
}
