//! A tally of what a receiver saw of events that count up: `{"n": 1}`, `{"n": 2}`, … in each key.
//!
//! Owns the judgement. Knows neither relay nor outbox.

use std::collections::{HashMap, HashSet};

use super::Received;

/// The number in a record's payload.
pub(crate) fn number(record: &Received) -> i64 {
    let value: serde_json::Value =
        serde_json::from_slice(record.value.as_deref().expect("a payload"))
            .expect("the payload is JSON");
    value["n"].as_i64().expect("the payload counts")
}

/// Panics unless there are so many records, no event twice, and each key's numbers rise.
pub(crate) fn assert_once_in_order(records: &[Received], count: usize) {
    let mut seen = HashSet::new();
    let mut last = HashMap::new();
    for record in records {
        let id = record.header("ce_id").expect("an event's id").to_owned();
        assert!(seen.insert(id), "twice: {record:?}");
        let number = number(record);
        if let Some(before) = last.insert(record.key.clone(), number) {
            assert!(before < number, "after {before}: {record:?}");
        }
    }
    assert_eq!(records.len(), count, "no more and no less");
}
