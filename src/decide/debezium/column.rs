//! What a column's type makes of its text.
//!
//! Owns the words for types, Connect's schema of each, and its two spellings: as text and as JSON (Debezium's
//! documentation, "Debezium connector for PostgreSQL", "Data type mappings"). Does not know where a text
//! comes from.
//!
//! Invariant: a text that is none of its type is a defect, and the defect shows nothing of it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime};

use super::json;
use crate::decide::decimal::{Decimal, Measure};
use crate::outcome::Defect;

/// The type of a column, as the statement that made its table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    kind: Kind,
    nullable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Json,
    Uuid,
    Smallint,
    Integer,
    Bigint,
    Boolean,
    Double,
    Timestamp,
    /// Its text is base64.
    Bytes,
    Decimal(Measure),
}

/// How decimals are told.
const NUMERIC: &str = "numeric(12,2)";

/// Every other type by its words.
const KINDS: [(&str, Kind); 13] = [
    ("text", Kind::Text),
    ("varchar", Kind::Text),
    ("json", Kind::Json),
    ("jsonb", Kind::Json),
    ("uuid", Kind::Uuid),
    ("smallint", Kind::Smallint),
    ("integer", Kind::Integer),
    ("bigint", Kind::Bigint),
    ("boolean", Kind::Boolean),
    ("double precision", Kind::Double),
    ("timestamp", Kind::Timestamp),
    ("timestamptz", Kind::Text),
    ("bytea", Kind::Bytes),
];

impl Column {
    /// A text that is always there.
    pub(super) const TEXT: Self = Self {
        kind: Kind::Text,
        nullable: false,
    };
    /// A UUID that is always there.
    pub(super) const UUID: Self = Self {
        kind: Kind::Uuid,
        nullable: false,
    };
    /// A JSON document that may be absent.
    pub(super) const PAYLOAD: Self = Self {
        kind: Kind::Json,
        nullable: true,
    };
    /// Bytes that may be absent.
    pub(super) const BYTES: Self = Self {
        kind: Kind::Bytes,
        nullable: true,
    };
    /// A text that may be absent.
    pub(super) const HEADER: Self = Self {
        kind: Kind::Text,
        nullable: true,
    };

    /// Reads `integer` or `integer not null`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_lowercase();
        let (name, nullable) = match lower.strip_suffix(" not null") {
            Some(name) => (name, false),
            None => (lower.as_str(), true),
        };
        let known = KINDS.iter().find(|(known, _)| *known == name);
        let kind = known.map(|(_, kind)| *kind);
        let kind = kind.or_else(|| numeric(name).map(Kind::Decimal));
        let kind = kind.ok_or_else(|| {
            let known = KINDS.map(|(name, _)| name).join(", ");
            format!("expected one of {known}, {NUMERIC}, with `not null` behind it where it is so")
        })?;
        Ok(Self { kind, nullable })
    }

    /// Connect's schema as its JSON converter prints it, the last brace left open.
    pub(super) fn schema(self) -> String {
        let (kind, name) = match self.kind {
            Kind::Text => ("string", ""),
            Kind::Json => ("string", "io.debezium.data.Json"),
            Kind::Uuid => ("string", "io.debezium.data.Uuid"),
            Kind::Smallint => ("int16", ""),
            Kind::Integer => ("int32", ""),
            Kind::Bigint => ("int64", ""),
            Kind::Boolean => ("boolean", ""),
            Kind::Double => ("double", ""),
            Kind::Timestamp => ("int64", "io.debezium.time.MicroTimestamp"),
            Kind::Bytes => ("bytes", ""),
            Kind::Decimal(_) => ("bytes", "org.apache.kafka.connect.data.Decimal"),
        };
        let mut text = format!("{{\"type\":\"{kind}\",\"optional\":{}", self.nullable);
        if !name.is_empty() {
            text.push_str(",\"name\":\"");
            text.push_str(name);
            text.push_str("\",\"version\":1");
        }
        if let Kind::Decimal(Measure { precision, scale }) = self.kind {
            let parameters = format!(
                ",\"parameters\":{{\"scale\":\"{scale}\",\
                 \"connect.decimal.precision\":\"{precision}\"}}"
            );
            text.push_str(&parameters);
        }
        text
    }

    /// The text as its type spells it.
    pub(super) fn plain(self, text: Cow<'_, str>) -> Result<Cow<'_, str>, Defect> {
        let spelled = match self.kind {
            Kind::Text | Kind::Json | Kind::Uuid | Kind::Bytes => return Ok(text),
            Kind::Smallint => text.parse::<i16>().ok().map(|number| number.to_string()),
            Kind::Integer => text.parse::<i32>().ok().map(|number| number.to_string()),
            Kind::Bigint => text.parse::<i64>().ok().map(|number| number.to_string()),
            Kind::Boolean => text.parse::<bool>().ok().map(|flag| flag.to_string()),
            Kind::Double => finite(&text).map(json::double),
            Kind::Timestamp => micros(&text).map(|micros| micros.to_string()),
            Kind::Decimal(measure) => decimal(&text, measure).map(|decimal| decimal.spelled()),
        };
        spelled.map(Cow::Owned).ok_or_else(not_of_its_type)
    }

    /// Writes JSON of a text, or of its absence.
    pub(super) fn write(self, text: Option<Cow<'_, str>>, out: &mut String) -> Result<(), Defect> {
        match (text, self.kind) {
            (None, _) if self.nullable => out.push_str("null"),
            (None, _) => return Err(Defect::new("is missing or null")),
            (Some(text), Kind::Text | Kind::Json | Kind::Uuid | Kind::Bytes) => {
                json::quote(&text, out);
            }
            (Some(text), Kind::Decimal(measure)) => {
                let decimal = decimal(&text, measure).ok_or_else(not_of_its_type)?;
                json::quote(&STANDARD.encode(decimal.bytes()), out);
            }
            (
                Some(text),
                Kind::Smallint
                | Kind::Integer
                | Kind::Bigint
                | Kind::Boolean
                | Kind::Double
                | Kind::Timestamp,
            ) => out.push_str(&self.plain(text)?),
        }
        Ok(())
    }
}

/// Reads `numeric(12,2)`; one digit is the least, as with PostgreSQL, and 1000 the most.
fn numeric(name: &str) -> Option<Measure> {
    let inside = name
        .strip_prefix("numeric(")
        .or_else(|| name.strip_prefix("decimal("))?;
    let inside = inside.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=1000).contains(&precision) && scale <= precision;
    fits.then_some(Measure { precision, scale })
}

fn decimal(text: &str, measure: Measure) -> Option<Decimal> {
    Decimal::read(text, measure).ok()
}

fn not_of_its_type() -> Defect {
    Defect::new("is not of the type that debezium.types says")
}

/// The microseconds of a time since 1970; without a zone it is in UTC, as Debezium takes it.
fn micros(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let time = time.or_else(|_| text.parse().map(|time: NaiveDateTime| time.and_utc()));
    time.ok().map(|time| time.timestamp_micros())
}

/// A number that JSON can hold.
pub(super) fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
