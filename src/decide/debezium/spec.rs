//! How the Debezium format of a route is written, and what can be wrong with it.
//!
//! Owns the keys. Does not know which route it belongs to.
//!
//! Invariant: all that is wrong is found at once, each fault with its key.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;

use super::column::Column;
use super::expand::Keep;
use super::{Converter, Debezium, PAYLOAD};
use crate::decide::template::{Source, Template};

/// What becomes of what has no type when a payload is expanded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// It is left out.
    #[default]
    Drop,
    /// It is kept.
    Keep,
}

/// The format as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DebeziumSpec {
    /// The converter of keys.
    pub key: Converter,
    /// The converter of values.
    pub value: Converter,
    /// The converter of headers.
    pub header: Converter,
    /// Whether a payload of JSON becomes a document of its own.
    pub expand: bool,
    /// What becomes of nulls in it.
    pub nulls: Rest,
    /// What becomes of empty lists in it.
    pub empty_lists: Rest,
    /// Whether a row with an empty payload is a tombstone.
    pub tombstones: bool,
    /// Templates of what stands beside the payload.
    pub envelope: IndexMap<String, String>,
    /// The template of the envelope's name in its schema.
    pub schema_name: Option<String>,
    /// The types of key, payload, headers and what is in the envelope, by their names.
    pub types: BTreeMap<String, String>,
}

/// A key, and what is wrong with it.
pub(in crate::decide) type Fault = (String, String);

impl DebeziumSpec {
    /// Reads the format of a route that fills these templates beside it.
    pub(in crate::decide) fn read(
        &self,
        partition: Option<&Template>,
        headers: &[(String, Template)],
    ) -> Result<Debezium, Vec<Fault>> {
        let mut faults = self.contradictions();
        let mut sort = |key: String, error: String| faults.push((key, error));
        let mut envelope = Vec::new();
        for (name, text) in &self.envelope {
            match Template::parse(text) {
                Ok(value) => envelope.push((name.clone(), value)),
                Err(error) => sort(format!("envelope.{name}"), error.to_string()),
            }
        }
        let schema_name = self.schema_name.as_deref().map(Template::parse);
        let schema_name = schema_name.and_then(|read| {
            read.map_err(|error| sort("schema_name".to_owned(), error.to_string()))
                .ok()
        });
        let mut types = BTreeMap::new();
        for (name, text) in &self.types {
            match Column::parse(text) {
                Ok(column) => drop(types.insert(name.clone(), column)),
                Err(error) => sort(format!("types.{name}"), error),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let keep = Keep {
            nulls: self.nulls == Rest::Keep,
            empty_lists: self.empty_lists == Rest::Keep,
        };
        let values = envelope.iter().chain(headers).map(|(_, value)| value);
        let placed = values
            .chain(partition)
            .flat_map(Template::sources)
            .filter_map(header_of);
        Ok(Debezium {
            key: self.key,
            value: self.value,
            header: self.header,
            expand: self.expand.then_some(keep),
            tombstones: self.tombstones,
            placed: placed.collect(),
            envelope,
            schema_name,
            types,
        })
    }

    /// Keys that do not go together.
    fn contradictions(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut add = |key: &str, reason: &str| faults.push((key.to_owned(), reason.to_owned()));
        let is_plain = self.value == Converter::Plain;
        let has_envelope = !self.envelope.is_empty();
        if is_plain && has_envelope {
            let reason = "goes with value = \"json\" or \"json-schema\": a plain value has no place for \
                          it (Debezium prints a Java object there)";
            add("envelope", reason);
        }
        if is_plain && self.expand {
            let reason = "goes with value = \"json\" or \"json-schema\": a plain value is the payload as \
                          it stands";
            add("expand", reason);
        }
        if self.envelope.contains_key(PAYLOAD) {
            add("envelope.payload", "the payload has this name");
        }
        if has_envelope && self.value == Converter::JsonSchema && self.schema_name.is_none() {
            let reason = "is needed with an envelope and value = \"json-schema\": \
                          \"<topic.prefix>.<schema>.<table>.{aggregate_type}.Value\"";
            add("schema_name", reason);
        }
        faults
    }
}

fn header_of(source: &Source) -> Option<String> {
    if let Source::Header(name) = source {
        return Some(name.clone());
    }
    None
}
