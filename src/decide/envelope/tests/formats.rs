//! The formats: what each makes of an event, that the payload survives in all, and golden records.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

const ALL: [(&str, Format); 5] = [
    ("payload", Format::Payload),
    ("cloudevents", Format::Cloudevents),
    ("header-payload", Format::HeaderPayload),
    ("event", Format::Event),
    ("raw", Format::Raw),
];
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn in_format(format: Format, event: &Event) -> Record {
    record_by(&Form { format, ..form() }, event).unwrap()
}

/// The value as text, and the headers.
fn made(format: Format, headers: Option<&str>) -> (String, Vec<(String, Option<String>)>) {
    let record = in_format(format, &event(headers));
    let value = record.value().unwrap().to_vec();
    (String::from_utf8(value).unwrap(), all(&record))
}

#[test]
fn the_words_of_the_settings_name_the_formats() {
    for (word, format) in ALL {
        let read: Format = serde_json::from_str(&format!("\"{word}\"")).unwrap();
        assert_eq!(read, format);
    }
}

#[test]
fn a_structured_cloud_event_holds_the_payload_and_all_attributes() {
    let (value, headers) = made(Format::Cloudevents, None);
    assert_eq!(
        value,
        concat!(
            r#"{"specversion":"1.0","id":"01234567-89ab-cdef-0123-456789abcdef","source":"/shop","#,
            r#""type":"OrderPlaced","time":"2026-03-04T05:06:07.000089Z","#,
            r#""datacontenttype":"application/json","subject":"o-1","data":{"a": 1.50}}"#
        )
    );
    assert_eq!(
        headers,
        [pair("content-type", "application/cloudevents+json")]
    );
}

#[test]
fn headers_that_are_attributes_become_such_and_the_others_stay() {
    let own = format!(
        r#"{{"ce_id": "mine", "CE_Source": "/row", "ce_specversion": "0.3", "ce_type": null,
            "ce_data": "no attribute", "ce_a-b": "none either", "ce_partitionkey": "k\"1",
            "content-type": "application/vnd.acme+json", "traceparent": "{TRACE}",
            "correlation_id": 7, "tenant": "acme", "ce_id2": null, "é": "x"}}"#
    );
    let (value, headers) = made(Format::Cloudevents, Some(&own));
    let value: Value = serde_json::from_str(&value).unwrap();
    for (name, expected) in [
        ("specversion", "1.0"),
        ("id", "mine"),
        ("source", "/row"),
        ("type", "OrderPlaced"),
        ("partitionkey", "k\"1"),
        ("datacontenttype", "application/vnd.acme+json"),
        ("traceparent", TRACE),
        ("correlationid", "7"),
    ] {
        assert_eq!(value[name], expected, "{name}");
    }
    assert_eq!(value.as_object().unwrap().len(), 11, "{value}");
    assert_eq!(
        headers,
        [
            pair("content-type", "application/cloudevents+json"),
            pair("ce_data", "no attribute"),
            pair("ce_a-b", "none either"),
            pair("traceparent", TRACE),
            pair("correlation_id", "7"),
            pair("tenant", "acme"),
            pair("é", "x"),
        ]
    );
}

#[test]
fn a_header_and_payload_tell_what_the_columns_and_headers_say() {
    let (value, headers) = made(Format::HeaderPayload, None);
    assert_eq!(
        value,
        concat!(
            r#"{"header":{"event_id":"01234567-89ab-cdef-0123-456789abcdef","#,
            r#""timestamp":"2026-03-04T05:06:07.000089Z","source":"/shop","version":"1.0"},"#,
            r#""payload":{"a": 1.50}}"#
        )
    );
    assert_eq!(headers, [pair("content-type", "application/json")]);
    let own = r#"{"version": "2.1", "ce_source": "trading-engine", "tenant": "acme"}"#;
    let (value, headers) = made(Format::HeaderPayload, Some(own));
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["header"]["version"], "2.1");
    assert_eq!(value["header"]["source"], "trading-engine");
    assert_eq!(
        headers[1..],
        [pair("version", "2.1"), pair("tenant", "acme")]
    );
}

#[test]
fn a_flat_event_has_every_name_and_null_for_what_is_not_told() {
    let (value, headers) = made(Format::Event, None);
    assert_eq!(
        value,
        concat!(
            r#"{"event_id":"01234567-89ab-cdef-0123-456789abcdef","event_type":"OrderPlaced","#,
            r#""event_version":"1.0","timestamp":"2026-03-04T05:06:07.000089Z","#,
            r#""correlation_id":null,"source_service":"/shop","trace_id":null,"span_id":null,"#,
            r#""data":{"a": 1.50}}"#
        )
    );
    assert_eq!(headers, [pair("content-type", "application/json")]);
    let own = format!(r#"{{"Version": 2, "correlation_id": "c-1", "traceparent": "{TRACE}"}}"#);
    let (value, _) = made(Format::Event, Some(&own));
    let value: Value = serde_json::from_str(&value).unwrap();
    assert_eq!(value["event_version"], "2");
    assert_eq!(value["correlation_id"], "c-1");
    assert_eq!(value["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(value["span_id"], "00f067aa0ba902b7");
}

#[test]
fn a_trace_that_is_none_is_told_as_none() {
    for wrong in [
        "",
        "00",
        "00-1-2-01",
        &TRACE[..52],
        &TRACE.replace('f', "g"),
    ] {
        let own = serde_json::json!({ "traceparent": wrong }).to_string();
        let (value, _) = made(Format::Event, Some(&own));
        assert!(
            value.contains(r#""trace_id":null,"span_id":null"#),
            "{wrong}: {value}"
        );
    }
}

#[test]
fn raw_adds_nothing() {
    let (value, headers) = made(Format::Raw, Some(r#"{"ce_id": "mine", "n": 1}"#));
    assert_eq!(value, "{\"a\": 1.50}");
    assert_eq!(headers, [pair("ce_id", "mine"), pair("n", "1")]);
    assert_eq!(made(Format::Raw, None).1, []);
}

#[test]
fn without_payload_every_format_gives_a_tombstone_and_a_cloud_event_its_headers() {
    let deleted = Event {
        payload: None,
        ..event(Some(r#"{"ce_id": "mine", "n": 1}"#))
    };
    for (word, format) in ALL {
        let record = in_format(format, &deleted);
        assert_eq!(
            (record.value(), record.key()),
            (None, Some(&b"o-1"[..])),
            "{word}"
        );
        let binary = matches!(format, Format::Payload | Format::Cloudevents);
        assert_eq!(record.headers().len(), if binary { 8 } else { 2 }, "{word}");
        assert!(all(&record).contains(&pair("ce_id", "mine")));
    }
}

/// Any JSON text, as `jsonb` prints it or with blanks elsewhere.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-1.500e-3".to_owned()),
        Just("123456789012345678901234567890.0".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u00e9\/\ud83d\ude00""#.to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let pair = (any::<String>(), inner.clone()).prop_map(|(name, value)| {
            format!("{}: {value}", serde_json::to_string(&name).unwrap())
        });
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(" , "))),
            prop::collection::vec(pair, 0..4).prop_map(|all| format!("{{{} }}", all.join(", "))),
        ]
    })
}

/// The name under which a format holds the payload; none where it is the value.
fn inside(format: Format) -> Option<&'static str> {
    match format {
        Format::Payload | Format::Raw | Format::Debezium => None,
        Format::Cloudevents | Format::Event => Some("data"),
        Format::HeaderPayload => Some("payload"),
    }
}

proptest! {
    #[test]
    fn every_format_is_json_with_the_payload_untouched_in_it(
        payload in any_json(),
        texts in any::<(String, String)>(),
        names in prop::collection::btree_map(
            "(ce_[a-z]{1,4}|CE_ID|version|traceparent|correlation_id|content-type|.{0,6})",
            prop::option::of(any::<String>()), 0..6),
    ) {
        let mut sent = event(Some(&serde_json::to_string(&names).unwrap()));
        sent.payload = Some(Payload::Json(payload.clone()));
        (sent.event_type, sent.key.aggregate_id) = texts;
        for (word, format) in ALL {
            let record = in_format(format, &sent);
            let value = std::str::from_utf8(record.value().unwrap()).unwrap();
            let Some(name) = inside(format) else {
                prop_assert_eq!(value, &payload);
                continue;
            };
            let pairs: std::collections::HashMap<String, Box<RawValue>> =
                serde_json::from_str(value).unwrap();
            prop_assert_eq!(pairs[name].get(), payload.trim(), "{}", word);
            let end = format!("\"{name}\":{payload}}}");
            prop_assert!(value.ends_with(&end), "byte for byte");
            let quoted = value[..value.len() - end.len()].matches("\":").count();
            prop_assert!(pairs.len() <= quoted + 1, "no name stands twice");
            let held: HashSet<&str> = record.headers().map(|(name, _)| name).collect();
            prop_assert_eq!(held.len(), record.headers().len(), "nor does a header's");
        }
    }
}

/// The forms of keys and of headers that the golden records pair with each format.
const KEYS: [(&str, Option<&str>); 4] = [
    ("aggregate", Some("{aggregate_id}")),
    ("composite", Some("{payload.user.id}:{created_at|minute}")),
    ("none", None),
    ("text", Some("é {headers.tenant|upper}")),
];
const HEADERS: [(&str, &str); 3] = [
    ("few", r#"{"tenant": "acme"}"#),
    (
        "traced",
        r#"{"tenant": "acme", "version": "2.0", "correlation_id": "c-1",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
    ),
    (
        "own",
        r#"{"tenant": "acmé\n", "ce_source": "/row", "Content-Type": "text/x", "none": null,
            "n": 1.50}"#,
    ),
];

/// Bytes as the fixture holds them.
fn coded(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(
        || "-".to_owned(),
        |bytes| format!("={}", STANDARD.encode(bytes)),
    )
}

/// One line for each record: its form, key, value and headers, in base64.
fn golden_lines() -> String {
    let mut lines = String::new();
    for ((word, format), (key_name, key)) in ALL.into_iter().flat_map(|f| KEYS.map(|k| (f, k))) {
        for (headers_name, headers) in HEADERS {
            let form = Form {
                key: key.map(template),
                format,
                headers: vec![("region".to_owned(), template("{payload.region}"))],
                partition: None,
                debezium: Debezium::default(),
            };
            let event = Event {
                payload: Some(Payload::Json(
                    "{\"user\": {\"id\": \"u-9\"}, \"n\": 1.50, \"region\": \"eu\"}".to_owned(),
                )),
                ..event(Some(headers))
            };
            let record = record_by(&form, &event).unwrap();
            let headers: Vec<String> = record
                .headers()
                .map(|(name, value)| format!("{}{}", STANDARD.encode(name), coded(value)))
                .collect();
            let fields = [
                format!("{word}/{key_name}/{headers_name}"),
                coded(record.key()),
                coded(record.value()),
                headers.join(" "),
            ];
            lines.push_str(&fields.join(","));
            lines.push('\n');
        }
    }
    lines
}

/// A consumer relies on every byte: a line that differs is a change that consumers see.
#[test]
fn the_golden_records_come_out_as_they_always_did() {
    let held = include_str!("golden.csv");
    for (line, made) in held.lines().zip(golden_lines().lines()) {
        assert_eq!(line, made);
    }
    assert_eq!(held.lines().count(), golden_lines().lines().count());
}
