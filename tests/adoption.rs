//! Tables that were there before the relay: adopted while services write to them, and killed half-way.

pub(crate) mod shapes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Transaction;
use sqlx::postgres::{PgPool, Postgres as Server};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::tally::number;
use crate::support::{
    Database, Kafka, Outbox, Postgres, Received, Receiver, RelayProcess, SOON, eventually,
};

const LOCK_TIMEOUT_MS: u64 = 300;
/// What a busy machine may add to a wait for a lock, in milliseconds.
const SLACK_MS: u64 = 3_000;
const SINCE: &str = "2026-11-01T00:00:00Z";
/// Rows that are there, how many of them are younger than `SINCE`, and over how many aggregates.
const ROWS: i64 = 200_000;
const YOUNGER: i64 = 40_000;
const AGGREGATES: i64 = 40;
const WRITERS: i64 = 4;
/// The plain table with seven columns.
const PLAIN: &str = "CREATE TABLE outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregate_type varchar(255) NOT NULL,
    aggregate_id varchar(255) NOT NULL,
    event_type varchar(255) NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp DEFAULT (now() AT TIME ZONE 'UTC'),
    published_at timestamp NULL)";
/// What that table lacks.
const PLAIN_LACKS: [(&str, &str); 4] = [
    ("database.columns.headers", ""),
    ("database.columns.topic", ""),
    ("database.columns.partition_key", ""),
    ("database.columns.available_at", ""),
];

/// A table that a statement makes, with a topic that keeps old events and no relay's things.
pub(crate) async fn table(statement: &str) -> Outbox {
    let kafka = Kafka::shared().await;
    let database = Database::create(Postgres::shared().await).await;
    let topic = Kafka::unique("adopted");
    kafka
        .create_topic(&topic, 6, &[("retention.ms", "-1")])
        .await;
    let outbox = Outbox::adopt(database, kafka).await.led_to(topic);
    outbox.execute(statement).await;
    outbox
}

/// A transaction that saw the database as it is now, and looks at something else.
async fn old_snapshot(outbox: &Outbox) -> Transaction<'static, Server> {
    let mut holder = outbox.pool.begin().await.expect("a session is free");
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
        .execute(&mut *holder)
        .await
        .expect("it looks at something else");
    holder
}

/// Starts to adopt a table.
fn adopt(outbox: &Outbox, arguments: &[&str], settings: &[(&str, &str)]) -> RelayProcess {
    let arguments = [&["migrate", "--adopt"], arguments].concat();
    outbox.verb(&arguments, settings)
}

/// Adopts a table to the end; returns all that was said.
pub(crate) async fn adopted(
    outbox: &Outbox,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> String {
    let mut verb = adopt(outbox, &[&["--apply"], arguments].concat(), settings);
    let code = verb.wait_exit(SOON).await;
    let said = [verb.stdout(), verb.stderr()].concat().join("\n");
    assert_eq!(code, 0, "{said}");
    said
}

/// A service that writes events of its own aggregates, one after another, until it is told to stop.
struct Writer {
    writing: JoinHandle<(BTreeMap<i64, i64>, Duration)>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    fn start(pool: PgPool, which: i64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writing = tokio::spawn(async move {
            let (mut last, mut longest) = (BTreeMap::new(), Duration::ZERO);
            for n in ROWS.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let of_ours = AGGREGATES / WRITERS;
                let aggregate = which * of_ours + n % of_ours;
                let begun = Instant::now();
                sqlx::query(
                    "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
                     VALUES ('order', $1, 'Placed', jsonb_build_object('n', $2))",
                )
                .bind(format!("a{aggregate}"))
                .bind(n)
                .execute(&pool)
                .await
                .expect("a service may always write");
                longest = longest.max(begun.elapsed());
                last.insert(aggregate, n);
            }
            (last, longest)
        });
        Self { writing, stop }
    }

    /// The last number of each of its aggregates, and how long it had to wait at most.
    async fn stop(self) -> (BTreeMap<i64, i64>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.writing.await.expect("a writer does not panic")
    }
}

/// Fills the table with rows in no order, some of which were published, of each aggregate numbered by
/// their times.
async fn fill(outbox: &Outbox) {
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at,
                 published_at)
             SELECT 'order', 'a' || n % {AGGREGATES}, 'Placed', jsonb_build_object('n', n),
                 timestamp '2026-11-01' + (n - {}) * interval '1 millisecond',
                 CASE WHEN n % 7 = 0 THEN now() END
             FROM generate_series(0, {ROWS} - 1) AS n ORDER BY random()",
            ROWS - YOUNGER
        ))
        .await;
}

/// The numbers of each aggregate's events, as they came.
fn numbers(records: &[Received]) -> BTreeMap<String, Vec<i64>> {
    let mut numbers: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for record in records {
        let key = record.key.clone().expect("the aggregate's id");
        let key = String::from_utf8(key).expect("the ids are text");
        numbers.entry(key).or_default().push(number(record));
    }
    numbers
}

/// Stops the writers, none of which had to wait for longer than it may; returns the last number of each
/// aggregate.
async fn stop(writers: Vec<Writer>) -> BTreeMap<i64, i64> {
    let mut last = BTreeMap::new();
    for writer in writers {
        let (of_ours, longest) = writer.stop().await;
        last.extend(of_ours);
        let bound = Duration::from_millis(LOCK_TIMEOUT_MS + SLACK_MS);
        assert!(longest < bound, "a service waited for {longest:?}");
    }
    last
}

/// Waits until all is published that waited, and nothing else.
async fn outbox_is_drained(outbox: &Outbox) {
    eventually(
        "all that has a lane is published",
        SOON,
        async || match outbox
            .count("published_at IS NULL AND lane IS NOT NULL")
            .await
        {
            0 => Ok(()),
            left => Err(left.to_string()),
        },
    )
    .await;
    let (mut older, unmarked) = (
        0,
        outbox.count("published_at IS NULL AND lane IS NULL").await,
    );
    (0..ROWS - YOUNGER)
        .filter(|n| n % 7 != 0)
        .for_each(|_| older += 1);
    assert_eq!(unmarked, older, "older rows are left as they were");
}

/// The numbers of an aggregate that are to come, up to this.
fn expected(aggregate: i64, last: i64) -> Vec<i64> {
    let old = (ROWS - YOUNGER..ROWS).filter(|n| n % AGGREGATES == aggregate && n % 7 != 0);
    let of_a_writer = AGGREGATES / WRITERS;
    let new = (ROWS..=last).filter(|n| n % of_a_writer == aggregate % of_a_writer);
    old.chain(new).collect()
}

#[tokio::test]
async fn an_adoption_that_is_killed_half_way_loses_repeats_and_reorders_nothing() {
    let outbox = table(PLAIN).await;
    fill(&outbox).await;
    let lock_timeout = LOCK_TIMEOUT_MS.to_string();
    let arguments = [
        "--apply",
        "--since",
        SINCE,
        "--lock-timeout-ms",
        &lock_timeout,
    ];
    let mut long = outbox.pool.begin().await.expect("a session is free");
    sqlx::query("LOCK TABLE outbox IN ROW EXCLUSIVE MODE")
        .execute(&mut *long)
        .await
        .expect("it may be locked");
    let writers: Vec<Writer> = (0..WRITERS)
        .map(|which| Writer::start(outbox.pool.clone(), which))
        .collect();

    let first = adopt(&outbox, &arguments, &PLAIN_LACKS);
    first.logs("others hold the table", SOON).await;
    long.commit().await.expect("nobody is in its way");
    first.logs("numbered", SOON).await;
    first.kill();
    let mut early = outbox.relay(&PLAIN_LACKS);
    early.logs("public.outbox is not migrated yet", SOON).await;
    let said = adopted(&outbox, &arguments[1..], &PLAIN_LACKS).await;
    assert!(
        said.contains("numbered") && said.contains("is adopted now"),
        "{said}"
    );
    early.logs("lane claimed", SOON).await;
    assert!(early.runs());

    let last = stop(writers).await;
    outbox_is_drained(&outbox).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let came = numbers(&receiver.read_to_end(SOON).await);
    let expected: BTreeMap<String, Vec<i64>> = last
        .into_iter()
        .map(|(aggregate, last)| (format!("a{aggregate}"), expected(aggregate, last)))
        .collect();
    assert_eq!(came, expected);
    let again = adopted(&outbox, &[], &PLAIN_LACKS).await;
    assert!(again.contains("was adopted already"), "{again}");
}

#[tokio::test]
async fn what_takes_long_is_told_while_it_does() {
    let outbox = table(PLAIN).await;
    let holder = old_snapshot(&outbox).await;
    let mut verb = adopt(&outbox, &["--apply"], &PLAIN_LACKS);
    verb.logs("the index: waiting for old snapshots", SOON)
        .await;
    holder.rollback().await.expect("it has seen enough");
    assert_eq!(verb.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn adoptions_take_turns_and_an_index_that_was_left_half_built_is_built_anew() {
    let outbox = table(PLAIN).await;
    let holder = old_snapshot(&outbox).await;
    let mut first = adopt(&outbox, &["--apply"], &PLAIN_LACKS);
    first.logs("waiting for old snapshots", SOON).await;
    let mut second = adopt(&outbox, &["--apply"], &PLAIN_LACKS);
    outbox
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'CREATE%INDEX CONCURRENTLY%'",
        )
        .await;
    assert_eq!(first.wait_exit(SOON).await, 69);
    let broken = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    let broken = async || -> i64 {
        sqlx::query_scalar(broken)
            .fetch_one(&outbox.pool)
            .await
            .expect("the catalogue is there")
    };
    second.logs("waiting for old snapshots", SOON).await;
    assert_eq!(broken().await, 1);
    holder.rollback().await.expect("it has seen enough");
    assert_eq!(second.wait_exit(SOON).await, 0);
    assert_eq!(broken().await, 0);
}

#[tokio::test]
async fn without_since_all_that_is_there_counts_as_published_and_what_comes_is_not() {
    let outbox = table(&PLAIN.replace(", \n    published_at timestamp NULL", "")).await;
    outbox
        .execute("ALTER TABLE outbox DROP COLUMN published_at")
        .await;
    let write = |n: i32| {
        format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', '1', 'Placed', jsonb_build_object('n', {n})"
        )
    };
    outbox.execute(&write(1)).await;
    let file = "SELECT pg_relation_filenode('outbox')::bigint";
    let filenode = async || -> i64 {
        sqlx::query_scalar(file)
            .fetch_one(&outbox.pool)
            .await
            .expect("the table has a file")
    };
    let before = filenode().await;
    adopted(&outbox, &[], &PLAIN_LACKS).await;
    assert_eq!(filenode().await, before, "the table was not rewritten");
    assert_eq!(
        outbox
            .count("published_at IS NOT NULL AND seq IS NULL")
            .await,
        1
    );
    let _relay = outbox.relay(&PLAIN_LACKS);
    outbox.execute(&write(2)).await;
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let came = numbers(&receiver.read_to_end(SOON).await);
    assert_eq!(came["1"], [2]);
}

#[tokio::test]
async fn what_cannot_be_adopted_is_left_as_it_was_and_told_with_the_cure() {
    let outbox = table("CREATE TABLE other (id uuid)").await;
    let told = async |arguments: &[&str], settings: &[(&str, &str)]| {
        let mut verb = adopt(&outbox, &[&["--apply"], arguments].concat(), settings);
        assert_eq!(verb.wait_exit(SOON).await, 64);
        verb.stderr().join("\n")
    };
    let said = told(&[], &PLAIN_LACKS).await;
    assert!(said.contains("there is no table public.outbox"), "{said}");
    for (make, kind) in [
        ("CREATE VIEW outbox AS SELECT * FROM other", "VIEW"),
        (
            "CREATE TABLE outbox (id uuid) PARTITION BY HASH (id)",
            "TABLE",
        ),
        ("CREATE TABLE outbox () INHERITS (other)", "TABLE"),
    ] {
        outbox.execute(make).await;
        let said = told(&[], &PLAIN_LACKS).await;
        assert!(said.contains("is no ordinary table"), "{make}: {said}");
        outbox.execute(&format!("DROP {kind} outbox")).await;
    }
    outbox.execute(PLAIN).await;
    let said = told(&[], &[]).await;
    assert!(said.contains("database.columns.headers"), "{said}");
    outbox
        .execute("ALTER TABLE outbox ADD COLUMN attempts text")
        .await;
    let said = told(&[], &PLAIN_LACKS).await;
    assert!(said.contains("has a column attempts already"), "{said}");
    outbox
        .execute("ALTER TABLE outbox DROP COLUMN attempts")
        .await;
    let timeless = [&PLAIN_LACKS[..], &[("database.columns.created_at", "")]].concat();
    let said = told(&["--since", SINCE], &timeless).await;
    assert!(
        said.contains("--since needs database.columns.created_at"),
        "{said}"
    );
    let things = "SELECT count(*) FROM pg_class WHERE relname LIKE 'outbox\\_%'";
    let count: i64 = sqlx::query_scalar(things)
        .fetch_one(&outbox.pool)
        .await
        .expect("the catalogue is there");
    assert_eq!(count, 1, "its primary key alone");

    adopted(&outbox, &["--since", SINCE, "--lanes", "3"], &PLAIN_LACKS).await;
    let said = told(&["--since", "2026-10-01T00:00:00Z"], &PLAIN_LACKS).await;
    assert!(said.contains("begun with --since 2026-11-01"), "{said}");
    let said = told(&["--lanes", "4"], &PLAIN_LACKS).await;
    assert!(said.contains("begun with 3 lanes"), "{said}");
}
