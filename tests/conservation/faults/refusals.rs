//! The database refuses: rights, locks, columns, sessions, writes. Each time the relay says which
//! and what to do, stays alive, and goes on by itself once it may.

use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::WINDOW_ROWS;
use crate::conservation::site::{Site, note};
use crate::support::{Kafka, Outbox, Postgres, Proxy, SOON, eventually, throughout};

/// How long a relay is watched that must not do something.
const A_WHILE: Duration = Duration::from_secs(3);

/// A relay at work as a role of its own, with a proxy before its database.
struct Guarded {
    proxy: Proxy,
    site: Site,
    // Dropped last: the outbox's database is on it.
    postgres: Postgres,
}

impl Guarded {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let postgres = Postgres::private(&[]).await;
        let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
        outbox.execute("CREATE ROLE relay LOGIN NOSUPERUSER").await;
        outbox.migrate(&["--grant-relay", "relay"]).await;
        let proxy = Proxy::before(outbox.server()).await;
        let url = outbox.url_as("relay", "x");
        let url = url.replacen(outbox.server(), proxy.address(), 1);
        let through = [
            ("relay.window_rows", "1000"),
            ("database.statement_timeout_ms", "2000"),
            ("database.url", &url),
        ];
        let settings = [&through[..], settings].concat();
        let site = Site::start(outbox, Kafka::shared().await, &settings).await;
        Self {
            proxy,
            site,
            postgres,
        }
    }

    /// Does something, waits until the relay tells of it, undoes it, and waits until all is well.
    async fn refuse(&self, sql: &str, told: &str, undone: &str) {
        self.site.outbox.execute(sql).await;
        self.site.watched.is_not_ready(told).await;
        self.site.outbox.execute(undone).await;
        self.site.is_back(sql).await;
    }

    async fn end(self, windows_lost: Vec<usize>) {
        self.site.end(windows_lost).await;
        drop(self.postgres);
    }
}

/// Ends the relay's sessions; returns how many.
async fn end_sessions(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'",
    )
    .fetch_one(pool)
    .await
    .expect("the superuser may")
}

#[tokio::test]
async fn rights_that_are_taken_away_are_named_and_all_goes_on_once_they_are_back() {
    let guarded = Guarded::start(&[]).await;
    for right in [
        "SELECT ON outbox",
        "UPDATE ON outbox_relay_lanes",
        "SELECT ON outbox_relay_relays",
    ] {
        let (revoke, grant) = (
            format!("REVOKE {right} FROM relay"),
            format!("GRANT {right} TO relay"),
        );
        guarded.refuse(&revoke, "--grant-relay", &grant).await;
    }
    let columns =
        "UPDATE (published_at, attempts, next_attempt_at, last_error, dead_at, dead_class)";
    let grant = format!("GRANT {columns} ON outbox TO relay");
    guarded.site.outbox.execute(&grant).await;
    guarded
        .refuse(
            "REVOKE USAGE ON SCHEMA public FROM relay, PUBLIC",
            "--grant-relay",
            "GRANT USAGE ON SCHEMA public TO relay, PUBLIC",
        )
        .await;
    guarded.end(Vec::new()).await;
}

/// What is confirmed cannot be marked: publishing stops with the window, nothing is sent again.
#[tokio::test]
async fn marks_that_cannot_be_written_stop_publishing_and_nothing_is_sent_again() {
    let guarded = Guarded::start(&[]).await;
    let (outbox, receiver) = (&guarded.site.outbox, &guarded.site.receiver);
    outbox
        .execute("REVOKE UPDATE (published_at) ON outbox FROM relay")
        .await;
    guarded.site.watched.is_not_ready("--grant-relay").await;
    let marked = outbox.count("published_at IS NOT NULL").await;
    guarded.site.backlog_grows(2 * WINDOW_ROWS).await;
    throughout("no more than the window flies", A_WHILE, async || {
        let now = outbox.count("published_at IS NOT NULL").await;
        let marked = usize::try_from(marked).expect("a count");
        let seen = receiver.count();
        (usize::try_from(now) == Ok(marked) && seen <= marked + WINDOW_ROWS)
            .then_some(())
            .ok_or(format!("{now} marked, {seen} records"))
    })
    .await;
    outbox
        .execute("GRANT UPDATE (published_at) ON outbox TO relay")
        .await;
    guarded.site.is_back("marks").await;
    guarded.end(Vec::new()).await;
}

#[tokio::test]
async fn a_table_that_changes_under_load_is_followed_or_told_of() {
    let guarded = Guarded::start(&[]).await;
    for harmless in [
        "ALTER TABLE outbox ADD COLUMN tenant text DEFAULT 'a'",
        // cached plan must not change result type (0A000)
        "ALTER TABLE outbox ALTER COLUMN event_type TYPE varchar(200)",
        "ALTER TABLE outbox ALTER COLUMN event_type TYPE text",
        "ALTER TABLE outbox DROP COLUMN tenant",
        "REINDEX TABLE outbox",
    ] {
        guarded.site.outbox.execute(harmless).await;
        guarded.site.is_back(harmless).await;
    }
    for (change, told, undone) in [
        (
            "ALTER TABLE outbox RENAME COLUMN partition_key TO other",
            "column o.partition_key does not exist",
            "ALTER TABLE outbox RENAME COLUMN other TO partition_key",
        ),
        (
            "ALTER TABLE outbox DROP COLUMN last_error, DROP COLUMN topic",
            "column o.topic does not exist",
            "ALTER TABLE outbox ADD COLUMN last_error text, ADD COLUMN topic text",
        ),
        (
            "ALTER TABLE outbox RENAME TO other",
            "run `outbox-relay migrate`",
            "ALTER TABLE other RENAME TO outbox",
        ),
        (
            "ALTER TABLE outbox_relay_lanes RENAME TO other",
            "run `outbox-relay migrate`",
            "ALTER TABLE other RENAME TO outbox_relay_lanes",
        ),
    ] {
        guarded.refuse(change, told, undone).await;
    }
    guarded.end(Vec::new()).await;
}

/// As DDL, `VACUUM FULL` and `LOCK TABLE` do.
#[tokio::test]
async fn a_lock_on_the_outbox_is_waited_for_without_haste_and_told_of() {
    let guarded = Guarded::start(&[]).await;
    for table in ["outbox", "outbox_relay_lanes"] {
        let mut transaction = guarded.site.outbox.pool.begin().await.unwrap();
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        transaction.execute(AssertSqlSafe(lock)).await.unwrap();
        guarded.site.watched.is_not_ready("lock timeout").await;
        transaction.rollback().await.unwrap();
        guarded.site.is_back(table).await;
    }
    let relay = &guarded.site.watched.relay;
    let complaints = relay
        .stderr()
        .iter()
        .filter(|line| line.contains("lock timeout"))
        .count();
    assert!(
        complaints <= 4,
        "{complaints} lines of the log for two locks"
    );
    guarded.end(Vec::new()).await;
}

#[tokio::test]
async fn too_many_connections_are_told_of_and_not_stormed() {
    let guarded = Guarded::start(&[]).await;
    let pool = &guarded.site.outbox.pool;
    guarded
        .site
        .outbox
        .execute("ALTER ROLE relay CONNECTION LIMIT 0")
        .await;
    assert!(end_sessions(pool).await >= 3);
    guarded
        .site
        .watched
        .is_not_ready("too many connections")
        .await;
    let before = guarded.proxy.accepted();
    throughout("few tries", 2 * A_WHILE, async || {
        let tries = guarded.proxy.accepted() - before;
        // Three sessions, each a try in one second at least once they have backed off.
        (tries <= 40).then_some(()).ok_or(format!("{tries} tries"))
    })
    .await;
    note(&format!(
        "{} tries in {:?}",
        guarded.proxy.accepted() - before,
        2 * A_WHILE
    ));
    guarded
        .site
        .outbox
        .execute("ALTER ROLE relay CONNECTION LIMIT -1")
        .await;
    guarded.site.is_back("too many connections").await;
    guarded.end(Vec::new()).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_the_primary() {
    let guarded = Guarded::start(&[]).await;
    // Who writes here is a superuser of the same server: he sets it back for himself.
    let mut operator = guarded.site.outbox.pool.acquire().await.unwrap();
    let read_only = async |operator: &mut PgConnection, value: &str| {
        let alter = format!("ALTER ROLE relay SET default_transaction_read_only = {value}");
        operator.execute(AssertSqlSafe(alter)).await
    };
    read_only(&mut operator, "on").await.unwrap();
    end_sessions(&guarded.site.outbox.pool).await;
    guarded
        .site
        .watched
        .is_not_ready("database: the database is not the primary")
        .await;
    read_only(&mut operator, "off").await.unwrap();
    guarded.site.is_back("read-only").await;
    operator.ping().await.unwrap();
    drop(operator);
    guarded.end(Vec::new()).await;
}

/// Does something again and again on a session of its own, until it is told to stop.
async fn again_and_again(outbox: &Outbox, sql: &'static str) -> JoinHandle<()> {
    let connecting = PgConnection::connect(outbox.url()).await;
    let mut session = connecting.expect("the database answers");
    tokio::spawn(async move {
        loop {
            // A deadlock may choose this session.
            let _chosen = session.execute(sqlx::raw_sql(sql)).await;
            let rolled_back = session.execute("ROLLBACK").await;
            rolled_back.expect("the database answers");
        }
    })
}

#[tokio::test]
async fn statements_cancelled_and_deadlocked_are_written_again_and_nothing_is_sent_again() {
    let guarded = Guarded::start(&[]).await;
    let pool = guarded.site.outbox.pool.clone();
    // A mark locks its rows in rising order; this does so in falling order.
    let crossing = again_and_again(
        &guarded.site.outbox,
        "BEGIN; SET LOCAL deadlock_timeout = '10ms';
         SELECT seq FROM outbox WHERE published_at IS NULL ORDER BY seq DESC FOR UPDATE;
         SELECT pg_sleep(0.02);
         SELECT seq FROM outbox WHERE seq > (SELECT max(seq) FROM outbox) - 200
         ORDER BY seq DESC FOR UPDATE",
    )
    .await;
    for _ in 0..20 {
        sqlx::query(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'",
        )
        .execute(&pool)
        .await
        .unwrap();
        guarded.site.flows(SOON).await;
    }
    eventually("deadlocks", SOON, async || {
        let deadlocks: i64 = sqlx::query_scalar(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        (deadlocks > 0).then_some(()).ok_or(deadlocks)
    })
    .await;
    crossing.abort();
    guarded.site.is_back("cancelled").await;
    guarded.end(Vec::new()).await;
}
