//! How a dead letter is written.
//!
//! Owns its form: the record as it was meant, and why it is dead, in headers whose names begin with
//! `dead_letter_`; or all of it as one JSON document. Knows neither its topic's name nor who sends
//! it.
//!
//! Invariant: the original key, value and headers are there unchanged, in either form; a value that
//! is no JSON stands in a document as base64, and one that was to be encoded by a schema stands there as
//! it was before, beside the name of the schema's subject.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::outcome::Judgement;
use crate::record::Record;

/// What the names of a dead letter's own headers begin with.
const PREFIX: &str = "dead_letter_";

/// The headers of a letter seldom take more, in bytes.
const HEADERS_BYTES: usize = 1_024;

/// The form of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterFormat {
    /// The original key, value and headers, and headers that say why.
    Record,
    /// The same, but the value is a JSON document around the original one.
    Document,
}

/// What a dead letter tells beside its record.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The event's identity.
    pub event_id: Uuid,
    /// Why it is dead.
    pub judgement: &'a Judgement,
    /// When it failed first.
    pub first_failed_at: DateTime<Utc>,
    /// When the letter is written.
    pub now: DateTime<Utc>,
}

/// The document that a value becomes.
#[derive(Serialize)]
struct Document<'a> {
    original_event: Cow<'a, RawValue>,
    error: &'a str,
    timestamp: String,
}

/// Writes the dead letter of a record, to this topic.
pub fn letter(
    record: &Record,
    topic: Arc<str>,
    format: LetterFormat,
    told: Circumstances<'_>,
) -> Record {
    let document = match format {
        LetterFormat::Record => None,
        LetterFormat::Document => Some(document(record, told)),
    };
    let mut letter = Record::new(
        topic,
        record.timestamp_ms,
        record.key(),
        document.as_deref().or(record.value()),
        HEADERS_BYTES,
    );
    for (name, value) in record.headers() {
        if !name.starts_with(PREFIX) {
            letter.push_header(name, value);
        }
    }
    let judgement = told.judgement;
    let reasons = [
        ("dead_letter_class", judgement.class.to_string()),
        ("dead_letter_error", judgement.error.clone()),
        ("dead_letter_attempts", judgement.attempts.to_string()),
        ("dead_letter_first_failed_at", rfc3339(told.first_failed_at)),
        ("dead_letter_at", rfc3339(told.now)),
        ("dead_letter_topic", record.topic.to_string()),
        ("dead_letter_event_id", told.event_id.to_string()),
    ];
    for (name, value) in reasons {
        letter.push_header(name, Some(value.as_bytes()));
    }
    if let Some(schema) = &record.schema {
        letter.push_header("dead_letter_subject", Some(schema.subject.as_bytes()));
    }
    letter
}

fn document(record: &Record, told: Circumstances<'_>) -> Vec<u8> {
    let document = Document {
        original_event: original(record.value()),
        error: &told.judgement.error,
        timestamp: rfc3339(told.now),
    };
    serde_json::to_vec(&document).expect("a document of texts has a JSON form")
}

/// A value as it stands in a document: untouched where it is JSON, base64 where it is not, null for
/// a tombstone.
fn original(value: Option<&[u8]>) -> Cow<'_, RawValue> {
    let Some(value) = value else {
        return Cow::Borrowed(RawValue::NULL);
    };
    serde_json::from_slice(value).map_or_else(
        |_not_json| {
            let text = format!("\"{}\"", STANDARD.encode(value));
            Cow::Owned(RawValue::from_string(text).expect("base64 in quotes is a JSON string"))
        },
        Cow::Borrowed,
    )
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Class;

    fn record(value: Option<&[u8]>) -> Record {
        let mut record = Record::new(Arc::from("orders"), 5, Some(b"o-1"), value, 0);
        record.push_header("ce_id", Some(b"7"));
        record.push_header("dead_letter_at", Some(b"of a letter that was sent on"));
        record
    }

    fn written(value: Option<&[u8]>, format: LetterFormat) -> Record {
        let judgement = Judgement {
            class: Class::Record,
            error: "too \"large\"".to_owned(),
            attempts: 2,
            first_failed_ms: 0,
        };
        let told = Circumstances {
            event_id: Uuid::from_u128(1),
            judgement: &judgement,
            first_failed_at: "2026-03-04T05:06:07Z".parse().unwrap(),
            now: "2026-03-04T05:06:08.25Z".parse().unwrap(),
        };
        letter(&record(value), Arc::from("orders.dlq"), format, told)
    }

    #[test]
    fn a_letter_is_its_record_and_the_reason_in_headers() {
        let letter = written(Some(b"{\"a\": 1.50}"), LetterFormat::Record);
        assert_eq!(&*letter.topic, "orders.dlq");
        assert_eq!(letter.key(), Some(&b"o-1"[..]));
        assert_eq!(letter.value(), Some(&b"{\"a\": 1.50}"[..]));
        assert_eq!(letter.timestamp_ms, 5);
        let headers: Vec<(String, String)> = letter
            .headers()
            .map(|(name, value)| {
                let value = String::from_utf8(value.unwrap().to_vec()).unwrap();
                (name.to_owned(), value)
            })
            .collect();
        let expected = [
            ("ce_id", "7"),
            ("dead_letter_class", "record"),
            ("dead_letter_error", "too \"large\""),
            ("dead_letter_attempts", "2"),
            ("dead_letter_first_failed_at", "2026-03-04T05:06:07.000Z"),
            ("dead_letter_at", "2026-03-04T05:06:08.250Z"),
            ("dead_letter_topic", "orders"),
            (
                "dead_letter_event_id",
                "00000000-0000-0000-0000-000000000001",
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_document_holds_the_original_untouched() {
        let text = |value| {
            let letter = written(value, LetterFormat::Document);
            String::from_utf8(letter.value().unwrap().to_vec()).unwrap()
        };
        let rest = "\"error\":\"too \\\"large\\\"\",\"timestamp\":\"2026-03-04T05:06:08.250Z\"}";
        assert_eq!(
            text(Some(b"{\"a\": 1.50}")),
            format!("{{\"original_event\":{{\"a\": 1.50}},{rest}")
        );
        assert_eq!(
            text(Some(&[0, 255])),
            format!("{{\"original_event\":\"AP8=\",{rest}")
        );
        assert_eq!(text(None), format!("{{\"original_event\":null,{rest}"));
    }

    #[test]
    fn a_tombstone_stays_one_in_a_record() {
        assert_eq!(written(None, LetterFormat::Record).value(), None);
    }
}
