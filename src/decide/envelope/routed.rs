//! Records in Debezium's format.
//!
//! Owns which fields there are and their order: `id` first, then the headers of the route, then those of the
//! row. What stands in each is decided in `decide::debezium`.
//!
//! Invariant: no header name stands twice; a row's or a route's own `id` takes the place of the event's.

use std::sync::Arc;

use super::own::Header;
use crate::decide::envelope::Form;
use crate::event::{Event, Payload};
use crate::outcome::Defect;
use crate::record::Record;

/// The header that tells an event from others.
const ID: &str = "id";
/// What it and the words around the others seldom outgrow, in bytes.
const HEADERS_BYTES: usize = 64;

/// The record that carries an event to its topic.
pub(super) fn record(
    (event, payload): (&Event, Option<&Payload>),
    form: &Form,
    topic: Arc<str>,
    others: Vec<Header<'_>>,
) -> Result<Record, Defect> {
    let debezium = &form.debezium;
    let key = debezium.key(form.key_of(event)?)?;
    let value = debezium.value(event, payload)?;
    let headers_bytes = HEADERS_BYTES + event.headers.as_ref().map_or(0, String::len);
    let timestamp_ms = event.created_at.timestamp_millis();
    let (key, value) = (key.as_deref(), value.as_deref());
    let mut record = Record::new(topic, timestamp_ms, key, value, headers_bytes);
    record.partition = form.partition_of(event)?;
    let id = others
        .iter()
        .all(|header| header.name != ID)
        .then(|| Header {
            name: ID.into(),
            value: Some(event.id_text()),
        });
    for Header { name, value } in id.into_iter().chain(others) {
        let value = debezium.header(&name, value)?;
        record.push_header(&name, value.as_deref());
    }
    Ok(record)
}
