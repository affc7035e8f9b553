//! One event by its number, for those who look at it and publish nothing.
//!
//! Owns the statement, and how such a row becomes an event. Judges nothing but whether it could be read.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::columns::Form;
use super::error::OutboxError;
use super::names::Names;
use super::page::{stored_bytes_max, time, weighed};
use super::session::{Session, column};
use crate::event::{Event, EventRef, Lane, OrderingKey, Payload};
use crate::outcome::Defect;

/// The first columns of a statement about one row: all that [`event`] reads by itself.
const PLAIN: &str =
    "{o.id}, {o.own_id}, o.lane, {o.aggregate_type}, {o.aggregate_id}, {o.event_type},
    {o.topic}, {o.partition_key}, {created_at}";

/// `one_event`: locks nothing; by primary key. It is weighed as a page's rows are: what takes more than
/// `$2` bytes is not printed.
const ONE: &str = "
/* one_event */
SELECT {plain}, p.headers,
    greatest(w.bytes, octet_length(p.payload), octet_length(p.headers)) <= $2, p.payload
FROM {outbox} AS o
CROSS JOIN LATERAL (
    SELECT greatest({texts_bytes}, {payload_bytes}, {headers_bytes}) AS bytes OFFSET 0) AS w
CROSS JOIN LATERAL (
    SELECT CASE WHEN w.bytes <= $2 THEN {printed_payload} END AS payload,
        CASE WHEN w.bytes <= $2 THEN {o.headers}::text END AS headers OFFSET 0) AS p
WHERE o.seq = $1
";

/// Reads an event by its number; none if it is not there, and a defect if no record can carry it.
pub async fn one(
    session: &mut Session,
    names: &Names,
    seq: i64,
    record_bytes_max: u64,
) -> Result<Option<Result<Event, Defect>>, OutboxError> {
    let payload = names.columns().payload;
    let statement =
        weighed_row(names, ONE, "$2").replace("{printed_payload}", &payload.printed("{o.payload}"));
    let statement = names.render(&statement);
    session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .bind(seq)
                .bind(stored_bytes_max(record_bytes_max))
                .fetch_optional(connection)
                .await?;
            row.as_ref().map(|row| whole(seq, row, payload)).transpose()
        })
        .await
}

/// Fills in the first columns, and what the row weighs.
pub(super) fn weighed_row(names: &Names, template: &str, bytes_max: &str) -> String {
    let plain = PLAIN.replace("{created_at}", &time("{o.created_at}"));
    weighed(names, template, bytes_max).replace("{plain}", &plain)
}

fn whole(seq: i64, row: &PgRow, payload: Form) -> Result<Result<Event, Defect>, sqlx::Error> {
    if !fits(row)? {
        return Ok(Err(Defect::new("the row is too large for any record")));
    }
    let payload = payload.read(row, 11)?;
    event(seq, row, payload)
}

/// Whether a row is small enough, as the column behind its headers tells.
pub(super) fn fits(row: &PgRow) -> Result<bool, sqlx::Error> {
    column(row, 10)
}

/// The event of a row whose first columns are the plain ones, and the headers behind them.
pub(super) fn event(
    seq: i64,
    row: &PgRow,
    payload: Option<Payload>,
) -> Result<Result<Event, Defect>, sqlx::Error> {
    let Some(created_at) = column::<Option<DateTime<Utc>>>(row, 8)? else {
        let reason = "created_at is no time that a record can carry";
        return Ok(Err(Defect::new(reason)));
    };
    Ok(Ok(Event {
        at: EventRef {
            seq,
            id: column(row, 0)?,
        },
        own_id: column(row, 1)?,
        lane: Lane(column(row, 2)?),
        key: OrderingKey {
            aggregate_type: column(row, 3)?,
            aggregate_id: column(row, 4)?,
        },
        event_type: column(row, 5)?,
        payload,
        headers: column(row, 9)?,
        topic: column(row, 6)?,
        partition_key: column(row, 7)?,
        created_at,
        wait_ms: 0,
        judged: None,
    }))
}
