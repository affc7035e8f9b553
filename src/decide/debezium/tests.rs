//! Proves what the vectors of `tests/debezium.rs` do not show: what a row that does not fit becomes, and that
//! nothing of it is told.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::decide::envelope::{Envelope, Form, Format};
use crate::decide::order::Order;
use crate::decide::route::{RouteSpec, Usual};
use crate::record::Record;

/// The form of a route that says this.
fn form(route: serde_json::Value) -> Form {
    let spec: RouteSpec = serde_json::from_value(route).unwrap();
    let usual = Usual {
        topic: "t".to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: Format::Debezium,
        order: Order::Strict,
        on_dead: crate::decide::dead::OnDead::Table,
    };
    spec.read(&usual).unwrap().form
}

fn record(form: &Form, event: &Event) -> Result<Record, Defect> {
    Envelope::new("/shop").record(event, form, "t".into())
}

fn event(headers: &str) -> Event {
    Event {
        headers: Some(headers.to_owned()),
        ..Event::sample()
    }
}

fn names(record: &Record) -> Vec<&str> {
    record.headers().map(|(name, _)| name).collect()
}

#[test]
fn a_value_that_is_not_of_its_type_is_told_by_its_name_alone() {
    let envelope = form(json!({"debezium": {"value": "json",
        "envelope": {"n": "{headers.n}"}, "types": {"n": "integer"}}}));
    let header =
        form(json!({"headers": {"h": "{headers.n}"}, "debezium": {"types": {"h": "bigint"}}}));
    let key = form(json!({"debezium": {"key": "json", "types": {"key": "boolean"}}}));
    let absent = form(json!({"debezium": {"value": "json",
        "envelope": {"m": "{headers.m}"}, "types": {"m": "text not null"}}}));
    for (form, told) in [
        (envelope, "n in the envelope is not of the type"),
        (header, "the header h is not of the type"),
        (key, "the key is not of the type"),
        (absent, "m in the envelope is missing or null"),
    ] {
        let defect = record(&form, &event(r#"{"n": "canary"}"#)).unwrap_err();
        assert!(defect.reason.starts_with(told), "{}", defect.reason);
        assert!(!defect.reason.contains("canary"), "{}", defect.reason);
    }
}

#[test]
fn a_rows_own_id_takes_the_place_of_the_events() {
    let made = record(&form(json!({})), &event(r#"{"a": "1", "id": "mine"}"#)).unwrap();
    assert_eq!(names(&made), ["a", "id"]);
    assert_eq!(made.headers().last(), Some(("id", Some(&b"mine"[..]))));
}

#[test]
fn a_header_that_the_route_takes_is_sent_where_it_says() {
    let form = form(json!({
        "partition": "{headers.part}",
        "headers": {"b": "{headers.x}", "a": "{headers.a}"},
        "debezium": {"value": "json", "envelope": {"n": "{headers.n}"}}}));
    let row = r#"{"a": "1", "n": 2, "part": 3, "x": null, "z": "own"}"#;
    let made = record(&form, &event(row)).unwrap();
    assert_eq!(names(&made), ["id", "b", "a", "z"]);
    assert_eq!(
        made.headers().nth(1),
        Some(("b", None)),
        "null is a null header"
    );
    assert_eq!(made.partition, Some(3));
}

#[test]
fn bytes_that_are_no_text_go_as_they_are_or_not_at_all() {
    let row = || Event {
        payload: Some(Payload::Bytes(vec![0xff, 0x00])),
        ..event("{}")
    };
    let plain = record(&form(json!({})), &row()).unwrap();
    assert_eq!(plain.value(), Some(&[0xff, 0x00][..]));
    let defect = record(&form(json!({"debezium": {"value": "json"}})), &row()).unwrap_err();
    assert!(defect.reason.contains("the payload is no text"));
}

proptest! {
    #[test]
    fn every_row_becomes_json_or_a_defect(
        payload in prop::option::of(".*"),
        value in any::<String>(),
        kind in prop::sample::select(vec!["text", "jsonb", "integer", "timestamp", "double precision"]),
        converter in prop::sample::select(vec!["json", "json-schema"]),
        expand in any::<bool>(),
    ) {
        let form = form(json!({"debezium": {"key": converter, "value": converter, "header": converter,
            "expand": expand, "envelope": {"n": "{headers.n}"}, "types": {"n": kind},
            "schema_name": "s"}}));
        let headers = json!({"n": value, "own": value}).to_string();
        let payload = payload.map(Payload::Text);
        let row = Event { payload, ..event(&headers) };
        if let Ok(made) = record(&form, &row) {
            let all = [made.key(), made.value()].into_iter().chain(made.headers().map(|(_, text)| text));
            for bytes in all.flatten() {
                let read: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
                prop_assert!(read.is_ok(), "{}", String::from_utf8_lossy(bytes));
            }
        } else {
            prop_assert!(!["text", "jsonb"].contains(&kind), "text always fits");
        }
    }
}
