//! Values by schemas: how a value is judged and encoded, and under which name its schema stands.
//!
//! Owns the wire format of Confluent's serializers ("Wire format": a zero, the schema's number in four
//! bytes, the value). Knows no registry: a schema comes as text, with its number.
//!
//! `schema_registry_converter` would do the same, but it brings an HTTP client and a TLS stack of its
//! own, holds its cache behind asynchronous calls, and its errors do not tell where a value is wrong.
//! So the languages are those of `apache-avro`, `boon` and `prost-reflect`.
//!
//! Invariants:
//! - a value that fits becomes the same bytes each time, but for the order of the entries of a Protobuf
//!   map, which that language leaves open;
//! - one that does not fit is a defect that names the place and never shows the value;
//! - a tombstone stays one.

mod avro;
mod fault;
mod json;
mod number;
mod protobuf;
mod subject;
#[cfg(test)]
mod tests;

use self::avro::Avro;
use self::fault::Fault;
use self::json::Json;
use self::protobuf::Protobuf;
pub use self::subject::{Naming, SchemaRule, SchemaSpec};
use crate::outcome::Defect;
use crate::record::{Record, SchemaType};

/// What begins every encoded value.
const MAGIC: u8 = 0;
/// What is written before a value, in bytes.
const HEAD_BYTES: usize = 5;
/// The header that says of what kind a value is.
const CONTENT_TYPE: &str = "content-type";

/// A schema in its language.
#[derive(Debug)]
pub struct Schema(Language);

#[derive(Debug)]
enum Language {
    Avro(Avro),
    Json(Json),
    Protobuf(Protobuf),
}

/// A schema that a registry has numbered.
#[derive(Debug)]
pub struct Numbered {
    /// Its number there.
    pub id: u32,
    /// What it says.
    pub schema: Schema,
}

impl Schema {
    /// Reads a schema, and those that it refers to: each with its name, and after those that it refers
    /// to itself. Where a schema has several messages, the value is the named one, or else the first.
    pub fn parse(
        kind: SchemaType,
        text: &str,
        references: &[(String, String)],
        message: Option<&str>,
    ) -> Result<Self, String> {
        let language = match kind {
            SchemaType::Avro => {
                let texts: Vec<String> = references.iter().map(|(_, text)| text.clone()).collect();
                Language::Avro(Avro::parse(text, &texts)?)
            }
            SchemaType::Json => Language::Json(Json::parse(text, references)?),
            SchemaType::Protobuf => Language::Protobuf(Protobuf::parse(text, references, message)?),
        };
        Ok(Self(language))
    }

    /// The full name of what it describes, where it says one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Language::Avro(avro) => avro.name(),
            Language::Json(json) => json.name(),
            Language::Protobuf(protobuf) => Some(protobuf.name()),
        }
    }

    /// What a value that it encodes is, unless that is still JSON.
    fn content_type(&self) -> Option<&'static [u8]> {
        match &self.0 {
            Language::Avro(_) => Some(b"application/avro"),
            Language::Protobuf(_) => Some(b"application/protobuf"),
            Language::Json(_) => None,
        }
    }
}

impl Numbered {
    /// The record with its value encoded.
    pub fn encoded(&self, record: &Record) -> Result<Record, Defect> {
        let value = record.value().map(|value| self.value(value)).transpose();
        let value = value.map_err(|fault| {
            Defect::new(format!("the value does not fit its schema at {fault}"))
        })?;
        let content = self.schema.content_type().filter(|_| value.is_some());
        let headers: usize = record
            .headers()
            .map(|(name, value)| bytes_of(name, value) + content.map_or(0, <[u8]>::len))
            .sum();
        let mut encoded = Record::new(
            std::sync::Arc::clone(&record.topic),
            record.timestamp_ms,
            record.key(),
            value.as_deref(),
            headers,
        );
        encoded.partition = record.partition;
        for (name, held) in record.headers() {
            let news = content.filter(|_| name.eq_ignore_ascii_case(CONTENT_TYPE));
            encoded.push_header(name, news.or(held));
        }
        Ok(encoded)
    }

    fn value(&self, json: &[u8]) -> Result<Vec<u8>, Fault> {
        let text = std::str::from_utf8(json).map_err(|_| Fault::new("the value is no JSON"))?;
        let mut out = Vec::with_capacity(HEAD_BYTES + json.len());
        out.push(MAGIC);
        out.extend_from_slice(&self.id.to_be_bytes());
        match &self.schema.0 {
            Language::Avro(avro) => avro.encode(text, out),
            Language::Protobuf(protobuf) => protobuf.encode(text, out),
            Language::Json(schema) => {
                schema.judge(text)?;
                out.extend_from_slice(json);
                Ok(out)
            }
        }
    }
}

/// What a header takes in a record's buffer, in bytes.
fn bytes_of(name: &str, value: Option<&[u8]>) -> usize {
    2 * size_of::<u32>() + name.len() + value.map_or(0, <[u8]>::len)
}
