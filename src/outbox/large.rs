//! Payloads that are too large for a record: the table beside the outbox where consumers fetch them.
//!
//! Owns its statements, and how the row of a large payload is read without it. Knows no record.
//!
//! Invariants:
//! - a large payload is copied from table to table and only what it measures comes back, but for those
//!   who carry it out in pieces (see `printed`);
//! - what is stored is committed when a statement has returned, and storing again changes nothing: a
//!   crash between copy and record costs neither;
//! - a payload whose event may still be published is not removed.

mod printed;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::one;
use super::page::stored_bytes_max;
use super::session::{Session, column};
use crate::event::{Event, EventRef};
use crate::outcome::Defect;

/// `large_event`: locks nothing; by primary key. All of a row but its payload, weighed as a page's rows
/// are: what takes more than `$3` bytes is not printed.
const EVENT: &str = "
/* large_event */
SELECT {plain}, h.headers, greatest(w.bytes, octet_length(h.headers)) <= $3, {o.payload} IS NOT NULL
FROM {outbox} AS o
CROSS JOIN LATERAL (SELECT greatest({texts_bytes}, {headers_bytes}) AS bytes OFFSET 0) AS w
CROSS JOIN LATERAL (
    SELECT CASE WHEN w.bytes <= $3 THEN {o.headers}::text END AS headers OFFSET 0) AS h
WHERE o.seq = $1 AND {o.id} = coalesce($2, {o.id})
";

/// `keep_payload`: locks the row of that id, by primary key. The copy that is there already is kept
/// from now on.
const KEEP: &str = "
/* keep_payload */
UPDATE {payloads} AS p SET kept_since = now() WHERE p.event_id = $1
RETURNING p.seq, p.size_bytes, encode(p.sha256, 'hex')
";

/// `store_payload`: reads one row by its primary key, writes one. The payload is printed once, and does
/// not come back.
const STORE: &str = "
/* store_payload */
WITH printed AS MATERIALIZED (
    SELECT o.seq, {o.id} AS id, {payload_as_bytes} AS payload
    FROM {outbox} AS o
    WHERE o.seq = $1 AND {o.id} = $2 AND {o.payload} IS NOT NULL
        AND o.published_at IS NULL AND o.dead_at IS NULL
), stored AS (
    INSERT INTO {payloads} (event_id, seq, payload, size_bytes, sha256)
    SELECT p.id, p.seq, p.payload, octet_length(p.payload), sha256(p.payload)
    FROM printed AS p
    ON CONFLICT (event_id) DO NOTHING
    RETURNING seq, size_bytes, sha256
)
SELECT s.seq, s.size_bytes, encode(s.sha256, 'hex')
FROM printed AS p LEFT JOIN stored AS s ON true
";

/// `measure_payload`: locks nothing; prints one payload and stores nothing.
const MEASURE: &str = "
/* measure_payload */
SELECT o.seq, octet_length(p.payload)::bigint, encode(sha256(p.payload), 'hex')
FROM {outbox} AS o
CROSS JOIN LATERAL (SELECT {payload_as_bytes} AS payload OFFSET 0) AS p
WHERE o.seq = $1 AND {o.id} = $2 AND p.payload IS NOT NULL
";

/// `keep_waiting`: locks at most `$2` rows; those that were kept for a tenth of their time, by its index,
/// and their events by primary key.
const KEEP_WAITING: &str = "
/* keep_waiting */
UPDATE {payloads} AS p SET kept_since = now()
WHERE p.event_id = ANY (ARRAY(
    SELECT k.event_id FROM {payloads} AS k
    WHERE k.kept_since < now() - make_interval(secs => $1 / 10)
        AND EXISTS (SELECT FROM {outbox} AS o WHERE o.seq = k.seq AND {o.id} = k.event_id
            AND o.published_at IS NULL AND o.dead_at IS NULL)
    ORDER BY k.kept_since LIMIT $2 FOR UPDATE OF k SKIP LOCKED))
";

/// `remove_payloads`: locks at most `$2` rows; the oldest by their index, and their events by primary
/// key.
const REMOVE: &str = "
/* remove_payloads */
DELETE FROM {payloads} AS p
WHERE p.event_id = ANY (ARRAY(
    SELECT k.event_id FROM {payloads} AS k
    WHERE k.kept_since < now() - make_interval(secs => $1)
        AND NOT EXISTS (SELECT FROM {outbox} AS o WHERE o.seq = k.seq AND {o.id} = k.event_id
            AND o.published_at IS NULL AND o.dead_at IS NULL)
    ORDER BY k.kept_since LIMIT $2 FOR UPDATE OF k SKIP LOCKED))
";

/// So many rows are locked at once.
const BATCH_ROWS: u32 = 100;

/// What is known of a payload that was left in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// How many bytes it prints as.
    pub size_bytes: i64,
    /// Their SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// What became of the payload of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Consumers find it.
    Large(Measured),
    /// Its row is gone, or is not to be published any more.
    Gone,
    /// Another event has stored its payload under the same id.
    Taken,
}

/// A row whose payload may be large, without it.
#[derive(Debug)]
pub struct Bare {
    /// The row; its payload is not fetched.
    pub event: Event,
    /// Whether there is one.
    pub has_payload: bool,
}

/// The statements about large payloads of one outbox.
#[derive(Debug, Clone)]
pub struct Payloads {
    event: String,
    keep: String,
    store: String,
    measure: String,
    print: String,
    keep_waiting: String,
    remove: String,
    stored_bytes_max: i32,
}

impl Payloads {
    /// Renders the statements. What a row holds beside its payload is read only if it may be a part of a
    /// record of at most `record_bytes_max` bytes.
    pub fn new(names: &Names, record_bytes_max: u64) -> Self {
        let as_bytes = names.columns().payload.as_bytes("{o.payload}");
        let of_payload = |template: &str| template.replace("{payload_as_bytes}", &as_bytes);
        Self {
            event: names.render(&one::weighed_row(names, EVENT, "$3")),
            keep: names.render(KEEP),
            store: names.render(&of_payload(STORE)),
            measure: names.render(&of_payload(MEASURE)),
            print: names.render(&of_payload(printed::PRINT)),
            keep_waiting: names.render(KEEP_WAITING),
            remove: names.render(REMOVE),
            stored_bytes_max: stored_bytes_max(record_bytes_max),
        }
    }

    /// The statements that are run beside the reading of rows, by name, for those who look at their plans.
    pub fn statements(&self) -> [(&'static str, &str); 5] {
        [
            ("event", &self.event),
            ("keep", &self.keep),
            ("store", &self.store),
            ("keep_waiting", &self.keep_waiting),
            ("remove", &self.remove),
        ]
    }

    /// Reads a row without its payload, by its number, or by that and its id: none if it is gone, and a
    /// defect if no record can carry the rest.
    pub async fn event(
        &self,
        session: &mut Session,
        seq: i64,
        id: Option<Uuid>,
    ) -> Result<Option<Result<Bare, Defect>>, OutboxError> {
        session
            .run(async |connection| {
                let row = sqlx::query(AssertSqlSafe(self.event.as_str()))
                    .bind(seq)
                    .bind(id)
                    .bind(self.stored_bytes_max)
                    .fetch_optional(connection)
                    .await?;
                row.as_ref().map(|row| bare(seq, row)).transpose()
            })
            .await
    }

    /// Stores a payload, unless it is stored already.
    pub async fn store(&self, session: &mut Session, at: EventRef) -> Result<Stored, OutboxError> {
        session
            .run(async |connection| {
                // A relay that had the lane before may store it between the two statements.
                for _ in 0..2 {
                    if let Some(kept) = self.kept(connection, at).await? {
                        return Ok(kept);
                    }
                    if let Some(stored) = self.stored(connection, at).await? {
                        return Ok(stored);
                    }
                }
                // Then its row is read anew.
                Ok(Stored::Gone)
            })
            .await
    }

    /// Measures a payload where it is, and stores nothing; none if there is none.
    pub async fn measure(
        &self,
        session: &mut Session,
        at: EventRef,
    ) -> Result<Option<Measured>, OutboxError> {
        measure(session, &self.measure, at).await
    }

    /// Removes payloads that were kept for so many hours after their events had been published; returns
    /// how many.
    pub async fn tidy(&self, session: &mut Session, keep_hours: u32) -> Result<u64, OutboxError> {
        let keep_s = f64::from(keep_hours) * 3_600.0;
        while sweep(session, &self.keep_waiting, keep_s).await? >= u64::from(BATCH_ROWS) {}
        let mut removed = 0;
        loop {
            let batch = sweep(session, &self.remove, keep_s).await?;
            removed += batch;
            if batch < u64::from(BATCH_ROWS) {
                return Ok(removed);
            }
        }
    }

    /// The copy that is there already.
    async fn kept(
        &self,
        connection: &mut PgConnection,
        at: EventRef,
    ) -> Result<Option<Stored>, sqlx::Error> {
        let row = sqlx::query(AssertSqlSafe(self.keep.as_str()))
            .bind(at.id)
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let is_its = column::<i64>(&row, 0)? == at.seq;
        Ok(Some(if is_its {
            Stored::Large(measured(&row)?)
        } else {
            Stored::Taken
        }))
    }

    /// What comes of a first try; none if somebody else was quicker.
    async fn stored(
        &self,
        connection: &mut PgConnection,
        at: EventRef,
    ) -> Result<Option<Stored>, sqlx::Error> {
        let row = sqlx::query(AssertSqlSafe(self.store.as_str()))
            .bind(at.seq)
            .bind(at.id)
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else {
            return Ok(Some(Stored::Gone));
        };
        let is_stored = column::<Option<i64>>(&row, 0)?.is_some();
        is_stored
            .then(|| measured(&row).map(Stored::Large))
            .transpose()
    }
}

/// What a statement measures of the payload of one row; none if it finds none.
async fn measure(
    session: &mut Session,
    statement: &str,
    at: EventRef,
) -> Result<Option<Measured>, OutboxError> {
    session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .bind(at.seq)
                .bind(at.id)
                .fetch_optional(connection)
                .await?;
            row.as_ref().map(measured).transpose()
        })
        .await
}

/// Works on one batch of old rows; returns how many it was about.
async fn sweep(session: &mut Session, statement: &str, keep_s: f64) -> Result<u64, OutboxError> {
    let done = session
        .run(async |connection| {
            sqlx::query(AssertSqlSafe(statement))
                .bind(keep_s)
                .bind(i64::from(BATCH_ROWS))
                .execute(connection)
                .await
        })
        .await?;
    Ok(done.rows_affected())
}

/// What the second and the third column tell.
fn measured(row: &PgRow) -> Result<Measured, sqlx::Error> {
    Ok(Measured {
        size_bytes: column(row, 1)?,
        sha256: column(row, 2)?,
    })
}

fn bare(seq: i64, row: &PgRow) -> Result<Result<Bare, Defect>, sqlx::Error> {
    if !one::fits(row)? {
        let reason = "the row is too large for any record, even without its payload";
        return Ok(Err(Defect::new(reason)));
    }
    let has_payload = column(row, 11)?;
    let event = one::event(seq, row, None)?;
    Ok(event.map(|event| Bare { event, has_payload }))
}
