//! Proves the default form, what becomes of headers, the formats (in `formats`) and the
//! kinds of payload (in `kinds`).

mod formats;
mod kinds;
mod references;

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::decide::debezium::Debezium;
use crate::decide::template::Template;

fn event(headers: Option<&str>) -> Event {
    Event {
        headers: headers.map(ToOwned::to_owned),
        ..Event::sample()
    }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn form() -> Form {
    Form {
        key: Some(template("{aggregate_id}")),
        partition: None,
        format: Format::Payload,
        headers: Vec::new(),
        debezium: Debezium::default(),
    }
}

fn record_by(form: &Form, event: &Event) -> Result<Record, Defect> {
    Envelope::new("/shop").record(event, form, Arc::from("order-events"))
}

fn record(event: &Event) -> Result<Record, Defect> {
    record_by(&form(), event)
}

/// The record's headers as text, in order.
fn headers(event: &Event) -> Vec<(String, Option<String>)> {
    all(&record(event).unwrap())
}

/// A record's headers as text, in order.
fn all(record: &Record) -> Vec<(String, Option<String>)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    record
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
    empty.payload = Some(Payload::Json(String::new()));
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
fn a_key_is_what_the_route_says_or_none_and_the_rows_own_wins_over_both() {
    let key_of = |key: Option<&str>, event: &Event| {
        let form = Form {
            key: key.map(template),
            ..form()
        };
        let record = record_by(&form, event).unwrap();
        record.key().map(<[u8]>::to_vec)
    };
    let composite = Some("{payload.a}:{created_at|minute}");
    assert_eq!(
        key_of(composite, &event(None)).unwrap(),
        b"1.50:2026-03-04T05:06Z"
    );
    assert_eq!(key_of(None, &event(None)), None);
    let own = Event {
        partition_key: Some("own".to_owned()),
        ..Event::sample()
    };
    assert_eq!(key_of(composite, &own).unwrap(), b"own");
    assert_eq!(key_of(None, &own).unwrap(), b"own");
    let missing = Form {
        key: Some(template("{payload.b}")),
        ..form()
    };
    let defect = record_by(&missing, &event(None)).unwrap_err();
    assert_eq!(defect.reason, "payload.b is missing or null");
}

#[test]
fn a_partition_is_a_number_or_a_defect_that_shows_no_value() {
    let partition_of = |text: &str| {
        let form = Form {
            partition: Some(template(text)),
            ..form()
        };
        record_by(&form, &event(Some(r#"{"n": 7, "x": "canary", "m": -1}"#)))
            .map(|record| record.partition)
    };
    assert_eq!(record(&event(None)).unwrap().partition, None);
    assert_eq!(partition_of("3"), Ok(Some(3)));
    assert_eq!(partition_of("{headers.n}"), Ok(Some(7)));
    for text in ["{headers.x}", "{headers.m}", "{headers.n}000000000"] {
        let defect = partition_of(text).unwrap_err();
        assert!(defect.reason.contains("no number"), "{}", defect.reason);
        assert!(!defect.reason.contains("canary"));
    }
}

#[test]
fn headers_of_the_route_follow_ours_and_the_rows_own_win() {
    let form = Form {
        headers: [
            ("a", "{payload.a}"),
            ("b", "of the route"),
            ("CE_Source", "/route"),
        ]
        .map(|(name, value)| (name.to_owned(), template(value)))
        .to_vec(),
        ..form()
    };
    let record = record_by(&form, &event(Some(r#"{"c": "3", "b": null}"#))).unwrap();
    let held = all(&record);
    assert_eq!(held[2], pair("ce_source", "/route"));
    assert_eq!(
        held[7..],
        [pair("a", "1.50"), pair("c", "3"), ("b".to_owned(), None)]
    );
    let record = record_by(&form, &event(Some(r#"{"ce_source": "/row"}"#))).unwrap();
    assert_eq!(all(&record)[2], pair("ce_source", "/row"));
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
        sent.payload = payload.clone().map(Payload::Json);
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
