//! What an operator decides about rows that failed for good.
//!
//! Owns the two statements.
//!
//! Invariants:
//! - a decision, its audit rows and what tells the lane's owner to read again are one statement;
//! - it concerns rows of one lane and locks the lane before the rows, as a relay does, so that neither
//!   waits for the other in a circle;
//! - rows are named by `(seq, id)`; one that is published, or decided about already, is left alone.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::DeadEvent;
use crate::event::{EventRef, Lane};
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::Session;

/// `dead_retry`: locks the lane, then the rows, both by primary key. The state is compared in a way
/// that `<outbox>_dead` does not answer: with many dead rows that would be the longer way.
const RETRY: &str = "
/* dead_retry */
WITH lane AS (
    UPDATE {leases} AS l SET rereads = l.rereads + 1 WHERE l.lane = $1 RETURNING l.lane
), decided AS (
    UPDATE {outbox} AS o
    SET dead_state = NULL, dead_at = NULL, dead_class = NULL, last_error = NULL, attempts = 0,
        next_attempt_at = NULL, first_failed_at = NULL
    FROM lane, unnest($2::bigint[], $3::uuid[]) AS m (seq, id)
    WHERE o.seq = m.seq AND {o.id} = m.id AND o.lane = lane.lane AND o.published_at IS NULL
        AND coalesce(o.dead_state, 'none') <> 'none'
    RETURNING o.seq, {o.id} AS id
)
INSERT INTO {audit} (action, seq, event_id, reason)
SELECT 'retry', d.seq, d.id, $4 FROM decided AS d
RETURNING seq
";

/// `dead_discard`: as `dead_retry`.
const DISCARD: &str = "
/* dead_discard */
WITH lane AS (
    UPDATE {leases} AS l SET rereads = l.rereads + 1 WHERE l.lane = $1 RETURNING l.lane
), decided AS (
    UPDATE {outbox} AS o
    SET dead_state = 'discarded', dead_at = coalesce(o.dead_at, now()), next_attempt_at = NULL
    FROM lane, unnest($2::bigint[], $3::uuid[]) AS m (seq, id)
    WHERE o.seq = m.seq AND {o.id} = m.id AND o.lane = lane.lane AND o.published_at IS NULL
        AND coalesce(o.dead_state, 'discarded') <> 'discarded'
    RETURNING o.seq, {o.id} AS id
)
INSERT INTO {audit} (action, seq, event_id, reason)
SELECT 'discard', d.seq, d.id, $4 FROM decided AS d
RETURNING seq
";

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is tried again, as if it had never failed.
    Retry,
    /// It is given up: it stays in the table and is never published.
    Discard,
}

/// The deciding statements of one outbox.
#[derive(Debug)]
pub struct Decisions {
    retry: String,
    discard: String,
}

impl Decisions {
    /// Renders the statements.
    pub fn new(names: &Names) -> Self {
        Self {
            retry: names.render(RETRY),
            discard: names.render(DISCARD),
        }
    }

    /// The statements by name, for those who look at their plans.
    pub fn statements(&self) -> [(&'static str, &str); 2] {
        [("retry", &self.retry), ("discard", &self.discard)]
    }

    /// Decides about rows, lane by lane; returns the numbers of those that it came to, rising.
    pub async fn write(
        &self,
        session: &mut Session,
        (decision, reason): (Decision, Option<&str>),
        events: &[DeadEvent],
    ) -> Result<Vec<i64>, OutboxError> {
        let mut lanes: BTreeMap<Lane, Vec<EventRef>> = BTreeMap::new();
        for event in events {
            lanes.entry(event.row.lane).or_default().push(event.row.at);
        }
        let statement = match decision {
            Decision::Retry => &self.retry,
            Decision::Discard => &self.discard,
        };
        let mut decided = Vec::with_capacity(events.len());
        for (lane, rows) in lanes {
            let seqs: Vec<i64> = rows.iter().map(|at| at.seq).collect();
            let ids: Vec<Uuid> = rows.iter().map(|at| at.id).collect();
            let came_to = session
                .run(async |connection| {
                    sqlx::query_scalar(AssertSqlSafe(statement.as_str()))
                        .bind(lane.0)
                        .bind(seqs)
                        .bind(ids)
                        .bind(reason)
                        .fetch_all(connection)
                        .await
                })
                .await?;
            decided.extend::<Vec<i64>>(came_to);
        }
        decided.sort_unstable();
        Ok(decided)
    }
}
