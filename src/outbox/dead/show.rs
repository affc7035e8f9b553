//! All that the table knows of one row.
//!
//! Owns what is told. What a writer put into payload and header values is rendered only where it is
//! asked for.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use super::{COLUMNS, Row, Standing, state, told};
use crate::event::EventRef;
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::page::time;
use crate::outbox::session::{Session, column};

/// So many names of headers are told.
const HEADER_NAMES_MAX: i64 = 50;

/// `dead_show`: locks nothing; by primary key.
const SHOW: &str = "
/* dead_show */
SELECT {columns},
    {o.partition_key}, {created_at}, {available_at}, {o.published_at}, o.next_attempt_at,
    o.first_failed_at, pg_column_size({o.payload}), {kind_and_names},
    CASE WHEN $3 THEN {o.payload}::text END, CASE WHEN $3 THEN {o.headers}::text END
FROM {outbox} AS o
WHERE o.seq = $1
";

/// `dead_history`: locks nothing; by the audit's index of numbers.
const HISTORY: &str = "
/* dead_history */
SELECT a.at, a.who, a.action, a.reason
FROM {audit} AS a
WHERE a.seq = $1 AND a.event_id = $2
ORDER BY a.id
";

/// A row, whatever became of it, in full.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// What every list tells.
    pub row: Row,
    /// What became of it, if it failed for good.
    pub state: Option<Standing>,
    /// The record key that it names.
    pub partition_key: Option<String>,
    /// When it was written, if that is a time that can be told.
    pub created_at: Option<DateTime<Utc>>,
    /// Before when it must not be published, if that is.
    pub available_at: Option<DateTime<Utc>>,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// When it is tried again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it failed first.
    pub first_failed_at: Option<DateTime<Utc>>,
    /// What the payload takes in the table, in bytes.
    pub payload_bytes: Option<i32>,
    /// Which kind of JSON the headers are.
    pub headers_kind: Option<String>,
    /// The first names of its headers, where they are an object.
    pub header_names: Vec<String>,
    /// The payload, where it was asked for.
    pub payload: Option<String>,
    /// The headers, where they were asked for.
    pub headers: Option<String>,
    /// What operators decided about it.
    pub history: Vec<Audit>,
}

impl std::fmt::Debug for Shown {
    /// Names the row and shows nothing that a writer put into it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown")
            .field("row", &self.row)
            .finish_non_exhaustive()
    }
}

/// What an operator decided about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// When.
    pub at: DateTime<Utc>,
    /// The role that had logged in.
    pub who: String,
    /// What.
    pub action: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Reads a row by its number, with payload and header values if asked; none if it is not there.
pub async fn show(
    session: &mut Session,
    names: &Names,
    seq: i64,
    with_payload: bool,
) -> Result<Option<Shown>, OutboxError> {
    let statement = SHOW
        .replace("{columns}", COLUMNS)
        .replace(
            "{kind_and_names}",
            &names.columns().headers.kind_and_names("{o.headers}"),
        )
        .replace("{created_at}", &time("{o.created_at}"))
        .replace("{available_at}", &time("{o.available_at}"));
    let statement = names.render(&statement);
    session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .bind(seq)
                .bind(HEADER_NAMES_MAX)
                .bind(with_payload)
                .fetch_optional(&mut *connection)
                .await?;
            let Some(mut shown) = row.as_ref().map(shown).transpose()? else {
                return Ok(None);
            };
            shown.history = history(connection, names, shown.row.at).await?;
            Ok(Some(shown))
        })
        .await
}

async fn history(
    connection: &mut PgConnection,
    names: &Names,
    at: EventRef,
) -> Result<Vec<Audit>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(names.render(HISTORY)))
        .bind(at.seq)
        .bind(at.id)
        .fetch_all(connection)
        .await?;
    rows.iter().map(audit).collect()
}

fn shown(row: &PgRow) -> Result<Shown, sqlx::Error> {
    Ok(Shown {
        row: told(row)?,
        state: state(row)?,
        partition_key: column(row, 12)?,
        created_at: column(row, 13)?,
        available_at: column(row, 14)?,
        published_at: column(row, 15)?,
        next_attempt_at: column(row, 16)?,
        first_failed_at: column(row, 17)?,
        payload_bytes: column(row, 18)?,
        headers_kind: column(row, 19)?,
        header_names: column::<Option<Vec<String>>>(row, 20)?.unwrap_or_default(),
        payload: column(row, 21)?,
        headers: column(row, 22)?,
        history: Vec::new(),
    })
}

fn audit(row: &PgRow) -> Result<Audit, sqlx::Error> {
    Ok(Audit {
        at: column(row, 0)?,
        who: column(row, 1)?,
        action: column(row, 2)?,
        reason: column(row, 3)?,
    })
}
