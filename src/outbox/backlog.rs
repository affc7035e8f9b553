//! What waits in the lanes of one relay, by aggregate type, for its metrics.
//!
//! Owns the statement that samples it. Changes nothing and locks nothing.
//!
//! Invariants:
//! - the relays of one outbox never count the same row, for each lane has one owner: their numbers
//!   add up to what waits in the lanes that are held;
//! - the cost does not grow with the backlog: of each lane at most its share of [`SAMPLED_MAX`]
//!   rows is read, from its oldest on.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::process::metrics::Waiting;

/// At most so many rows are read for a sample; beyond that its counts are lower bounds.
pub const SAMPLED_MAX: i64 = 20_000;

/// `sample`: locks nothing. The leases are few; the rows come from `<outbox>_unpublished`, and from
/// `<outbox>_delayed` those whose time has come. Each lane's scan ends at its share, and at the end
/// of the lane by its first column (see `read_page`).
const SAMPLE: &str = "
/* sample */
WITH held AS MATERIALIZED (
    SELECT l.lane, $2::bigint / greatest(count(*) OVER (), 1) AS rows_max
    FROM {leases} AS l WHERE l.token = $1 AND l.expires_at > now()
)
SELECT w.aggregate_type, count(*),
    greatest(extract(epoch FROM clock_timestamp() - min(w.since)), 0)::float8
FROM (
    SELECT o.aggregate_type, o.since FROM held AS h CROSS JOIN LATERAL (
        SELECT {o.aggregate_type} AS aggregate_type, {o.created_at} AS since FROM {outbox} AS o
        WHERE (o.lane, o.seq) > (h.lane, 0) AND o.lane <= h.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NULL
        ORDER BY o.lane, o.seq LIMIT h.rows_max) AS o
    UNION ALL
    SELECT o.aggregate_type, o.since FROM held AS h CROSS JOIN LATERAL (
        SELECT {o.aggregate_type} AS aggregate_type,
            greatest({o.available_at}, {o.created_at}) AS since
        FROM {outbox} AS o
        WHERE o.lane = h.lane AND {o.available_at} <= now()
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NOT NULL
        ORDER BY o.lane, {o.available_at} LIMIT h.rows_max) AS o
) AS w
GROUP BY w.aggregate_type
";

/// The sampling statement of one outbox, for one relay.
#[derive(Debug)]
pub struct Backlog {
    sample: String,
    token: Uuid,
}

impl Backlog {
    /// Renders the statement for the lanes that are held under this token.
    pub fn new(names: &Names, token: Uuid) -> Self {
        Self {
            sample: names.render(SAMPLE),
            token,
        }
    }

    /// The statement, for those who look at its plan.
    pub fn statement(&self) -> &str {
        &self.sample
    }

    /// Samples what waits now.
    pub async fn sample(&self, session: &mut Session) -> Result<Vec<Waiting>, OutboxError> {
        session
            .run(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(self.sample.as_str()))
                    .bind(self.token)
                    .bind(SAMPLED_MAX)
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(waiting).collect()
            })
            .await
    }
}

fn waiting(row: &PgRow) -> Result<Waiting, sqlx::Error> {
    let rows: i64 = column(row, 1)?;
    Ok(Waiting {
        aggregate_type: column(row, 0)?,
        rows: u32::try_from(rows).unwrap_or(u32::MAX),
        oldest_seconds: column(row, 2)?,
    })
}
