//! The bed of one cell: an outbox in a database of its own, and a topic of its own.
//!
//! Owns both, and takes them away after the cell. Knows no contender.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

use crate::servers::{APPEND_TIME, PARTITIONS, Servers};
use crate::spent;
use crate::support::{Database, Kafka, RelayProcess};

/// How long a verb of the relay may take.
const VERB: Duration = Duration::from_secs(30);
/// How long a contender may take to let its sessions go.
const CLEARED: Duration = Duration::from_secs(30);
/// How long after the last record the last mark may follow.
const MARKED: Duration = Duration::from_mins(2);
/// The bench's own sessions, which are told from the contender's by it.
const NAME: &str = "outbox-relay-bench";
/// Sessions of the bench: the writers, and a look beside them.
const SESSIONS: u32 = 34;

/// Where one cell is measured.
pub(crate) struct Bed<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) pool: PgPool,
    /// Where all events go.
    pub(crate) topic: String,
    /// What a contender may write to.
    pub(crate) folder: TempDir,
    database: Database,
    postgres_pid: i32,
}

impl<'a> Bed<'a> {
    /// An empty outbox and an empty topic, with these settings; `logical` says that the server's log
    /// will be decoded.
    pub(crate) async fn make(
        servers: &'a Servers,
        logical: bool,
        topic_settings: &[(&str, &str)],
    ) -> Result<Self> {
        let postgres = servers.postgres(logical).await;
        let database = Database::create(postgres).await;
        let topic = Kafka::unique("orders");
        let topic_settings = [&APPEND_TIME[..], topic_settings].concat();
        servers
            .kafka
            .create_topic(&topic, PARTITIONS, &topic_settings)
            .await;
        let options = PgConnectOptions::from_str(database.url())?.application_name(NAME);
        let pool = PgPoolOptions::new()
            .max_connections(SESSIONS)
            .connect_with(options)
            .await?;
        let mut migrate = RelayProcess::start(&["migrate"], &[("database.url", database.url())]);
        ensure!(migrate.wait_exit(VERB).await == 0, "migrate failed");
        sqlx::query("CREATE EXTENSION pg_stat_statements")
            .execute(&pool)
            .await?;
        Ok(Self {
            servers,
            pool,
            topic,
            folder: tempfile::Builder::new()
                .prefix("outbox-relay-bench-")
                .tempdir()?,
            database,
            postgres_pid: postgres.pid(),
        })
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// CPU seconds of the whole database server so far.
    pub(crate) fn postgres_cpu_s(&self) -> f64 {
        spent::family_cpu_s(self.postgres_pid)
    }

    /// CPU seconds of the sessions that are not the bench's.
    pub(crate) async fn sessions_cpu_s(&self) -> Result<f64> {
        let sessions: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND application_name <> $1",
        )
        .bind(NAME)
        .fetch_all(&self.pool)
        .await?;
        Ok(sessions.into_iter().map(spent::cpu_s).sum())
    }

    /// Waits until no row waits, with looks that cost next to nothing: to count would take a core.
    pub(crate) async fn marked(&self) -> Result<()> {
        let began = Instant::now();
        let mut looks = interval(Duration::from_millis(20));
        let waits = "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL
            AND dead_at IS NULL AND available_at IS NULL AND lane >= 0)";
        loop {
            looks.tick().await;
            if !sqlx::query_scalar(waits).fetch_one(&self.pool).await? {
                return Ok(());
            }
            ensure!(began.elapsed() < MARKED, "rows stay unmarked");
        }
    }

    /// Takes database and topic away; whoever used them has ended.
    pub(crate) async fn clear(self) -> Result<()> {
        self.drop_slots().await?;
        self.pool.close().await;
        self.servers.kafka.delete_topic(&self.topic).await;
        let (server, name) = self
            .url()
            .rsplit_once('/')
            .context("the URL names a database")?;
        let mut connection = PgConnection::connect(&format!("{server}/postgres")).await?;
        let drop_it = format!("DROP DATABASE {name} WITH (FORCE)");
        sqlx::query(AssertSqlSafe(drop_it))
            .execute(&mut connection)
            .await?;
        // The next cell shall not pay for this one's pages.
        sqlx::query("CHECKPOINT").execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// A slot would keep the server's log for ever, and a database that has one is not dropped.
    async fn drop_slots(&self) -> Result<()> {
        let began = Instant::now();
        let mut looks = interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let busy: i64 = sqlx::query_scalar(
                "SELECT count(*) FILTER (WHERE active) FROM pg_replication_slots
                 WHERE database = current_database()",
            )
            .fetch_one(&self.pool)
            .await?;
            if busy == 0 {
                break;
            }
            ensure!(began.elapsed() < CLEARED, "a replication slot stays in use");
        }
        sqlx::query(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
             WHERE database = current_database()",
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
