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
fn bytes_go_as_they_are_or_as_base64() {
    let made = |debezium: serde_json::Value| {
        let row = Event {
            payload: Some(Payload::Bytes(vec![0xff, 0x00])),
            ..event("{}")
        };
        let made = record(&form(json!({"debezium": debezium})), &row)?;
        Ok::<_, Defect>(made.value().map(<[u8]>::to_vec))
    };
    assert_eq!(made(json!({})).unwrap(), Some(vec![0xff, 0x00]));
    let value = made(json!({"value": "json", "expand": true})).unwrap();
    assert_eq!(value.unwrap(), b"\"/wA=\"");
    let value = made(json!({"value": "json-schema"})).unwrap().unwrap();
    let expected = r#"{"schema":{"type":"bytes","optional":true},"payload":"/wA="}"#;
    assert_eq!(String::from_utf8(value).unwrap(), expected);
    let text = json!({"value": "json", "types": {"payload": "text"}});
    let defect = made(text).unwrap_err();
    assert!(defect.reason.contains("the payload is no text"));
}

/// The schema is what Connect's JSON converter prints of the one that Debezium makes for such a column.
#[test]
fn decimals_are_the_base64_of_their_digits_or_their_text() {
    let made = |converter: &str, number: &str| {
        let form = form(
            json!({"debezium": {"value": "json-schema", "schema_name": "s",
            "header": converter, "envelope": {"n": "{headers.n}"},
            "types": {"n": "numeric(12,2)", "own": "numeric(12,2) not null"}}}),
        );
        record(
            &form,
            &event(&format!(r#"{{"n": {number}, "own": {number}}}"#)),
        )
    };
    let header = |converter: &str| {
        let made = made(converter, "12.5").unwrap();
        let (_, value) = made.headers().last().unwrap();
        String::from_utf8(value.unwrap().to_vec()).unwrap()
    };
    assert_eq!(header("plain"), "12.50");
    assert_eq!(header("json"), "\"BOI=\"");
    let schema = r#"{"schema":{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"12"}},"payload":"BOI="}"#;
    assert_eq!(header("json-schema"), schema);
    let value = made("plain", "-0.01").unwrap().value().unwrap().to_vec();
    let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
    assert_eq!(value["payload"]["n"], "/w==");
    for wrong in ["0.001", "10000000000.5", "\"x\""] {
        let told = made("plain", wrong).unwrap_err().reason;
        assert!(told.contains("is not of the type"), "{told}");
    }
    for wrong in [
        "numeric",
        "numeric()",
        "numeric(2,3)",
        "numeric(0)",
        "decimal(9,x)",
    ] {
        assert!(Column::parse(wrong).is_err(), "{wrong}");
    }
    assert!(Column::parse("DECIMAL(9) NOT NULL").is_ok());
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
