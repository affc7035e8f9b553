//! How an event becomes a record.
//!
//! Owns the record's form: key, value, timestamp and headers; by default headers in CloudEvents' binary
//! mode for Kafka (CloudEvents 1.0.2, Kafka protocol binding, section 3.2). Knows neither how topic and
//! form were chosen nor who sends the record.
//!
//! Invariants:
//! - the payload's bytes stand in the value as they are, alone or, where it is JSON, within a document;
//!   there other text is a JSON string, and bytes are base64;
//! - a row without payload is a tombstone in every format but Debezium's, where the route decides;
//! - no header name stands twice, and none of ours in another spelling beside itself: a row's
//!   header whose name equals one of ours, whatever its case, gives ours its value and keeps our
//!   spelling, which is the one that consumers look for. Other names are told apart by case, as
//!   Kafka does. Where a row repeats a name the last value counts, as `jsonb` has it.

mod data;
mod document;
mod form;
mod own;
mod reference;
mod routed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::SecondsFormat;
use uuid::Uuid;

use self::data::{Data, content_type};
use self::document::{Facts, cloud_event, flat, header_payload};
pub use self::form::{Form, Format};
use self::own::{Header, own_headers};
pub use self::reference::{Place, REFERENCE_HEADER, Reference, object_name};
use crate::event::{Event, Payload};
use crate::outcome::Defect;
use crate::record::Record;

/// Our headers seldom take more, in bytes; the row's own seldom more than their text.
const HEADERS_BYTES: usize = 320;

/// What all records of this relay share.
#[derive(Debug, Clone)]
pub struct Envelope {
    source: String,
}

impl Envelope {
    /// Makes records of events that come from `source` (`ce_source`, a URI reference).
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
        }
    }

    /// The record that carries an event to its topic.
    pub fn record(&self, event: &Event, form: &Form, topic: Arc<str>) -> Result<Record, Defect> {
        let headers = headers(event, form)?;
        self.carry((event, event.payload.as_ref()), form, topic, headers)
    }

    /// The record of an event whose payload was left where it is, with a reference in its place and a
    /// header that says so. No template sees the payload.
    pub fn reference(
        &self,
        event: &Event,
        form: &Form,
        topic: Arc<str>,
        reference: &Reference,
    ) -> Result<Record, Defect> {
        let mut headers = headers(event, form)?;
        headers.retain(|header| !header.name.eq_ignore_ascii_case(REFERENCE_HEADER));
        headers.push(Header {
            name: REFERENCE_HEADER.into(),
            value: Some(reference.location.as_str().into()),
        });
        let stands_in = Payload::Json(reference.document(event.at.id));
        self.carry((event, Some(&stands_in)), form, topic, headers)
    }

    /// The record of an event with this payload and these headers.
    fn carry(
        &self,
        (event, payload): (&Event, Option<&Payload>),
        form: &Form,
        topic: Arc<str>,
        headers: Vec<Header<'_>>,
    ) -> Result<Record, Defect> {
        if form.format == Format::Debezium {
            return routed::record((event, payload), form, topic, headers);
        }
        let key = form.key_of(event)?;
        let partition = form.partition_of(event)?;
        let mut id = Uuid::encode_buffer();
        let time = event
            .created_at
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let facts = Facts {
            id: match &event.own_id {
                Some(own) => own,
                None => event.at.id.hyphenated().encode_lower(&mut id),
            },
            source: &self.source,
            kind: &event.event_type,
            time: &time,
            subject: &event.key.aggregate_id,
        };
        let begun = |value: Option<&[u8]>| {
            let key = key.as_deref().map(str::as_bytes);
            let headers_bytes = HEADERS_BYTES + event.headers.as_ref().map_or(0, String::len);
            let timestamp_ms = event.created_at.timestamp_millis();
            let mut record = Record::new(topic, timestamp_ms, key, value, headers_bytes);
            record.partition = partition;
            record
        };
        filled(begun, form.format, facts, headers, payload)
    }
}

/// Whether the client takes a record: it counts no more than `bytes_max` of it (`message.max.bytes`).
pub fn check_size(record: &Record, bytes_max: u64) -> Result<(), Defect> {
    let bytes = record.counted_bytes();
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max) {
        return Ok(());
    }
    Err(Defect::new(format!(
        "the record is too large for the client: {bytes} bytes, of which message.max.bytes allows \
         {bytes_max}"
    )))
}

/// The headers that a row has of its own or by its route.
fn headers<'e>(event: &'e Event, form: &'e Form) -> Result<Vec<Header<'e>>, Defect> {
    let mut own = match event.headers.as_deref() {
        // Some libraries write JSON's null where a program has none.
        None | Some("null") => Vec::new(),
        Some(text) => own_headers(text)?,
    };
    own.retain(|header| !form.debezium.places(&header.name));
    if form.headers.is_empty() {
        return Ok(own);
    }
    let mut all = form.headers_of(event)?;
    all.retain(|header| own.iter().all(|own| own.name != header.name));
    all.extend(own);
    Ok(all)
}

/// Gives a record the value and the headers of its format.
fn filled(
    begun: impl FnOnce(Option<&[u8]>) -> Record,
    format: Format,
    facts: Facts<'_>,
    mut headers: Vec<Header<'_>>,
    payload: Option<&Payload>,
) -> Result<Record, Defect> {
    let bytes = payload.map(Payload::bytes);
    let (value, content_type) = match (format, payload) {
        (Format::Payload, _) | (Format::Cloudevents, None) => {
            let mut record = begun(bytes);
            push_headers(&mut record, binary(facts, payload), headers);
            return Ok(record);
        }
        (Format::Raw | Format::Debezium, _) | (Format::HeaderPayload | Format::Event, None) => {
            let mut record = begun(bytes);
            push_headers(&mut record, [], headers);
            return Ok(record);
        }
        (Format::Cloudevents, Some(payload)) => {
            let data = Data::of(payload, &headers)?;
            let document = cloud_event(facts, &mut headers, &data);
            (document, "application/cloudevents+json")
        }
        (Format::HeaderPayload, Some(payload)) => {
            let data = Data::of(payload, &headers)?;
            let document = header_payload(facts, &mut headers, &data.json);
            (document, "application/json")
        }
        (Format::Event, Some(payload)) => {
            let data = Data::of(payload, &headers)?;
            let document = flat(facts, &mut headers, &data.json);
            (document, "application/json")
        }
    };
    let mut record = begun(Some(&value));
    push_headers(&mut record, [("content-type", content_type)], headers);
    Ok(record)
}

/// The headers of CloudEvents in binary mode.
fn binary<'f>(facts: Facts<'f>, payload: Option<&Payload>) -> [(&'static str, &'f str); 7] {
    [
        ("ce_specversion", "1.0"),
        ("ce_id", facts.id),
        ("ce_source", facts.source),
        ("ce_type", facts.kind),
        ("ce_time", facts.time),
        ("ce_subject", facts.subject),
        (
            "content-type",
            payload.map_or("application/json", content_type),
        ),
    ]
}

/// Lets the row's headers follow ours, or take the place of ours.
fn push_headers<const OURS: usize>(
    record: &mut Record,
    ours: [(&str, &str); OURS],
    own: Vec<Header<'_>>,
) {
    let mut ours = ours.map(|(name, value)| Header {
        name: name.into(),
        value: Some(value.into()),
    });
    let mut others = Vec::new();
    for header in own {
        let same = ours
            .iter_mut()
            .find(|ours| ours.name.eq_ignore_ascii_case(&header.name));
        match same {
            Some(ours) => ours.value = header.value,
            None => others.push(header),
        }
    }
    for Header { name, value } in ours.into_iter().chain(others) {
        record.push_header(&name, value.as_deref().map(str::as_bytes));
    }
}
