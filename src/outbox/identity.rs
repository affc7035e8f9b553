//! What all relays of one outbox must agree on: schema, protocol, and which Kafka they feed.
//!
//! Owns the reading and the first writing of that agreement. Decides only whether it is kept.
//!
//! Invariant: a relay that disagrees does not start; it changes nothing on its way out.

use sqlx::AssertSqlSafe;

use super::error::OutboxError;
use super::migration;
use super::names::Names;
use super::session::{Session, column};

/// How relays of one outbox work together. It changes when two neighbouring versions could not
/// share an outbox safely.
pub const PROTOCOL: i32 = 1;

/// `schema_version`: locks nothing; the migrations are few.
const SCHEMA_VERSION: &str = "
/* schema_version */
SELECT max(version) FROM {migrations}
";

/// `identity`: locks nothing; one row.
const IDENTITY: &str = "
/* identity */
SELECT protocol, lanes, kafka_cluster_id, routing FROM {identity}
";

/// `record_cluster`: locks the one row.
const RECORD_CLUSTER: &str = "
/* record_cluster */
UPDATE {identity} SET kafka_cluster_id = $1 WHERE kafka_cluster_id IS NULL OR $2
";

/// `record_routing`: locks the one row.
const RECORD_ROUTING: &str = "
/* record_routing */
UPDATE {identity} SET routing = $1
";

/// Why a relay must not run on this outbox.
#[derive(Debug, thiserror::Error)]
pub enum Mismatch {
    /// The tables are of another version.
    #[error(
        "the outbox's schema is version {found}, this relay knows version {known}: \
         run the `migrate` verb of the newer of the two"
    )]
    Schema {
        /// The version in the database.
        found: i32,
        /// The version of this binary.
        known: i32,
    },
    /// Relays of another protocol share this outbox.
    #[error(
        "the outbox is shared by protocol {found}, this relay speaks {known}: stop the relays of \
         the other version first"
    )]
    Protocol {
        /// The protocol in the database.
        found: i32,
        /// The protocol of this binary.
        known: i32,
    },
    /// The outbox feeds another Kafka.
    #[error(
        "the outbox feeds the Kafka cluster `{recorded}`, kafka.brokers leads to `{found}`: \
         correct it, or start once with --adopt-kafka-cluster if the move is meant"
    )]
    Cluster {
        /// The cluster id in the database.
        recorded: String,
        /// The cluster id that the brokers told.
        found: String,
    },
}

/// What the database says of the agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The version of the tables.
    pub schema: i32,
    /// The protocol of the relays.
    pub protocol: i32,
    /// How many lanes there are.
    pub lanes: i16,
    /// The Kafka cluster that the outbox feeds, once a relay has run.
    pub kafka_cluster_id: Option<String>,
    /// The routing fingerprint of the relay that wrote it last.
    pub routing: Option<String>,
}

impl Identity {
    /// Reads the agreement.
    pub async fn read(session: &mut Session, names: &Names) -> Result<Self, OutboxError> {
        session
            .run(async |connection| {
                let schema: Option<i32> =
                    sqlx::query_scalar(AssertSqlSafe(names.render(SCHEMA_VERSION)))
                        .fetch_one(&mut *connection)
                        .await?;
                let row = sqlx::query(AssertSqlSafe(names.render(IDENTITY)))
                    .fetch_one(&mut *connection)
                    .await?;
                Ok(Self {
                    schema: schema.unwrap_or(0),
                    protocol: column(&row, 0)?,
                    lanes: column(&row, 1)?,
                    kafka_cluster_id: column(&row, 2)?,
                    routing: column(&row, 3)?,
                })
            })
            .await
    }

    /// Whether this binary may work on these tables with these other relays.
    pub fn check_versions(&self) -> Result<(), Mismatch> {
        if self.schema != migration::VERSION {
            return Err(Mismatch::Schema {
                found: self.schema,
                known: migration::VERSION,
            });
        }
        if self.protocol != PROTOCOL {
            return Err(Mismatch::Protocol {
                found: self.protocol,
                known: PROTOCOL,
            });
        }
        Ok(())
    }

    /// Whether the outbox feeds this cluster, or none yet.
    pub fn check_cluster(&self, found: &str) -> Result<(), Mismatch> {
        match &self.kafka_cluster_id {
            Some(recorded) if recorded != found => Err(Mismatch::Cluster {
                recorded: recorded.clone(),
                found: found.to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Records the cluster that the outbox feeds: the first time, or whenever `adopt` says so.
pub async fn record_cluster(
    session: &mut Session,
    names: &Names,
    cluster_id: &str,
    adopt: bool,
) -> Result<(), OutboxError> {
    session
        .run(async |connection| {
            sqlx::query(AssertSqlSafe(names.render(RECORD_CLUSTER)))
                .bind(cluster_id)
                .bind(adopt)
                .execute(connection)
                .await
        })
        .await?;
    Ok(())
}

/// Records the fingerprint of how this relay routes.
pub async fn record_routing(
    session: &mut Session,
    names: &Names,
    routing: &str,
) -> Result<(), OutboxError> {
    session
        .run(async |connection| {
            sqlx::query(AssertSqlSafe(names.render(RECORD_ROUTING)))
                .bind(routing)
                .execute(connection)
                .await
        })
        .await?;
    Ok(())
}
