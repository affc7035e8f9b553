//! JSON as Protobuf: which message a value is, what is refused, and what a refusal shows. What values
//! become is compared with a foreign client's bytes, in the tests of `schema`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const SHOP: &str = r#"
    syntax = "proto3";
    package shop;
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    message Order {
        int64 total = 1;
        repeated Line lines = 2;
        map<string, Line> gifts = 3;
        map<int32, string> notes = 4;
        Paid paid = 5;
        oneof payer { string card = 6; string cash = 7; }
        google.protobuf.Timestamp placed_at = 8;
        uint64 number = 10;
        repeated uint64 numbers = 11;
        map<string, int64> sums = 12;
        google.protobuf.Int64Value limit = 13;
        double weight = 14;
        uint32 floor = 9;
        message Note { string text = 1; }
    }
    message Line { string sku = 1; bytes label = 2; }
    enum Paid { NO = 0; YES = 1; }
"#;

fn of_message(name: &str) -> Protobuf {
    Protobuf::parse(SHOP, &[], Some(name)).unwrap()
}

fn encode(json: &str) -> Result<Vec<u8>, String> {
    let encoded = of_message("shop.Order").encode(json, Vec::new());
    encoded.map_err(|fault| fault.to_string())
}

/// What a message of the shop is read as again, in JSON.
fn read(bytes: &[u8]) -> Value {
    let message = of_message("shop.Order").message;
    let read = DynamicMessage::decode(message, &bytes[1..]).unwrap();
    serde_json::to_value(&read).unwrap()
}

#[test]
fn a_value_says_by_numbers_which_message_it_is() {
    for (name, head) in [
        ("shop.Order", &[0][..]),
        ("shop.Line", &[2, 2]),
        ("shop.Order.Note", &[4, 0, 0]),
    ] {
        let encoded = of_message(name).encode("{}", Vec::new()).unwrap();
        assert_eq!(encoded, head, "{name}");
    }
    assert_eq!(
        Protobuf::parse(SHOP, &[], None).unwrap().name(),
        "shop.Order"
    );
    for wrong in [
        "Order",
        "shop.Paid",
        "shop.Order.GiftsEntry",
        "google.protobuf.Timestamp",
    ] {
        let told = Protobuf::parse(SHOP, &[], Some(wrong)).unwrap_err();
        assert_eq!(told, format!("the schema has no message {wrong:?}"));
    }
    let told = Protobuf::parse("syntax = \"proto3\";", &[], None).unwrap_err();
    assert_eq!(told, "the schema has no message");
}

#[test]
fn a_schema_imports_what_it_refers_to_and_nothing_else() {
    let text = "syntax = \"proto3\"; import \"money.proto\"; message Order { Money total = 1; }";
    let money = "syntax = \"proto3\"; message Money { int64 cents = 1; }";
    let known = [("money.proto".to_owned(), money.to_owned())];
    let order = Protobuf::parse(text, &known, None).unwrap();
    let encoded = order.encode("{\"total\": {\"cents\": 5}}", Vec::new());
    assert_eq!(encoded.unwrap(), [0, 10, 2, 8, 5]);
    assert!(
        Protobuf::parse(text, &known, Some("Money")).is_err(),
        "it stands in another"
    );
    for file in ["money.proto", "/etc/hostname", "../../Cargo.toml", ROOT] {
        let text = format!("syntax = \"proto3\"; import \"{file}\"; message A {{}}");
        assert!(Protobuf::parse(&text, &[], None).is_err(), "{file}");
    }
    let deep = "message A {".repeat(100_000);
    assert!(
        Protobuf::parse(&deep, &[], None)
            .unwrap_err()
            .contains("too deep")
    );
}

#[test]
fn a_fault_names_its_place_and_nothing_of_the_value() {
    for (json, told) in [
        ("7", "$: expected a shop.Order"),
        ("{", "$: the value is no JSON, or too deep"),
        ("{} {}", "$: the value is no JSON, or too deep"),
        (
            r#"{"total": "canary"}"#,
            "$.total: expected a whole number of 64 bits",
        ),
        (
            r#"{"total": 1.5}"#,
            "$.total: expected a whole number of 64 bits",
        ),
        (
            r#"{"total": 9223372036854775808}"#,
            "$.total: expected a whole number of 64 bits",
        ),
        (
            r#"{"floor": -1}"#,
            "$.floor: expected a whole number of 32 bits without a sign",
        ),
        (r#"{"lines": {"canary": 1}}"#, "$.lines: expected an array"),
        (
            r#"{"lines": [{}, {"sku": 7}]}"#,
            "$.lines[1].sku: expected a string",
        ),
        (
            r#"{"lines": [{}, {"label": "canary!"}]}"#,
            "$.lines[1].label: expected bytes in base64",
        ),
        (
            r#"{"lines": ["canary"]}"#,
            "$.lines[0]: expected a shop.Line",
        ),
        (
            r#"{"gifts": {"canary": {"sku": 7}}}"#,
            "$.gifts[*].sku: expected a string",
        ),
        (
            r#"{"notes": {"canary": "x"}}"#,
            "$.notes: expected an object as a map, with keys of its type",
        ),
        (
            r#"{"paid": "CANARY"}"#,
            "$.paid: expected a symbol of shop.Paid",
        ),
        (
            r#"{"placedAt": "canary"}"#,
            "$.placed_at: expected a google.protobuf.Timestamp",
        ),
        (
            r#"{"card": "canary", "cash": "canary"}"#,
            "$: it has two fields of a oneof",
        ),
        (
            r#"{"lines": [{"size": "canary"}]}"#,
            "$.lines[0].size: the schema has no such field",
        ),
    ] {
        assert_eq!(encode(json).unwrap_err(), told, "{json}");
    }
}

#[test]
fn no_digit_is_lost_and_what_is_left_out_is_null_or_a_default() {
    for number in [i64::MIN, i64::MAX, -9_007_199_254_740_993] {
        for json in [
            format!("{{\"total\": {number}}}"),
            format!("{{\"total\": \"{number}\"}}"),
        ] {
            assert_eq!(read(&encode(&json).unwrap())["total"], number.to_string());
        }
    }
    assert_eq!(
        encode(r#"{"total": null, "lines": null, "placed_at": null}"#),
        encode("{}")
    );
    assert_eq!(encode(r#"{"total": 0}"#), encode("{}"), "as proto3 has it");
    let moment = r#"{"placed_at": "2026-03-04T06:06:07.123+01:00"}"#;
    let read = read(&encode(moment).unwrap());
    assert_eq!(read["placedAt"], "2026-03-04T05:06:07.123Z");
}

#[test]
fn a_number_that_would_be_rounded_is_refused() {
    for (json, told) in [
        (
            r#"{"number": 18446744073709551616}"#,
            "$.number: expected a whole number of 64 bits without a sign",
        ),
        (
            r#"{"total": 9007199254740993.0}"#,
            "$.total: expected a whole number of 64 bits",
        ),
        (
            r#"{"total": -9.007199254740993e15}"#,
            "$.total: expected a whole number of 64 bits",
        ),
        (
            r#"{"numbers": [1, 123456789012345e4]}"#,
            "$.numbers[1]: expected a whole number of 64 bits without a sign",
        ),
        (
            r#"{"sums": {"canary": 9223372036854775808.0}}"#,
            "$.sums[*]: expected a whole number of 64 bits",
        ),
        (
            r#"{"limit": 9223372036854775808.0}"#,
            "$.limit: expected a google.protobuf.Int64Value",
        ),
    ] {
        assert_eq!(encode(json).unwrap_err(), told, "{json}");
    }
    for json in [
        r#"{"number": 18446744073709551615, "numbers": ["18446744073709551615", 1e3, 2.0]}"#,
        r#"{"weight": 18446744073709551616, "card": "18446744073709551616e5"}"#,
        r#"{"total": 9007199254740991.0, "limit": 9223372036854775807}"#,
    ] {
        assert!(encode(json).is_ok(), "{json}");
    }
    let usual =
        r#"{"id": "0\"1e5", "at": "2026-03-04T05:06:07.12345678901234567Z", "a": [1.5, true]}"#;
    assert!(
        !exact::may_be_rounded(usual),
        "a second look is for numbers"
    );
}

#[test]
fn what_proto2_requires_is_there() {
    let text = "syntax = \"proto2\"; message A { repeated B b = 1; map<string, B> c = 2; }
                message B { required string d = 1; }";
    let schema = Protobuf::parse(text, &[], None).unwrap();
    let encode = |json: &str| {
        schema
            .encode(json, Vec::new())
            .map_err(|fault| fault.to_string())
    };
    let missing = |place: &str| Err(format!("{place}.d: it is missing and required"));
    assert_eq!(encode(r#"{"b": [{"d": ""}, {}]}"#), missing("$.b[1]"));
    assert_eq!(encode(r#"{"c": {"canary": {}}}"#), missing("$.c[*]"));
    assert!(encode(r#"{"b": [{"d": ""}]}"#).is_ok());
}

/// Texts that are much like a schema, and seldom one.
fn almost_schemas() -> impl Strategy<Value = String> {
    let words = select(vec![
        "syntax",
        "=",
        "\"proto3\"",
        "\"proto2\"",
        ";",
        "package",
        "message",
        "enum",
        "oneof",
        "map",
        "<",
        ">",
        ",",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "A",
        "B",
        ".A",
        "A.B",
        "int32",
        "string",
        "bytes",
        "repeated",
        "optional",
        "required",
        "group",
        "extend",
        "extensions",
        "reserved",
        "to",
        "max",
        "option",
        "import",
        "public",
        "\"other.proto\"",
        "\"google/protobuf/any.proto\"",
        "google.protobuf.Any",
        "service",
        "rpc",
        "returns",
        "0",
        "1",
        "-1",
        "536870912",
        "99999999999999999999",
        "1e400",
        "\"",
        "'",
        "/*",
        "//",
        "\n",
        "default",
        "packed",
        "json_name",
        "message A { A a = 1; }",
        "syntax = \"proto3\";",
        "message B { map<string, B> b = 1; }",
    ]);
    vec(words, 0..40).prop_map(|words| words.join(" "))
}

/// JSON of the shop, with mistakes that may not show.
fn almost_orders() -> impl Strategy<Value = String> {
    let names = select(vec![
        "total", "lines", "gifts", "notes", "paid", "sku", "label", "canary",
    ]);
    let leaves = select(vec![
        "\"canary\"",
        "\"canary!\"",
        "7",
        "-1.5",
        "null",
        "true",
        "1e400",
    ]);
    let leaf = leaves.prop_map(ToOwned::to_owned);
    leaf.prop_recursive(4, 30, 4, move |inner| {
        let entry = (names.clone(), inner.clone());
        let entry = entry.prop_map(|(name, value)| format!("\"{name}\": {value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(entry, 0..4).prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_registry_tells_is_a_schema_or_is_refused(
        text in almost_schemas(),
        other in almost_schemas(),
    ) {
        let known = [("other.proto".to_owned(), other)];
        if let Ok(schema) = Protobuf::parse(&text, &known, None) {
            // Fits or not: it ends.
            let _ends = schema.encode("{\"a\": {\"a\": {}}, \"b\": {\"b\": {}}}", Vec::new());
        }
    }

    #[test]
    fn a_value_becomes_a_message_that_can_be_read_or_a_fault_without_its_content(
        json in almost_orders(),
    ) {
        match encode(&json) {
            Ok(bytes) => {
                read(&bytes);
            }
            // What follows a path is a reason, and a name that the schema does not have may show.
            Err(told) if told.ends_with("canary: the schema has no such field") => {}
            Err(told) => prop_assert!(!told.contains("canary"), "{}", told),
        }
    }
}
