//! The layers of which settings are made, each compared with the schema before they are laid on
//! each other, so that a fault in one layer hides none in another.
//!
//! Owns how a file and the environment are read into one shape. Does not know what values mean.
//!
//! Invariant: in a [`Layer`] every key exists and its value is of the right kind, and every
//! property of Kafka's client stands under one name, its canonical one, as text. Declared topics are
//! judged whole as they are read (see `declarations`).

use std::fmt;
use std::path::Path;

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::problems::Problems;
use super::schema::{Kind, Schema, found};
use super::{columns, declarations, inline, properties, routes};

/// Every key with its default.
const DEFAULT: &str = include_str!("../../../config/default.toml");

/// What the names of settings in the environment begin with. Names with one underscore after
/// `RELAY` are left alone: Kubernetes sets such ones for a service that is called `outbox-relay`.
const PREFIX: &str = "OUTBOX_RELAY__";

/// One layer of settings, fit to be laid on others.
#[derive(Clone, Default)]
pub(super) struct Layer {
    sections: Map<String, Map<String, Value>>,
    properties: Map<String, Value>,
    columns: Map<String, Value>,
    routes: Option<Vec<Value>>,
}

impl Layer {
    /// Sets a key.
    pub(super) fn set(&mut self, section: &str, key: &str, value: Value) {
        let section = self.sections.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value);
    }

    /// Says what a column of the outbox is called.
    pub(super) fn set_column(&mut self, name: &str, value: Value) {
        self.columns.insert(name.to_owned(), value);
    }

    /// Sets all routes.
    pub(super) fn set_routes(&mut self, routes: Vec<Value>) {
        self.routes = Some(routes);
    }

    /// Sets a property of Kafka's client; true if it was set before.
    pub(super) fn set_property(&mut self, name: &str, value: String) -> bool {
        let value = Value::new(None, value);
        self.properties.insert(name.to_owned(), value).is_some()
    }
}

impl fmt::Debug for Layer {
    /// Shows nothing: a layer holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut sections = self.sections.clone();
        let properties = Value::new(None, self.properties.clone());
        let kafka = sections.entry("kafka".to_owned()).or_default();
        kafka.insert("properties".to_owned(), properties);
        let columns = Value::new(None, self.columns.clone());
        let database = sections.entry("database".to_owned()).or_default();
        database.insert("columns".to_owned(), columns);
        let whole = sections.into_iter();
        let routes = self.routes.clone().map(|routes| Value::new(None, routes));
        Ok(whole
            .map(|(name, keys)| (name, Value::new(None, keys)))
            .chain(routes.map(|routes| ("routes".to_owned(), routes)))
            .collect())
    }
}

/// The schema, and the layer of all defaults.
pub(super) fn default() -> (Schema, Layer) {
    let tree = parse(DEFAULT).expect("the compiled default is TOML: a test loads it");
    let schema = Schema::of(&tree);
    let layer = compare(tree, "the default", &schema, &mut Problems::default());
    (schema, layer)
}

/// The layer of a settings file.
pub(super) fn file(path: &Path, schema: &Schema, problems: &mut Problems) -> Layer {
    let name = path.display().to_string();
    let tree = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot be read: {error}"))
        .and_then(|text| parse(&text).map_err(|error| without_excerpt(&error)));
    match tree {
        Ok(tree) => compare(tree, &name, schema, problems),
        Err(text) => {
            problems.add(&name, text);
            Layer::default()
        }
    }
}

/// The layer of the environment.
pub(super) fn environment(
    env: impl Iterator<Item = (String, String)>,
    schema: &Schema,
    problems: &mut Problems,
) -> Layer {
    let mut sections: Map<String, Map<String, Value>> = Map::new();
    let mut properties: Map<String, Value> = Map::new();
    let mut routes = None;
    for (name, text) in env {
        let Some(name) = name.strip_prefix(PREFIX).map(str::to_lowercase) else {
            continue;
        };
        let (section, key) = name.split_once("__").unwrap_or((&name, ""));
        if let Some(property) = name.strip_prefix("kafka__properties__") {
            let name = properties::of_environment(property);
            properties.insert(name, Value::new(None, text));
        } else if name == "routes" {
            routes = inline::list(&name, &text, problems);
        } else {
            let key = key.replace("__", ".");
            let path = format!("{section}.{key}");
            let kind = schema.kind(&path).unwrap_or(Kind::Text);
            let value = if path == declarations::PATH {
                inline::list(&path, &text, problems)
            } else {
                Some(of_kind(kind, text))
            };
            let section = sections.entry(section.to_owned()).or_default();
            section.extend(value.map(|value| (key, value)));
        }
    }
    if !properties.is_empty() {
        let kafka = sections.entry("kafka".to_owned()).or_default();
        kafka.insert("properties".to_owned(), Value::new(None, properties));
    }
    let sections = sections.into_iter();
    let routes = routes.map(|routes| ("routes".to_owned(), routes));
    let tree = routes
        .into_iter()
        .chain(sections.map(|(name, keys)| (name, Value::new(None, keys))))
        .collect();
    compare(tree, "the environment", schema, problems)
}

/// Text of the environment as a value of the kind its key takes, or as text if it cannot be.
fn of_kind(kind: Kind, text: String) -> Value {
    match kind {
        Kind::Text => Value::new(None, text),
        Kind::Integer => match text.trim().parse::<i64>() {
            Ok(number) => Value::new(None, number),
            Err(_) => Value::new(None, text),
        },
        Kind::Flag => match text.trim().parse::<bool>() {
            Ok(flag) => Value::new(None, flag),
            Err(_) => Value::new(None, text),
        },
        Kind::Texts => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            Value::new(None, parts.map(str::to_owned).collect::<Vec<_>>())
        }
    }
}

/// Keeps of a tree what the schema knows, and says what is wrong with the rest.
fn compare(
    tree: Map<String, Value>,
    origin: &str,
    schema: &Schema,
    problems: &mut Problems,
) -> Layer {
    let mut layer = Layer::default();
    for (section, value) in tree {
        if section == "routes" {
            layer.set_routes(routes::shaped(value, origin, problems));
            continue;
        }
        if !schema.sections().contains(&section.as_str()) {
            problems.add(
                &section,
                format!("{} (in {origin})", schema.no_section(&section)),
            );
            continue;
        }
        let ValueKind::Table(keys) = value.kind else {
            let text = format!("expected a table, found {} (in {origin})", found(&value));
            problems.add(&section, text);
            continue;
        };
        for (key, value) in keys {
            if section == "kafka" && key == "properties" {
                collect_properties(value, origin, &mut layer, problems);
                continue;
            }
            let path = format!("{section}.{key}");
            if path == declarations::PATH {
                let declared = declarations::read(value, origin, problems);
                layer.set(&section, &key, declared);
                continue;
            }
            if path == columns::PATH || columns::key(&path).is_some() {
                columns::collect(&path, value, (origin, schema), &mut layer, problems);
                continue;
            }
            match schema.kind(&path) {
                None => problems.add(&path, format!("{} (in {origin})", schema.no_key(&path))),
                Some(kind) if kind.takes(&value) => layer.set(&section, &key, value),
                Some(kind) => {
                    let (name, found) = (kind.name(), found(&value));
                    problems.add(
                        &path,
                        format!("expected {name}, found {found} (in {origin})"),
                    );
                }
            }
        }
    }
    layer
}

/// Takes over the properties of Kafka's client, however they were nested.
fn collect_properties(value: Value, origin: &str, layer: &mut Layer, problems: &mut Problems) {
    if !matches!(value.kind, ValueKind::Table(_)) {
        let text = format!("expected a table, found {} (in {origin})", found(&value));
        problems.add("kafka.properties", text);
        return;
    }
    let mut flat = Vec::new();
    flatten("", value, &mut flat);
    for (given, value) in flat {
        let path = properties::path(&given);
        let Some(text) = properties::text_of(&value) else {
            let text = format!(
                "expected text, a number or a boolean, found {}",
                found(&value)
            );
            problems.add(&path, format!("{text} (in {origin})"));
            continue;
        };
        let name = properties::canonical(&given);
        if layer.set_property(&name, text) {
            problems.add(&path, format!("is given twice as {name} (in {origin})"));
        }
    }
}

/// Names every leaf below `value` by its dotted path; one that is written both quoted and nested
/// comes twice.
pub(super) fn flatten(prefix: &str, value: Value, flat: &mut Vec<(String, Value)>) {
    if let ValueKind::Table(table) = value.kind {
        for (key, value) in table {
            let dot = if prefix.is_empty() { "" } else { "." };
            flatten(&format!("{prefix}{dot}{key}"), value, flat);
        }
    } else {
        flat.push((prefix.to_owned(), value));
    }
}

/// The tree of a TOML text.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, ConfigError> {
    File::from_str(text, FileFormat::Toml).collect()
}

/// What the parser says, without the line of the file that it quotes, which may hold a secret.
pub(super) fn without_excerpt(error: &ConfigError) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    match lines.as_slice() {
        [place, _, _, _, reason @ ..] => format!("{place}: {}", reason.join(", ")),
        [only] => (*only).to_owned(),
        _ => "is not TOML".to_owned(),
    }
}
