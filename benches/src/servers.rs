//! The servers that all cells share: one Kafka and one `PostgreSQL` for the whole run.
//!
//! Owns their settings and the broker's warming. Knows no outbox.
//!
//! Logical decoding makes every update write its whole row to the server's log, so a contender that
//! needs it has a server of its own, as if it were set up for it, and the others do not pay for it.

use anyhow::{Context, Result};
use tokio::sync::OnceCell;

use crate::flood;
use crate::spent;
use crate::support::{Kafka, Postgres};

/// What the broker's Java is told; the rest is left as it comes.
const JAVA: [&str; 2] = ["-Xms1g", "-Xmx1g"];
/// Records after which the broker's Java has compiled what it needs. It is requests that count, so
/// few are under way at once.
const WARMING_RECORDS: i64 = 600_000;
const WARMING_IN_FLIGHT: i64 = 100;
/// A topic that is deleted gives its disc back soon.
const BROKER: [(&str, &str); 2] = [
    ("log.segment.delete.delay.ms", "1000"),
    ("log.retention.ms", "-1"),
];
/// What a server of this size would be given.
const DATABASE: [(&str, &str); 7] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    // Files of the log are used again: a cell shall not pay for new ones.
    ("min_wal_size", "4GB"),
    ("synchronous_commit", "on"),
    ("shared_preload_libraries", "pg_stat_statements"),
    ("pg_stat_statements.track_planning", "off"),
    ("checkpoint_timeout", "15min"),
];

/// The partitions of every topic.
pub(crate) const PARTITIONS: i32 = 6;
/// The broker's clock says when a record was there.
pub(crate) const APPEND_TIME: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];

/// The servers of one run.
pub(crate) struct Servers {
    pub(crate) kafka: Kafka,
    kafka_pid: i32,
    plain: Postgres,
    logical: OnceCell<Postgres>,
}

impl Servers {
    /// Starts Kafka and `PostgreSQL`, and warms the broker.
    pub(crate) async fn start() -> Result<Self> {
        let kafka = Kafka::private_on(&JAVA, &BROKER).await;
        let own = i32::try_from(std::process::id())?;
        let kafka_pid = spent::child_with(own, "kafka.Kafka").context("the broker runs")?;
        let servers = Self {
            kafka,
            kafka_pid,
            plain: Postgres::private(&DATABASE).await,
            logical: OnceCell::new(),
        };
        servers.warm().await?;
        Ok(servers)
    }

    /// The database server, with or without logical decoding.
    pub(crate) async fn postgres(&self, logical: bool) -> &Postgres {
        if !logical {
            return &self.plain;
        }
        self.logical
            .get_or_init(async || {
                let settings = [&DATABASE[..], &[("wal_level", "logical")]].concat();
                Postgres::private(&settings).await
            })
            .await
    }

    /// The process id of the broker.
    pub(crate) fn kafka_pid(&self) -> i32 {
        self.kafka_pid
    }

    /// The settings of both, for the results.
    pub(crate) fn settings() -> Vec<(String, String)> {
        let database = DATABASE.map(|(name, value)| (format!("postgresql.{name}"), value));
        let broker = BROKER.map(|(name, value)| (format!("kafka.{name}"), value));
        let named = database.into_iter().chain(broker);
        let mut settings: Vec<(String, String)> = named
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        settings.push(("kafka.java".to_owned(), JAVA.join(" ")));
        settings.push((
            "kafka.warmed_by_records".to_owned(),
            WARMING_RECORDS.to_string(),
        ));
        settings
    }

    async fn warm(&self) -> Result<()> {
        let topic = Kafka::unique("warming");
        self.kafka
            .create_topic(&topic, PARTITIONS, &APPEND_TIME)
            .await;
        let counts = (WARMING_RECORDS, WARMING_IN_FLIGHT);
        flood::flood(&self.kafka, &topic, counts, &[]).await?;
        self.kafka.delete_topic(&topic).await;
        Ok(())
    }
}
