//! Routes as settings: which keys each has, whether they can be read, and what is made of them.
//!
//! Owns the shape of `[[routes]]`, which is no section with one value a key. What a route means is in
//! `decide::route`.
//!
//! Invariant: what leaves here as a list of routes has known keys alone, each of the right kind.

use config::{Config, Map, Value, ValueKind};
use sha2::{Digest, Sha256};

use super::Settings;
use super::checks::{ENDS, FORMATS, ORDERS};
use super::problems::Problems;
use super::schema::{found, nearest};
use super::{lay, layers, typed};
use crate::decide::dead::OnDead;
use crate::decide::envelope::Format;
use crate::decide::order::Order;
use crate::decide::route::{Route, RouteSpec, Routes, Usual};
use crate::decide::topic::Allowed;

/// What a key of a route takes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Flag,
    Word(&'static [&'static str]),
    /// A table with any keys, each a text.
    Texts,
    /// A table with these keys.
    Table(&'static [(&'static str, Kind)]),
    /// Text, or a whole number as text.
    TextOrNumber,
}

/// The keys of a route.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("match", Kind::Table(MATCH)),
    ("topic", Kind::Text),
    ("key", Kind::Text),
    ("partition", Kind::Text),
    ("format", Kind::Word(FORMATS)),
    ("order", Kind::Word(ORDERS)),
    ("on_dead", Kind::Word(ENDS)),
    ("headers", Kind::Texts),
    ("rename", Kind::Table(RENAME)),
    ("debezium", Kind::Table(DEBEZIUM)),
    ("schema", Kind::Table(SCHEMA)),
];

/// The keys of what becomes of a topic.
const RENAME: &[(&str, Kind)] = &[("regex", Kind::Text), ("to", Kind::Text)];

/// The words for Kafka Connect's converters.
const CONVERTERS: &[&str] = &["plain", "json", "json-schema"];

/// The words for what has no type.
const RESTS: &[&str] = &["drop", "keep"];

/// The keys of Debezium's format.
pub(super) const DEBEZIUM: &[(&str, Kind)] = &[
    ("key", Kind::Word(CONVERTERS)),
    ("value", Kind::Word(CONVERTERS)),
    ("header", Kind::Word(CONVERTERS)),
    ("expand", Kind::Flag),
    ("nulls", Kind::Word(RESTS)),
    ("empty_lists", Kind::Word(RESTS)),
    ("tombstones", Kind::Flag),
    ("envelope", Kind::Texts),
    ("schema_name", Kind::Text),
    ("types", Kind::Texts),
];

/// The keys of the schema of a route's values.
const SCHEMA: &[(&str, Kind)] = &[
    ("type", Kind::Word(&["avro", "json", "protobuf"])),
    ("subject", Kind::Word(&["topic", "record", "topic-record"])),
    ("record", Kind::Text),
    ("version", Kind::TextOrNumber),
    ("file", Kind::Text),
    ("register", Kind::Flag),
];

/// The keys of what a route is about.
const MATCH: &[(&str, Kind)] = &[
    ("aggregate_type", Kind::Text),
    ("event_type", Kind::Text),
    ("headers", Kind::Texts),
];

impl Settings {
    /// The routes that events take.
    pub(crate) fn routes(&self) -> Routes {
        let usual = self.usual();
        let read = |spec: &RouteSpec| {
            spec.read(&usual)
                .expect("settings that exist have passed the same reading")
        };
        let routes = self.routes.iter().map(read).collect();
        let rest = read(&RouteSpec::default());
        let allowed = Allowed::parse(&self.topics.allow);
        let allowed = allowed.expect("settings that exist have passed the same reading");
        Routes::new(routes, rest, allowed)
    }

    /// What relays compare to see whether they route alike: what people know routes by, and a digest of
    /// all that there is to them unless it is as by default.
    pub(crate) fn routing(&self) -> String {
        let (_, default) = layers::default();
        let by_default = typed(lay(&[default])).usual();
        let usual = self.usual();
        let own_key = (usual.key != by_default.key).then(|| format!(" by {:?}", usual.key));
        let routes = self.routes.iter().map(|route| format!("; {route}"));
        let is_default = usual == by_default && self.routes.is_empty();
        let digest = (!is_default).then(|| format!(" #{}", digest(&usual, &self.routes)));
        let parts = [usual.topic.clone()]
            .into_iter()
            .chain(own_key)
            .chain(routes)
            .chain(digest);
        parts.collect()
    }

    /// What a route does of which no more is said.
    fn usual(&self) -> Usual {
        Usual {
            topic: self.route.topic.clone(),
            key: self.route.key.clone(),
            format: self.route.format,
            order: self.relay.order,
            on_dead: self.failure.on_dead,
        }
    }
}

/// Twelve digits of a hash over all that routes say: their own texts would show values of headers. What
/// is written for people to debug names every field and quotes every text, so that no two differ and
/// are written alike.
fn digest(usual: &Usual, routes: &[RouteSpec]) -> String {
    let digest = Sha256::digest(format!("{usual:?} {routes:?}"));
    let digits = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Keeps of a list of routes what is known and of the right kind, and says what is wrong with the rest.
pub(super) fn shaped(value: Value, origin: &str, problems: &mut Problems) -> Vec<Value> {
    let found = found(&value);
    let ValueKind::Array(routes) = value.kind else {
        let text = format!("expected [[routes]], found {found} (in {origin})");
        problems.add("routes", text);
        return Vec::new();
    };
    let routes = routes.into_iter().enumerate();
    routes
        .map(|(place, route)| {
            let mut shape = Shape { origin, problems };
            let path = format!("routes[{place}]");
            let table = shape.table(&path, route, KEYS).unwrap_or_default();
            Value::new(None, table)
        })
        .collect()
}

/// The comparison of one layer's routes with the keys that there are.
struct Shape<'a> {
    origin: &'a str,
    problems: &'a mut Problems,
}

impl Shape<'_> {
    fn table(
        &mut self,
        path: &str,
        value: Value,
        keys: &[(&str, Kind)],
    ) -> Option<Map<String, Value>> {
        let pairs = self.pairs(path, value)?.into_iter();
        let known = pairs.filter_map(|(key, value)| {
            let path = format!("{path}.{key}");
            let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
                let names = keys.iter().map(|(name, _)| *name);
                let near = nearest(&key, names.clone());
                let text = near.map_or_else(
                    || format!("there are {}", names.collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                self.add(&path, &format!("no such key; {text}"));
                return None;
            };
            Some((key, self.value(&path, value, *kind)?))
        });
        Some(known.collect())
    }

    /// A value, if it is of its kind.
    fn value(&mut self, path: &str, value: Value, kind: Kind) -> Option<Value> {
        match kind {
            Kind::Text => self.text(path, value).map(|text| Value::new(None, text)),
            Kind::Flag if matches!(value.kind, ValueKind::Boolean(_)) => Some(value),
            Kind::Flag => {
                let found = found(&value);
                self.add(path, &format!("expected true or false, found {found}"));
                None
            }
            Kind::Word(words) => {
                let text = self.text(path, value)?;
                if !words.contains(&text.as_str()) {
                    let words = words.join(" or ");
                    self.add(path, &format!("expected {words}, found {text:?}"));
                    return None;
                }
                Some(Value::new(None, text))
            }
            Kind::Texts => {
                let pairs = self.pairs(path, value)?.into_iter();
                let texts: Map<String, Value> = pairs
                    .filter_map(|(name, value)| {
                        let text = self.text(&format!("{path}.{name}"), value)?;
                        Some((name, Value::new(None, text)))
                    })
                    .collect();
                Some(Value::new(None, texts))
            }
            Kind::Table(keys) => {
                let table = self.table(path, value, keys)?;
                Some(Value::new(None, table))
            }
            Kind::TextOrNumber => {
                if let ValueKind::I64(number) = value.kind {
                    return Some(Value::new(None, number.to_string()));
                }
                self.text(path, value).map(|text| Value::new(None, text))
            }
        }
    }

    fn text(&mut self, path: &str, value: Value) -> Option<String> {
        let found = found(&value);
        if let ValueKind::String(text) = value.kind {
            return Some(text);
        }
        self.add(path, &format!("expected text in quotes, found {found}"));
        None
    }

    fn pairs(&mut self, path: &str, value: Value) -> Option<Map<String, Value>> {
        let found = found(&value);
        if let ValueKind::Table(table) = value.kind {
            return Some(table);
        }
        self.add(path, &format!("expected a table, found {found}"));
        None
    }

    fn add(&mut self, path: &str, text: &str) {
        self.problems
            .add(path, format!("{text} (in {})", self.origin));
    }
}

/// Reads every route, and adds what is wrong with each.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    let text = |path: &str| config.get_string(path).unwrap_or_default();
    let own = usual(text("route.topic"), text("route.key"));
    for fault in RouteSpec::default().read(&own).err().unwrap_or_default() {
        let path = format!("route.{}", fault.key);
        if !problems.name(&path) {
            problems.add(&path, fault.reason);
        }
    }
    let specs: Vec<RouteSpec> = config.get("routes").unwrap_or_default();
    // What a route takes over from [route] is judged there.
    let unseen = usual("x".to_owned(), String::new());
    for (place, spec) in specs.iter().enumerate() {
        let path = format!("routes[{place}]");
        match spec.read(&unseen) {
            Ok(route) if place + 1 < specs.len() => reached(&path, &route, problems),
            Ok(_) => {}
            Err(faults) => {
                for fault in faults {
                    let path = format!("{path}.{}", fault.key);
                    if !problems.name(&path) {
                        problems.add(&path, fault.reason);
                    }
                }
            }
        }
    }
}

fn usual(topic: String, key: String) -> Usual {
    Usual {
        topic,
        key,
        format: Format::Payload,
        order: Order::Strict,
        on_dead: OnDead::Table,
    }
}

/// A route about every event leaves none to those after it.
fn reached(path: &str, route: &Route, problems: &mut Problems) {
    if route.is_about_all() {
        let text = "is about every event, so that no route after it is ever taken: put it last";
        problems.add(&format!("{path}.match"), text);
    }
}
