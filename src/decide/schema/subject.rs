//! Under which subject an event's schema stands.
//!
//! Owns the strategies of the common serializers (Confluent's "Subject name strategy"): by topic, by
//! record, by both. Knows no registry.
//!
//! Invariant: what names a record is known of every event without its content, so a subject shows
//! nothing of that, and there are no more subjects than topics and kinds of events.

use std::sync::Arc;

use serde::Deserialize;

use super::Schema;
use crate::decide::template::Template;
use crate::event::Event;
use crate::outcome::Defect;
use crate::record::{SchemaFile, SchemaName, SchemaOrigin, SchemaType};

/// How subjects are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// `<topic>-value`.
    #[default]
    Topic,
    /// The full name of the record.
    Record,
    /// `<topic>-<full name of the record>`.
    TopicRecord,
}

/// What a route says of the schema of its values, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SchemaSpec {
    /// The language.
    #[serde(rename = "type")]
    pub kind: SchemaType,
    /// How subjects are named.
    #[serde(default)]
    pub subject: Naming,
    /// The template of the record's full name.
    pub record: Option<String>,
    /// The version, or `latest`.
    pub version: Option<String>,
    /// The path of a file that holds the schema.
    pub file: Option<String>,
    /// Whether that may be registered.
    #[serde(default)]
    pub register: bool,
    /// What the file holds; it comes with the settings, and is no key of them.
    pub text: Option<String>,
}

/// Which schema the values of a route are encoded by.
#[derive(Debug, Clone)]
pub struct SchemaRule {
    kind: SchemaType,
    origin: SchemaOrigin,
    naming: Naming,
    record: Option<Template>,
}

impl SchemaSpec {
    /// Reads the rule; a fault comes with the key that it is about.
    pub fn read(&self) -> Result<SchemaRule, (&'static str, String)> {
        let origin = self.origin()?;
        Ok(SchemaRule {
            kind: self.kind,
            record: self.record_name(&origin)?,
            naming: self.subject,
            origin,
        })
    }

    fn origin(&self) -> Result<SchemaOrigin, (&'static str, String)> {
        if let Some(text) = &self.text {
            if self.version.is_some() {
                return Err((
                    "version",
                    "a file is its own version: leave one out".to_owned(),
                ));
            }
            return Ok(SchemaOrigin::File(Arc::new(SchemaFile {
                text: text.clone(),
                register: self.register,
            })));
        }
        if self.register {
            return Err(("register", "needs a file to be registered".to_owned()));
        }
        match self.version.as_deref() {
            None | Some("latest") => Ok(SchemaOrigin::Latest),
            Some(number) => number
                .parse()
                .ok()
                .filter(|&number: &u32| number > 0)
                .map(SchemaOrigin::Version)
                .ok_or_else(|| {
                    let text = "expected \"latest\", or the number of a version";
                    ("version", text.to_owned())
                }),
        }
    }

    fn record_name(
        &self,
        origin: &SchemaOrigin,
    ) -> Result<Option<Template>, (&'static str, String)> {
        let parsed = match origin {
            SchemaOrigin::File(file) => {
                let parsed = Schema::parse(self.kind, &file.text, &[], None);
                Some(parsed.map_err(|text| ("file", text))?)
            }
            SchemaOrigin::Latest | SchemaOrigin::Version(_) => None,
        };
        let is_unnamed = self.record.is_none() || self.kind != SchemaType::Protobuf;
        if self.subject == Naming::Topic && is_unnamed {
            return Ok(None);
        }
        let own = parsed.as_ref().and_then(Schema::name);
        let Some(text) = self.record.as_deref().or(own) else {
            let text = "this subject needs the full name of the record, such as \
                        \"com.example.{event_type}\"";
            return Err(("record", text.to_owned()));
        };
        let template = Template::parse(text).map_err(|error| ("record", error.to_string()))?;
        if template.needs_whole_row() || template.text().is_empty() {
            let text = "a record is named by the columns that say of which kind an event is";
            return Err(("record", text.to_owned()));
        }
        if let (SchemaOrigin::File(file), Some(name)) = (origin, template.only_text())
            && self.kind == SchemaType::Protobuf
        {
            let named = Schema::parse(self.kind, &file.text, &[], Some(name));
            named.map_err(|text| ("record", text))?;
        }
        Ok(Some(template))
    }
}

impl SchemaRule {
    /// What names the schema of this subject, and this message of it unless that is empty.
    pub fn name(&self, subject: String, message: String) -> SchemaName {
        SchemaName {
            kind: self.kind,
            subject,
            message: Some(message).filter(|message| !message.is_empty()),
            origin: self.origin.clone(),
        }
    }

    /// The name of the schema, where it is one for all events, and their topic is one if that matters.
    pub fn fixed(&self, topic: Option<&str>) -> Option<SchemaName> {
        let record = self.record.as_ref().map(Template::only_text);
        let subject = match (record, self.naming) {
            (None, _) | (_, Naming::Topic) => format!("{}-value", topic?),
            (Some(record), Naming::Record) => record?.to_owned(),
            (Some(record), Naming::TopicRecord) => format!("{}-{}", topic?, record?),
        };
        let message = match self.message() {
            Some(message) => message.only_text()?.to_owned(),
            None => String::new(),
        };
        Some(self.name(subject, message))
    }

    /// What names the message that an event is, where a schema may have several.
    fn message(&self) -> Option<&Template> {
        let record = self.record.as_ref();
        record.filter(|_| self.kind == SchemaType::Protobuf)
    }

    /// Writes the full name of the message that an event is; nothing where there is no choice.
    pub fn write_message(&self, event: &Event, message: &mut String) -> Result<(), Defect> {
        let template = self.message();
        template.map_or(Ok(()), |template| template.render_to(event, message))
    }

    /// Writes the subject of an event that goes to this topic.
    pub fn write_subject(
        &self,
        event: &Event,
        topic: &str,
        subject: &mut String,
    ) -> Result<(), Defect> {
        match (&self.record, self.naming) {
            (None, _) | (_, Naming::Topic) => {
                subject.push_str(topic);
                subject.push_str("-value");
                Ok(())
            }
            (Some(record), Naming::Record) => record.render_to(event, subject),
            (Some(record), Naming::TopicRecord) => {
                subject.push_str(topic);
                subject.push('-');
                record.render_to(event, subject)
            }
        }
    }
}
