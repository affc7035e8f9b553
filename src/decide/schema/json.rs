//! JSON as JSON Schema has it: judged, and not changed.
//!
//! Owns the judgement. The schema is compiled by `boon`, which is asked for no more than where a value
//! does not fit.
//!
//! Invariant: nothing is read but the schema and those that it refers to, by the names that the
//! registry gives them: a schema that names a file or another server is refused.

use std::error::Error;
use std::fmt;

use boon::{Compiler, Draft, OutputError, OutputUnit, SchemaIndex, Schemas, UrlLoader};
use serde_json::Value;

use super::fault::Fault;

/// Where a schema that does not say its own place stands: what it refers to is found beside it.
const PLACE: &str = "registry:///schemas/schema.json";

/// A schema by which JSON is judged.
pub(super) struct Json {
    schemas: Schemas,
    root: SchemaIndex,
    title: Option<String>,
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json")
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

impl Json {
    /// Reads a schema, and those that it refers to by their names.
    pub(super) fn parse(text: &str, references: &[(String, String)]) -> Result<Self, String> {
        let schema = json(text)?;
        let title = schema.get("title").and_then(Value::as_str);
        let title = title.map(ToOwned::to_owned);
        let known: Result<Vec<_>, String> = references
            .iter()
            .map(|(name, text)| Ok((name.clone(), json(text)?)))
            .collect();
        let mut compiler = Compiler::new();
        // Confluent's serializers take a schema that does not say its draft for one of draft 7.
        compiler.set_default_draft(Draft::V7);
        compiler.use_loader(Box::new(Known(known?)));
        let wrong = |error: boon::CompileError| format!("no JSON Schema: {error}");
        compiler.add_resource(PLACE, schema).map_err(wrong)?;
        let mut schemas = Schemas::new();
        let root = compiler.compile(PLACE, &mut schemas).map_err(wrong)?;
        Ok(Self {
            schemas,
            root,
            title,
        })
    }

    /// The title of what it describes.
    pub(super) fn name(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Judges a JSON text.
    pub(super) fn judge(&self, text: &str) -> Result<(), Fault> {
        let value: Value = serde_json::from_str(text)
            .map_err(|_| Fault::new("the value is no JSON, or too deep"))?;
        let judged = self.schemas.validate(&value, self.root);
        judged.map_err(|error| leaf(&error.basic_output()))
    }
}

/// The first thing that is wrong, by where it stands in the value and in the schema.
fn leaf(unit: &OutputUnit<'_, '_, '_>) -> Fault {
    if let OutputError::Branch(units) = &unit.error
        && let Some(first) = units.first()
    {
        return leaf(first);
    }
    let place = unit.instance_location.to_string();
    let place = if place.is_empty() { "/" } else { &place };
    Fault::new(format!(
        "{place} does not fit {} of the schema",
        unit.keyword_location
    ))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))
}

/// The schemas that are referred to.
struct Known(Vec<(String, Value)>);

impl UrlLoader for Known {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        let named = |name: &str| url == name || url.ends_with(&format!("/{name}"));
        let known = self.0.iter().find(|(name, _)| named(name));
        let (_, schema) = known.ok_or("it is none of the schema's references")?;
        Ok(schema.clone())
    }
}
