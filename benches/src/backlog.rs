//! A backlog: rows that wait, written as services write them, one a transaction.
//!
//! Owns the procedure that writes them. Knows not who will read them.
//!
//! One transaction a row matters to whoever decodes the server's log, so all contenders are given
//! the same. The commits of these writers are not waited for, which nobody can tell afterwards.

use anyhow::Result;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgPool};

use crate::bed::Bed;

/// Writers of one backlog; each writes the numbers, so the aggregates, that leave its own rest.
const WRITERS: i64 = 2;
/// What a payload takes beside its text, in bytes.
const AROUND_TEXT_BYTES: usize = 26;

/// Writes rows one a transaction, each text from another place of a random one. The hot rows are
/// spread over all.
const WRITE_BACKLOG: &str = "
CREATE PROCEDURE write_backlog(
    first bigint, last bigint, step bigint, aggregates bigint, text_bytes integer, hot_percent integer
) LANGUAGE plpgsql AS $$
DECLARE
    random_text text := (SELECT string_agg(md5(random()::text), '')
        FROM generate_series(1, text_bytes / 32 + 33));
BEGIN
    FOR n IN first..last BY step LOOP
        INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
        VALUES ('order',
            CASE WHEN n * 19 % 100 < hot_percent THEN 'hot' ELSE (n % aggregates)::text END,
            'OrderPlaced', jsonb_build_object('n', n,
                'text', substr(random_text, (n % 1000)::integer + 1, text_bytes)));
        COMMIT;
    END LOOP;
END $$";

/// Writes very many rows in few transactions.
const WRITE_MANY: &str = "
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, published_at)
SELECT 'order', (n % $3)::text, 'OrderPlaced', jsonb_build_object('n', n, 'text', $4::text),
    CASE WHEN $5 THEN now() END
FROM generate_series($1::bigint, $2) AS n";

/// How many rows, of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Backlog {
    pub(crate) rows: i64,
    pub(crate) aggregates: i64,
    pub(crate) payload_bytes: usize,
    /// How many of a hundred rows belong to one aggregate more.
    pub(crate) hot_percent: i32,
}

impl Backlog {
    /// The base case of all cells: one factor at a time differs from it.
    pub(crate) const BASE: Self = Self {
        rows: 300_000,
        aggregates: 10_000,
        payload_bytes: 300,
        hot_percent: 0,
    };

    /// Writes it, and leaves the table at rest.
    pub(crate) async fn write(&self, bed: &Bed<'_>) -> Result<()> {
        sqlx::raw_sql(WRITE_BACKLOG).execute(&bed.pool).await?;
        let text_bytes = i32::try_from(self.payload_bytes.saturating_sub(AROUND_TEXT_BYTES))?;
        let writers = (1..=WRITERS).map(|first| {
            let Self { rows, aggregates, hot_percent, .. } = *self;
            let call = format!(
                "CALL write_backlog({first}, {rows}, {WRITERS}, {aggregates}, {text_bytes}, {hot_percent})"
            );
            tokio::spawn(run(bed.pool.clone(), call))
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        rest(&bed.pool).await
    }
}

/// Writes very many small rows, published ones or not, and leaves the table at rest.
pub(crate) async fn write_many(bed: &Bed<'_>, rows: i64, published: bool) -> Result<()> {
    const PART: i64 = 500_000;
    let text = text(60);
    for first in (1..=rows).step_by(usize::try_from(PART)?) {
        sqlx::query(WRITE_MANY)
            .bind(first)
            .bind((first + PART - 1).min(rows))
            .bind(Backlog::BASE.aggregates)
            .bind(&text)
            .bind(published)
            .execute(&bed.pool)
            .await?;
    }
    rest(&bed.pool).await
}

/// A text that no compression makes small at once.
pub(crate) fn text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        text.push_str(&uuid::Uuid::new_v4().simple().to_string());
    }
    text.truncate(bytes);
    text
}

async fn rest(pool: &PgPool) -> Result<()> {
    for statement in ["VACUUM ANALYZE outbox", "CHECKPOINT"] {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}

/// Runs a statement that does not wait for its commits. A procedure commits on the way only where it
/// is called by a statement of its own.
async fn run(pool: PgPool, statement: String) -> Result<()> {
    let mut connection = pool.acquire().await?;
    for part in [
        "SET synchronous_commit = off",
        &statement,
        "RESET synchronous_commit",
    ] {
        sqlx::raw_sql(AssertSqlSafe(part))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
