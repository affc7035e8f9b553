//! Values by schemas, as a record carries them; and the names of subjects.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::event::Event;
use crate::record::{SchemaName, SchemaOrigin};

const AVRO: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "total", "type": "long"}]}"#;
const PROTOBUF: &str = r#"syntax = "proto3"; package shop; message Order { int64 total = 1; }"#;
const JSON: &str =
    r#"{"title": "Order", "type": "object", "properties": {"total": {"type": "integer"}}}"#;

fn record(value: Option<&[u8]>) -> Record {
    let mut record = Record::new(Arc::from("orders"), 5, Some(b"o-1"), value, 0);
    record.partition = Some(3);
    record.schema = Some(Arc::new(SchemaName {
        kind: SchemaType::Avro,
        subject: "orders-value".to_owned(),
        message: None,
        origin: SchemaOrigin::Latest,
    }));
    record.push_header("ce_id", Some(b"7"));
    record.push_header("content-type", Some(b"application/json"));
    record
}

fn numbered(kind: SchemaType, text: &str) -> Numbered {
    let schema = Schema::parse(kind, text, &[], None).unwrap();
    Numbered { id: 258, schema }
}

#[test]
fn an_encoded_record_is_the_same_but_for_its_value_and_what_that_is() {
    let plain = record(Some(b"{\"total\": 7}"));
    let avro: &[u8] = &[0, 0, 0, 1, 2, 14];
    let protobuf = &[0, 0, 0, 1, 2, 0, 8, 7];
    for (kind, text, value, content) in [
        (SchemaType::Avro, AVRO, avro, &b"application/avro"[..]),
        (
            SchemaType::Protobuf,
            PROTOBUF,
            protobuf,
            b"application/protobuf",
        ),
    ] {
        let encoded = numbered(kind, text).encoded(&plain).unwrap();
        assert_eq!(encoded.value(), Some(value));
        assert_eq!(encoded.key(), plain.key());
        assert_eq!((encoded.partition, encoded.timestamp_ms), (Some(3), 5));
        assert_eq!(encoded.topic, plain.topic);
        let headers: Vec<_> = encoded.headers().collect();
        let expected = [("ce_id", &b"7"[..]), ("content-type", content)];
        assert_eq!(headers, expected.map(|(name, value)| (name, Some(value))));
    }
}

#[test]
fn json_is_judged_and_goes_untouched() {
    let schema = numbered(SchemaType::Json, JSON);
    let text = b"{\"total\":   70000000000000000000001}";
    let encoded = schema.encoded(&record(Some(text))).unwrap();
    assert_eq!(
        encoded.value(),
        Some(&[&[0, 0, 0, 1, 2], &text[..]].concat()[..])
    );
    assert_eq!(
        encoded.headers().nth(1),
        Some(("content-type", Some(&b"application/json"[..])))
    );
    let defect = schema
        .encoded(&record(Some(b"{\"total\": \"secret\"}")))
        .unwrap_err();
    assert_eq!(
        defect.reason,
        "the value does not fit its schema at $: /total does not fit /properties/total/type of the schema"
    );
}

#[test]
fn a_tombstone_stays_one_by_any_schema() {
    for (kind, text) in [
        (SchemaType::Avro, AVRO),
        (SchemaType::Json, JSON),
        (SchemaType::Protobuf, PROTOBUF),
    ] {
        let encoded = numbered(kind, text).encoded(&record(None)).unwrap();
        assert_eq!(encoded.value(), None);
    }
}

#[test]
fn a_schema_reads_no_file_and_no_other_server() {
    for place in [
        "file:///etc/hostname",
        "http://127.0.0.1:1/x.json",
        "other.json",
    ] {
        let text = format!("{{\"$ref\": \"{place}\"}}");
        assert!(
            Schema::parse(SchemaType::Json, &text, &[], None).is_err(),
            "{place}"
        );
    }
    let known = [("other.json".to_owned(), "{\"type\": \"string\"}".to_owned())];
    let schema =
        Schema::parse(SchemaType::Json, "{\"$ref\": \"other.json\"}", &known, None).unwrap();
    let schema = Numbered { id: 1, schema };
    assert!(schema.encoded(&record(Some(b"\"x\""))).is_ok());
    assert!(schema.encoded(&record(Some(b"7"))).is_err());
}

#[test]
fn what_is_no_schema_is_told() {
    for kind in [SchemaType::Avro, SchemaType::Json, SchemaType::Protobuf] {
        for text in ["", "{", "{\"type\": \"no such type\"}"] {
            assert!(
                Schema::parse(kind, text, &[], None).is_err(),
                "{kind} {text}"
            );
        }
    }
}

fn spec(toml: &str) -> SchemaSpec {
    serde_json::from_str(toml).unwrap()
}

#[test]
fn subjects_are_named_as_the_common_serializers_do() {
    let subject = |spec: SchemaSpec| {
        let mut subject = String::new();
        let rule = spec.read().unwrap();
        rule.write_subject(&Event::sample(), "orders", &mut subject)
            .unwrap();
        subject
    };
    assert_eq!(subject(spec(r#"{"type": "avro"}"#)), "orders-value");
    let record = r#""record": "shop.{event_type}""#;
    let by = |word: &str| {
        subject(spec(&format!(
            r#"{{"type": "json", "subject": "{word}", {record}}}"#
        )))
    };
    assert_eq!(by("topic"), "orders-value");
    assert_eq!(by("record"), "shop.OrderPlaced");
    assert_eq!(by("topic-record"), "orders-shop.OrderPlaced");
    for (kind, text, name) in [
        ("avro", AVRO, "shop.Order"),
        ("json", JSON, "Order"),
        ("protobuf", PROTOBUF, "shop.Order"),
    ] {
        let mut by_file = spec(&format!(r#"{{"type": "{kind}", "subject": "record"}}"#));
        by_file.text = Some(text.to_owned());
        assert_eq!(subject(by_file), name, "a file names its record itself");
    }
}

#[test]
fn a_rule_that_cannot_be_is_told_by_its_key() {
    let key = |json: &str| spec(json).read().unwrap_err().0;
    assert_eq!(key(r#"{"type": "avro", "version": "newest"}"#), "version");
    assert_eq!(key(r#"{"type": "avro", "version": "0"}"#), "version");
    assert_eq!(key(r#"{"type": "avro", "register": true}"#), "register");
    assert_eq!(key(r#"{"type": "avro", "subject": "record"}"#), "record");
    let secret = r#"{"type": "avro", "subject": "record", "record": "{payload.a}"}"#;
    assert_eq!(key(secret), "record", "a subject is seen in logs");
    let mut by_file = spec(r#"{"type": "avro"}"#);
    by_file.text = Some("{".to_owned());
    assert_eq!(by_file.read().unwrap_err().0, "file");
    let mut other = spec(r#"{"type": "protobuf", "record": "shop.Other"}"#);
    other.text = Some(PROTOBUF.to_owned());
    assert_eq!(
        other.read().unwrap_err().0,
        "record",
        "the file has none so called"
    );
}

#[test]
fn a_subject_with_several_messages_has_a_schema_for_each() {
    let named = |json: &str| {
        let rule = spec(json).read().unwrap();
        let mut message = String::new();
        rule.write_message(&Event::sample(), &mut message).unwrap();
        (message, rule.fixed(Some("orders")))
    };
    let (message, fixed) = named(r#"{"type": "protobuf", "record": "shop.{event_type}"}"#);
    assert_eq!(message, "shop.OrderPlaced");
    assert!(fixed.is_none(), "events tell");
    let (message, fixed) = named(r#"{"type": "protobuf", "record": "shop.Order"}"#);
    assert_eq!(fixed.unwrap().message.unwrap(), message);
    for one in ["protobuf", "avro"] {
        let (message, fixed) = named(&format!(r#"{{"type": "{one}"}}"#));
        assert_eq!((&*message, fixed.unwrap().message), ("", None));
    }
    let by_record = r#"{"type": "avro", "subject": "record", "record": "shop.{event_type}"}"#;
    assert_eq!(named(by_record).0, "", "an Avro schema is of one record");
}

/// What Confluent's client for Python makes of values (`scripts/schema-vectors`).
const FOREIGN: &str = include_str!("../../../tests/vectors/schemas.jsonl");

#[test]
fn values_are_the_bytes_that_a_foreign_client_writes_and_reads() {
    let cases = FOREIGN.lines().map(|line| {
        let case: Value = serde_json::from_str(line).unwrap();
        let kind: SchemaType = serde_json::from_value(case["type"].clone()).unwrap();
        let message = case["message"].as_str().map(ToOwned::to_owned);
        let texts = ["schema", "json", "bytes"].map(|key| case[key].as_str().unwrap().to_owned());
        (kind, message, texts)
    });
    let mut count = 0;
    for (kind, message, [schema, json, expected]) in cases {
        let expected = STANDARD.decode(expected).unwrap();
        let schema = Numbered {
            id: u32::from_be_bytes(expected[1..5].try_into().unwrap()),
            schema: Schema::parse(kind, &schema, &[], message.as_deref()).unwrap(),
        };
        let encoded = schema.encoded(&record(Some(json.as_bytes()))).unwrap();
        assert_eq!(encoded.value(), Some(&expected[..]), "{json}");
        count += 1;
    }
    assert!(count > 30, "the vectors are there");
}

/// JSON that is much like a schema, and seldom one.
fn almost_schemas() -> impl Strategy<Value = Value> {
    let words = select(vec![
        "record",
        "enum",
        "array",
        "map",
        "fixed",
        "null",
        "int",
        "long",
        "string",
        "bytes",
        "decimal",
        "uuid",
        "timestamp-millis",
        "object",
        "A",
        "B",
        "A.B",
        "",
        "#",
        "#/properties",
        "^(a+)+$",
        "[",
    ]);
    let keys = select(vec![
        "type",
        "name",
        "namespace",
        "fields",
        "items",
        "values",
        "symbols",
        "size",
        "logicalType",
        "precision",
        "scale",
        "default",
        "aliases",
        "$ref",
        "$id",
        "properties",
        "pattern",
        "enum",
        "allOf",
        "additionalProperties",
    ]);
    let leaf = prop_oneof![
        4 => words.prop_map(|word| json!(word)),
        1 => (-2..20_i64).prop_map(|number| json!(number)),
        1 => Just(json!(null)),
        1 => Just(json!(true)),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((keys.clone(), inner), 0..6).prop_map(|pairs| {
                let pairs = pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value));
                Value::Object(pairs.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_registry_tells_is_a_schema_or_is_refused(
        text in almost_schemas(),
        other in almost_schemas(),
        value in almost_schemas(),
    ) {
        let known = [("A".to_owned(), other.to_string())];
        for kind in [SchemaType::Avro, SchemaType::Json] {
            for known in [&known[..], &[]] {
                if let Ok(schema) = Schema::parse(kind, &text.to_string(), known, None) {
                    let schema = Numbered { id: 1, schema };
                    let value = value.to_string();
                    // Fits or not: it ends.
                    let _ends = schema.encoded(&record(Some(value.as_bytes())));
                }
            }
        }
    }
}
