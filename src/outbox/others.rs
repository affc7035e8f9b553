//! Who else takes rows of the outbox: those who delete them, and those who follow its changes.
//!
//! Owns the statement. Judges nothing and changes nothing.
//!
//! Invariant: it costs the same whatever the table holds.

use sqlx::AssertSqlSafe;

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};

/// `others`: locks nothing; the catalog and the statistics alone.
const OTHERS: &str = "
/* others */
SELECT coalesce(s.n_tup_ins, 0), coalesce(s.n_tup_upd, 0), coalesce(s.n_tup_del, 0),
    coalesce(s.n_live_tup, 0),
    ARRAY(SELECT p.pubname::text
        FROM pg_publication AS p JOIN pg_publication_tables AS t ON t.pubname = p.pubname
        WHERE p.pubupdate AND t.schemaname = n.nspname AND t.tablename = c.relname
        ORDER BY p.pubname)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.oid = {outbox_text}::regclass
";

/// What others do with the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Rows that were ever inserted, as far as the statistics go back.
    pub inserted: i64,
    /// The same of updates.
    pub updated: i64,
    /// The same of deletions.
    pub deleted: i64,
    /// Rows that are there.
    pub live: i64,
    /// The publications that pass on updates of its rows.
    pub publications: Vec<String>,
}

/// Looks for them.
pub async fn others(session: &mut Session, names: &Names) -> Result<Others, OutboxError> {
    let statement = names.render(OTHERS);
    session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .fetch_one(connection)
                .await?;
            Ok(Others {
                inserted: column(&row, 0)?,
                updated: column(&row, 1)?,
                deleted: column(&row, 2)?,
                live: column(&row, 3)?,
                publications: column(&row, 4)?,
            })
        })
        .await
}
