//! The outbox's tables, made and brought up to date.
//!
//! Owns the numbered templates under `migrations/` and the table that remembers which were
//! applied. Never touches `_sqlx_migrations`, which belongs to the service.
//!
//! Invariants:
//! - a migration that was released never changes; the next one carries the change;
//! - one migration is one transaction, and two migrators take turns.

use sqlx::AssertSqlSafe;

use super::error::OutboxError;
use super::names::{Names, quoted};
use super::session::Session;

/// The schema version that this binary works with.
pub const VERSION: i32 = 2;

/// Every migration, in order.
const MIGRATIONS: [(i32, &str, &str); 2] = [
    (
        1,
        "outbox",
        include_str!("../../migrations/0001_outbox.sql"),
    ),
    (
        2,
        "payload",
        include_str!("../../migrations/0002_payload.sql"),
    ),
];

/// Where the tables beside the outbox begin in the first migration, and where they end.
const BESIDE: (&str, &str) = (
    "-- One row a lane: who holds it",
    "-- Writes one event so that",
);

const GRANT_WRITER: &str = include_str!("grants/writer.sql");
const GRANT_RELAY: &str = include_str!("grants/relay.sql");
const GRANT_OPERATOR: &str = include_str!("grants/operator.sql");
const GRANT_CONSUMER: &str = include_str!("grants/consumer.sql");

/// `migrations_table`: locks nothing that exists.
const MIGRATIONS_TABLE: &str = "
CREATE TABLE IF NOT EXISTS {migrations} (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
";

/// `migrations_lock`: an advisory lock of this transaction, by the outbox's name.
const MIGRATIONS_LOCK: &str = "
SELECT pg_advisory_xact_lock(('x' || left(encode(sha256(convert_to(
    'outbox-relay migrate ' || {outbox_text}, 'UTF8')), 'hex'), 16))::bit(64)::bigint);
";

/// `lanes`: locks nothing; one row.
const LANES: &str = "
/* lanes */
SELECT lanes FROM {identity}
";

/// The number of lanes of a new outbox, where nobody says another.
pub(super) const LANES_DEFAULT: u16 = 16;

/// Why the tables could not be made or brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The outbox exists, and has another number of lanes than was asked for.
    #[error(
        "the outbox has {fixed} lanes, not {asked}: their number is part of every row and fixed \
         when the outbox is created; leave --lanes out"
    )]
    Lanes {
        /// How many there are.
        fixed: i16,
        /// How many were asked for.
        asked: u16,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] OutboxError),
}

/// Who is granted what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A service that writes events.
    Writer,
    /// A relay.
    Relay,
    /// Who decides about dead events.
    Operator,
    /// Who fetches payloads that were too large for a record.
    Consumer,
}

/// The SQL that makes the tables from nothing, for teams with their own migration tool.
pub fn print(names: &Names, lanes: Option<u16>) -> String {
    let lanes = lanes.unwrap_or(LANES_DEFAULT);
    let mut sql = format!("BEGIN;\n{}", names.render(MIGRATIONS_TABLE));
    for (version, name, template) in MIGRATIONS {
        sql.push('\n');
        sql.push_str(&step(names, lanes, (version, name, template)));
    }
    sql.push_str("\nCOMMIT;\n");
    sql
}

/// All migrations for a table that was there before: of the first one what stands beside the table, without
/// the function that writes to it.
pub(super) fn beside(lanes: u16) -> String {
    let (_, _, first) = MIGRATIONS[0];
    let beside = first
        .split_once(BESIDE.0)
        .and_then(|(_table, rest)| rest.split_once(BESIDE.1))
        .map(|(beside, _function)| format!("{}{beside}", BESIDE.0))
        .expect("the template has both places: a test adopts a table by it");
    let steps = MIGRATIONS.iter().map(|(version, name, template)| {
        let sql = if *version == 1 { &beside } else { *template };
        format!("{sql}\n{}\n", remember(*version, name))
    });
    let all: Vec<String> = std::iter::once(MIGRATIONS_TABLE.to_owned())
        .chain(steps)
        .collect();
    all.join("\n").replace("{lanes}", &lanes.to_string())
}

/// The SQL that grants a role what it needs and no more.
pub fn print_grant(names: &Names, grant: Grant, role: &str) -> String {
    let template = match grant {
        Grant::Writer => GRANT_WRITER,
        Grant::Relay => GRANT_RELAY,
        Grant::Operator => GRANT_OPERATOR,
        Grant::Consumer => GRANT_CONSUMER,
    };
    names.render(&template.replace("{role}", &quoted(role)))
}

/// Applies what is missing; returns the versions that were applied. A number of lanes other than
/// that of an outbox that exists is refused, whoever made it.
pub async fn apply(
    session: &mut Session,
    names: &Names,
    lanes: Option<u16>,
) -> Result<Vec<i32>, MigrationError> {
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        let lanes_if_new = lanes.unwrap_or(LANES_DEFAULT);
        if apply_one(session, names, lanes_if_new, migration).await? {
            applied.push(migration.0);
        }
        if let Some(asked) = lanes {
            check_lanes(session, names, asked).await?;
        }
    }
    Ok(applied)
}

/// Whether the outbox has as many lanes as were asked for.
async fn check_lanes(
    session: &mut Session,
    names: &Names,
    asked: u16,
) -> Result<(), MigrationError> {
    let fixed: i16 = session.scalar(&names.render(LANES)).await?;
    if i32::from(fixed) == i32::from(asked) {
        Ok(())
    } else {
        Err(MigrationError::Lanes { fixed, asked })
    }
}

/// Grants a role what it needs.
pub async fn apply_grant(
    session: &mut Session,
    names: &Names,
    grant: Grant,
    role: &str,
) -> Result<(), OutboxError> {
    session.run_script(print_grant(names, grant, role)).await
}

async fn apply_one(
    session: &mut Session,
    names: &Names,
    lanes: u16,
    migration: (i32, &str, &str),
) -> Result<bool, OutboxError> {
    let prepare = names.render(&format!("BEGIN;\n{MIGRATIONS_LOCK}\n{MIGRATIONS_TABLE}"));
    let known = names.render("SELECT EXISTS (SELECT FROM {migrations} WHERE version = $1)");
    let step = step(names, lanes, migration);
    session
        .run(async |connection| {
            let result = async {
                sqlx::raw_sql(AssertSqlSafe(prepare))
                    .execute(&mut *connection)
                    .await?;
                let known: bool = sqlx::query_scalar(AssertSqlSafe(known))
                    .bind(migration.0)
                    .fetch_one(&mut *connection)
                    .await?;
                if !known {
                    sqlx::raw_sql(AssertSqlSafe(step))
                        .execute(&mut *connection)
                        .await?;
                }
                sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
                Ok(!known)
            }
            .await;
            if result.is_err() {
                sqlx::raw_sql("ROLLBACK").execute(connection).await?;
            }
            result
        })
        .await
}

fn remember(version: i32, name: &str) -> String {
    let name = super::names::literal(name);
    format!("INSERT INTO {{migrations}} (version, name) VALUES ({version}, {name});")
}

/// One migration, and the row that remembers it.
fn step(names: &Names, lanes: u16, (version, name, template): (i32, &str, &str)) -> String {
    let remember = remember(version, name);
    let sql = template.replace("{lanes}", &lanes.to_string());
    names.render(&format!("{sql}\n{remember}\n"))
}
