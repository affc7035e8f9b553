//! Marks: rows that Kafka has confirmed leave the backlog.
//!
//! Owns the two statements that do it. Knows no receipt: whoever calls holds one for every row.
//!
//! Invariants:
//! - a row is marked by `(seq, id)` and only while it is unpublished: after a fail-over a number
//!   may be another event, and a mark written twice changes nothing;
//! - no lease is needed: what Kafka has confirmed is published, whoever holds the lane.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::session::Session;
use crate::decide::order::AfterPublish;
use crate::event::EventRef;

/// `mark`: locks the rows, in the order given, by the outbox's primary key.
const MARK: &str = "
/* mark */
UPDATE {outbox} AS o SET published_at = {o.now}
FROM unnest($1::bigint[], $2::uuid[]) AS m (seq, id)
WHERE o.seq = m.seq AND {o.id} = m.id AND o.published_at IS NULL
";

/// `delete`: locks the rows, in the order given, by the outbox's primary key.
const DELETE: &str = "
/* delete */
DELETE FROM {outbox} AS o
USING unnest($1::bigint[], $2::uuid[]) AS m (seq, id)
WHERE o.seq = m.seq AND {o.id} = m.id AND o.published_at IS NULL
";

/// The marking statement of one outbox.
#[derive(Debug, Clone)]
pub struct Marks {
    statement: String,
}

impl Marks {
    /// Renders the statement for what becomes of published rows.
    pub fn new(names: &Names, after: AfterPublish) -> Self {
        let statement = match after {
            AfterPublish::Mark => names.render(MARK),
            AfterPublish::Delete => names.render(DELETE),
        };
        Self { statement }
    }

    /// The statement, for those who look at its plan.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Marks confirmed rows; returns how many were still unpublished.
    pub async fn write(
        &self,
        session: &mut Session,
        rows: &[EventRef],
    ) -> Result<u64, OutboxError> {
        let seqs: Vec<i64> = rows.iter().map(|at| at.seq).collect();
        let ids: Vec<Uuid> = rows.iter().map(|at| at.id).collect();
        let done = session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.statement.as_str()))
                    .bind(seqs)
                    .bind(ids)
                    .execute(connection)
                    .await
            })
            .await?;
        Ok(done.rows_affected())
    }
}
