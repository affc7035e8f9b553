//! The schema registry: schemas by their subjects, in Confluent's API ("Schema Registry API
//! Reference").
//!
//! Owns the questions to a registry, what its answers mean, and the schemas known so far. Knows records
//! and failures, and nothing of the outbox they come from or of what follows from a failure.
//!
//! Invariants:
//! - nothing here blocks the thread that calls it, and no record waits for an answer in a call: a
//!   schema that is not known yet is a failure that passes;
//! - a schema once known serves on, whatever becomes of the registry;
//! - no error, log line or `Debug` output shows a password or anything of a value.

mod client;
mod identity;
mod schemas;
#[cfg(test)]
mod tests;

pub use self::client::Client;
pub use self::schemas::{Schemas, Trouble, start};

/// Why a schema is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The settings cannot be used.
    #[error("schema_registry.{key}: {reason}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No registry answers.
    #[error("no registry answers: {reason}")]
    Away {
        /// The last thing that went wrong.
        reason: String,
    },
    /// A registry answers that it cannot answer.
    #[error("the registry fails with HTTP {status}, code {code}: {reason}")]
    Failing {
        /// The status.
        status: u16,
        /// The registry's code.
        code: u64,
        /// What the registry says.
        reason: String,
    },
    /// The registry does not let us in, or not to this subject.
    #[error("the registry refuses us (HTTP {status})")]
    Denied {
        /// 401 or 403.
        status: u16,
    },
    /// There is no such subject, version or schema.
    #[error("the registry has no such subject, version or schema (code {code})")]
    Unknown {
        /// The registry's code.
        code: u64,
    },
    /// The schema of a file cannot follow the versions that the subject has.
    #[error("the file's schema is not compatible with the versions of its subject: {reason}")]
    Incompatible {
        /// What the registry says.
        reason: String,
    },
    /// Any other refusal.
    #[error("the registry answers HTTP {status}, code {code}: {reason}")]
    Refused {
        /// The status.
        status: u16,
        /// The registry's code.
        code: u64,
        /// What the registry says.
        reason: String,
    },
    /// The schema is there and cannot serve.
    #[error("{reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
}

impl RegistryError {
    /// Whether it may pass without anybody here acting.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Failing { .. })
    }

    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "correct the setting",
            Self::Away { .. } => {
                "start the registry, or correct schema_registry.urls or schema_registry.ca_file"
            }
            Self::Denied { .. } => {
                "correct schema_registry.username and schema_registry.password, or \
                 schema_registry.token, or give that user the right to read the subject"
            }
            Self::Unknown { .. } => {
                "register the schema, or let the route do so by `file` and `register = true`, or \
                 correct the route's `subject` and `version`"
            }
            Self::Incompatible { .. } => {
                "change the file so that it is compatible, or change the compatibility of the subject"
            }
            Self::Failing { .. } | Self::Refused { .. } => "see the registry's log",
            Self::Unusable { .. } => "correct the schema, or the route's `type` or `record`",
        }
    }

    /// What is wrong, and what to do about it.
    pub fn with_cure(&self) -> String {
        format!("{self}; {}", self.cure())
    }
}
