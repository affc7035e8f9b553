//! A migrated outbox in a database of its own, and relays on it.
//!
//! Owns the settings that a test's relays share. Knows nothing of what a test asks of them.

use std::ops::RangeInclusive;
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::PgPool;

use super::{Database, Kafka, Postgres, Proxy, RelayProcess, SOON, eventually};

/// An outbox with the topic that its events go to.
pub(crate) struct Outbox {
    database: Database,
    pub(crate) pool: PgPool,
    /// Where events go whose rows name no topic.
    pub(crate) topic: String,
    settings: Vec<(String, String)>,
}

impl Outbox {
    /// A new outbox on the shared servers, with a topic of six partitions.
    pub(crate) async fn create() -> Self {
        Self::create_on(Postgres::shared().await, Kafka::shared().await).await
    }

    /// A new outbox on these servers.
    pub(crate) async fn create_on(postgres: &Postgres, kafka: &Kafka) -> Self {
        let outbox = Self::adopt(Database::create(postgres).await, kafka).await;
        outbox.migrate(&[]).await;
        outbox
    }

    /// An outbox that is in this database already, or is still to be migrated.
    pub(crate) async fn adopt(database: Database, kafka: &Kafka) -> Self {
        let topic = kafka.topic("orders", 6).await;
        let pool = database.pool().await;
        let settings = [
            ("database.url", database.url()),
            ("kafka.brokers", kafka.brokers()),
            ("route.topic", &topic),
            ("http.listen", "127.0.0.1:0"),
        ];
        Self {
            settings: settings
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            database,
            pool,
            topic,
        }
    }

    /// The same outbox, whose events go to another topic.
    pub(crate) fn led_to(mut self, topic: String) -> Self {
        self.settings.retain(|(key, _)| key != "route.topic");
        self.settings
            .push(("route.topic".to_owned(), topic.clone()));
        self.topic = topic;
        self
    }

    /// The database's address for another role.
    pub(crate) fn url_as(&self, role: &str, password: &str) -> String {
        let (scheme, rest) = self.database.url().split_once("://").expect("it is a URL");
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        format!("{scheme}://{role}:{password}@{server}")
    }

    /// A proxy before its server, and the superuser's URL that leads through it.
    pub(crate) async fn proxied(&self) -> (Proxy, String) {
        let proxy = Proxy::before(self.server()).await;
        let url = self.url_through(proxy.address());
        (proxy, url)
    }

    /// The superuser's URL with another server.
    pub(crate) fn url_through(&self, server: &str) -> String {
        self.url().replacen(self.server(), server, 1)
    }

    /// Where its server listens (`host:port`).
    pub(crate) fn server(&self) -> &str {
        let (_, rest) = self.url().rsplit_once('@').expect("the URL names a user");
        let (server, _) = rest.split_once('/').expect("the URL names a database");
        server
    }

    /// The superuser's URL of its database.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Runs `migrate` with these arguments.
    pub(crate) async fn migrate(&self, arguments: &[&str]) {
        let arguments = [&["migrate"], arguments].concat();
        let mut migrate = self.verb(&arguments, &[]);
        assert_eq!(migrate.wait_exit(SOON).await, 0, "migrate succeeds");
    }

    /// Starts a relay; later settings win over the outbox's own.
    pub(crate) fn relay(&self, settings: &[(&str, &str)]) -> RelayProcess {
        self.verb(&["run"], settings)
    }

    /// Starts a relay whose outputs (stdout, stderr) are somebody else's.
    pub(crate) fn relay_into(
        &self,
        outputs: (Stdio, Stdio),
        settings: &[(&str, &str)],
    ) -> RelayProcess {
        RelayProcess::start_into(outputs, &["run"], &self.with_own(settings))
    }

    /// Starts any verb of the program on this outbox.
    pub(crate) fn verb(&self, arguments: &[&str], settings: &[(&str, &str)]) -> RelayProcess {
        RelayProcess::start(arguments, &self.with_own(settings))
    }

    /// The outbox's own settings and these, which win.
    fn with_own<'a>(&'a self, settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut all: Vec<(&str, &str)> = self
            .settings
            .iter()
            .filter(|(key, _)| settings.iter().all(|(other, _)| other != key))
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        all.extend(settings);
        all
    }

    /// Writes one event in a transaction of its own; returns its number.
    pub(crate) async fn write(&self, aggregate_id: &str, payload: &str) -> i64 {
        sqlx::query_scalar(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', $1, 'OrderPlaced', $2::jsonb) RETURNING seq",
        )
        .bind(aggregate_id)
        .bind(payload)
        .fetch_one(&self.pool)
        .await
        .expect("an event is written")
    }

    /// Writes so many events over so many aggregates in one statement.
    pub(crate) async fn write_many(&self, events: i32, aggregates: i32) {
        self.write_numbered(1..=events, aggregates).await;
    }

    /// Writes events with these numbers over so many aggregates in one statement.
    pub(crate) async fn write_numbered(&self, numbers: RangeInclusive<i32>, aggregates: i32) {
        sqlx::query(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', (n % $3)::text, 'OrderPlaced', jsonb_build_object('n', n)
             FROM generate_series($1, $2) AS n",
        )
        .bind(numbers.start())
        .bind(numbers.end())
        .bind(aggregates)
        .execute(&self.pool)
        .await
        .expect("events are written");
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&self.pool)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// How many rows answer this condition.
    pub(crate) async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM outbox WHERE {condition}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&self.pool)
            .await
            .expect("rows are counted")
    }

    /// Entries of an index that were visited so far, as sessions have told, up to a second late.
    pub(crate) async fn index_visits(&self, index: &str) -> i64 {
        sqlx::query_scalar("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1")
            .bind(index)
            .fetch_one(&self.pool)
            .await
            .expect("the index is there")
    }

    /// Waits until nothing waits for publication any more.
    pub(crate) async fn drained(&self, within: Duration) {
        eventually("the outbox is drained", within, async || {
            match self.count("published_at IS NULL AND dead_at IS NULL").await {
                0 => Ok(()),
                left => Err(format!("{left} rows wait")),
            }
        })
        .await;
    }
}
