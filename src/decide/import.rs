//! Settings of Debezium's, read as ours.
//!
//! Owns what takes the place of each option. How files of settings are written is in `source`, what becomes of
//! the router in `router`, and the text of our settings in `text`. Opens no file.
//!
//! Invariants:
//! - no secret is in what leaves here: of a setting that may be one its key alone is told;
//! - each option is taken over, told as one that nothing needs any more, or told with what to do.

mod around;
mod router;
mod source;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use crate::decide::route::RouteSpec;

/// What was made of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Our settings as TOML.
    pub toml: String,
    /// The route in them.
    pub route: RouteSpec,
    /// What has no equivalent: the key, and what to do.
    pub notes: Vec<Note>,
}

/// An option that a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its key, as the file has it.
    pub key: String,
    /// What to do about it.
    pub text: String,
}

/// Why nothing was made of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is neither of the forms.
    #[error(
        "the file is neither the JSON of a Kafka Connect connector nor a list of properties (at line {line})"
    )]
    Unreadable {
        /// The line that is neither.
        line: usize,
    },
    /// There is no outbox in it.
    #[error(
        "the file configures no outbox: no transform of it has the type \
         io.debezium.transforms.outbox.EventRouter, and no key begins with quarkus.debezium-outbox"
    )]
    NoOutbox,
}

/// Whose settings they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    /// A connector of Kafka Connect.
    Connect,
    /// Debezium Server.
    Server,
    /// The extension by which Quarkus writes an outbox.
    Quarkus,
}

/// Settings under a connector's own keys.
struct Options {
    host: Host,
    values: BTreeMap<String, Given>,
}

/// A value, and its key as the file has it.
struct Given {
    key: String,
    value: String,
    is_used: bool,
}

/// What is told, in the order in which it was found.
#[derive(Default)]
struct Notes(Vec<Note>);

/// The columns of the outbox, under our names for them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Columns {
    id: String,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: String,
    /// Empty where the table has none that is told.
    created_at: String,
}

/// Reads a file's settings.
pub fn import(file: &str) -> Result<Imported, ImportError> {
    let mut options = source::read(file)?;
    let mut notes = Notes::default();
    let router = match options.host {
        Host::Quarkus => router::of_quarkus(&mut options, &mut notes),
        Host::Connect | Host::Server => {
            let name = options.router().ok_or(ImportError::NoOutbox)?;
            options.take("transforms");
            router::of_transform(&name, &mut options, &mut notes)
        }
    };
    let around = around::read(&mut options, &mut notes);
    let route = router.route(&around);
    options.leftovers(&mut notes);
    Ok(Imported {
        toml: text::written(&around, &router, &route),
        route,
        notes: notes.0,
    })
}

impl Options {
    /// Takes an option; what is empty is as good as absent.
    fn take(&mut self, key: &str) -> Option<String> {
        let given = self.values.get_mut(key)?;
        given.is_used = true;
        let value = given.value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn take_or(&mut self, key: &str, usual: &str) -> String {
        self.take(key).unwrap_or_else(|| usual.to_owned())
    }

    fn is_on(&mut self, key: &str) -> bool {
        self.take(key)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// How the file calls an option.
    fn key_in_file(&self, key: &str) -> String {
        let given = self.values.get(key);
        given.map_or_else(|| key.to_owned(), |given| given.key.clone())
    }

    /// The name of the transform that is the router.
    fn router(&self) -> Option<String> {
        let is_router = |given: &&Given| given.value.trim().ends_with(".outbox.EventRouter");
        self.values.iter().find_map(|(key, given)| {
            let name = key.strip_prefix("transforms.")?.strip_suffix(".type")?;
            Some(given).filter(is_router).map(|_| name.to_owned())
        })
    }

    /// Tells of what nobody took: in one note what a relay does not need, and the rest one by one.
    fn leftovers(&mut self, notes: &mut Notes) {
        let left = self.values.iter().filter(|(_, given)| !given.is_used);
        let (needless, others): (Vec<_>, Vec<_>) =
            left.partition(|(key, _)| around::is_needless(key));
        for (key, given) in others {
            notes.add(&given.key, around::advice(key));
        }
        let needless: Vec<&str> = needless
            .iter()
            .map(|(_, given)| given.key.as_str())
            .collect();
        if !needless.is_empty() {
            let text = "nothing needs these any more: the relay has no replication slot, no offsets and \
                        no snapshot";
            notes.add(&needless.join(", "), text);
        }
    }
}

impl Notes {
    fn add(&mut self, key: &str, text: impl Into<String>) {
        self.0.push(Note {
            key: key.to_owned(),
            text: text.into(),
        });
    }
}
