//! What foreign consumers make of the golden records, by fixtures that they wrote: a record that changes
//! without its consumer being asked again fails here.

mod java;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The records, a line each (`envelope/tests/formats.rs` compares them with what the relay makes).
const GOLDEN: &str = include_str!("../src/decide/envelope/tests/golden.csv");
/// What `vectors/read_cloudevents.py` saw in those that are CloudEvents.
const SEEN: &str = include_str!("vectors/cloudevents.jsonl");
/// How to ask again.
const AGAIN: &str = "run tests/vectors/read_cloudevents.py anew";

/// What the SDK saw, by the record's name.
fn seen() -> BTreeMap<String, Value> {
    let lines = SEEN.lines().map(|line| {
        let seen: Value = serde_json::from_str(line).expect("the fixture is JSON");
        let name = seen["record"].as_str().expect("it names its record");
        (name.to_owned(), seen)
    });
    lines.collect()
}

#[test]
fn the_sdk_for_cloud_events_has_read_every_record_as_it_is_now() {
    let mut seen = seen();
    for line in GOLDEN.lines() {
        let (name, _) = line.split_once(',').expect("a line has fields");
        if !name.starts_with("payload/") && !name.starts_with("cloudevents/") {
            continue;
        }
        let read = seen
            .remove(name)
            .unwrap_or_else(|| panic!("{name}: {AGAIN}"));
        let digest = Sha256::digest(line);
        let digits = digest.iter().map(|byte| format!("{byte:02x}"));
        let digest = digits.collect::<Vec<_>>().concat();
        assert_eq!(read["sha256"], digest, "{name}: {AGAIN}");
    }
    assert!(seen.is_empty(), "{AGAIN}");
}

#[test]
fn the_sdk_for_cloud_events_sees_the_event_that_was_written() {
    let written = json!({"user": {"id": "u-9"}, "n": 1.5, "region": "eu"});
    for (name, seen) in seen() {
        let attributes = &seen["attributes"];
        let [format, key, headers] = name.split('/').collect::<Vec<_>>()[..] else {
            panic!("{name}");
        };
        let is_own = headers == "own";
        for (attribute, expected) in [
            ("specversion", "1.0"),
            ("id", "01234567-89ab-cdef-0123-456789abcdef"),
            ("source", if is_own { "/row" } else { "/shop" }),
            ("type", "OrderPlaced"),
            ("time", "2026-03-04 05:06:07.000089+00:00"),
            ("subject", "o-1"),
            (
                "datacontenttype",
                if is_own { "text/x" } else { "application/json" },
            ),
        ] {
            assert_eq!(attributes[attribute], expected, "{name}: {attribute}");
        }
        let partition = match key {
            "aggregate" => json!("o-1"),
            "composite" => json!("u-9:2026-03-04T05:06Z"),
            "text" if is_own => json!("é ACMÉ\n"),
            "text" => json!("é ACME"),
            _ => Value::Null,
        };
        assert_eq!(attributes["partitionkey"], partition, "{name}");
        let is_traced = (format, headers) == ("cloudevents", "traced");
        assert_eq!(attributes["correlationid"] == "c-1", is_traced, "{name}");
        // Data that a header calls text are text to the SDK, where they are no JSON document's part.
        let as_text = seen["data"].as_str().filter(|_| is_own);
        let data = as_text.map_or_else(
            || seen["data"].clone(),
            |text| serde_json::from_str(text).expect("it is JSON"),
        );
        assert_eq!(data, written, "{name}");
    }
}
