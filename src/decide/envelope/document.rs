//! Values that are a JSON document around the payload.
//!
//! Owns the documents: their names, their order and what is left out. Does not know which headers
//! remain beside them.
//!
//! Invariants:
//! - a payload's JSON stands in the document byte for byte: it is spliced, never printed again;
//! - around a payload that is JSON each document is JSON, and no name stands twice in it.

use std::borrow::Cow;

use super::data::Data;
use super::own::{Header, take};

/// The version of an event that tells none.
const VERSION: &str = "1.0";
/// What a document adds to its payload seldom takes more, in bytes.
const AROUND_BYTES: usize = 448;
/// What begins the names of headers that are attributes in CloudEvents.
const ATTRIBUTE: &str = "ce_";
/// Headers under their own names that are extensions under these in CloudEvents (its
/// extensions "distributed tracing" and "correlation").
const EXTENSIONS: [(&str, &str); 3] = [
    ("traceparent", "traceparent"),
    ("tracestate", "tracestate"),
    ("correlation_id", "correlationid"),
];

/// What the columns tell of an event.
#[derive(Clone, Copy)]
pub(super) struct Facts<'e> {
    pub(super) id: &'e str,
    pub(super) source: &'e str,
    pub(super) kind: &'e str,
    pub(super) time: &'e str,
    pub(super) subject: &'e str,
}

/// An event in structured mode (CloudEvents 1.0.2, JSON event format). Headers that are attributes
/// become such and are gone from the headers.
pub(super) fn cloud_event(
    facts: Facts<'_>,
    headers: &mut Vec<Header<'_>>,
    data: &Data<'_>,
) -> Vec<u8> {
    let subject = Some(facts.subject).filter(|subject| !subject.is_empty());
    let mut attributes: Vec<(Cow<'_, str>, Cow<'_, str>)> = vec![
        ("id".into(), facts.id.into()),
        ("source".into(), facts.source.into()),
        ("type".into(), facts.kind.into()),
        ("time".into(), facts.time.into()),
        ("datacontenttype".into(), data.content_type.into()),
    ];
    attributes.extend(subject.map(|subject| ("subject".into(), subject.into())));
    let mut set = |name: Cow<'static, str>, value| match attributes
        .iter_mut()
        .find(|(held, _)| *held == name)
    {
        Some((_, held)) => *held = value,
        None => attributes.push((name, value)),
    };
    if let Some(value) = take(headers, "content-type") {
        set("datacontenttype".into(), value);
    }
    for (header, name) in EXTENSIONS {
        if let Some(value) = value_of(headers, header) {
            set(name.into(), value.to_owned().into());
        }
    }
    headers.retain_mut(|header| {
        let Some(name) = attribute(&header.name) else {
            return true;
        };
        if let Some(value) = header.value.take().filter(|_| name != "specversion") {
            set(name.into(), value);
        }
        false
    });
    let mut document = Document::open(&data.json, "specversion", "1.0");
    for (name, value) in &attributes {
        document.text(name, value);
    }
    let name = if data.is_base64 {
        "data_base64"
    } else {
        "data"
    };
    document.splice(name, &data.json)
}

/// The name of the attribute that a header is: lower-case letters and digits, and not `data`, which is
/// no attribute.
fn attribute(header: &str) -> Option<String> {
    let prefix = header.get(..ATTRIBUTE.len())?;
    let name = header[ATTRIBUTE.len()..].to_ascii_lowercase();
    let legal = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (prefix.eq_ignore_ascii_case(ATTRIBUTE) && legal && name != "data").then_some(name)
}

/// `{"header": {…}, "payload": …}`.
pub(super) fn header_payload(
    facts: Facts<'_>,
    headers: &mut Vec<Header<'_>>,
    payload: &str,
) -> Vec<u8> {
    let id = take(headers, "ce_id").unwrap_or(facts.id.into());
    let time = take(headers, "ce_time").unwrap_or(facts.time.into());
    let source = take(headers, "ce_source").unwrap_or(facts.source.into());
    let mut document = Document::begin(payload, "{\"header\":{");
    document.first_text("event_id", &id);
    document.text("timestamp", &time);
    document.text("source", &source);
    document.text("version", value_of(headers, "version").unwrap_or(VERSION));
    document.0.push(b'}');
    document.splice("payload", payload)
}

/// One flat object, in which what is not told is null.
pub(super) fn flat(facts: Facts<'_>, headers: &mut Vec<Header<'_>>, payload: &str) -> Vec<u8> {
    let id = take(headers, "ce_id").unwrap_or(facts.id.into());
    let kind = take(headers, "ce_type").unwrap_or(facts.kind.into());
    let time = take(headers, "ce_time").unwrap_or(facts.time.into());
    let source = take(headers, "ce_source").unwrap_or(facts.source.into());
    let (trace_id, span_id) = value_of(headers, "traceparent").and_then(trace).unzip();
    let mut document = Document::open(payload, "event_id", &id);
    document.text("event_type", &kind);
    document.text(
        "event_version",
        value_of(headers, "version").unwrap_or(VERSION),
    );
    document.text("timestamp", &time);
    document.maybe("correlation_id", value_of(headers, "correlation_id"));
    document.text("source_service", &source);
    document.maybe("trace_id", trace_id);
    document.maybe("span_id", span_id);
    document.splice("data", payload)
}

/// The ids of trace and span (W3C Trace Context, `version-traceid-parentid-flags`).
fn trace(traceparent: &str) -> Option<(&str, &str)> {
    let mut parts = traceparent.splitn(4, '-');
    let (version, trace_id, span_id) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next()?;
    let is_hex = |part: &str, digits| {
        part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    (is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(span_id, 16))
        .then_some((trace_id, span_id))
}

/// The value of a header, whose name may be in any case.
fn value_of<'h>(headers: &'h [Header<'_>], name: &str) -> Option<&'h str> {
    let header = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    header.value.as_deref()
}

/// A JSON object that is being written.
struct Document(Vec<u8>);

impl Document {
    /// Begins with this text.
    fn begin(payload: &str, start: &str) -> Self {
        let mut text = Vec::with_capacity(AROUND_BYTES + payload.len());
        text.extend_from_slice(start.as_bytes());
        Self(text)
    }

    /// Begins with a first pair.
    fn open(payload: &str, name: &str, value: &str) -> Self {
        let mut document = Self::begin(payload, "{");
        document.first_text(name, value);
        document
    }

    fn first_text(&mut self, name: &str, value: &str) {
        self.quote(name);
        self.0.push(b':');
        self.quote(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.0.push(b',');
        self.first_text(name, value);
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// Adds JSON as it stands.
    fn raw(&mut self, name: &str, json: &str) {
        self.0.push(b',');
        self.quote(name);
        self.0.push(b':');
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Ends with the payload.
    fn splice(mut self, name: &str, payload: &str) -> Vec<u8> {
        self.raw(name, payload);
        self.0.push(b'}');
        self.0
    }

    fn quote(&mut self, text: &str) {
        serde_json::to_writer(&mut self.0, text)
            .expect("text has a JSON form, and memory takes it");
    }
}
