//! Polls: pages of rows that wait, and looks at who is writing.
//!
//! Owns the reading statements. Knows neither routes nor records: it brings back events.
//!
//! Invariants:
//! - a page holds rows only of lanes whose lease (token and epoch) stood when the statement ran,
//!   and says which those were;
//! - a look reads the sequence first and the writers after it, in two statements.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::error::OutboxError;
use super::names::Names;
use super::session::{Session, column};
use crate::decide::reading::{PageEnd, Sighting};
use crate::decide::window::{Range, Read, What};
use crate::event::{Epoch, Event, EventRef, Judged, Lane, OrderingKey};

/// A stored payload of more than this many times the largest record prints as no record at all:
/// a number takes at most this much more room in jsonb than in text.
const STORED_PER_PRINTED: u64 = 8;

/// `read_page`: locks nothing. The leases are found by their expiry; the rows come from the
/// index `<outbox>_unpublished`, or `<outbox>_delayed`, whose order makes the page's (`{rows}`
/// says which of its range).
///
/// The lower bound compares pairs, so that no other index can promise the rows. The upper one must
/// not: a scan ends at an entry whose *first* column is beyond the bound (`nbtutils.c`,
/// `_bt_check_rowcompare`), so a pair that its second column decides would be compared with every
/// entry of the next lane.
const READ_PAGE: &str = "
/* read_page */
WITH held AS MATERIALIZED (
    SELECT l.lane, l.epoch, ($3::bigint[])[r.place] AS above,
        ($4::integer[])[r.place] AS rows_max, r.place
    FROM {leases} AS l
    CROSS JOIN LATERAL (SELECT array_position($1::smallint[], l.lane) AS place) AS r
    WHERE l.token = $5 AND l.expires_at > now() AND l.epoch = ($2::bigint[])[r.place]
), page AS MATERIALIZED (
    SELECT h.place, o.*
    FROM held AS h
    CROSS JOIN LATERAL (
        SELECT o.lane, o.seq, o.id, o.aggregate_type, o.aggregate_id, o.event_type,
            CASE WHEN pg_column_size(o.payload) <= $8 THEN o.payload::text END AS payload,
            pg_column_size(o.payload) AS stored_bytes,
            o.headers::text AS headers, o.topic, o.partition_key, o.created_at,
            o.next_attempt_at,
            CASE WHEN o.dead_state IS NOT NULL THEN jsonb_build_array(
                o.dead_state = 'blocked', o.dead_class, o.last_error, o.attempts,
                (extract(epoch FROM now() - o.first_failed_at) * 1000)::bigint)::text
            END AS judged
        FROM {outbox} AS o
        WHERE {rows}
        LIMIT h.rows_max
    ) AS o
), measured AS (
    SELECT p.*, row_number() OVER pages AS number,
        sum(coalesce(octet_length(p.payload), 0) + coalesce(octet_length(p.headers), 0) + 256)
            OVER pages AS bytes
    FROM page AS p
    WINDOW pages AS (ORDER BY p.place, p.seq ROWS UNBOUNDED PRECEDING)
)
SELECT NULL::smallint AS lane, NULL::bigint AS seq, NULL::uuid AS id,
    NULL::text AS aggregate_type, NULL::text AS aggregate_id, NULL::text AS event_type,
    NULL::text AS payload, (SELECT count(*) FROM page)::integer AS stored_bytes,
    NULL::text AS headers, NULL::text AS topic, NULL::text AS partition_key,
    NULL::timestamptz AS created_at, NULL::bigint AS wait_ms,
    (SELECT array_agg(h.lane) FROM held AS h) AS held, NULL::text AS judged
UNION ALL
SELECT m.lane, m.seq, m.id, m.aggregate_type, m.aggregate_id, m.event_type, m.payload,
    m.stored_bytes, m.headers, m.topic, m.partition_key, m.created_at,
    ceil(greatest(extract(epoch FROM m.next_attempt_at - now()) * 1000, 0))::bigint, NULL,
    m.judged
FROM measured AS m
WHERE m.number = 1 OR m.bytes <= $7
";

/// The rows of a lane that a poll reads: all that wait, but for keys that are read on their own.
const ROWS_OF_LANE: &str = "(o.lane, o.seq) > (h.lane, h.above)
            AND o.lane <= h.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND o.available_at IS NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND (cardinality($9::text[]) = 0
                OR length(o.aggregate_type)::text || ':' || o.aggregate_type || o.aggregate_id
                    NOT IN (SELECT unnest($9::text[])))
        ORDER BY o.lane, o.seq";

/// The rows of a lane that belong to one key.
const ROWS_OF_KEY: &str = "(o.lane, o.seq) > (h.lane, h.above)
            AND o.lane <= h.lane
            AND o.published_at IS NULL AND o.dead_at IS NULL AND o.available_at IS NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND length(o.aggregate_type)::text || ':' || o.aggregate_type || o.aggregate_id
                = ($9::text[])[1]
        ORDER BY o.lane, o.seq";

/// The rows of a lane whose time has come.
const ROWS_DELAYED: &str = "o.lane = h.lane AND o.available_at <= now()
            AND o.published_at IS NULL AND o.dead_at IS NULL AND o.available_at IS NOT NULL
            AND o.seq NOT IN (SELECT unnest($6::bigint[]))
            AND cardinality($9::text[]) = 0
        ORDER BY o.lane, o.available_at";

/// `last_drawn`: locks nothing; a sequence is one row.
const LAST_DRAWN: &str = "
/* last_drawn */
SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}
";

/// `writers`: locks nothing; reads the server's lock table. Whoever writes the outbox holds ROW
/// EXCLUSIVE on it from before a number is drawn until after its commit shows.
const WRITERS: &str = "
/* writers */
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
    AND relation = {outbox_text}::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
";

/// The reading statements of one outbox, for one relay.
#[derive(Debug)]
pub struct Pages {
    lanes: String,
    key: String,
    delayed: String,
    last_drawn: String,
    writers: String,
    token: Uuid,
    stored_bytes_max: i32,
}

/// What a statement showed of one range.
#[derive(Debug)]
pub struct EventRange {
    /// The lane.
    pub lane: Lane,
    /// The epoch under which it was read.
    pub epoch: Epoch,
    /// Its events by rising `seq`.
    pub events: Vec<Fetched>,
    /// How they ended.
    pub end: PageEnd,
}

/// One row, fetched or judged by its size alone.
#[derive(Debug)]
pub struct Fetched {
    /// The row; without its payload if that is too large.
    pub event: Event,
    /// The stored size of a payload that was not fetched, in bytes.
    pub oversized_bytes: Option<i32>,
}

impl Pages {
    /// Renders the statements. A payload is fetched only if it may print as a record of at most
    /// `record_bytes_max` bytes.
    pub fn new(names: &Names, token: Uuid, record_bytes_max: u64) -> Self {
        let page = |rows: &str| names.render(&READ_PAGE.replace("{rows}", rows));
        let stored_bytes_max = record_bytes_max.saturating_mul(STORED_PER_PRINTED);
        Self {
            lanes: page(ROWS_OF_LANE),
            key: page(ROWS_OF_KEY),
            delayed: page(ROWS_DELAYED),
            last_drawn: names.render(LAST_DRAWN),
            writers: names.render(WRITERS),
            token,
            stored_bytes_max: i32::try_from(stored_bytes_max).unwrap_or(i32::MAX),
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

    /// Reads one page.
    pub async fn read(
        &self,
        session: &mut Session,
        read: &Read,
    ) -> Result<Vec<EventRange>, OutboxError> {
        let rows = session
            .run(async |connection| self.query(read).fetch_all(connection).await)
            .await?;
        Ok(ranges(&read.ranges, &rows)?)
    }

    /// Looks at the writers: the sequence first, then the locks.
    pub async fn sight(&self, session: &mut Session) -> Result<Sighting, OutboxError> {
        session
            .run(async |connection| {
                let last_drawn = sqlx::query_scalar(AssertSqlSafe(self.last_drawn.as_str()))
                    .fetch_one(&mut *connection)
                    .await?;
                let writers = sqlx::query_scalar(AssertSqlSafe(self.writers.as_str()))
                    .fetch_all(&mut *connection)
                    .await?;
                Ok(Sighting {
                    last_drawn,
                    writers,
                })
            })
            .await
    }

    fn query<'q>(&'q self, read: &'q Read) -> Query<'q, sqlx::Postgres, PgArguments> {
        let (statement, keys) = match &read.what {
            What::Lanes { spilled } => (&self.lanes, spilled.iter().map(key_text).collect()),
            What::Key(key) => (&self.key, vec![key_text(key)]),
            What::Delayed => (&self.delayed, Vec::new()),
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

/// A key as the statements spell it: total, and different for different keys.
fn key_text(key: &OrderingKey) -> String {
    let length = key.aggregate_type.chars().count();
    format!("{length}:{}{}", key.aggregate_type, key.aggregate_id)
}

/// Sorts a page's rows into its ranges and tells how each ended.
fn ranges(asked: &[Range], rows: &[PgRow]) -> Result<Vec<EventRange>, sqlx::Error> {
    let mut held: Vec<i16> = Vec::new();
    let mut total = 0;
    let mut fetched: BTreeMap<Lane, Vec<Fetched>> = BTreeMap::new();
    for row in rows {
        if let Some(lane) = column::<Option<i16>>(row, 0)? {
            let event = event(Lane(lane), row)?;
            fetched.entry(Lane(lane)).or_default().push(event);
        } else {
            total = usize::try_from(column::<i32>(row, 7)?).unwrap_or(usize::MAX);
            held = column::<Option<Vec<i16>>>(row, 13)?.unwrap_or_default();
        }
    }
    let cut_lane = (rows.len() <= total)
        .then(|| asked.iter().rev().find(|r| fetched.contains_key(&r.lane)))
        .flatten()
        .map(|range| range.lane);
    let mut past_cut = false;
    let mut page = Vec::with_capacity(asked.len());
    for range in asked.iter().filter(|range| held.contains(&range.lane.0)) {
        let mut events = fetched.remove(&range.lane).unwrap_or_default();
        events.sort_unstable_by_key(|fetched| fetched.event.at.seq);
        let is_cut = cut_lane == Some(range.lane);
        let end = match events.last() {
            _ if past_cut => PageEnd::CutAtStart,
            Some(last) if is_cut || events.len() >= range.rows_max => {
                PageEnd::CutAfter(last.event.at.seq)
            }
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

fn event(lane: Lane, row: &PgRow) -> Result<Fetched, sqlx::Error> {
    let payload: Option<String> = column(row, 6)?;
    let stored_bytes: Option<i32> = column(row, 7)?;
    let oversized_bytes = stored_bytes.filter(|_| payload.is_none());
    let wait_ms: Option<i64> = column(row, 12)?;
    Ok(Fetched {
        event: Event {
            at: EventRef {
                seq: column(row, 1)?,
                id: column(row, 2)?,
            },
            lane,
            key: OrderingKey {
                aggregate_type: column(row, 3)?,
                aggregate_id: column(row, 4)?,
            },
            event_type: column(row, 5)?,
            payload,
            headers: column(row, 8)?,
            topic: column(row, 9)?,
            partition_key: column(row, 10)?,
            created_at: column(row, 11)?,
            wait_ms: wait_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0),
            judged: column::<Option<&str>>(row, 14)?.and_then(judged),
        },
        oversized_bytes,
    })
}

/// Reads what `read_page` says of a row that failed for good.
fn judged(text: &str) -> Option<Judged> {
    let (is_blocked, class, error, attempts, failed_ago_ms) =
        serde_json::from_str::<(bool, String, String, u32, Option<i64>)>(text).ok()?;
    Some(Judged {
        is_blocked,
        class,
        error,
        attempts,
        failed_ago_ms: failed_ago_ms
            .and_then(|ms| u64::try_from(ms).ok())
            .unwrap_or(0),
    })
}
