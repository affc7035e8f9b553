//! How a dead letter is written.
//!
//! Owns its form: the record as it was meant, and why it is dead, in headers whose names begin with
//! `dead_letter_`; or all of it as one JSON document. Knows neither its topic's name nor who sends
//! it.
//!
//! Invariant: the original key, value and headers are there unchanged, in either form; a value that
//! is no JSON stands in a document as base64.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::outcome::Judgement;
use crate::record::{Header, Record};

/// What the names of a dead letter's own headers begin with.
const PREFIX: &str = "dead_letter_";

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
    let mut headers: Vec<Header> = record
        .headers
        .iter()
        .filter(|header| !header.name.starts_with(PREFIX))
        .cloned()
        .collect();
    let judgement = told.judgement;
    headers.extend(
        [
            ("dead_letter_class", judgement.class.to_string()),
            ("dead_letter_error", judgement.error.clone()),
            ("dead_letter_attempts", judgement.attempts.to_string()),
            ("dead_letter_first_failed_at", rfc3339(told.first_failed_at)),
            ("dead_letter_at", rfc3339(told.now)),
            ("dead_letter_topic", record.topic.to_string()),
            ("dead_letter_event_id", told.event_id.to_string()),
        ]
        .map(|(name, value)| Header {
            name: Cow::Borrowed(name),
            value: Some(value.into_bytes()),
        }),
    );
    let value = match format {
        LetterFormat::Record => record.value.clone(),
        LetterFormat::Document => Some(document(record, told)),
    };
    Record {
        topic,
        key: record.key.clone(),
        value,
        headers,
        timestamp_ms: record.timestamp_ms,
    }
}

fn document(record: &Record, told: Circumstances<'_>) -> Vec<u8> {
    let document = Document {
        original_event: original(record.value.as_deref()),
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
        Record {
            topic: Arc::from("orders"),
            key: Some(b"o-1".to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: vec![
                Header {
                    name: Cow::Borrowed("ce_id"),
                    value: Some(b"7".to_vec()),
                },
                Header {
                    name: Cow::Borrowed("dead_letter_at"),
                    value: Some(b"of a letter that was sent on".to_vec()),
                },
            ],
            timestamp_ms: 5,
        }
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
        assert_eq!(letter.key.as_deref(), Some(&b"o-1"[..]));
        assert_eq!(letter.value.as_deref(), Some(&b"{\"a\": 1.50}"[..]));
        assert_eq!(letter.timestamp_ms, 5);
        let headers: Vec<(String, String)> = letter
            .headers
            .into_iter()
            .map(|header| {
                let value = String::from_utf8(header.value.unwrap()).unwrap();
                (header.name.into_owned(), value)
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
            String::from_utf8(letter.value.unwrap()).unwrap()
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
        assert_eq!(written(None, LetterFormat::Record).value, None);
    }
}
