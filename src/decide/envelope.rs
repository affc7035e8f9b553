//! How an event becomes a record.
//!
//! Owns the record's form: key, value, timestamp, and headers in CloudEvents' binary mode for
//! Kafka (CloudEvents 1.0.2, Kafka protocol binding, section 3.2). Knows neither how the topic was
//! chosen nor who sends the record. Other forms belong here too.
//!
//! Invariants:
//! - the payload's bytes are the value's bytes;
//! - no header name stands twice, and none of ours in another spelling beside itself: a row's
//!   header whose name equals one of ours, whatever its case, gives ours its value and keeps our
//!   spelling, which is the one that consumers look for. Other names are told apart by case, as
//!   Kafka does. Where a row repeats a name the last value counts, as `jsonb` has it.

mod own;

use std::sync::Arc;

use chrono::SecondsFormat;
use uuid::Uuid;

use self::own::{Header, own_headers};
use crate::event::Event;
use crate::outcome::Defect;
use crate::record::Record;

/// Our headers seldom take more, in bytes; the row's own seldom more than their text.
const HEADERS_BYTES: usize = 320;

/// The form that every record of this relay takes.
#[derive(Debug, Clone)]
pub struct Envelope {
    source: String,
}

impl Envelope {
    /// Makes the form for events that come from `source` (`ce_source`, a URI reference).
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
        }
    }

    /// The record that carries an event to its topic.
    pub fn record(&self, event: &Event, topic: Arc<str>) -> Result<Record, Defect> {
        let own = match event.headers.as_deref() {
            // Some libraries write JSON's null where a program has none.
            None | Some("null") => Vec::new(),
            Some(text) => own_headers(text)?,
        };
        let mut id = Uuid::encode_buffer();
        let id = event.at.id.hyphenated().encode_lower(&mut id);
        let time = event
            .created_at
            .to_rfc3339_opts(SecondsFormat::Micros, true);
        let aggregate_id = &event.key.aggregate_id;
        let ours = [
            ("ce_specversion", "1.0"),
            ("ce_id", id),
            ("ce_source", &self.source),
            ("ce_type", &event.event_type),
            ("ce_time", &time),
            ("ce_subject", aggregate_id),
            ("content-type", "application/json"),
        ];
        let key = event.partition_key.as_ref().unwrap_or(aggregate_id);
        let mut record = Record::new(
            topic,
            event.created_at.timestamp_millis(),
            Some(key.as_bytes()),
            event.payload.as_deref().map(str::as_bytes),
            HEADERS_BYTES + event.headers.as_ref().map_or(0, String::len),
        );
        push_headers(&mut record, ours, own);
        Ok(record)
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::event::{EventRef, Lane, OrderingKey};

    fn event(headers: Option<&str>) -> Event {
        Event {
            at: EventRef {
                seq: 5,
                id: Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            },
            lane: Lane(3),
            key: OrderingKey {
                aggregate_type: "order".to_owned(),
                aggregate_id: "o-1".to_owned(),
            },
            event_type: "OrderPlaced".to_owned(),
            payload: Some("{\"a\": 1.50}".to_owned()),
            headers: headers.map(ToOwned::to_owned),
            topic: None,
            partition_key: None,
            created_at: "2026-03-04T05:06:07.000089Z"
                .parse::<DateTime<Utc>>()
                .unwrap(),
            wait_ms: 0,
            judged: None,
        }
    }

    fn record(event: &Event) -> Result<Record, Defect> {
        Envelope::new("/shop").record(event, Arc::from("order-events"))
    }

    /// The record's headers as text, in order.
    fn headers(event: &Event) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        record(event)
            .unwrap()
            .headers()
            .map(|(name, value)| (name.to_owned(), value.map(text)))
            .collect()
    }

    /// The row's headers, after the seven of ours.
    fn own(json: &str) -> Vec<(String, Option<String>)> {
        headers(&event(Some(json))).split_off(7)
    }

    fn pair(name: &str, value: &str) -> (String, Option<String>) {
        (name.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn an_event_becomes_a_cloud_event_in_binary_mode() {
        let placed = record(&event(None)).unwrap();
        assert_eq!(&*placed.topic, "order-events");
        assert_eq!(placed.key(), Some(&b"o-1"[..]));
        assert_eq!(placed.value(), Some(&b"{\"a\": 1.50}"[..]));
        assert_eq!(placed.timestamp_ms, 1_772_600_767_000);
        assert_eq!(
            headers(&event(None)),
            [
                pair("ce_specversion", "1.0"),
                pair("ce_id", "01234567-89ab-cdef-0123-456789abcdef"),
                pair("ce_source", "/shop"),
                pair("ce_type", "OrderPlaced"),
                pair("ce_time", "2026-03-04T05:06:07.000089Z"),
                pair("ce_subject", "o-1"),
                pair("content-type", "application/json"),
            ]
        );
    }

    #[test]
    fn a_row_without_payload_is_a_tombstone() {
        let mut deleted = event(None);
        deleted.payload = None;
        assert_eq!(record(&deleted).unwrap().value(), None);
    }

    #[test]
    fn an_empty_payload_is_not_a_tombstone() {
        let mut empty = event(None);
        empty.payload = Some(String::new());
        assert_eq!(record(&empty).unwrap().value(), Some(&[][..]));
    }

    #[test]
    fn a_partition_key_wins_over_the_aggregate_id_and_not_over_the_subject() {
        let mut keyed = event(None);
        keyed.partition_key = Some("customer-9".to_owned());
        let keyed_record = record(&keyed).unwrap();
        assert_eq!(keyed_record.key(), Some(&b"customer-9"[..]));
        assert!(headers(&keyed).contains(&pair("ce_subject", "o-1")));
    }

    #[test]
    fn strings_go_as_they_are_and_the_rest_as_its_json_text() {
        assert_eq!(
            own(
                r#" {"z": "tr\u00e9s\n", "n": 1.500e3, "big": 123456789012345678901234567890,
                    "t": true, "o": {"b": 1,  "a": [2 ]}, "none": null, "": "empty name"} "#
            ),
            [
                pair("z", "trés\n"),
                pair("n", "1.500e3"),
                pair("big", "123456789012345678901234567890"),
                pair("t", "true"),
                pair("o", r#"{"b": 1,  "a": [2 ]}"#),
                ("none".to_owned(), None),
                pair("", "empty name"),
            ]
        );
    }

    #[test]
    fn a_rows_header_takes_the_place_of_ours_in_our_spelling() {
        let replaced = headers(&event(Some(
            r#"{"ce_id": "mine", "Content-Type": "text/plain", "CE_TYPE": null, "ce_trace": "x"}"#,
        )));
        assert_eq!(replaced.len(), 8);
        assert_eq!(replaced[1], pair("ce_id", "mine"));
        assert_eq!(replaced[3], ("ce_type".to_owned(), None));
        assert_eq!(replaced[6], pair("content-type", "text/plain"));
        assert_eq!(replaced[7], pair("ce_trace", "x"));
    }

    #[test]
    fn the_last_of_a_repeated_name_counts() {
        assert_eq!(
            own(r#"{"a": "1", "b": "2", "a": "3", "A": "4"}"#),
            [pair("b", "2"), pair("a", "3"), pair("A", "4")]
        );
        assert_eq!(
            headers(&event(Some(
                r#"{"content-type": "a", "Content-Type": "b"}"#
            )))[6],
            pair("content-type", "b")
        );
    }

    #[test]
    fn null_is_as_good_as_no_headers() {
        assert_eq!(headers(&event(Some("null"))), headers(&event(None)));
    }

    #[test]
    fn headers_that_are_no_object_are_a_defect_that_shows_no_value() {
        for text in [
            "",
            "[]",
            "\"hunter2\"",
            "7",
            "{\"a\":",
            "{\"a\": hunter2}",
            "{} x",
            "{\"a\": \"\\ud800\"}",
        ] {
            let defect = record(&event(Some(text))).unwrap_err();
            assert!(!defect.reason.contains("hunter2"), "{}", defect.reason);
        }
    }

    /// Text that is nearly or wholly a JSON object, and any text at all.
    fn any_headers() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            "(ce_id|CE_ID|content-type|Content-Type|a|A|b)",
            "[^\"\\\\]{0,8}"
        ];
        let value = prop_oneof![
            "null|true|-?1\\.50|\\[1, 2\\]|\\{\"a\": \\{\\}\\}",
            "\"[a-z]{0,8}\""
        ];
        let pair = (name, value).prop_map(|(name, value)| format!("\"{name}\": {value}"));
        prop_oneof![
            ".*",
            "[\\[\\]{}\":,\\\\a-z0-9 ]{0,40}",
            prop::collection::vec(pair, 0..12).prop_map(|all| format!("{{{}}}", all.join(", "))),
        ]
    }

    proptest! {
        #[test]
        fn the_payload_survives_byte_for_byte(payload: Option<String>) {
            let mut sent = event(None);
            sent.payload.clone_from(&payload);
            let sent = record(&sent).unwrap();
            prop_assert_eq!(sent.value(), payload.as_deref().map(str::as_bytes));
        }

        #[test]
        fn no_header_name_stands_twice_whatever_a_row_holds(text in any_headers()) {
            if let Ok(built) = record(&event(Some(&text))) {
                let names: HashSet<&str> = built.headers().map(|(name, _)| name).collect();
                prop_assert_eq!(names.len(), built.headers().len());
                let ours = |name: &str| {
                    built.headers().filter(|(held, _)| held.eq_ignore_ascii_case(name)).count()
                };
                prop_assert_eq!(ours("ce_id"), 1);
                prop_assert_eq!(ours("content-type"), 1);
            }
        }

        #[test]
        fn every_header_of_a_row_arrives(
            pairs in prop::collection::btree_map("x[a-z]{1,6}", ".{0,20}", 0..8),
        ) {
            let text = serde_json::to_string(&pairs).unwrap();
            let expected: Vec<_> = pairs.iter().map(|(name, value)| pair(name, value)).collect();
            prop_assert_eq!(own(&text), expected);
        }
    }
}
