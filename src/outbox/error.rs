//! What can go wrong with the database, as types.
//!
//! Owns the classification of an error at the edge. Knows not what anyone does about it.
//!
//! Invariant: no error shows a value of a row or a part of the connection's URL.

use super::names::Names;
use crate::decide::sqlstate::{self, DatabaseClass, sqlstate};

/// A statement or a session failed.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The server did not answer in time; the session is closed.
    #[error("the database did not answer within {0} ms")]
    Deadline(u64),
    /// The connection's URL is not one.
    #[error("database.url is not a PostgreSQL URL (postgres://user@host:port/database)")]
    Url,
    /// The session's server process is lent to others between two transactions.
    #[error(
        "a pooler stands before the database and gives each transaction another server session"
    )]
    Pooled,
    /// The outbox's columns cannot be served as they are.
    #[error("{}", .0.join("; "))]
    Columns(
        /// Each that cannot, with the key of its setting and the cure.
        Vec<String>,
    ),
    /// The server takes no writes.
    #[error("the database is not the primary: it takes no writes")]
    NotPrimary,
    /// The server takes writes, though it was seen that a standby of it was promoted.
    #[error("the database is a former primary: another has taken its place")]
    FormerPrimary,
    /// Another session of this relay has met another server, or a later start; this one is closed.
    #[error("the database was started anew, or is another server now")]
    LeftBehind,
    /// The server refused, with its code.
    #[error("{message} (SQLSTATE {code})")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The server's message, which names objects and no values.
        message: String,
    },
    /// The connection is lost, or could not be made.
    #[error("no connection to the database: {0}")]
    Lost(String),
    /// A row or a reply is not what the statement promises.
    #[error("unexpected reply from the database: {0}")]
    Reply(String),
}

impl OutboxError {
    /// What follows from it.
    pub fn class(&self) -> DatabaseClass {
        match self {
            Self::Deadline(_)
            | Self::Lost(_)
            | Self::NotPrimary
            | Self::FormerPrimary
            | Self::LeftBehind => DatabaseClass::Reconnect,
            Self::Pooled | Self::Columns(_) => DatabaseClass::Operator,
            Self::Url | Self::Reply(_) => DatabaseClass::Defect,
            Self::Refused { code, .. } => sqlstate(code),
        }
    }

    /// The SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Deadline(_)
            | Self::Url
            | Self::Pooled
            | Self::Columns(_)
            | Self::NotPrimary
            | Self::FormerPrimary
            | Self::LeftBehind
            | Self::Lost(_)
            | Self::Reply(_) => None,
        }
    }

    /// What to do about it, where that is known.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::Pooled => Some(
                "connect directly, or through a pool in session mode (in PgBouncer \
                 `pool_mode = session`)",
            ),
            Self::NotPrimary => Some("let database.url lead to the primary"),
            Self::FormerPrimary => Some(
                "shut it out, and let database.url lead to the primary; where this is meant to \
                 be the primary, a restored backup say, start the relay anew",
            ),
            Self::Refused { code, .. } => sqlstate::cure(code),
            Self::Deadline(_)
            | Self::Url
            | Self::Columns(_)
            | Self::LeftBehind
            | Self::Lost(_)
            | Self::Reply(_) => None,
        }
    }

    /// What is wrong, for people: of tables that are not there, that they are still to be made.
    pub fn told(&self, names: &Names) -> String {
        match self.code() {
            // undefined_table, invalid_schema_name
            Some("42P01" | "3F000") => format!("{} is not migrated yet", names.outbox()),
            _ => self.to_string(),
        }
    }

    /// What is wrong, with the cure.
    pub fn with_cure(&self) -> String {
        self.cure()
            .map_or_else(|| self.to_string(), |cure| format!("{self}: {cure}"))
    }

    /// As [`told`](Self::told), with the cure.
    pub fn told_with_cure(&self, names: &Names) -> String {
        let told = self.told(names);
        self.cure()
            .map_or(told.clone(), |cure| format!("{told}: {cure}"))
    }
}

impl From<sqlx::Error> for OutboxError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "sqlx's errors are open-ended; what is not named is a lost connection"
    )]
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::Refused {
                code: error.code().unwrap_or_default().into_owned(),
                message: error.message().to_owned(),
            },
            sqlx::Error::Io(error) => Self::Lost(error.to_string()),
            sqlx::Error::Tls(error) => Self::Lost(format!("TLS: {error}")),
            sqlx::Error::ColumnDecode { index, .. } => Self::Reply(format!("column {index}")),
            sqlx::Error::ColumnNotFound(column) => Self::Reply(format!("no column {column}")),
            sqlx::Error::ColumnIndexOutOfBounds { index, .. } => {
                Self::Reply(format!("no column {index}"))
            }
            sqlx::Error::RowNotFound => Self::Reply("no row".to_owned()),
            other => Self::Lost(other.to_string()),
        }
    }
}
