//! Which keys exist and what kind of value each takes: read from the compiled default, so that
//! the default is the only place where a key is declared.
//!
//! Does not know bounds, words or relations (see `checks`), nor the properties of Kafka's client,
//! which are open (see `properties`), nor those of declared topics (see `declarations`).

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::columns;

/// The kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    Texts,
}

impl Kind {
    /// The kind of a default.
    fn of(value: &Value) -> Self {
        match value.kind {
            ValueKind::I64(_) => Self::Integer,
            ValueKind::Boolean(_) => Self::Flag,
            ValueKind::Array(_) => Self::Texts,
            ValueKind::String(_)
            | ValueKind::Nil
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)
            | ValueKind::Table(_) => Self::Text,
        }
    }

    /// Whether a value is of this kind.
    pub(super) fn takes(self, value: &Value) -> bool {
        match self {
            Self::Text => is_text(value),
            Self::Integer => matches!(value.kind, ValueKind::I64(_)),
            Self::Flag => matches!(value.kind, ValueKind::Boolean(_)),
            Self::Texts => matches!(&value.kind, ValueKind::Array(all) if all.iter().all(is_text)),
        }
    }

    /// How a problem calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text in quotes",
            Self::Integer => "an integer",
            Self::Flag => "true or false",
            Self::Texts => "a list of texts",
        }
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value.kind, ValueKind::String(_))
}

/// What was found instead, without its value, which may be a secret.
pub(super) fn found(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "a boolean",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            "an integer"
        }
        ValueKind::Float(_) => "a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}

/// Every key, by its path `section.key`.
pub(super) struct Schema {
    keys: BTreeMap<String, Kind>,
}

impl Schema {
    /// Reads the keys from the defaults.
    pub(super) fn of(defaults: &Map<String, Value>) -> Self {
        let mut keys = BTreeMap::new();
        for (section, table) in defaults {
            if let ValueKind::Table(table) = &table.kind {
                for (key, value) in table {
                    let path = format!("{section}.{key}");
                    if path == columns::PATH {
                        keys.extend(columns::keys(value));
                    } else if !matches!(value.kind, ValueKind::Table(_)) {
                        keys.insert(path, Kind::of(value));
                    }
                }
            }
        }
        Self { keys }
    }

    /// The kind of a key, if it exists.
    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        self.keys.get(path).copied()
    }

    /// Every path.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Every section, once.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<_> = self
            .paths()
            .filter_map(|path| path.split('.').next())
            .collect();
        sections.dedup();
        sections
    }

    /// What to say of a section that does not exist.
    pub(super) fn no_section(&self, name: &str) -> String {
        let sections = self.sections();
        let near = nearest(name, sections.iter().copied());
        match near {
            Some(near) => format!("no such section; did you mean {near}?"),
            None => format!("no such section; there are {}", sections.join(", ")),
        }
    }

    /// What to say of a key that does not exist.
    pub(super) fn no_key(&self, path: &str) -> String {
        let (section, key) = path.split_once('.').unwrap_or(("", path));
        let elsewhere = self
            .paths()
            .find(|known| known.ends_with(&format!(".{key}")));
        if let Some(near) = elsewhere.or_else(|| nearest(path, self.paths())) {
            return format!("no such key; did you mean {near}?");
        }
        let prefix = format!("{section}.");
        let keys: Vec<_> = self
            .paths()
            .filter_map(|path| path.strip_prefix(&prefix))
            .collect();
        format!("no such key; [{section}] has {}", keys.join(", "))
    }
}

/// The name most like `given`, if one is like it: no more than a third of it needs to change.
pub(super) fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| distance * 3 <= name.len())
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance: the letters to insert, remove or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_letters_to_change() {
        assert_eq!(distance("", "lane"), 4);
        assert_eq!(distance("lane", "lane"), 0);
        assert_eq!(distance("lane", "lease"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn only_a_name_that_is_like_it_is_near() {
        let names = ["relay.order", "relay.name"];
        assert_eq!(
            nearest("relay.ordr", names.into_iter()),
            Some("relay.order")
        );
        assert_eq!(nearest("elephant", names.into_iter()), None);
    }
}
