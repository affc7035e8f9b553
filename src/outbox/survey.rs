//! What a check-up looks at in the database: the server, the rights, the sequence, and which kinds
//! of events there are.
//!
//! Owns the statements. Judges nothing and changes nothing.
//!
//! Invariant: no look costs more with a larger table.

use chrono::DateTime;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::columns::DELIVERY;
use super::error::OutboxError;
use super::names::{Names, literal, quoted};
use super::session::{Session, column};
use crate::decide::order::AfterPublish;
use crate::event::{Event, EventRef, Lane, OrderingKey};

/// `server`: locks nothing, reads no table.
const SERVER: &str = "
/* server */
SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
    pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint
";

/// `schema_right`: locks nothing; the catalog alone.
const SCHEMA_RIGHT: &str = "
/* schema_right */
SELECT current_user::text, has_schema_privilege($1, 'USAGE')
";

/// `sequence`: locks nothing; the catalog alone.
const SEQUENCE: &str = "
/* sequence */
SELECT a.attidentity = 'a' OR EXISTS (SELECT FROM pg_trigger AS t
        WHERE t.tgrelid = a.attrelid AND t.tgname = {number_text} AND t.tgenabled IN ('O', 'A')),
    s.seqcache, s.seqincrement
FROM pg_sequence AS s, pg_attribute AS a
WHERE s.seqrelid = {sequence_text}::regclass
    AND a.attrelid = {outbox_text}::regclass AND a.attname = 'seq'
";

/// `kinds`: locks nothing. The first rows of each lane by the index `<outbox>_unpublished`, and the
/// newest rows of all by the primary key.
const KINDS: &str = "
/* kinds */
SELECT k.aggregate_type, k.event_type, k.topic,
    extract(epoch FROM clock_timestamp() - min(greatest(least(k.created_at, clock_timestamp()),
        clock_timestamp() - interval '1000 years')) FILTER (WHERE k.waits))::float8,
    coalesce(min(k.seq) FILTER (WHERE k.waits), max(k.seq))
FROM (
    SELECT w.seq, w.aggregate_type, w.event_type, w.topic, w.created_at, true AS waits
    FROM {leases} AS l
    CROSS JOIN LATERAL (
        SELECT o.seq, {o.aggregate_type} AS aggregate_type, {o.event_type} AS event_type,
            {o.topic} AS topic, {o.created_at} AS created_at
        FROM {outbox} AS o
        WHERE (o.lane, o.seq) > (l.lane, 0) AND (o.lane, o.seq) < (l.lane + 1, 0)
            AND o.lane IS NOT NULL
            AND o.published_at IS NULL AND o.dead_at IS NULL AND {o.available_at} IS NULL
        ORDER BY o.lane, o.seq LIMIT 200) AS w
    UNION ALL
    SELECT n.seq, n.aggregate_type, n.event_type, n.topic, n.created_at, false
    FROM (SELECT o.seq, {o.aggregate_type} AS aggregate_type, {o.event_type} AS event_type,
            {o.topic} AS topic, {o.created_at} AS created_at
        FROM {outbox} AS o WHERE o.seq > 0 ORDER BY o.seq DESC LIMIT 1000) AS n
) AS k
GROUP BY k.aggregate_type, k.event_type, k.topic
LIMIT 1000
";

/// The server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its version as a number, such as 170002.
    pub version_num: i32,
    /// Its version for people.
    pub version: String,
    /// Whether it takes no writes of this session.
    pub read_only: bool,
    /// Its clock, in milliseconds since 1970.
    pub clock_ms: i64,
}

/// What the session's role may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The role, quoted.
    pub role: String,
    /// The rights that it lacks, each as a `GRANT` names it.
    pub missing: Vec<String>,
}

/// Where the outbox's numbers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Whether nobody else can choose a number.
    pub generated_always: bool,
    /// How many numbers a session takes at once.
    pub cache: i64,
    /// The step from one to the next.
    pub increment: i64,
}

/// A kind of event that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// Its aggregate's type.
    pub aggregate_type: String,
    /// Its type.
    pub event_type: String,
    /// The topic that its row names.
    pub topic: Option<String>,
    /// How long the oldest one that was seen has waited, in seconds; none if none waits.
    pub oldest_seconds: Option<f64>,
    /// The number of one of its events: the first that waits, if one does.
    pub seq: i64,
}

impl Kind {
    /// As much of an event as its kind tells.
    pub fn event(&self) -> Event {
        Event {
            at: EventRef {
                seq: self.seq,
                id: Uuid::nil(),
            },
            own_id: None,
            lane: Lane(0),
            key: OrderingKey {
                aggregate_type: self.aggregate_type.clone(),
                aggregate_id: "x".to_owned(),
            },
            event_type: self.event_type.clone(),
            payload: None,
            headers: None,
            topic: self.topic.clone(),
            partition_key: None,
            created_at: DateTime::UNIX_EPOCH,
            wait_ms: 0,
            judged: None,
        }
    }
}

/// Something that a role may be allowed: what, on which of its columns, and on which object.
type Right = (&'static str, &'static [&'static str], &'static str);

/// What a relay does, but for what follows from `after_publish`; `grants/relay.sql` allows it.
const RIGHTS: [Right; 11] = [
    ("SELECT", &[], "{outbox}"),
    ("UPDATE", &DELIVERY, "{outbox}"),
    ("SELECT", &[], "{leases}"),
    ("UPDATE", &[], "{leases}"),
    ("SELECT", &[], "{relays}"),
    ("INSERT", &[], "{relays}"),
    ("UPDATE", &[], "{relays}"),
    ("DELETE", &[], "{relays}"),
    ("SELECT", &[], "{identity}"),
    ("UPDATE", &["kafka_cluster_id", "routing"], "{identity}"),
    ("SELECT", &[], "{migrations}"),
];

/// What a relay does beside where large payloads stay in the database.
const LARGE_RIGHTS: [Right; 4] = [
    ("SELECT", &[], "{payloads}"),
    ("INSERT", &[], "{payloads}"),
    ("UPDATE", &["kept_since"], "{payloads}"),
    ("DELETE", &[], "{payloads}"),
];

/// Looks at the server.
pub async fn server(session: &mut Session) -> Result<Server, OutboxError> {
    session
        .run(async |connection| {
            let row = sqlx::query(SERVER).fetch_one(connection).await?;
            Ok(Server {
                version_num: column(&row, 0)?,
                version: column(&row, 1)?,
                read_only: column(&row, 2)?,
                clock_ms: column(&row, 3)?,
            })
        })
        .await
}

/// Looks for what the role may not do that marks so, and `stores` large payloads or not. Without the
/// schema, nothing in it is looked at.
pub async fn rights(
    session: &mut Session,
    names: &Names,
    (after, stores): (AfterPublish, bool),
) -> Result<Rights, OutboxError> {
    session
        .run(async |connection| {
            let row = sqlx::query(SCHEMA_RIGHT)
                .bind(names.schema())
                .fetch_one(&mut *connection)
                .await?;
            let (role, enters): (String, bool) = (column(&row, 0)?, column(&row, 1)?);
            let missing = if enters {
                missing(connection, names, (after, stores)).await?
            } else {
                vec![names.render("USAGE ON SCHEMA {schema}")]
            };
            Ok(Rights {
                role: quoted(&role),
                missing,
            })
        })
        .await
}

/// `rights`: locks nothing; the catalog alone.
async fn missing(
    connection: &mut PgConnection,
    names: &Names,
    (after, stores): (AfterPublish, bool),
) -> Result<Vec<String>, sqlx::Error> {
    let finishing: Right = match after {
        AfterPublish::Mark => ("UPDATE", &["published_at"], "{outbox}"),
        AfterPublish::Delete => ("DELETE", &[], "{outbox}"),
    };
    let large = LARGE_RIGHTS.into_iter().filter(|_| stores);
    let rights: Vec<Right> = RIGHTS.into_iter().chain([finishing]).chain(large).collect();
    let mut questions: Vec<String> = rights.iter().map(|right| question(right, names)).collect();
    questions.push(names.render("has_sequence_privilege({sequence_text}, 'SELECT')"));
    let mut told: Vec<String> = rights.iter().map(|right| told(right, names)).collect();
    told.push(names.render("SELECT ON SEQUENCE {sequence}"));
    let statement = format!("/* rights */ SELECT ARRAY[{}]", questions.join(", "));
    let allowed: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_one(connection)
        .await?;
    let pairs = told.into_iter().zip(allowed);
    Ok(pairs
        .filter_map(|(right, allowed)| (!allowed).then_some(right))
        .collect())
}

fn question((right, columns, object): &Right, names: &Names) -> String {
    let object = literal(&names.render(object));
    if columns.is_empty() {
        return format!("has_table_privilege({object}, '{right}')");
    }
    let each: Vec<String> = columns
        .iter()
        .map(|column| format!("has_column_privilege({object}, '{column}', '{right}')"))
        .collect();
    format!("({})", each.join(" AND "))
}

fn told((right, columns, object): &Right, names: &Names) -> String {
    let object = names.render(object);
    if columns.is_empty() {
        format!("{right} ON {object}")
    } else {
        format!("{right} ({}) ON {object}", columns.join(", "))
    }
}

/// Looks at the sequence; none where the outbox has another than its own.
pub async fn sequence(
    session: &mut Session,
    names: &Names,
) -> Result<Option<Sequence>, OutboxError> {
    let statement = names.render(SEQUENCE);
    session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .fetch_optional(connection)
                .await?;
            row.as_ref().map(sequence_of).transpose()
        })
        .await
}

fn sequence_of(row: &PgRow) -> Result<Sequence, sqlx::Error> {
    Ok(Sequence {
        generated_always: column(row, 0)?,
        cache: column(row, 1)?,
        increment: column(row, 2)?,
    })
}

/// Looks at which kinds of events wait or were written last.
pub async fn kinds(session: &mut Session, names: &Names) -> Result<Vec<Kind>, OutboxError> {
    let statement = names.render(KINDS);
    session
        .run(async |connection| {
            let rows = sqlx::query(AssertSqlSafe(statement))
                .fetch_all(connection)
                .await?;
            rows.iter().map(kind).collect()
        })
        .await
}

fn kind(row: &PgRow) -> Result<Kind, sqlx::Error> {
    Ok(Kind {
        aggregate_type: column(row, 0)?,
        event_type: column(row, 1)?,
        topic: column(row, 2)?,
        oldest_seconds: column(row, 3)?,
        seq: column(row, 4)?,
    })
}
