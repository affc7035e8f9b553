//! The tables of `topics.declare`: their keys, bounds and names.
//!
//! Judges each by itself and beside those before it. Does not know which settings Kafka has for
//! topics: brokers say that when a topic is made or changed.
//!
//! Invariant: what is read here has the shape of a declaration, and its settings are texts.

use config::{Map, Value, ValueKind};

use super::problems::Problems;
use super::schema::{found, nearest};
use super::{layers, properties};
use crate::decide::pattern::glob;
use crate::decide::topic::{check_pattern, check_topic};

/// The key of all declarations.
pub(super) const PATH: &str = "topics.declare";
/// The keys of one declaration.
const KEYS: [&str; 4] = ["config", "name", "partitions", "replication_factor"];
/// The bounds of its integers, both included. `config/default.toml` tells them.
pub(super) const BOUNDS: [(&str, i64, i64); 2] =
    [("partitions", 1, 10_000), ("replication_factor", 1, 100)];
/// So many copies must be there before a record is confirmed.
const COPIES_MIN: &str = "min.insync.replicas";

/// What is right of a list of declarations; the rest is told.
pub(super) fn read(value: Value, origin: &str, problems: &mut Problems) -> Value {
    let mut desk = Desk {
        origin,
        problems,
        names: Vec::new(),
    };
    let mut right = Vec::new();
    if let ValueKind::Array(tables) = value.kind {
        for (index, table) in tables.into_iter().enumerate() {
            right.extend(desk.declaration(&format!("{PATH}[{index}]"), table));
        }
    } else {
        let found = found(&value);
        let text = format!("expected tables, each below [[{PATH}]], found {found}");
        desk.wrong(PATH, text);
    }
    Value::new(None, right)
}

/// Reads one declaration after another.
struct Desk<'p> {
    origin: &'p str,
    problems: &'p mut Problems,
    /// Those of the declarations before.
    names: Vec<String>,
}

impl Desk<'_> {
    fn wrong(&mut self, path: &str, text: impl Into<String>) {
        let text = format!("{} (in {})", text.into(), self.origin);
        self.problems.add(path, text);
    }

    fn declaration(&mut self, path: &str, value: Value) -> Option<Value> {
        let ValueKind::Table(table) = value.kind else {
            let text = format!("expected a table below [[{PATH}]], found {}", found(&value));
            self.wrong(path, text);
            return None;
        };
        let mut right = Map::new();
        let mut config = Map::new();
        for (key, value) in table {
            let path = format!("{path}.{key}");
            match key.as_str() {
                "name" => self.keep(&mut right, &key, (&path, value), "text in quotes"),
                "partitions" | "replication_factor" => {
                    self.keep(&mut right, &key, (&path, value), "an integer");
                }
                "config" => config = self.config(&path, value),
                _ => self.wrong(&path, no_key(&key)),
            }
        }
        self.relations(path, &right, &config);
        right.insert("config".to_owned(), Value::new(None, config));
        Some(Value::new(None, right))
    }

    /// Keeps a value of the right kind and within its bounds.
    fn keep(
        &mut self,
        right: &mut Map<String, Value>,
        key: &str,
        (path, value): (&str, Value),
        expected: &str,
    ) {
        let bounds = BOUNDS.iter().find(|(bounded, _, _)| *bounded == key);
        match (&value.kind, bounds) {
            (ValueKind::I64(number), Some((_, low, high))) => {
                if (low..=high).contains(&number) {
                    right.insert(key.to_owned(), value);
                } else {
                    self.wrong(path, format!("expected {low} to {high}, found {number}"));
                }
            }
            (ValueKind::String(_), None) => {
                right.insert(key.to_owned(), value);
            }
            _ => self.wrong(
                path,
                format!("expected {expected}, found {}", found(&value)),
            ),
        }
    }

    /// The topic's own settings, quoted or nested, as texts.
    fn config(&mut self, path: &str, value: Value) -> Map<String, Value> {
        let mut config = Map::new();
        if !matches!(value.kind, ValueKind::Table(_)) {
            let text = format!("expected a table, found {}", found(&value));
            self.wrong(path, text);
            return config;
        }
        let mut flat = Vec::new();
        layers::flatten("", value, &mut flat);
        for (key, value) in flat {
            let path = format!("{path}.{key}");
            let text = properties::text_of(&value)
                .filter(|text| !format!("{key}{text}").contains(char::is_control));
            let Some(text) = text else {
                let found = found(&value);
                let text = format!("expected text, a number or a boolean, found {found}");
                self.wrong(&path, text);
                continue;
            };
            if config.insert(key, Value::new(None, text)).is_some() {
                self.wrong(&path, "is given twice");
            }
        }
        config
    }

    /// What a declaration says as a whole, and beside those before it.
    fn relations(&mut self, path: &str, right: &Map<String, Value>, config: &Map<String, Value>) {
        let integer = |value: Option<&Value>| value?.clone().into_int().ok();
        let copies = integer(right.get("replication_factor"));
        if let (Some(copies), Some(least)) = (copies, integer(config.get(COPIES_MIN)))
            && least > copies
        {
            let text = format!(
                "expected at most replication_factor {copies}, found {least}: no record would \
                 ever be confirmed"
            );
            self.wrong(&format!("{path}.config.{COPIES_MIN}"), text);
        }
        let Some(name) = right.get("name") else {
            let path = format!("{path}.name");
            if !self.problems.name(&path) {
                self.wrong(&path, "is missing: a topic's name or a pattern");
            }
            return;
        };
        self.name(&format!("{path}.name"), name.to_string());
    }

    fn name(&mut self, path: &str, name: String) {
        let shape = if name.contains('*') {
            check_pattern(&name)
        } else {
            check_topic(&name)
        };
        let before = self.names.iter().find(|before| glob(before, &name));
        if let Err(defect) = shape {
            self.wrong(path, defect.to_string());
        } else if let Some(before) = before {
            let text = format!("never counts: {before:?} before it matches whatever it does");
            self.wrong(path, text);
        }
        self.names.push(name);
    }
}

/// What to say of a key that no declaration has.
fn no_key(key: &str) -> String {
    match nearest(key, KEYS.into_iter()) {
        Some(near) => format!("no such key; did you mean {near}?"),
        None => format!(
            "no such key; a declaration has {}; Kafka's own settings stand in config",
            KEYS.join(", ")
        ),
    }
}
