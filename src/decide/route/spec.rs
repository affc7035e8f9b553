//! How a route is written, and what can be wrong with it.
//!
//! Owns the shape of a route before it is read. Does not know where it was written.
//!
//! Invariant: all that is wrong with a route is found at once, each fault with the key that it is about.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use serde::Deserialize;

use super::{Matcher, Route};
use crate::decide::dead::OnDead;
use crate::decide::debezium::{Debezium, DebeziumSpec};
use crate::decide::envelope::{Form, Format};
use crate::decide::order::Order;
use crate::decide::pattern::Pattern;
use crate::decide::rename::{Rename, RenameSpec};
use crate::decide::schema::{SchemaRule, SchemaSpec};
use crate::decide::template::Template;
use crate::decide::topic::check_topic;

/// What routes say that say nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usual {
    /// The template of the topics.
    pub topic: String,
    /// The template of the keys; empty for none.
    pub key: String,
    /// The format.
    pub format: Format,
    /// The order.
    pub order: Order,
    /// What becomes of dead rows.
    pub on_dead: OnDead,
}

/// A route as it is written: what it does not say is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RouteSpec {
    /// Which events it is about.
    #[serde(default, rename = "match")]
    pub about: MatchSpec,
    /// The template of their topics.
    pub topic: Option<String>,
    /// The template of their keys; empty for none.
    pub key: Option<String>,
    /// The template of their partitions.
    pub partition: Option<String>,
    /// Their format.
    pub format: Option<Format>,
    /// Their order.
    pub order: Option<Order>,
    /// What becomes of dead ones.
    pub on_dead: Option<OnDead>,
    /// Templates of further headers, in the order in which they are sent.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// What becomes of a topic before it is used.
    pub rename: Option<RenameSpec>,
    /// What counts in Debezium's format alone.
    pub debezium: Option<DebeziumSpec>,
    /// The schema by which their values are encoded.
    pub schema: Option<SchemaSpec>,
}

/// Which events a route is about, as it is written: a glob, or a regular expression between slashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MatchSpec {
    /// What their aggregate's type must match.
    pub aggregate_type: Option<String>,
    /// What their type must match.
    pub event_type: Option<String>,
    /// What headers of theirs must match.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// Something that is wrong with a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, such as `match.event_type`.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

/// The faults found so far.
struct Faults(Vec<Fault>);

impl Faults {
    /// The value, or nothing where it is at fault.
    fn sort<T>(&mut self, key: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|reason| self.add(key, reason)).ok()
    }

    fn add(&mut self, key: &str, reason: String) {
        let key = key.to_owned();
        self.0.push(Fault { key, reason });
    }

    fn pattern(&mut self, key: &str, text: Option<&String>) -> Option<Pattern> {
        text.and_then(|text| self.sort(key, Pattern::parse(text)))
    }

    fn schema(&mut self, spec: &SchemaSpec) -> Option<SchemaRule> {
        let read = spec.read();
        let (key, rule) = match read {
            Ok(rule) => ("schema", Ok(rule)),
            Err((key, reason)) => (key, Err(reason)),
        };
        self.sort(&format!("schema.{key}"), rule)
    }

    fn template(&mut self, key: &str, text: &str) -> Option<Template> {
        self.sort(
            key,
            Template::parse(text).map_err(|error| error.to_string()),
        )
    }
}

impl RouteSpec {
    /// Reads the route.
    pub fn read(&self, usual: &Usual) -> Result<Route, Vec<Fault>> {
        let mut faults = Faults(Vec::new());
        let matcher = self.about.read(&mut faults);
        let topic = self.topic.as_deref().unwrap_or(&usual.topic);
        let topic = faults.sort("topic", topic_template(topic, self.rename.is_some()));
        let rename = self.rename(&mut faults);
        let key = self.key.as_deref().unwrap_or(&usual.key);
        let key = faults
            .template("key", key)
            .filter(|key| !key.text().is_empty());
        let partition = self
            .partition
            .as_deref()
            .filter(|text| !text.is_empty())
            .and_then(|text| faults.sort("partition", partition_template(text)));
        let mut headers = Vec::new();
        for (name, text) in &self.headers {
            if let Some(value) = faults.template(&format!("headers.{name}"), text) {
                headers.push((name.clone(), value));
            }
        }
        let format = self.format.unwrap_or(usual.format);
        let debezium = self.debezium(format, (partition.as_ref(), &headers), &mut faults);
        let schema = self
            .schema
            .as_ref()
            .and_then(|schema| faults.schema(schema));
        match topic {
            Some(topic) if faults.0.is_empty() => Ok(Route {
                matcher,
                topic,
                rename,
                form: Form {
                    key,
                    partition,
                    format,
                    headers,
                    debezium,
                },
                order: self.order.unwrap_or(usual.order),
                on_dead: self.on_dead.unwrap_or(usual.on_dead),
                schema,
            }),
            Some(_) | None => Err(faults.0),
        }
    }

    fn rename(&self, faults: &mut Faults) -> Option<Rename> {
        let read = self.rename.as_ref()?.read();
        read.map_err(|(key, reason)| faults.add(&format!("rename.{key}"), reason))
            .ok()
    }

    fn debezium(
        &self,
        format: Format,
        (partition, headers): (Option<&Template>, &[(String, Template)]),
        faults: &mut Faults,
    ) -> Debezium {
        let is_other = self.format.is_some_and(|own| own != Format::Debezium);
        if is_other && self.debezium.is_some() {
            let reason = "counts with format = \"debezium\" alone";
            faults.add("debezium", reason.to_owned());
        }
        if format != Format::Debezium && self.debezium.is_none() {
            return Debezium::default();
        }
        let usual = DebeziumSpec::default();
        let spec = self.debezium.as_ref().unwrap_or(&usual);
        spec.read(partition, headers).unwrap_or_else(|wrong| {
            for (key, reason) in wrong {
                faults.add(&format!("debezium.{key}"), reason);
            }
            Debezium::default()
        })
    }
}

impl fmt::Display for RouteSpec {
    /// Which events go where: what tells two lists of routes apart. No values of headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.about.headers.keys().map(String::as_str).collect();
        let headers = Some(headers.join(",")).filter(|names| !names.is_empty());
        let rename = self.rename.as_ref();
        let rename = rename.map(|rename| format!("{} to {}", rename.regex, rename.to));
        let parts = [
            ("type", &self.about.aggregate_type),
            ("event", &self.about.event_type),
            ("headers", &headers),
            ("topic", &self.topic),
            ("renamed", &rename),
            ("key", &self.key),
            ("partition", &self.partition),
        ];
        let told = parts
            .into_iter()
            .filter_map(|(name, text)| Some(format!("{name} {:?}", text.as_ref()?)));
        f.write_str(&told.collect::<Vec<_>>().join(" "))
    }
}

impl MatchSpec {
    fn read(&self, faults: &mut Faults) -> Matcher {
        let mut headers = Vec::new();
        for (name, text) in &self.headers {
            if let Some(pattern) = faults.pattern(&format!("match.headers.{name}"), Some(text)) {
                headers.push((name.clone(), pattern));
            }
        }
        Matcher {
            aggregate_type: faults.pattern("match.aggregate_type", self.aggregate_type.as_ref()),
            event_type: faults.pattern("match.event_type", self.event_type.as_ref()),
            headers,
        }
    }
}

/// A template of topics: some row must be able to make a legal name of it, unless it is renamed.
fn topic_template(text: &str, is_renamed: bool) -> Result<Template, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    if is_renamed {
        return Ok(template);
    }
    check_topic(&template.sample()).map_err(|defect| defect.reason)?;
    Ok(template)
}

/// A template of partitions: a number, or what a row makes one of.
fn partition_template(text: &str) -> Result<Template, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let is_number = |text: &str| text.parse().is_ok_and(|number: i32| number >= 0);
    match template.only_text() {
        Some(text) if !is_number(text) => {
            Err("expected a number from 0 to 2147483647, or a template of one".to_owned())
        }
        Some(_) | None => Ok(template),
    }
}
