//! What a route says about the records of its events.
//!
//! Owns key, partition, format and further headers, each as a rule, and what a row makes of them. Does
//! not know which rows it is about.
//!
//! Invariant: a row's own record key wins over the rule.

use std::borrow::Cow;

use serde::Deserialize;

use super::own::Header;
use crate::decide::debezium::Debezium;
use crate::decide::template::Template;
use crate::event::Event;
use crate::outcome::Defect;

/// How the value of a record looks, and which headers say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The payload alone, and CloudEvents' headers.
    Payload,
    /// CloudEvents in structured mode.
    Cloudevents,
    /// `{"header": {…}, "payload": …}`.
    HeaderPayload,
    /// One flat object with the payload as `data`.
    Event,
    /// The payload alone, and the row's own headers.
    Raw,
    /// What Debezium's outbox event router makes of the row.
    Debezium,
}

/// The form of the records of one route.
#[derive(Debug, Clone)]
pub struct Form {
    /// The record key; none spreads an aggregate's events over the partitions.
    pub key: Option<Template>,
    /// The number of the partition, where it is not left to the key.
    pub partition: Option<Template>,
    /// How the value looks.
    pub format: Format,
    /// Further headers by their names. A row's own of the same name wins.
    pub headers: Vec<(String, Template)>,
    /// What counts in the format of this name alone.
    pub debezium: Debezium,
}

impl Form {
    /// The record key of an event.
    pub(super) fn key_of<'e>(&self, event: &'e Event) -> Result<Option<Cow<'e, str>>, Defect> {
        if let Some(own) = &event.partition_key {
            return Ok(Some(own.into()));
        }
        self.key.as_ref().map(|key| key.render(event)).transpose()
    }

    /// The partition of an event, where it is not left to the key.
    pub(super) fn partition_of(&self, event: &Event) -> Result<Option<i32>, Defect> {
        let Some(partition) = &self.partition else {
            return Ok(None);
        };
        let text = if self.format == Format::Debezium {
            // As Debezium has it, a row may leave the choice to the key.
            let Some(text) = partition.render_present(event)? else {
                return Ok(None);
            };
            text
        } else {
            partition.render(event)?
        };
        let number = text.parse().ok();
        let number = number.filter(|&number: &i32| number >= 0);
        number.map(Some).ok_or_else(|| {
            Defect::new("the route's partition gives no number from 0 to 2147483647")
        })
    }

    /// Every template that a row fills.
    pub(in crate::decide) fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().map(|(_, value)| value);
        let chosen = self.key.iter().chain(&self.partition).chain(headers);
        chosen.chain(self.debezium.templates())
    }

    /// The further headers of an event.
    pub(super) fn headers_of<'e>(&'e self, event: &'e Event) -> Result<Vec<Header<'e>>, Defect> {
        self.headers
            .iter()
            .map(|(name, template)| {
                let value = if self.format == Format::Debezium {
                    template.render_present(event)?
                } else {
                    Some(template.render(event)?)
                };
                let name = name.into();
                Ok(Header { name, value })
            })
            .collect()
    }
}
