//! What stands for a payload within a JSON document.
//!
//! Owns how each kind of payload becomes JSON. Does not know the document.
//!
//! Invariant: JSON stands byte for byte, that of a column of another type where a header declares it as
//! such; other text is a JSON string, and other bytes are base64 (CloudEvents 1.0.2, JSON event format,
//! section 3.1).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;

use super::own::Header;
use crate::event::Payload;
use crate::outcome::Defect;

const JSON: &str = "application/json";

/// A payload as JSON.
pub(super) struct Data<'p> {
    /// The JSON.
    pub(super) json: Cow<'p, str>,
    /// What the payload is, where no header says it.
    pub(super) content_type: &'static str,
    /// Whether it is a string of base64, which stands for bytes.
    pub(super) is_base64: bool,
}

impl<'p> Data<'p> {
    /// The JSON of a payload that comes with these headers.
    pub(super) fn of(payload: &'p Payload, headers: &[Header<'_>]) -> Result<Self, Defect> {
        let is_declared = is_declared(headers);
        let json = match payload {
            Payload::Json(text) => text.as_str().into(),
            Payload::Text(_) | Payload::Bytes(_) if is_declared => declared(payload)?,
            Payload::Text(text) => string(text).into(),
            Payload::Bytes(bytes) => string(&STANDARD.encode(bytes)).into(),
        };
        Ok(Self {
            json,
            content_type: content_type(payload),
            is_base64: !is_declared && matches!(payload, Payload::Bytes(_)),
        })
    }
}

/// What a payload is, where no header says it.
pub(super) fn content_type(payload: &Payload) -> &'static str {
    match payload {
        Payload::Json(_) => JSON,
        Payload::Text(_) => "text/plain",
        Payload::Bytes(_) => "application/octet-stream",
    }
}

/// Whether a header declares the payload as JSON (RFC 6839, section 3.1: the suffix `+json`).
fn is_declared(headers: &[Header<'_>]) -> bool {
    let named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case("content-type");
    let value = headers.iter().rfind(named);
    let kind = value.and_then(|header| header.value.as_deref());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| {
        let kind = kind.trim().to_ascii_lowercase();
        kind == JSON || kind.ends_with("+json")
    })
}

/// The payload that a header declares as JSON, if it is.
fn declared(payload: &Payload) -> Result<Cow<'_, str>, Defect> {
    let text = payload.text().unwrap_or_default();
    // The parser's own reason may quote a value.
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| text.into())
        .map_err(|_| Defect::new("the payload is declared as JSON by content-type, and is none"))
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
