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
pub const VERSION: i32 = 1;

/// Every migration, in order.
const MIGRATIONS: [(i32, &str, &str); 1] = [(
    1,
    "outbox",
    include_str!("../../migrations/0001_outbox.sql"),
)];

const GRANT_WRITER: &str = include_str!("grants/writer.sql");
const GRANT_RELAY: &str = include_str!("grants/relay.sql");

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

/// Who is granted what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A service that writes events.
    Writer,
    /// A relay.
    Relay,
}

/// The SQL that makes the tables from nothing, for teams with their own migration tool.
pub fn print(names: &Names, lanes: u16) -> String {
    let mut sql = format!("BEGIN;\n{}", names.render(MIGRATIONS_TABLE));
    for (version, name, template) in MIGRATIONS {
        sql.push('\n');
        sql.push_str(&step(names, lanes, (version, name, template)));
    }
    sql.push_str("\nCOMMIT;\n");
    sql
}

/// The SQL that grants a role what it needs and no more.
pub fn print_grant(names: &Names, grant: Grant, role: &str) -> String {
    let template = match grant {
        Grant::Writer => GRANT_WRITER,
        Grant::Relay => GRANT_RELAY,
    };
    names.render(&template.replace("{role}", &quoted(role)))
}

/// Applies what is missing; returns the versions that were applied.
pub async fn apply(
    session: &mut Session,
    names: &Names,
    lanes: u16,
) -> Result<Vec<i32>, OutboxError> {
    let mut applied = Vec::new();
    for migration in MIGRATIONS {
        if apply_one(session, names, lanes, migration).await? {
            applied.push(migration.0);
        }
    }
    Ok(applied)
}

/// Grants a role what it needs.
pub async fn apply_grant(
    session: &mut Session,
    names: &Names,
    grant: Grant,
    role: &str,
) -> Result<(), OutboxError> {
    let sql = print_grant(names, grant, role);
    session
        .run(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(connection)
                .await
                .map(drop)
        })
        .await
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

/// One migration, and the row that remembers it.
fn step(names: &Names, lanes: u16, (version, name, template): (i32, &str, &str)) -> String {
    let remember = format!(
        "INSERT INTO {{migrations}} (version, name) VALUES ({version}, {});",
        super::names::literal(name)
    );
    let sql = template.replace("{lanes}", &lanes.to_string());
    names.render(&format!("{sql}\n{remember}\n"))
}
