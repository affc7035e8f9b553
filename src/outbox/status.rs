//! How the outbox stands: what waits and since when, what is dead, who holds which lane.
//!
//! Owns the statements that look. Changes nothing and locks nothing, and needs no right that a
//! relay lacks.
//!
//! Invariant: the cost does not grow with what was published: every statement walks an index of
//! what is not, at most [`COUNTED_MAX`] rows of it, or reads what the catalog remembers.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::readiness::{self, Circuit, Readiness};

/// So many rows are counted one by one; beyond that a number is an estimate.
pub const COUNTED_MAX: i64 = 100_000;

/// `waiting`: locks nothing. Rows that may be published now: from the index
/// `<outbox>_unpublished`, and from `<outbox>_delayed` those whose time has come. The order is
/// there so that no other index can promise it.
const WAITING: &str = "
/* waiting */
SELECT (SELECT count(*) FROM (
        SELECT FROM {outbox} AS o
        WHERE o.lane IS NOT NULL AND o.published_at IS NULL AND o.dead_at IS NULL
            AND {o.available_at} IS NULL
        ORDER BY o.lane, o.seq LIMIT $1) AS w)
    + (SELECT count(*) FROM (
        SELECT FROM {leases} AS l CROSS JOIN LATERAL (
            SELECT FROM {outbox} AS o
            WHERE o.lane = l.lane AND {o.available_at} <= now()
                AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NOT NULL
            ORDER BY o.lane, {o.available_at} LIMIT $1) AS d
        LIMIT $1) AS w)
";

/// `delayed`: locks nothing. Rows whose time is yet to come, from the index `<outbox>_delayed`.
const DELAYED: &str = "
/* delayed */
SELECT count(*) FROM (
    SELECT FROM {leases} AS l CROSS JOIN LATERAL (
        SELECT FROM {outbox} AS o
        WHERE o.lane IS NOT NULL AND (o.lane, {o.available_at}) > (l.lane, now())
            AND (o.lane, {o.available_at}) <= (l.lane, 'infinity'::timestamptz)
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NOT NULL
        ORDER BY o.lane, {o.available_at} LIMIT $1) AS d
    LIMIT $1) AS w
";

/// `failed`: locks nothing; walks the index `<outbox>_dead` for some states (`{states}`). A pair is
/// compared, and ordered by, so that no other index can promise the rows.
const FAILED: &str = "
/* failed */
SELECT count(*) FROM (
    SELECT FROM unnest(ARRAY[{states}]) AS s (state) CROSS JOIN LATERAL (
        SELECT FROM {outbox} AS o
        WHERE (o.dead_state, o.seq) > (s.state, 0) AND o.dead_state <= s.state
            AND o.published_at IS NULL
        ORDER BY o.dead_state, o.seq LIMIT $1) AS f
    LIMIT $1) AS w
";

/// States in which an aggregate waits.
const BLOCKED: &str = "'blocked', 'dead_letter_pending'";
/// States of rows that are set aside and that nobody has given up.
const DEAD: &str = "'dead_lettered', 'dead'";

/// `oldest`: locks nothing; of each lane the first entry of `<outbox>_unpublished` and that of
/// `<outbox>_delayed`, which waits since its time came. A writer may write any time, also one that
/// nothing can be subtracted from.
const OLDEST: &str = "
/* oldest */
SELECT extract(epoch FROM clock_timestamp() - min(greatest(
    least(w.since, clock_timestamp()), clock_timestamp() - interval '1000 years')))::float8
FROM (
    SELECT (SELECT {o.created_at} FROM {outbox} AS o
        WHERE (o.lane, o.seq) > (l.lane, 0) AND o.lane <= l.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NULL
        ORDER BY o.lane, o.seq LIMIT 1) AS since
    FROM {leases} AS l
    UNION ALL
    SELECT (SELECT greatest({o.available_at}, {o.created_at}) FROM {outbox} AS o
        WHERE o.lane = l.lane AND {o.available_at} <= now()
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NOT NULL
        ORDER BY o.lane, {o.available_at} LIMIT 1)
    FROM {leases} AS l
) AS w
WHERE w.since IS NOT NULL
";

/// `sizes`: locks nothing. Rows of the table and of its index of unpublished ones as the planner
/// reckons them: the density that the last vacuum saw, times the pages that there are now. NULL
/// where nothing ever counted the rows.
const SIZES: &str = "
/* sizes */
SELECT s.table_rows, s.index_rows
FROM (
    SELECT max(rows) FILTER (WHERE is_table) AS table_rows,
        max(rows) FILTER (WHERE NOT is_table) AS index_rows
    FROM (
        SELECT c.oid = {outbox_text}::regclass AS is_table,
            CASE WHEN p.pages = 0 THEN 0
                WHEN c.relpages > 0 AND c.reltuples >= 0
                    THEN (c.reltuples / c.relpages * p.pages)::bigint
            END AS rows
        FROM pg_class AS c
        CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid)
            / current_setting('block_size')::bigint AS pages) AS p
        WHERE c.oid IN ({outbox_text}::regclass, {unpublished_text}::regclass)
    ) AS r
) AS s
";

/// `lanes`: locks nothing; the lanes are few and read whole.
const LANES: &str = "
/* lanes */
SELECT l.lane, l.owner, l.expires_at, coalesce(l.token IS NOT NULL AND l.expires_at > now(), false)
FROM {leases} AS l ORDER BY l.lane
";

/// `relays`: locks nothing; the relays are few and read whole.
const RELAYS: &str = "
/* relays */
SELECT r.name, r.version, r.started_at, r.expires_at, r.expires_at > now(),
    r.expires_at > now() - interval '15 seconds', r.state,
    (SELECT count(*) FROM {leases} AS l WHERE l.token = r.token AND l.expires_at > now())
FROM {relays} AS r ORDER BY r.started_at, r.name
";

/// A number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub rows: i64,
    /// Whether they were counted: beyond [`COUNTED_MAX`] it is an estimate, or a lower bound.
    pub exact: bool,
}

/// A lane, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLane {
    /// The lane.
    pub lane: i16,
    /// The name of the relay that holds it, or held it until it expired.
    pub owner: Option<String>,
    /// When its lease ends, or ended.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the lease stands.
    pub held: bool,
}

/// A relay that runs, or ran within the last hour and did not take its leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Until when it counts as alive without a further beat.
    pub expires_at: DateTime<Utc>,
    /// Whether it counts as alive.
    pub alive: bool,
    /// Whether it waits for a dependency and has not begun.
    pub starting: bool,
    /// What it said of itself last.
    pub readiness: Readiness,
    /// The lanes that it holds.
    pub lanes: i64,
}

/// How an outbox stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Rows that may be published now.
    pub backlog: Count,
    /// Rows whose time is yet to come.
    pub delayed: Count,
    /// Rows of the backlog that failed for good and hold their aggregates back.
    pub blocked: Count,
    /// Rows that failed for good and were set aside, but for those that an operator gave up.
    pub dead: Count,
    /// How long the oldest row of the backlog has waited, in seconds.
    pub oldest_unpublished_seconds: Option<f64>,
    /// About how many rows are published and still there; unknown before the first vacuum.
    pub published_estimate: Option<i64>,
    /// Every lane.
    pub lanes: Vec<HeldLane>,
    /// Every relay.
    pub relays: Vec<Heartbeat>,
}

impl Status {
    /// Looks.
    pub async fn read(session: &mut Session, names: &Names) -> Result<Self, OutboxError> {
        session
            .run(async |connection| {
                let backlog = count(connection, names, WAITING).await?;
                let delayed = count(connection, names, DELAYED).await?;
                let blocked = count(connection, names, &failed(BLOCKED)).await?;
                let dead = count(connection, names, &failed(DEAD)).await?;
                let sizes = one(connection, names, SIZES).await?;
                let backlog = backlog.estimated(column(&sizes, 1)?);
                let unpublished = backlog.rows + delayed.rows + dead.rows;
                let rows: Option<i64> = column(&sizes, 0)?;
                let waited: Option<f64> = column(&one(connection, names, OLDEST).await?, 0)?;
                Ok(Self {
                    backlog,
                    delayed,
                    blocked,
                    dead,
                    oldest_unpublished_seconds: waited.map(|seconds| seconds.max(0.0)),
                    published_estimate: rows.map(|rows| (rows - unpublished).max(0)),
                    lanes: all(connection, names, LANES, lane).await?,
                    relays: all(connection, names, RELAYS, heartbeat).await?,
                })
            })
            .await
    }

    /// The topics that take nothing, as the live relays tell.
    pub fn circuits(&self) -> Vec<&Circuit> {
        let live = self.relays.iter().filter(|relay| relay.alive);
        readiness::merged(live.map(|relay| &relay.readiness))
    }

    /// The statements that walk the outbox, for those who look at their plans; each takes
    /// [`COUNTED_MAX`] and one, but the last, which takes nothing.
    pub fn statements(names: &Names) -> [String; 5] {
        [WAITING, DELAYED, &failed(BLOCKED), &failed(DEAD), OLDEST]
            .map(|statement| names.render(statement))
    }
}

fn failed(states: &str) -> String {
    FAILED.replace("{states}", states)
}

impl Count {
    fn of(rows: i64) -> Self {
        Self {
            rows: rows.min(COUNTED_MAX),
            exact: rows <= COUNTED_MAX,
        }
    }

    /// The same, with what an index remembers where not all were counted.
    fn estimated(self, remembered: Option<i64>) -> Self {
        if self.exact {
            return self;
        }
        Self {
            rows: remembered.unwrap_or(0).max(self.rows),
            exact: false,
        }
    }
}

async fn count(
    connection: &mut PgConnection,
    names: &Names,
    statement: &str,
) -> Result<Count, sqlx::Error> {
    sqlx::query_scalar(AssertSqlSafe(names.render(statement)))
        .bind(COUNTED_MAX + 1)
        .fetch_one(connection)
        .await
        .map(Count::of)
}

async fn one(
    connection: &mut PgConnection,
    names: &Names,
    statement: &str,
) -> Result<PgRow, sqlx::Error> {
    sqlx::query(AssertSqlSafe(names.render(statement)))
        .fetch_one(connection)
        .await
}

async fn all<T>(
    connection: &mut PgConnection,
    names: &Names,
    statement: &str,
    read: fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, sqlx::Error> {
    let rows = sqlx::query(AssertSqlSafe(names.render(statement)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

fn lane(row: &PgRow) -> Result<HeldLane, sqlx::Error> {
    Ok(HeldLane {
        lane: column(row, 0)?,
        owner: column(row, 1)?,
        expires_at: column(row, 2)?,
        held: column(row, 3)?,
    })
}

fn heartbeat(row: &PgRow) -> Result<Heartbeat, sqlx::Error> {
    let state: Option<Value> = column(row, 6)?;
    let readiness: Option<Readiness> = state.and_then(|state| serde_json::from_value(state).ok());
    let heard_lately: bool = column(row, 5)?;
    Ok(Heartbeat {
        name: column(row, 0)?,
        version: column(row, 1)?,
        started_at: column(row, 2)?,
        expires_at: column(row, 3)?,
        alive: column(row, 4)?,
        starting: heard_lately && readiness.as_ref().is_some_and(|told| told.starting),
        readiness: readiness.unwrap_or_default(),
        lanes: column(row, 7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_counting_is_estimated_and_never_below_what_was_counted() {
        let counted = Count::of(COUNTED_MAX);
        assert!(counted.exact);
        assert_eq!(counted.estimated(Some(7)), counted);
        let beyond = Count::of(COUNTED_MAX + 1);
        assert!(!beyond.exact);
        assert_eq!(beyond.estimated(Some(5_000_000)).rows, 5_000_000);
        assert_eq!(beyond.estimated(Some(7)).rows, COUNTED_MAX);
        assert_eq!(beyond.estimated(None).rows, COUNTED_MAX);
    }
}
