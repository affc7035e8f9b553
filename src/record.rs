//! The noun of the target side: a record as Kafka will store it.
//!
//! Owns the bytes of one record. Knows neither how they were chosen nor how they are sent.
//!
//! Invariant: `size_bytes` is never below what the client will count for the same record.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What the client adds to key, value and headers when it measures a record, in bytes, rounded up.
/// librdkafka counts its own message overhead the same way (`RD_KAFKAP_MESSAGE_OVERHEAD`).
const OVERHEAD_BYTES: usize = 64;

/// One header of a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name; names may repeat in Kafka, though the relay never repeats one.
    pub name: Cow<'static, str>,
    /// Its bytes; `None` is a null header.
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for Header {
    /// Shows the name alone: values belong to the writer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// One record, ready to be handed to a producer.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic, already checked to be a legal name.
    pub topic: Arc<str>,
    /// The key, which also chooses the partition; `None` spreads records.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers, in the order in which they are sent.
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

impl Record {
    /// How much memory and wire this record takes, in bytes, never too little.
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Vec::len) + 10)
            .sum();
        OVERHEAD_BYTES
            + self.key.as_ref().map_or(0, Vec::len)
            + self.value.as_ref().map_or(0, Vec::len)
            + headers
    }
}

impl fmt::Debug for Record {
    /// Shows the topic and the size and nothing that a writer put into the record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("size_bytes", &self.size_bytes())
            .finish_non_exhaustive()
    }
}
