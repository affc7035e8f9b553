//! Records as Debezium's outbox event router and Kafka Connect's converters make them.
//!
//! Owns what becomes of key, value and headers: which converter, which type, what stands in the envelope, when
//! a row is a tombstone (Debezium's documentation, "Outbox Event Router"). Topic, key and headers are chosen by
//! the route, as in every other format. How it is written is in `spec`.
//!
//! Invariants:
//! - a plain value is the payload byte for byte;
//! - a header of the row that the route takes, for the envelope, the partition or a header, is sent where the
//!   route says and nowhere else.

mod column;
mod expand;
mod json;
mod spec;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use self::column::Column;
use self::expand::{Keep, expand};
pub use self::spec::{DebeziumSpec, Rest};
use super::template::Template;
use crate::event::{Event, Payload};
use crate::outcome::Defect;

/// The name of the payload in an envelope, whatever its column is called.
const PAYLOAD: &str = "payload";

/// How a field is written: the converter that Kafka Connect was given for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Converter {
    /// As it stands: `StringConverter`, `SimpleHeaderConverter`, `ByteArrayConverter`.
    #[default]
    Plain,
    /// As JSON: `JsonConverter` with `schemas.enable=false`.
    Json,
    /// As JSON with its schema: `JsonConverter` as it comes.
    JsonSchema,
}

/// What a route says about records in this format.
#[derive(Debug, Clone, Default)]
pub struct Debezium {
    key: Converter,
    value: Converter,
    header: Converter,
    expand: Option<Keep>,
    tombstones: bool,
    /// What stands beside the payload, by its names.
    envelope: Vec<(String, Template)>,
    schema_name: Option<Template>,
    types: BTreeMap<String, Column>,
    /// The row's headers that the route takes.
    placed: BTreeSet<String>,
}

/// A field on its way into a document.
struct Field {
    /// The last brace is left open.
    schema: String,
    json: String,
}

impl Debezium {
    /// The templates that it fills.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let envelope = self.envelope.iter().map(|(_, value)| value);
        envelope.chain(&self.schema_name)
    }

    /// Whether the route takes a header of the row.
    pub fn places(&self, header: &str) -> bool {
        self.placed.contains(header)
    }

    /// The key of a record; none stays none.
    pub fn key(&self, text: Option<Cow<'_, str>>) -> Result<Option<Vec<u8>>, Defect> {
        let Some(text) = text else { return Ok(None) };
        let column = self.column("key", Column::TEXT);
        convert(self.key, column, Some(text)).map_err(|defect| about("the key", &defect))
    }

    /// The value of a header.
    pub fn header(
        &self,
        name: &str,
        text: Option<Cow<'_, str>>,
    ) -> Result<Option<Vec<u8>>, Defect> {
        let usual = if name == "id" {
            Column::UUID
        } else {
            Column::HEADER
        };
        let column = self.column(name, usual);
        convert(self.header, column, text)
            .map_err(|defect| about(&format!("the header {name}"), &defect))
    }

    /// The value of a record with this payload; none for a tombstone.
    pub fn value<'e>(
        &self,
        event: &'e Event,
        payload: Option<&'e Payload>,
    ) -> Result<Option<Cow<'e, [u8]>>, Defect> {
        let is_empty = |payload: &Payload| payload.text().is_some_and(is_blank);
        if self.tombstones && payload.is_none_or(is_empty) {
            return Ok(None);
        }
        if self.value == Converter::Plain {
            return Ok(payload.map(|payload| payload.bytes().into()));
        }
        let mut field = self.payload(payload)?;
        if !self.envelope.is_empty() {
            field = self.enveloped(event, &field)?;
        }
        Ok(Some(field.document(self.value).into()))
    }

    /// The payload, expanded where that is asked for and can be done. Bytes are base64, unless the route
    /// says that they are text.
    fn payload(&self, payload: Option<&Payload>) -> Result<Field, Defect> {
        let (column, text) = match (payload, self.types.get(PAYLOAD)) {
            (Some(Payload::Bytes(bytes)), None | Some(&Column::BYTES)) => {
                (Column::BYTES, Some(STANDARD.encode(bytes).into()))
            }
            (Some(payload), column) => {
                let text = payload.text().ok_or_else(no_text)?;
                if let Some(expanded) = self.expand.and_then(|keep| expand(text, keep)) {
                    return Ok(expanded);
                }
                (
                    column.copied().unwrap_or(Column::PAYLOAD),
                    Some(text.into()),
                )
            }
            (None, column) => (column.copied().unwrap_or(Column::PAYLOAD), None),
        };
        Field::of(column, text).map_err(|defect| about("the payload", &defect))
    }

    /// One object of the payload and what stands beside it.
    fn enveloped(&self, event: &Event, payload: &Field) -> Result<Field, Defect> {
        let mut whole = Field {
            schema: "{\"type\":\"struct\",\"fields\":[".to_owned(),
            json: "{".to_owned(),
        };
        whole.push(PAYLOAD, payload);
        for (name, value) in &self.envelope {
            let text = value.render_present(event)?;
            let field = Field::of(self.column(name, Column::HEADER), text)
                .map_err(|defect| about(&format!("{name} in the envelope"), &defect))?;
            whole.schema.push(',');
            whole.json.push(',');
            whole.push(name, &field);
        }
        whole.schema.push_str("],\"optional\":false");
        if let Some(name) = &self.schema_name {
            whole.schema.push_str(",\"name\":");
            json::quote(&name.render(event)?, &mut whole.schema);
        }
        whole.json.push('}');
        Ok(whole)
    }

    fn column(&self, name: &str, usual: Column) -> Column {
        self.types.get(name).copied().unwrap_or(usual)
    }
}

impl Field {
    fn of(column: Column, text: Option<Cow<'_, str>>) -> Result<Self, Defect> {
        let mut json = String::with_capacity(2 + text.as_ref().map_or(0, |text| text.len()));
        column.write(text, &mut json)?;
        Ok(Self {
            schema: column.schema(),
            json,
        })
    }

    /// Adds a field to an object that is being written.
    fn push(&mut self, name: &str, field: &Self) {
        self.schema.push_str(&field.schema);
        self.schema.push_str(",\"field\":");
        json::quote(name, &mut self.schema);
        self.schema.push('}');
        json::quote(name, &mut self.json);
        self.json.push(':');
        self.json.push_str(&field.json);
    }

    fn document(self, converter: Converter) -> Vec<u8> {
        let Self { schema, json } = self;
        match converter {
            Converter::Plain | Converter::Json => json.into_bytes(),
            Converter::JsonSchema => {
                format!("{{\"schema\":{schema}}},\"payload\":{json}}}").into_bytes()
            }
        }
    }
}

/// A text by its converter, or its absence.
fn convert(
    converter: Converter,
    column: Column,
    text: Option<Cow<'_, str>>,
) -> Result<Option<Vec<u8>>, Defect> {
    if converter == Converter::Plain {
        let spelled = text.map(|text| column.plain(text)).transpose()?;
        return Ok(spelled.map(|text| text.into_owned().into_bytes()));
    }
    Ok(Some(Field::of(column, text)?.document(converter)))
}

fn no_text() -> Defect {
    Defect::new("the payload is no text, as debezium.types says: \"bytea\" is base64")
}

/// Whether nothing but spaces and control characters is in a text, as Java's `trim` has it.
fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter <= ' ')
}

fn about(what: &str, defect: &Defect) -> Defect {
    Defect::new(format!("{what} {}", defect.reason))
}
