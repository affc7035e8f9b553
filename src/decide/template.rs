//! Texts with placeholders that each row fills: `store.{aggregate_type|kebab}-events`.
//!
//! Owns the language: which placeholders and filters there are, and what is wrong with a template.
//! What a filter does is in `filter`; how a field of a row's JSON is found is in `field`. Does not know
//! what a template is for.
//!
//! Invariants:
//! - a template that was parsed is total: each row gives a text, or a defect that names the field
//!   that is missing and shows no value;
//! - the payload and the headers are read only where a placeholder asks for one of their fields, and
//!   no tree is built of them.

mod field;
mod filter;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::slice;

use chrono::{DateTime, SecondsFormat, Utc};

use self::field::Fault;
use self::filter::{FILTERS, Filter};
use crate::event::Event;
use crate::outcome::Defect;

/// The columns that a placeholder can name.
const COLUMNS: [(&str, Source); 8] = [
    ("aggregate_type", Source::AggregateType),
    ("aggregate_id", Source::AggregateId),
    ("event_type", Source::EventType),
    ("id", Source::Id),
    ("seq", Source::Seq),
    ("created_at", Source::CreatedAt),
    ("partition_key", Source::PartitionKey),
    ("topic", Source::Topic),
];
/// What begins the name of a header.
const HEADERS: &str = "headers.";
/// What begins the path of a field of the payload.
const PAYLOAD: &str = "payload.";

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {reason}")]
pub struct TemplateError {
    /// The character at which it begins; the first is 1.
    pub at: usize,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// Where the value of a placeholder comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The column of this name, and so on.
    AggregateType,
    AggregateId,
    EventType,
    Id,
    Seq,
    CreatedAt,
    PartitionKey,
    Topic,
    /// A header of the row.
    Header(String),
    /// A field of the payload, by the names on the way to it.
    Payload(Vec<String>),
}

/// What a value is, on its way through the filters.
enum Value<'e> {
    Text(Cow<'e, str>),
    Time(DateTime<Utc>),
}

/// A field of a row, and what is made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placeholder {
    source: Source,
    filters: Vec<Filter>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Placeholder),
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template; braces stand for nothing but placeholders.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(brace);
            let at = place_of(text, from_brace);
            let wrong = |reason: &str| error(at, reason);
            let inside = from_brace
                .strip_prefix('{')
                .ok_or_else(|| wrong("`}` has no `{` before it"))?;
            let (inside, after) = inside
                .split_once('}')
                .filter(|(inside, _)| !inside.contains('{'))
                .ok_or_else(|| wrong("`{` has no `}` after it"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Field(placeholder(inside, at)?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text that every row gives, where it has no placeholder.
    pub fn only_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            [_, ..] => None,
        }
    }

    /// What a row makes of it.
    pub fn render<'e>(&self, event: &'e Event) -> Result<Cow<'e, str>, Defect> {
        if let [Part::Field(field)] = self.parts.as_slice() {
            return field.value(event);
        }
        let mut text = String::with_capacity(2 * self.text.len());
        self.render_to(event, &mut text)?;
        Ok(Cow::Owned(text))
    }

    /// The same; none where all that it asks for is one field, and that is missing or null.
    pub fn render_present<'e>(&self, event: &'e Event) -> Result<Option<Cow<'e, str>>, Defect> {
        if let [Part::Field(field)] = self.parts.as_slice() {
            return match field.source.of(event) {
                Err(Fault::Missing) => Ok(None),
                Err(fault) => Err(field.source.defect(fault)),
                Ok(value) => field.apply(value).map(Some),
            };
        }
        self.render(event).map(Some)
    }

    /// Writes behind a text what a row makes of it.
    pub fn render_to(&self, event: &Event, text: &mut String) -> Result<(), Defect> {
        for part in &self.parts {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Field(field) => text.push_str(&field.value(event)?),
            }
        }
        Ok(())
    }

    /// The text of a row whose fields are all `x`: what it can never be shows here.
    pub fn sample(&self) -> String {
        let pieces = self.parts.iter().map(|part| match part {
            Part::Text(text) => Cow::Borrowed(text.as_str()),
            Part::Field(field) if field.source == Source::CreatedAt => field
                .apply(Value::Time(DateTime::UNIX_EPOCH))
                .unwrap_or_default(),
            Part::Field(_) => Cow::Borrowed("x"),
        });
        pieces.collect()
    }

    /// Whether it takes more of a row than what names it and says of which kind it is.
    pub fn needs_whole_row(&self) -> bool {
        self.sources().any(|source| match source {
            Source::AggregateType
            | Source::AggregateId
            | Source::EventType
            | Source::Id
            | Source::Seq
            | Source::Topic => false,
            Source::CreatedAt | Source::PartitionKey | Source::Header(_) | Source::Payload(_) => {
                true
            }
        })
    }

    /// Where its values come from.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Field(field) => Some(&field.source),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Placeholder {
    /// The text that a row gives.
    fn value<'e>(&self, event: &'e Event) -> Result<Cow<'e, str>, Defect> {
        let value = self.source.of(event);
        self.apply(value.map_err(|fault| self.source.defect(fault))?)
    }

    /// Sends a value through the filters.
    fn apply<'e>(&self, value: Value<'e>) -> Result<Cow<'e, str>, Defect> {
        let filtered = self.filters.iter().try_fold(value, |value, filter| {
            filter
                .apply(value)
                .map_err(|reason| Defect::new(format!("{} {reason}", self.source)))
        })?;
        Ok(match filtered {
            Value::Text(text) => text,
            Value::Time(time) => time.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        })
    }
}

impl Source {
    /// What stands there in a row.
    fn of<'e>(&self, event: &'e Event) -> Result<Value<'e>, Fault> {
        let text: Cow<'e, str> = match self {
            Self::CreatedAt => return Ok(Value::Time(event.created_at)),
            Self::AggregateType => event.key.aggregate_type.as_str().into(),
            Self::AggregateId => event.key.aggregate_id.as_str().into(),
            Self::EventType => event.event_type.as_str().into(),
            Self::Id => event.id_text(),
            Self::Seq => event.at.seq.to_string().into(),
            Self::PartitionKey => present(event.partition_key.as_deref())?.into(),
            Self::Topic => present(event.topic.as_deref())?.into(),
            Self::Header(name) => {
                field::text(present(event.headers.as_deref())?, slice::from_ref(name))?
            }
            Self::Payload(path) => field::text(payload_text(event)?, path)?,
        };
        Ok(Value::Text(text))
    }

    fn defect(&self, fault: Fault) -> Defect {
        Defect::new(format!("{self} {fault}"))
    }

    fn is_time(&self) -> bool {
        *self == Self::CreatedAt
    }
}

impl fmt::Display for Source {
    /// Its name, as an operator wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "{HEADERS}{name}"),
            Self::Payload(path) => write!(f, "{PAYLOAD}{}", path.join(".")),
            Self::AggregateType
            | Self::AggregateId
            | Self::EventType
            | Self::Id
            | Self::Seq
            | Self::CreatedAt
            | Self::PartitionKey
            | Self::Topic => {
                let column = COLUMNS.iter().find(|(_, column)| column == self);
                f.write_str(column.map_or("", |(name, _)| name))
            }
        }
    }
}

fn present(column: Option<&str>) -> Result<&str, Fault> {
    column.ok_or(Fault::Missing)
}

/// The text that a field is looked for in. Bytes that are none hold no JSON.
fn payload_text(event: &Event) -> Result<&str, Fault> {
    let payload = event.payload.as_ref().ok_or(Fault::Missing)?;
    payload.text().ok_or(Fault::Unreadable)
}

/// The text of one field of a JSON object, where it has one.
pub(super) fn field_text<'j>(json: &'j str, name: &String) -> Option<Cow<'j, str>> {
    field::text(json, slice::from_ref(name)).ok()
}

/// Reads what stands between two braces, of which the first is at this character.
fn placeholder(inside: &str, at: usize) -> Result<Placeholder, TemplateError> {
    let mut pieces = inside.split('|').map(str::trim);
    let name = pieces.next().unwrap_or_default();
    let source = source(name).ok_or_else(|| {
        let known = COLUMNS.map(|(name, _)| name).join(", ");
        error(
            at,
            format!("`{{{name}}}` is not known; use {known}, headers.NAME or payload.FIELD"),
        )
    })?;
    let mut is_time = source.is_time();
    let mut filters = Vec::new();
    for piece in pieces {
        let (_, filter) = FILTERS
            .iter()
            .find(|(name, _)| *name == piece)
            .ok_or_else(|| {
                let known = FILTERS.map(|(name, _)| name).join(", ");
                error(
                    at,
                    format!("there is no filter `{piece}`; there are {known}"),
                )
            })?;
        if filter.takes_time() != is_time {
            let reason = if is_time {
                format!("`{piece}` takes a text; make one of the time by minute, hour or day first")
            } else {
                format!("`{piece}` takes a time; only created_at is one")
            };
            return Err(error(at, reason));
        }
        is_time = false;
        filters.push(*filter);
    }
    Ok(Placeholder { source, filters })
}

/// The source of a name, if there is one.
fn source(name: &str) -> Option<Source> {
    if let Some(header) = name.strip_prefix(HEADERS) {
        return (!header.is_empty()).then(|| Source::Header(header.to_owned()));
    }
    if let Some(path) = name.strip_prefix(PAYLOAD) {
        let path: Vec<String> = path.split('.').map(ToOwned::to_owned).collect();
        let whole = path.iter().all(|name| !name.is_empty());
        return whole.then_some(Source::Payload(path));
    }
    COLUMNS
        .into_iter()
        .find_map(|(known, column)| (known == name).then_some(column))
}

/// The number of the character at which the end of a text begins; the first is 1.
fn place_of(text: &str, end: &str) -> usize {
    text[..text.len() - end.len()].chars().count() + 1
}

fn error(at: usize, reason: impl Into<String>) -> TemplateError {
    TemplateError {
        at,
        reason: reason.into(),
    }
}
