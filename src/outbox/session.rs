//! One session with the database, for one purpose, made anew whenever it was lost.
//!
//! Owns connecting, the session's settings and its deadlines. Knows no statement.
//!
//! Invariants:
//! - a statement that missed its deadline, or whose future was dropped, costs the connection:
//!   what is half-way on the wire is never used again;
//! - settings are made once, right after connecting, and the session is shared with nobody: before
//!   the first setting is made, a pooler that would share it was looked for;
//! - who may write is connected to a primary alone, and all of a relay's sessions to the same.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, Row};

use super::error::OutboxError;
use super::lineage::{Lineage, Server};
use super::pooling;
use crate::decide::sqlstate::DatabaseClass;

/// The server is given this long beyond its own statement timeout to answer, in milliseconds.
const ANSWER_MARGIN_MS: u64 = 2_000;
/// Connecting may take this long, in milliseconds.
const CONNECT_MS: u64 = 10_000;

/// How to open sessions.
#[derive(Clone)]
pub struct Access {
    options: PgConnectOptions,
    /// The file that holds the URL, if it is held by one.
    url_file: Option<PathBuf>,
    relay: String,
    statement_timeout_ms: u64,
    /// Whether sessions were found to have their server processes to themselves; all sessions
    /// that are opened by this share it.
    unpooled: Arc<AtomicBool>,
    /// The server that all sessions are to be with; all that are opened by this share it.
    lineage: Arc<Lineage>,
}

impl std::fmt::Debug for Access {
    /// Shows nothing of the URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("relay", &self.relay)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Access by a URL; `relay` names the relay in the server's list of sessions.
    pub fn new(url: &str, relay: &str, statement_timeout_ms: u64) -> Result<Self, OutboxError> {
        Ok(Self {
            options: options(url)?,
            url_file: None,
            relay: relay.to_owned(),
            statement_timeout_ms,
            unpooled: Arc::new(AtomicBool::new(false)),
            lineage: Arc::new(Lineage::default()),
        })
    }

    /// Reads the URL anew from a file for each session: passwords change.
    #[must_use]
    pub fn by_file(mut self, url_file: &Path) -> Self {
        self.url_file = Some(url_file.to_owned());
        self
    }

    /// The same for statements that take longer than most: they are given up after this time at the
    /// earliest.
    #[must_use]
    pub fn patient(&self, at_least_ms: u64) -> Self {
        Self {
            statement_timeout_ms: self.statement_timeout_ms.max(at_least_ms),
            ..self.clone()
        }
    }

    /// How to connect now. A file that is away, or holds no URL, is perhaps being replaced: then it
    /// is as it was at the start.
    async fn options(&self) -> PgConnectOptions {
        let Some(file) = &self.url_file else {
            return self.options.clone();
        };
        match tokio::fs::read_to_string(file).await {
            Ok(url) => options(url.trim_end_matches(['\r', '\n'])).ok(),
            Err(_away) => None,
        }
        .unwrap_or_else(|| self.options.clone())
    }

    /// Looks once for a pooler that shares sessions, before any session has a setting to leak.
    async fn refuse_pooler(
        &self,
        options: &PgConnectOptions,
        connection: &mut PgConnection,
    ) -> Result<(), OutboxError> {
        if self.unpooled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut beside = within(CONNECT_MS, options.connect()).await?;
        let shared = within(CONNECT_MS, pooling::is_shared(connection, &mut beside)).await?;
        within(CONNECT_MS, beside.close()).await?;
        if shared {
            return Err(OutboxError::Pooled);
        }
        self.unpooled.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn options(url: &str) -> Result<PgConnectOptions, OutboxError> {
    let options = PgConnectOptions::from_str(url).map_err(|_unshown| OutboxError::Url)?;
    Ok(options
        .disable_statement_logging()
        // A start-up parameter that PgBouncer refuses unless it is told of it; values come in
        // binary form, which has no digits.
        .extra_float_digits(None))
}

/// What a session is for; it decides the session's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Polls and looks at writers.
    Read,
    /// Marks: a lost commit only means that the mark is written again.
    Mark,
    /// Leases, deaths and all that must survive a crash.
    Keep,
    /// A verb of the command line that changes something.
    Command,
    /// A verb that only looks, on a standby too.
    Look,
}

impl Purpose {
    /// Whether the session runs the relay's prepared statements, whose plans are fixed.
    fn fixes_plans(self) -> bool {
        self != Self::Command
    }

    fn needs_primary(self) -> bool {
        self != Self::Look
    }
}

/// A session, connected or to be connected.
#[derive(Debug)]
pub struct Session {
    access: Access,
    purpose: Purpose,
    connection: Option<PgConnection>,
    /// Whom it is connected to, where that is known.
    server: Option<Server>,
    connects: u64,
}

impl Session {
    /// A session that connects when it is first used.
    pub fn new(access: &Access, purpose: Purpose) -> Self {
        Self {
            access: access.clone(),
            purpose,
            connection: None,
            server: None,
            connects: 0,
        }
    }

    /// Runs a script: statements without parameters, sent as one.
    pub(super) async fn run_script(&mut self, sql: String) -> Result<(), OutboxError> {
        self.run(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(connection)
                .await
                .map(drop)
        })
        .await
    }

    /// The one value that a statement without parameters tells.
    pub(super) async fn scalar<T>(&mut self, statement: &str) -> Result<T, OutboxError>
    where
        T: Send + Unpin,
        (T,): for<'r> FromRow<'r, PgRow>,
    {
        self.run(async |connection| {
            sqlx::query_scalar(AssertSqlSafe(statement))
                .fetch_one(connection)
                .await
        })
        .await
    }

    /// Runs statements on the connection, made anew if need be, within the deadline. After an
    /// error the connection is kept only if the server itself refused and the session is sound.
    /// Where another session has met another server, this one is lost.
    pub async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, OutboxError> {
        if self.is_left_behind() {
            self.close().await;
            return Err(OutboxError::LeftBehind);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let deadline_ms = self.access.statement_timeout_ms + ANSWER_MARGIN_MS;
        let result = within(deadline_ms, work(&mut connection)).await;
        let sound = result.as_ref().err().is_none_or(|error| {
            error.code().is_some() && error.class() != DatabaseClass::Reconnect
        });
        if sound {
            self.connection = Some(connection);
        }
        result
    }

    fn is_left_behind(&self) -> bool {
        let server = self.server.as_ref().filter(|_| self.is_connected());
        server.is_some_and(|server| !self.access.lineage.ends_with(server))
    }

    /// Whether it is connected; what was learned on a connection is void once it is lost.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Closes the connection politely, if there is one.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = within(ANSWER_MARGIN_MS, connection.close()).await
        {
            tracing::debug!(%error, "a session did not close politely");
        }
    }

    /// How many connections it has had.
    pub fn connects(&self) -> u64 {
        self.connects
    }

    async fn connect(&mut self) -> Result<PgConnection, OutboxError> {
        let name = format!("outbox-relay {}", self.access.relay);
        let options = self.access.options().await.application_name(&name);
        let mut connection = within(CONNECT_MS, options.connect()).await?;
        self.access.refuse_pooler(&options, &mut connection).await?;
        let settings = sqlx::query_scalar(AssertSqlSafe(self.settings()));
        let read_only: bool = within(CONNECT_MS, settings.fetch_one(&mut connection)).await?;
        if read_only && self.purpose.needs_primary() {
            return Err(OutboxError::NotPrimary);
        }
        if self.purpose.needs_primary() {
            self.server = within(CONNECT_MS, Server::ask(&mut connection)).await?;
            let met = self.server.as_ref();
            if met.is_some_and(|server| !self.access.lineage.meet(server)) {
                return Err(OutboxError::FormerPrimary);
            }
        }
        self.connects += 1;
        Ok(connection)
    }

    /// `session_settings`: locks nothing, reads nothing; answers whether the server takes no
    /// writes.
    ///
    /// The planner's switches keep every plan on its index whatever the statistics say, and a
    /// generic plan is made once; both are safe because the session runs only the relay's own
    /// statements.
    fn settings(&self) -> String {
        let timeout_ms = self.access.statement_timeout_ms.to_string();
        let lock_timeout_ms = (self.access.statement_timeout_ms / 2).max(1).to_string();
        let mut settings = vec![
            ("TimeZone", "UTC"),
            ("search_path", "pg_catalog"),
            ("statement_timeout", &timeout_ms),
            ("lock_timeout", &lock_timeout_ms),
            ("idle_in_transaction_session_timeout", &timeout_ms),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ];
        if self.purpose == Purpose::Mark {
            settings.push(("synchronous_commit", "off"));
        }
        if self.purpose.fixes_plans() {
            settings.push(("plan_cache_mode", "force_generic_plan"));
            settings.extend(
                [
                    "jit",
                    "enable_seqscan",
                    "enable_bitmapscan",
                    "enable_sort",
                    "enable_hashjoin",
                    "enable_mergejoin",
                ]
                .map(|switch| (switch, "off")),
            );
        }
        let calls: Vec<String> = settings
            .into_iter()
            .map(|(name, value)| format!("set_config('{name}', '{value}', false)"))
            .collect();
        format!(
            "/* session_settings */ SELECT pg_is_in_recovery() \
             OR current_setting('transaction_read_only')::boolean, {}",
            calls.join(", ")
        )
    }
}

/// Waits for the database no longer than this.
async fn within<T>(
    deadline_ms: u64,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, OutboxError> {
    match tokio::time::timeout(Duration::from_millis(deadline_ms), work).await {
        Ok(result) => result.map_err(OutboxError::from),
        Err(_elapsed) => Err(OutboxError::Deadline(deadline_ms)),
    }
}

/// A column of a row, by its place.
pub(super) fn column<'r, T>(row: &'r PgRow, index: usize) -> Result<T, sqlx::Error>
where
    T: sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    row.try_get(index)
}
