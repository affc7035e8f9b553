//! The forms in which a column keeps what an event says.
//!
//! Owns how each form is weighed, printed and read. Does not know which column it is.
//!
//! Invariant: weighing reads no more of a value than is needed to know whether a record could carry it.

use std::fmt;

use sqlx::postgres::PgRow;

use crate::event::Payload;
use crate::outbox::session::column;

/// What a JSON value takes unpacked, in bytes; 0 where that is too little to matter, and what it takes
/// in the table where that is too much already.
const JSON_BYTES: &str = "CASE WHEN pg_column_size({value}) < $8 / 255 THEN 0
                WHEN pg_column_size({value}) <= $8 THEN pg_column_size(ROW({value}))
                ELSE pg_column_size({value}) END";
/// What text and bytes take: the server knows it without unpacking them (`varlena.c`, `textoctetlen`
/// and `byteaoctetlen`).
const PLAIN_BYTES: &str = "octet_length({value})";

/// The form of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::outbox) enum Form {
    Jsonb,
    Json,
    Text,
    Bytes,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jsonb => "jsonb",
            Self::Json => "json",
            Self::Text => "text",
            Self::Bytes => "bytea",
        })
    }
}

impl Form {
    /// The types of a payload.
    pub(super) const PAYLOADS: [(&'static str, Self); 6] = [
        ("jsonb", Self::Jsonb),
        ("json", Self::Json),
        ("text", Self::Text),
        ("varchar", Self::Text),
        ("bpchar", Self::Text),
        ("bytea", Self::Bytes),
    ];
    /// The types of headers.
    pub(super) const HEADERS: [(&'static str, Self); 4] = [
        ("jsonb", Self::Jsonb),
        ("json", Self::Json),
        ("text", Self::Text),
        ("varchar", Self::Text),
    ];

    /// The bytes of a value, in SQL, where `$8` are too many.
    pub(in crate::outbox) fn bytes(self, value: &str) -> String {
        let template = match self {
            Self::Jsonb | Self::Json => JSON_BYTES,
            Self::Text | Self::Bytes => PLAIN_BYTES,
        };
        template.replace("{value}", value)
    }

    /// A value as it is sent, in SQL.
    pub(in crate::outbox) fn printed(self, value: &str) -> String {
        match self {
            Self::Jsonb | Self::Json | Self::Text => format!("{value}::text"),
            Self::Bytes => value.to_owned(),
        }
    }

    /// The bytes that a record would hold of a value, in SQL.
    pub(in crate::outbox) fn as_bytes(self, value: &str) -> String {
        match self {
            Self::Jsonb | Self::Json | Self::Text => format!("convert_to({value}::text, 'UTF8')"),
            Self::Bytes => value.to_owned(),
        }
    }

    /// The type of what is sent.
    pub(in crate::outbox) fn sent_as(self) -> &'static str {
        match self {
            Self::Jsonb | Self::Json | Self::Text => "text",
            Self::Bytes => "bytea",
        }
    }

    /// The numbers in a value that print as many digits, in SQL. Only `jsonb` keeps a number otherwise
    /// than it prints it.
    pub(in crate::outbox) fn long_numbers(self, value: &str) -> String {
        match self {
            Self::Jsonb => format!("SELECT 1 FROM jsonb_path_query({value}, {{long_number}})"),
            Self::Json | Self::Text | Self::Bytes => "SELECT 1 WHERE false".to_owned(),
        }
    }

    /// Which kind of JSON a value is, and its first `$2` names where it is an object, in SQL.
    pub(in crate::outbox) fn kind_and_names(self, value: &str) -> String {
        let functions = match self {
            Self::Jsonb => "jsonb",
            Self::Json => "json",
            Self::Text | Self::Bytes => return "NULL::text, NULL::text[]".to_owned(),
        };
        format!(
            "{functions}_typeof({value}), CASE {functions}_typeof({value}) WHEN 'object' THEN ARRAY(
        SELECT k.name FROM {functions}_object_keys({value}) AS k (name) LIMIT $2) END"
        )
    }

    /// Reads a payload that was sent.
    pub(in crate::outbox) fn read(
        self,
        row: &PgRow,
        index: usize,
    ) -> Result<Option<Payload>, sqlx::Error> {
        Ok(match self {
            Self::Jsonb | Self::Json => column::<Option<String>>(row, index)?.map(Payload::Json),
            Self::Text => column::<Option<String>>(row, index)?.map(Payload::Text),
            Self::Bytes => column::<Option<Vec<u8>>>(row, index)?.map(Payload::Bytes),
        })
    }
}
