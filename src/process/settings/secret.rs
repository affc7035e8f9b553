//! Text that must not be seen: it can be used, and not shown by accident.
//!
//! Owns the wrapping, and the reading of secrets from files. Invariant: no `Debug` output and no
//! problem holds a secret's text; nor the path in a `..._file` key, where a secret may have been
//! written by mistake.

use std::fmt;

use config::{Config, Value};
use serde::Deserialize;

use super::layers::Layer;
use super::problems::Problems;
use super::properties;

/// Text that is shown only to those who ask for it by [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be given to a client and to nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    /// Three stars, whatever it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secrets that a file may hold, beside the properties of the client: each has a key `..._file`.
const OF_FILES: [(&str, &str); 3] = [
    ("database", "url"),
    ("schema_registry", "password"),
    ("schema_registry", "token"),
];

/// The layer of what stands in the files that the `..._file` keys and properties name.
pub(super) fn from_files(config: &Config, problems: &mut Problems) -> Layer {
    let mut layer = Layer::default();
    let text = |path: &str| config.get_string(path).unwrap_or_default();
    for (section, key) in OF_FILES {
        let path = format!("{section}.{key}");
        let (value, file) = (text(&path), text(&format!("{path}_file")));
        if let Some(secret) = read(&path, &value, &file, problems) {
            layer.set(section, key, Value::new(None, secret));
        }
    }
    let given = properties::of(config);
    for (key, file) in &given {
        let Some(name) = properties::secret_of_file(key) else {
            continue;
        };
        let value = given.get(name).map_or("", String::as_str);
        let path = properties::path(name);
        if let Some(secret) = read(&path, value, file, problems) {
            layer.set_property(name, secret);
        }
    }
    layer
}

/// What the file of one secret holds, if it is given by a file.
fn read(path: &str, value: &str, file: &str, problems: &mut Problems) -> Option<String> {
    if file.is_empty() {
        return None;
    }
    if !value.is_empty() {
        let text = format!("is given twice, by itself and by {path}_file: empty one of the two");
        problems.add(path, text);
        return None;
    }
    match std::fs::read_to_string(file) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            let text = format!("names a file that cannot be read: {error}");
            problems.add(&format!("{path}_file"), text);
            None
        }
    }
}
