//! JSON becomes what another reader of Avro takes for the same value.

#![expect(
    clippy::needless_pass_by_value,
    clippy::wildcard_enum_match_arm,
    reason = "schemas are written where they are used, and few kinds of values matter to a test"
)]

mod generated;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avroed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Avro;

fn encoded(schema: &Value, json: &str) -> Result<Vec<u8>, String> {
    let avro = Avro::parse(&schema.to_string(), &[]).expect("the test's schema is one");
    avro.encode(json, Vec::new())
        .map_err(|fault| fault.to_string())
}

/// What `apache-avro` reads of the bytes, to their end.
fn decoded(schema: &Value, bytes: &[u8]) -> Avroed {
    let schema = apache_avro::Schema::parse(schema).unwrap();
    let mut rest = bytes;
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let value = reader.read_value(&mut rest).unwrap();
    assert!(rest.is_empty(), "all bytes are the value's");
    value
}

fn fault(schema: Value, json: &str) -> String {
    encoded(&schema, json).unwrap_err()
}

fn read_back(schema: Value, json: &str) -> Avroed {
    decoded(&schema, &encoded(&schema, json).unwrap())
}

/// A value of Avro as the JSON that a service would have written.
fn as_json(value: Avroed) -> Value {
    match value {
        Avroed::Null => Value::Null,
        Avroed::Boolean(flag) => json!(flag),
        Avroed::Int(number) => json!(number),
        Avroed::Long(number) => json!(number),
        Avroed::Double(number) => json!(number),
        Avroed::String(text) | Avroed::Enum(_, text) => json!(text),
        Avroed::Bytes(bytes) | Avroed::Fixed(_, bytes) => json!(STANDARD.encode(bytes)),
        Avroed::Union(_, value) => as_json(*value),
        Avroed::Array(items) => items.into_iter().map(as_json).collect(),
        Avroed::Map(entries) => {
            let mut entries: Vec<_> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key, as_json(value)));
            Value::Object(entries.collect())
        }
        Avroed::Record(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, as_json(value)));
            Value::Object(fields.collect())
        }
        other => panic!("no such value is made here: {other:?}"),
    }
}

/// A record of one field.
fn order(field: Value) -> Value {
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [field]})
}

#[test]
fn times_are_numbers_or_what_people_write() {
    let of = |base: &str, logical: &str| json!({"type": base, "logicalType": logical});
    let millis = of("long", "timestamp-millis");
    let expected = Avroed::TimestampMillis(1_772_600_767_123);
    for json in [
        "1772600767123",
        "\"2026-03-04T05:06:07.123Z\"",
        "\"2026-03-04T05:06:07.123999+00:00\"",
        "\"2026-03-04T06:06:07.123+01:00\"",
        "\"2026-03-04T05:06:07.123\"",
        "\"2026-03-04 05:06:07.123\"",
    ] {
        assert_eq!(read_back(millis.clone(), json), expected, "{json}");
    }
    assert_eq!(
        read_back(
            of("long", "timestamp-micros"),
            "\"1969-12-31T23:59:59.999999Z\""
        ),
        Avroed::TimestampMicros(-1)
    );
    assert_eq!(
        read_back(of("int", "date"), "\"1970-02-01\""),
        Avroed::Date(31)
    );
    assert_eq!(
        read_back(of("int", "time-millis"), "\"00:01:00.5\""),
        Avroed::TimeMillis(60_500)
    );
    assert_eq!(
        read_back(
            of("long", "local-timestamp-millis"),
            "\"1970-01-01T00:00:01\""
        ),
        Avroed::LocalTimestampMillis(1_000)
    );
    assert_eq!(
        fault(millis, "\"yesterday\""),
        "$: expected a whole number, or a time such as 2026-03-04T05:06:07Z"
    );
}

#[test]
fn a_decimal_is_exact_or_refused() {
    let money = json!({"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2});
    for (json, unscaled) in [
        ("12.5", 1250),
        ("\"-0.01\"", -1),
        ("0", 0),
        ("\"007\"", 700),
        ("1.500", 150),
    ] {
        let value = read_back(money.clone(), json);
        let Avroed::Decimal(decimal) = value else {
            panic!("{value:?}")
        };
        assert_eq!(num_bigint::BigInt::from(decimal), unscaled.into(), "{json}");
    }
    assert_eq!(
        fault(money.clone(), "1.505"),
        "$: more than 2 digits behind the point"
    );
    assert_eq!(fault(money.clone(), "1000"), "$: more than 5 digits");
    let exponent = "$: expected a decimal such as 12.50, without an exponent";
    assert_eq!(fault(money.clone(), "1e2"), exponent);
    assert_eq!(fault(money, "\"-\""), exponent);
}

#[test]
fn bytes_are_base64_or_as_postgresql_writes_them() {
    for json in ["\"AP8=\"", r#""\\x00ff""#, r#""\\x00FF""#] {
        assert_eq!(
            read_back(json!("bytes"), json),
            Avroed::Bytes(vec![0, 255]),
            "{json}"
        );
    }
    let fixed = json!({"type": "fixed", "name": "Two", "size": 2});
    assert_eq!(fault(fixed, "\"AA==\""), "$: expected 2 bytes");
    let uuid = json!({"type": "string", "logicalType": "uuid"});
    assert_eq!(fault(uuid, "\"seven\""), "$: expected a UUID");
}

#[test]
fn a_union_is_the_first_branch_that_fits() {
    let union = json!(["null", "long", "string", {"type": "array", "items": "int"}]);
    let branch = |json| match read_back(union.clone(), json) {
        Avroed::Union(branch, _) => branch,
        other => panic!("{other:?}"),
    };
    assert_eq!(["null", "7", "\"7\"", "[7]"].map(branch), [0, 1, 2, 3]);
    let a = json!({"type": "record", "name": "A", "fields": [{"name": "a", "type": "int"}]});
    let b =
        json!({"type": "record", "name": "B", "fields": [{"name": "b", "type": [a, "string"]}]});
    let either = json!([{"type": "array", "items": "int"}, b]);
    assert_eq!(
        fault(either, r#"{"b": {"a": "secret"}}"#),
        "$.b.a: expected a whole number of 32 bits",
        "of the branches the one that fits furthest tells"
    );
}

#[test]
fn what_is_left_out_has_its_default_or_is_null() {
    let of = |field| read_back(order(field), "{}");
    let held = |value| Avroed::Record(vec![("f".to_owned(), value)]);
    assert_eq!(
        of(json!({"name": "f", "type": "int", "default": 7})),
        held(Avroed::Int(7))
    );
    assert_eq!(
        of(json!({"name": "f", "type": "bytes", "default": "\u{ff}A"})),
        held(Avroed::Bytes(vec![255, 65])),
        "a default writes bytes as code points"
    );
    assert_eq!(
        of(json!({"name": "f", "type": ["string", "null"]})),
        held(Avroed::Union(1, Box::new(Avroed::Null)))
    );
    assert_eq!(
        fault(order(json!({"name": "f", "type": "int"})), "{}"),
        "$.f: it is missing and has no default"
    );
}

#[test]
fn a_fault_names_its_place_and_no_value() {
    let line = json!({"type": "record", "name": "Line", "fields": [
        {"name": "sku", "type": "string"},
        {"name": "tags", "type": {"type": "map", "values": "boolean"}},
    ]});
    let schema = order(json!({"name": "lines", "type": {"type": "array", "items": line}}));
    let cases = [
        (
            r#"{"lines": [{"sku": 5, "tags": {}}]}"#,
            "$.lines[0].sku: expected a string",
        ),
        (
            r#"{"lines": [{"sku": "secret", "tags": {"secret": "secret"}}]}"#,
            "$.lines[0].tags[*]: expected a boolean",
        ),
        (
            r#"{"lines": [], "note": "secret"}"#,
            "$.note: the schema has no such field",
        ),
        (r#"{"lines": "secret"}"#, "$.lines: expected an array"),
        (r#""secret""#, "$: expected an object as a record"),
        ("secret", "$: the value is no JSON"),
    ];
    for (json, expected) in cases {
        assert_eq!(fault(schema.clone(), json), expected);
    }
}

#[test]
fn numbers_are_neither_rounded_nor_cut() {
    assert_eq!(
        read_back(json!("long"), "9223372036854775807"),
        Avroed::Long(i64::MAX)
    );
    for (schema, json) in [
        ("long", "9223372036854775808"),
        ("int", "2147483648"),
        ("int", "1.5"),
        ("int", "\"1\""),
    ] {
        assert!(encoded(&json!(schema), json).is_err(), "{schema} {json}");
    }
    assert!(encoded(&json!("double"), "1e999").is_err());
    assert!(encoded(&json!("double"), "NaN").is_err());
}

#[test]
fn a_name_may_stand_for_its_own_record_and_for_one_of_another_schema() {
    let node = json!({"type": "record", "name": "Node", "namespace": "tree", "fields": [
        {"name": "next", "type": ["null", "Node"], "default": null},
    ]});
    let value = read_back(node, r#"{"next": {"next": {}}}"#);
    assert_eq!(as_json(value), json!({"next": {"next": {"next": null}}}));

    let money = json!({"type": "record", "name": "shop.Money", "fields": [{"name": "cents", "type": "int"}]});
    let order = order(json!({"name": "total", "type": "Money"}));
    let avro = Avro::parse(&order.to_string(), &[money.to_string()]).unwrap();
    assert_eq!(
        avro.encode(r#"{"total": {"cents": 7}}"#, Vec::new())
            .unwrap(),
        [14]
    );
    assert_eq!(avro.name(), Some("shop.Order"));
}

#[test]
fn no_schema_makes_a_small_text_a_large_effort() {
    let link = |name: &str| {
        json!({"type": "record", "name": name, "fields": [
            {"name": "next", "type": ["null", "A", "B"]}, {"name": name, "type": "int"},
        ]})
    };
    // Each link tries both, and each of these both again: 2^60 ways without a bound.
    let both = json!([link("A"), link("B")])
        .to_string()
        .replacen(r#""A","B""#, r#""A""#, 1);
    let schema: Value = serde_json::from_str(&both).unwrap();
    let deep = format!("{}null{}", r#"{"next": "#.repeat(60), "}".repeat(60));
    assert!(encoded(&schema, &deep).is_err());
    let endless = json!({"type": "record", "name": "N", "fields": [
        {"name": "n", "type": ["null", "N"]}, {"name": "m", "type": "N", "default": {"n": null}},
    ]});
    if let Ok(avro) = Avro::parse(&endless.to_string(), &[]) {
        assert!(
            avro.encode("{}", Vec::new()).is_err(),
            "its default holds itself"
        );
    }
    let nested = json!({"type": "record", "name": "N", "fields": [
        {"name": "n", "type": {"type": "array", "items": "N"}},
    ]});
    let text = format!("{}{}", r#"{"n": ["#.repeat(100_000), "]}".repeat(100_000));
    assert!(encoded(&nested, &text).is_err());
}
