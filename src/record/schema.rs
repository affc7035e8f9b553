//! The noun for what a value is to be encoded by: a schema, as a registry knows it.
//!
//! Owns the name of a schema. Knows neither a schema's content nor a registry.
//!
//! Invariant: it is made of settings, topics and kinds of events; nothing of an event's content.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;

/// The language of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaType {
    /// Apache Avro: the value becomes Avro's binary form.
    Avro,
    /// JSON Schema: the value stays the JSON that it is.
    Json,
    /// Protobuf: the value becomes a message in its binary form.
    Protobuf,
}

impl fmt::Display for SchemaType {
    /// The word of the registries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        })
    }
}

/// A schema that stands in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemaFile {
    /// What the file held when the settings were read.
    pub text: String,
    /// Whether it may be registered where the registry does not know it.
    pub register: bool,
}

impl Hash for SchemaFile {
    /// Leaves the text out: a name is looked up for every record, and its subject tells names apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.register.hash(state);
    }
}

/// Where a schema comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SchemaOrigin {
    /// The newest version that the registry has.
    Latest,
    /// One version for good.
    Version(u32),
    /// A file; the registry has it too, or is given it.
    File(Arc<SchemaFile>),
}

/// What names a schema.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SchemaName {
    /// Its language.
    pub kind: SchemaType,
    /// The name under which the registry keeps its versions.
    pub subject: String,
    /// The full name of the message that the value is, of those in the schema; none is the first.
    pub message: Option<String>,
    /// Which of them.
    pub origin: SchemaOrigin,
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subject {:?}", self.subject)?;
        if let Some(message) = &self.message {
            write!(f, " message {message:?}")?;
        }
        match self.origin {
            SchemaOrigin::Latest => Ok(()),
            SchemaOrigin::Version(version) => write!(f, " version {version}"),
            SchemaOrigin::File(_) => f.write_str(" by its file"),
        }
    }
}
