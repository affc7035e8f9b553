//! Proves the rules of the guess beyond the vectors of `tests/debezium.rs`.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn expanded(payload: &str) -> Option<String> {
    expand(payload, Keep::default()).map(|field| field.json)
}

fn kept(payload: &str) -> Option<String> {
    let keep = Keep {
        nulls: true,
        empty_lists: true,
    };
    expand(payload, keep).map(|field| field.json)
}

#[test]
fn the_objects_of_a_list_share_their_fields_in_the_order_in_which_they_appear() {
    assert_eq!(
        expanded(r#"{"l": [{"b": 1}, null, {"a": "x", "b": 2}]}"#).unwrap(),
        r#"{"l":[{"b":1,"a":null},null,{"b":2,"a":"x"}]}"#
    );
    assert_eq!(
        kept(r#"{"l": [{"a": null}, {"a": "x"}]}"#).unwrap(),
        r#"{"l":[{"a":null},{"a":"x"}]}"#,
        "a null does not say what it is a null of"
    );
    assert_eq!(
        expanded(r#"[[{"a": 1}], [{"b": 2}]]"#).unwrap(),
        r#"[[{"a":1}],[{"a":null}]]"#,
        "a list in a list is as its first"
    );
}

#[test]
fn what_has_no_one_type_or_no_name_stays_as_it_was() {
    for payload in [
        r#"{"a": [1, "x"]}"#,
        r#"{"a": [[], [1]]}"#,
        r#"{"a": [null]}"#,
        r#"{"a": [[1], ["x"]]}"#,
        r#"{"a": [{"b": 1}, {"b": "x"}]}"#,
        r#"{"a": {"": 1}}"#,
        r#"{"a": 9223372036854775808}"#,
        r#"{"a": 1e400}"#,
        " {}",
        "",
    ] {
        assert_eq!(expanded(payload), None, "{payload}");
    }
    assert_eq!(expanded(r#"{"a": {"": null}}"#).unwrap(), r#"{"a":{}}"#);
    assert_eq!(kept(r#"{"a": [null]}"#).unwrap(), r#"{"a":[null]}"#);
}

#[test]
fn the_schema_names_each_object_by_its_path() {
    let field = expand(r#"{"a": {"b": [{"c": 1.5}]}}"#, Keep::default()).unwrap();
    assert_eq!(
        field.schema,
        concat!(
            r#"{"type":"struct","fields":[{"type":"struct","fields":[{"type":"array","items":"#,
            r#"{"type":"struct","fields":[{"type":"double","optional":true,"field":"c"}],"#,
            r#""optional":true,"name":"payload.a.b"},"optional":true,"field":"b"}],"#,
            r#""optional":true,"name":"payload.a","field":"a"}],"optional":true,"name":"payload""#
        )
    );
}

#[test]
fn a_document_as_deep_as_the_stack_is_not_walked() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(expanded(&deep(100)).is_some());
    assert_eq!(expanded(&deep(100_000)), None);
}

/// Documents of texts, flags, numbers and objects, in which nothing is left out.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths, which every parser reads exactly.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let pairs = prop::collection::vec((".+", inner), 0..6);
        pairs.prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn an_expanded_document_says_what_the_payload_says(value in document()) {
        let payload = serde_json::json!({"a": value}).to_string();
        let json = expanded(&payload).expect("all of it has a type");
        let read: Value = serde_json::from_str(&json).unwrap();
        let given: Value = serde_json::from_str(&payload).unwrap();
        prop_assert_eq!(read, given);
    }

    #[test]
    fn no_text_stops_the_walk(payload in ".*") {
        expanded(&payload);
        expanded(&format!("{{{payload}"));
    }
}
