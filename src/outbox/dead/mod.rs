//! Rows that failed for good: looked for, looked at, and decided about by an operator.
//!
//! Owns the words for what became of a row, and the statements that find such rows. What is told of
//! one row is in `show`, what an operator decides in `decision`. Knows no topic: a row names one or
//! leaves that to the route.
//!
//! Invariant: what is looked for is found by an index of rows that failed, or by number.

mod decision;
mod show;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

pub use self::decision::{Decision, Decisions};
pub use self::show::{Audit, Shown, show};
use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::event::{EventRef, Lane, OrderingKey};
use crate::outcome::DeadState;

/// What is told of a row in a list.
const COLUMNS: &str = "o.seq, {o.id} AS id, o.lane, {o.aggregate_type} AS aggregate_type,
        {o.aggregate_id} AS aggregate_id, {o.event_type} AS event_type, {o.topic} AS topic, o.dead_class, o.last_error, o.attempts, o.dead_at, o.dead_state";

/// `dead_list`: locks nothing; walks the index `<outbox>_dead` from a number on, for each state that
/// is asked for. A pair is compared, and ordered by, so that no other index can promise the rows.
const LIST: &str = "
/* dead_list */
SELECT f.*
FROM unnest($1::text[]) AS s (state) CROSS JOIN LATERAL (
    SELECT {columns}, coalesce(o.dead_at, o.first_failed_at) AS since
    FROM {outbox} AS o
    WHERE (o.dead_state, o.seq) > (s.state, $2) AND o.dead_state <= s.state
        AND o.published_at IS NULL
        AND ($3::text IS NULL OR {o.aggregate_type} = $3)
        AND ($4::text IS NULL OR {o.aggregate_id} = $4)
        AND ($5::text IS NULL OR {o.event_type} = $5)
        AND ($6::text IS NULL OR o.dead_class = $6)
        AND ($7::bigint IS NULL OR coalesce(o.dead_at, o.first_failed_at)
            <= now() - $7 * interval '1 second')
        AND ($8::bigint IS NULL OR coalesce(o.dead_at, o.first_failed_at)
            > now() - $8 * interval '1 second')
    ORDER BY o.dead_state, o.seq LIMIT $9) AS f
ORDER BY f.seq LIMIT $9
";

/// `dead_find`: locks nothing; by primary key.
const FIND: &str = "
/* dead_find */
SELECT {columns}, coalesce(o.dead_at, o.first_failed_at)
FROM {outbox} AS o
WHERE o.seq = ANY ($1) AND o.seq > 0 AND o.dead_state IS NOT NULL AND o.published_at IS NULL
ORDER BY o.seq
";

/// `dead_overtaken`: locks nothing; walks the primary key from the row on, and not far.
const OVERTAKEN: &str = "
/* dead_overtaken */
SELECT count(*) FROM (
    SELECT {o.aggregate_type} AS aggregate_type, {o.aggregate_id} AS aggregate_id, o.published_at
    FROM {outbox} AS o
    WHERE o.seq > $1
    ORDER BY o.seq LIMIT 10000) AS l
WHERE l.aggregate_type = $2 AND l.aggregate_id = $3 AND l.published_at IS NOT NULL
";

/// What became of a row that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// What the relay made of it.
    Failed(DeadState),
    /// An operator gave it up.
    Discarded,
}

impl Standing {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Failed(DeadState::Blocked),
        Self::Failed(DeadState::DeadLetterPending),
        Self::Failed(DeadState::DeadLettered),
        Self::Failed(DeadState::Dead),
        Self::Discarded,
    ];

    /// Its word in the table and in every output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed(state) => state.word(),
            Self::Discarded => "discarded",
        }
    }

    /// The one of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.word() == word)
    }

    /// Whether later rows of its aggregate wait for it.
    pub fn holds_back(self) -> bool {
        matches!(self, Self::Failed(state) if !state.is_final())
    }
}

/// Which rows are looked for; what is not said lets every row pass.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// In one of these states.
    pub states: Vec<Standing>,
    /// Of this kind of aggregate.
    pub aggregate_type: Option<String>,
    /// Of the aggregate with this id.
    pub aggregate_id: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Failed for a reason of this class.
    pub class: Option<String>,
    /// Failed for good so many seconds ago, or longer.
    pub older_than_s: Option<i64>,
    /// Failed for good less than so many seconds ago.
    pub newer_than_s: Option<i64>,
}

/// What is told of a row, whatever became of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub at: EventRef,
    /// Its lane.
    pub lane: Lane,
    /// Its aggregate.
    pub key: OrderingKey,
    /// Its type.
    pub event_type: String,
    /// The topic that it names.
    pub topic: Option<String>,
    /// The class of its last failure.
    pub class: Option<String>,
    /// Its last failure.
    pub error: Option<String>,
    /// How often it failed.
    pub attempts: i32,
    /// When it was set aside.
    pub dead_at: Option<DateTime<Utc>>,
}

impl std::fmt::Debug for Row {
    /// Names the row and shows nothing that a writer put into it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// A row that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEvent {
    /// The row.
    pub row: Row,
    /// What became of it.
    pub state: Standing,
    /// When it was set aside, or failed first where its aggregate waits.
    pub since: Option<DateTime<Utc>>,
}

/// The looking statements of one outbox.
#[derive(Debug)]
pub struct DeadEvents {
    list: String,
    find: String,
    overtaken: String,
}

impl DeadEvents {
    /// Renders the statements.
    pub fn new(names: &Names) -> Self {
        let render = |statement: &str| names.render(&statement.replace("{columns}", COLUMNS));
        Self {
            list: render(LIST),
            find: render(FIND),
            overtaken: render(OVERTAKEN),
        }
    }

    /// The statements by name, for those who look at their plans.
    pub fn statements(&self) -> [(&'static str, &str); 3] {
        [
            ("list", &self.list),
            ("find", &self.find),
            ("overtaken", &self.overtaken),
        ]
    }

    /// The first rows above a number that are wanted, by rising `seq`.
    pub async fn list(
        &self,
        session: &mut Session,
        wanted: &Wanted,
        (above, rows_max): (i64, i64),
    ) -> Result<Vec<DeadEvent>, OutboxError> {
        let states: Vec<&str> = wanted.states.iter().map(|state| state.word()).collect();
        session
            .run(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(self.list.as_str()))
                    .bind(states)
                    .bind(above)
                    .bind(&wanted.aggregate_type)
                    .bind(&wanted.aggregate_id)
                    .bind(&wanted.event_type)
                    .bind(&wanted.class)
                    .bind(wanted.older_than_s)
                    .bind(wanted.newer_than_s)
                    .bind(rows_max)
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(dead_event).collect()
            })
            .await
    }

    /// Those of some numbers that failed for good, by rising `seq`.
    pub async fn find(
        &self,
        session: &mut Session,
        seqs: &[i64],
    ) -> Result<Vec<DeadEvent>, OutboxError> {
        session
            .run(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(self.find.as_str()))
                    .bind(seqs)
                    .fetch_all(connection)
                    .await?;
                rows.iter().map(dead_event).collect()
            })
            .await
    }

    /// How many later rows of its aggregate are published already, of the next ones in the table.
    pub async fn overtaken(&self, session: &mut Session, row: &Row) -> Result<i64, OutboxError> {
        session
            .run(async |connection| {
                sqlx::query_scalar(AssertSqlSafe(self.overtaken.as_str()))
                    .bind(row.at.seq)
                    .bind(&row.key.aggregate_type)
                    .bind(&row.key.aggregate_id)
                    .fetch_one(connection)
                    .await
            })
            .await
    }
}

fn dead_event(row: &PgRow) -> Result<DeadEvent, sqlx::Error> {
    let state = state(row)?.ok_or_else(|| sqlx::Error::ColumnNotFound("dead_state".to_owned()))?;
    Ok(DeadEvent {
        row: told(row)?,
        state,
        since: column(row, 12)?,
    })
}

/// The columns that every row is told by, but for its state.
fn told(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        at: EventRef {
            seq: column(row, 0)?,
            id: column(row, 1)?,
        },
        lane: Lane(column(row, 2)?),
        key: OrderingKey {
            aggregate_type: column(row, 3)?,
            aggregate_id: column(row, 4)?,
        },
        event_type: column(row, 5)?,
        topic: column(row, 6)?,
        class: column(row, 7)?,
        error: column(row, 8)?,
        attempts: column(row, 9)?,
        dead_at: column(row, 10)?,
    })
}

fn state(row: &PgRow) -> Result<Option<Standing>, sqlx::Error> {
    let name: Option<String> = column(row, 11)?;
    Ok(name.as_deref().and_then(Standing::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_found_by_its_name() {
        for state in Standing::ALL {
            assert_eq!(Standing::of(state.word()), Some(state));
        }
        assert_eq!(Standing::of("gone"), None);
    }
}
