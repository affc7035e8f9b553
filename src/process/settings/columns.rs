//! What the columns of the outbox are called: a table of settings within a section.
//!
//! Owns how that table is read from any layer. Does not know which columns a table has.
//!
//! Invariant: a name that is set is one that the default has.

use config::{Value, ValueKind};

use super::layers::Layer;
use super::problems::Problems;
use super::schema::{Kind, Schema, found};

/// Where the table stands.
pub(super) const PATH: &str = "database.columns";

/// The keys of the default.
pub(super) fn keys(default: &Value) -> Vec<(String, Kind)> {
    let ValueKind::Table(columns) = &default.kind else {
        return Vec::new();
    };
    let key = |name: &String| (format!("{PATH}.{name}"), Kind::Text);
    columns.keys().map(key).collect()
}

/// Our name of a column, where a path is about one.
pub(super) fn key(path: &str) -> Option<&str> {
    path.strip_prefix(PATH)?.strip_prefix('.')
}

/// Takes over what a layer says, as one table or name by name.
pub(super) fn collect(
    path: &str,
    value: Value,
    (origin, schema): (&str, &Schema),
    layer: &mut Layer,
    problems: &mut Problems,
) {
    let is_text = matches!(value.kind, ValueKind::String(_));
    match (key(path), value.kind) {
        (None, ValueKind::Table(columns)) => {
            for (name, value) in columns {
                let path = format!("{PATH}.{name}");
                collect(&path, value, (origin, schema), layer, problems);
            }
        }
        (Some(name), kind) if is_text && schema.kind(path).is_some() => {
            layer.set_column(name, Value::new(None, kind));
        }
        (Some(_), _) if schema.kind(path).is_none() => {
            problems.add(path, format!("{} (in {origin})", schema.no_key(path)));
        }
        (about, kind) => {
            let expected = about.map_or("a table", |_| Kind::Text.name());
            let found = found(&Value::new(None, kind));
            problems.add(
                path,
                format!("expected {expected}, found {found} (in {origin})"),
            );
        }
    }
}
