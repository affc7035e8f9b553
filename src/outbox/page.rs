//! Polls: pages of rows that wait, and looks at who is writing.
//!
//! Owns the reading statements. Knows neither routes nor records: it brings back events.
//!
//! Invariants:
//! - a page holds rows only of lanes whose lease (token and epoch) stood when the statement ran,
//!   and says which those were;
//! - what no record can carry is not fetched, and one row that the database cannot print keeps no
//!   other from being read (see `apart`);
//! - a look reads the sequence first and the writers after it, in two statements.

mod apart;
mod rows;
mod timestamp;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

pub use self::apart::{is_of_data, may_be_a_rows};
pub(super) use self::rows::{time, weighed};
use self::timestamp::Timestamp;
use super::columns::Form;
use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::decide::reading::{PageEnd, Sighting, Writer};
use crate::decide::window::{Range, Read, What};
use crate::event::{Epoch, Event, EventRef, Lane, OrderingKey};
use crate::outcome::Defect;

/// A payload of more than this many times the largest record prints as no record at all: a number
/// takes at most this much more room in jsonb than in text.
const STORED_PER_PRINTED: u64 = 8;

/// `last_drawn`: locks nothing; a sequence is one row.
const LAST_DRAWN: &str = "
/* last_drawn */
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}
";

/// `has_delayed`: locks nothing; the first entry of the index `<outbox>_delayed`, whose order is asked
/// for so that no other index will do.
const HAS_DELAYED: &str = "
/* has_delayed */
SELECT (SELECT true FROM {outbox} AS o
    WHERE o.published_at IS NULL AND o.dead_at IS NULL AND o.lane IS NOT NULL
        AND {o.available_at} IS NOT NULL
    ORDER BY o.lane, {o.available_at}, o.seq LIMIT 1) IS NOT NULL
";

/// `writers`: locks nothing; reads the server's lock table, once. Whoever writes the outbox holds ROW
/// EXCLUSIVE on it from before a number is drawn until after its commit shows, and its own number as a
/// transaction, the lowest of which is not a savepoint's.
const WRITERS: &str = "
/* writers */
WITH locks AS MATERIALIZED (
    SELECT locktype, mode, database, relation, transactionid, virtualtransaction
    FROM pg_locks WHERE granted AND locktype IN ('relation', 'transactionid')
)
SELECT w.virtualtransaction, min(t.transactionid::text::bigint)
FROM locks AS w
LEFT JOIN locks AS t ON t.virtualtransaction = w.virtualtransaction
    AND t.locktype = 'transactionid' AND t.mode = 'ExclusiveLock'
WHERE w.locktype = 'relation' AND w.mode = 'RowExclusiveLock'
    AND w.relation = {outbox_text}::regclass
    AND w.database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY w.virtualtransaction
";

/// The reading statements of one outbox, for one relay.
#[derive(Debug)]
pub struct Pages {
    lanes: String,
    key: String,
    delayed: String,
    row: String,
    last_drawn: String,
    has_delayed: String,
    writers: String,
    token: Uuid,
    payload: Form,
    record_bytes_max: u64,
    stored_bytes_max: i32,
    sent_bytes_max: i32,
}

/// What a statement showed of one range.
#[derive(Debug)]
pub struct EventRange {
    /// The lane.
    pub lane: Lane,
    /// The epoch under which it was read.
    pub epoch: Epoch,
    /// Its events by rising `seq`; delayed ones by when their time came.
    pub events: Vec<Fetched>,
    /// How they ended.
    pub end: PageEnd,
}

/// One row, fetched or judged by its size alone.
#[derive(Debug)]
pub struct Fetched {
    /// The row; without what was not fetched.
    pub event: Event,
    /// When its time came if it is a delayed one, in microseconds as the database counts them.
    pub available_us: Option<i64>,
    /// Why it can be no record, where the database showed that already.
    pub unfit: Option<Defect>,
    /// That is for its size alone, which may be its payload's.
    pub is_large: bool,
}

impl Pages {
    /// Renders the statements. A payload is fetched only if it may print as a record of at most
    /// `record_bytes_max` bytes.
    pub fn new(names: &Names, token: Uuid, record_bytes_max: u64) -> Self {
        let stored_bytes_max = stored_bytes_max(record_bytes_max);
        Self {
            lanes: rows::page(names, rows::OF_LANE),
            key: rows::page(names, rows::OF_KEY),
            delayed: rows::page(names, rows::DELAYED),
            row: apart::row(names),
            last_drawn: names.render(LAST_DRAWN),
            has_delayed: names.render(HAS_DELAYED),
            writers: names.render(WRITERS),
            token,
            payload: names.columns().payload,
            record_bytes_max,
            stored_bytes_max,
            sent_bytes_max: stored_bytes_max,
        }
    }

    /// The same, but of a row that prints as more bytes than this nothing is fetched.
    #[must_use]
    pub fn without_large(self, over_bytes: u64) -> Self {
        let over_bytes = i32::try_from(over_bytes).unwrap_or(i32::MAX);
        Self {
            sent_bytes_max: over_bytes.min(self.sent_bytes_max),
            ..self
        }
    }

    /// The statements that read the outbox, by name, for those who look at their plans.
    pub fn statements(&self) -> [(&'static str, &str); 3] {
        [
            ("lanes", &self.lanes),
            ("key", &self.key),
            ("delayed", &self.delayed),
        ]
    }

    /// The statement that tells whether any row is for later, for the same people.
    pub fn has_delayed_statement(&self) -> &str {
        &self.has_delayed
    }

    /// Reads one page.
    pub async fn read(
        &self,
        session: &mut Session,
        read: &Read,
    ) -> Result<Vec<EventRange>, OutboxError> {
        self.page(session, read, true).await
    }

    /// Reads one page, with or without payloads and headers.
    async fn page(
        &self,
        session: &mut Session,
        read: &Read,
        with_contents: bool,
    ) -> Result<Vec<EventRange>, OutboxError> {
        let rows = session
            .run(async |connection| {
                let since: Vec<Timestamp> = read
                    .ranges
                    .iter()
                    .map(|range| Timestamp(range.since_us))
                    .collect();
                let spills: Vec<bool> = read.ranges.iter().map(|range| range.has_spilled).collect();
                let beyond: Vec<i64> = read.ranges.iter().map(|range| range.beyond).collect();
                let stragglers = read.stragglers.iter();
                let (xids, aboves): (Vec<i64>, Vec<i64>) =
                    stragglers.map(|known| (known.xid, known.above)).unzip();
                let query = self
                    .query(read)
                    .bind(with_contents)
                    .bind(since)
                    .bind(spills)
                    .bind(self.sent_bytes_max)
                    .bind(beyond)
                    .bind(xids)
                    .bind(aboves);
                query.fetch_all(connection).await
            })
            .await?;
        Ok(ranges(&read.ranges, &rows, self.payload)?)
    }

    /// Looks at the writers: the sequence first, then the locks.
    pub async fn sight(&self, session: &mut Session) -> Result<Sighting, OutboxError> {
        session
            .run(async |connection| {
                let last_drawn = sqlx::query_scalar(AssertSqlSafe(self.last_drawn.as_str()))
                    .fetch_one(&mut *connection)
                    .await?;
                let writers = sqlx::query_as(AssertSqlSafe(self.writers.as_str()))
                    .fetch_all(&mut *connection)
                    .await?;
                let writers = writers.into_iter();
                let writers = writers.map(|(name, xid)| Writer { name, xid }).collect();
                Ok(Sighting {
                    last_drawn,
                    writers,
                })
            })
            .await
    }

    /// The last number drawn.
    pub async fn drawn(&self, session: &mut Session) -> Result<i64, OutboxError> {
        session.scalar(&self.last_drawn).await
    }

    /// Whether any row of the outbox is for later.
    pub async fn has_delayed(&self, session: &mut Session) -> Result<bool, OutboxError> {
        session.scalar(&self.has_delayed).await
    }

    fn query<'q>(&'q self, read: &'q Read) -> Query<'q, sqlx::Postgres, PgArguments> {
        let (statement, keys) = match &read.what {
            What::Lanes { spilled } => (&self.lanes, spilled.iter().map(key_text).collect()),
            What::Key(key) => (&self.key, vec![key_text(key)]),
            What::Delayed | What::Late => (&self.delayed, Vec::new()),
        };
        let of = |part: fn(&Range) -> i64| read.ranges.iter().map(part).collect::<Vec<i64>>();
        let lanes: Vec<i16> = read.ranges.iter().map(|range| range.lane.0).collect();
        let rows_max: Vec<i32> = read
            .ranges
            .iter()
            .map(|range| i32::try_from(range.rows_max).unwrap_or(i32::MAX))
            .collect();
        sqlx::query(AssertSqlSafe(statement.as_str()))
            .bind(lanes)
            .bind(of(|range| range.epoch.0))
            .bind(of(|range| range.above))
            .bind(rows_max)
            .bind(self.token)
            .bind(&read.skip)
            .bind(i64::try_from(read.bytes_max).unwrap_or(i64::MAX))
            .bind(self.stored_bytes_max)
            .bind(keys)
    }
}

/// The most that a value may take unprinted where records of at most so many bytes can be made.
pub(super) fn stored_bytes_max(record_bytes_max: u64) -> i32 {
    let bytes = record_bytes_max.saturating_mul(STORED_PER_PRINTED);
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

/// A key as the statements spell it: total, and different for different keys.
fn key_text(key: &OrderingKey) -> String {
    let length = key.aggregate_type.chars().count();
    format!("{length}:{}{}", key.aggregate_type, key.aggregate_id)
}

/// Sorts a page's rows into its ranges and tells how each ended.
fn ranges(asked: &[Range], rows: &[PgRow], payload: Form) -> Result<Vec<EventRange>, sqlx::Error> {
    let mut held: BTreeMap<Lane, Vec<Fetched>> = BTreeMap::new();
    let mut cut_lane = None;
    for row in rows {
        let lane = Lane(column(row, 0)?);
        let events = held.entry(lane).or_default();
        let is_event = column::<Option<i64>>(row, 1)?.is_some();
        match column(row, 13)? {
            true if is_event => events.push(event(lane, row, payload)?),
            true => {}
            false => cut_lane = Some(lane),
        }
    }
    let mut past_cut = false;
    let mut page = Vec::with_capacity(asked.len());
    for range in asked {
        let Some(mut events) = held.remove(&range.lane) else {
            continue;
        };
        events.sort_unstable_by_key(|fetched| (fetched.available_us, fetched.event.at.seq));
        let is_cut = cut_lane == Some(range.lane);
        let end = match events.last() {
            _ if past_cut => PageEnd::CutAtStart,
            Some(last) if is_cut || events.len() >= range.rows_max => {
                PageEnd::CutAfter(last.event.at.seq)
            }
            None if is_cut => PageEnd::CutAtStart,
            Some(_) | None => PageEnd::Complete,
        };
        past_cut |= is_cut;
        page.push(EventRange {
            lane: range.lane,
            epoch: range.epoch,
            events,
            end,
        });
    }
    Ok(page)
}

fn event(lane: Lane, row: &PgRow, payload: Form) -> Result<Fetched, sqlx::Error> {
    let oversized_bytes: Option<i64> = column(row, 7)?;
    let created_at: Option<DateTime<Utc>> = column(row, 11)?;
    let too_large = oversized_bytes.map(|bytes| {
        Defect::new(format!(
            "the row is too large for any record: {bytes} bytes"
        ))
    });
    let no_time = || Defect::new("created_at is no time that a record can carry");
    let is_large = too_large.is_some();
    let unfit = too_large.or_else(|| created_at.is_none().then(no_time));
    let wait_ms: Option<i64> = column(row, 12)?;
    Ok(Fetched {
        event: Event {
            at: EventRef {
                seq: column(row, 1)?,
                id: column(row, 2)?,
            },
            own_id: column(row, 16)?,
            lane,
            key: OrderingKey {
                aggregate_type: column(row, 3)?,
                aggregate_id: column(row, 4)?,
            },
            event_type: column(row, 5)?,
            payload: payload.read(row, 6)?,
            headers: column(row, 8)?,
            topic: column(row, 9)?,
            partition_key: column(row, 10)?,
            created_at: created_at.unwrap_or_default(),
            wait_ms: wait_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
            judged: column::<Option<&str>>(row, 14)?
                .and_then(|text| serde_json::from_str(text).ok()),
        },
        available_us: column::<Option<Timestamp>>(row, 15)?.map(|Timestamp(us)| us),
        unfit,
        is_large,
    })
}
