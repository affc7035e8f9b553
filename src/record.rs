//! The noun of the target side: a record as Kafka will store it.
//!
//! Owns the bytes of one record, all in one buffer: records are made and dropped on different
//! threads at the rate of the events, and each buffer more costs both. Knows neither how the bytes
//! were chosen nor how they are sent.
//!
//! Invariant: `size_bytes` is never below what the client will count for the same record.

mod schema;

use std::fmt;
use std::sync::Arc;

pub use self::schema::{SchemaFile, SchemaName, SchemaOrigin, SchemaType};

/// What the client adds to key, value and headers when it measures a record, in bytes, rounded up.
/// librdkafka counts its own message overhead the same way (`RD_KAFKAP_MESSAGE_OVERHEAD`).
const OVERHEAD_BYTES: usize = 64;

/// What the client adds to the name and the value of each header, in bytes.
const HEADER_OVERHEAD_BYTES: usize = 10;

/// What the client counts for each record beside its key, value and headers, in bytes (librdkafka,
/// `RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const COUNTED_OVERHEAD_BYTES: usize = 36;

/// How many bytes stand before each field, and tell its length.
const PREFIX_BYTES: usize = size_of::<u32>();

/// The length that stands for a field that is null.
const NULL: u32 = u32::MAX;

/// One record, ready to be handed to a producer.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The topic, already checked to be a legal name.
    pub topic: Arc<str>,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Its partition, where that is not left to the key.
    pub partition: Option<i32>,
    /// What its value is encoded by when it is handed over; none where it goes as it is.
    pub schema: Option<Arc<SchemaName>>,
    /// Key, value, then name and value of each header; before each its length.
    fields: Vec<u8>,
    headers: usize,
}

impl Record {
    /// A record without headers, with room for `headers_bytes` of them. The key also chooses the
    /// partition, unless one is set, and `None` spreads records; the value `None` is a tombstone.
    pub fn new(
        topic: Arc<str>,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers_bytes: usize,
    ) -> Self {
        let len = |field: Option<&[u8]>| PREFIX_BYTES + field.map_or(0, <[u8]>::len);
        let mut fields = Vec::with_capacity(len(key) + len(value) + headers_bytes);
        push(&mut fields, key);
        push(&mut fields, value);
        Self {
            topic,
            timestamp_ms,
            partition: None,
            schema: None,
            fields,
            headers: 0,
        }
    }

    /// Adds a header; they are sent in the order in which they were added. Names may repeat in
    /// Kafka, though the relay never repeats one.
    pub fn push_header(&mut self, name: &str, value: Option<&[u8]>) {
        push(&mut self.fields, Some(name.as_bytes()));
        push(&mut self.fields, value);
        self.headers += 1;
    }

    /// The key.
    pub fn key(&self) -> Option<&[u8]> {
        self.fields().next().flatten()
    }

    /// The value.
    pub fn value(&self) -> Option<&[u8]> {
        self.fields().nth(1).flatten()
    }

    /// The headers, name and value, in the order in which they are sent.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, Option<&[u8]>)> {
        let mut fields = self.fields();
        fields.nth(1);
        (0..self.headers).map(move |_| {
            let name = fields.next().flatten();
            (text(name), fields.next().flatten())
        })
    }

    /// How much memory and wire this record takes, in bytes, never too little.
    pub fn size_bytes(&self) -> usize {
        let prefixes = 2 * (1 + self.headers) * PREFIX_BYTES;
        OVERHEAD_BYTES + self.fields.len() - prefixes + self.headers * HEADER_OVERHEAD_BYTES
    }

    /// What the client compares with `message.max.bytes`, in bytes (librdkafka,
    /// `rd_kafka_msg_max_wire_size` and `rd_kafka_header_add`).
    pub fn counted_bytes(&self) -> usize {
        let counted =
            |field: Option<&[u8]>| field.map_or(1, |field| field.len() + length_bytes(field.len()));
        let headers = self.headers();
        let headers = headers.map(|(name, value)| counted(Some(name.as_bytes())) + counted(value));
        let len = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        COUNTED_OVERHEAD_BYTES + len(self.key()) + len(self.value()) + headers.sum::<usize>()
    }

    fn fields(&self) -> Fields<'_> {
        Fields(&self.fields)
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

/// Writes one field.
fn push(fields: &mut Vec<u8>, field: Option<&[u8]>) {
    let len = field.map_or(NULL, |field| {
        u32::try_from(field.len()).expect(
            "no column of a row holds more than 1 GB, nor a document around one more than two",
        )
    });
    fields.extend_from_slice(&len.to_ne_bytes());
    fields.extend_from_slice(field.unwrap_or_default());
}

/// What a length takes on the wire: seven bits a byte, and one for the sign.
fn length_bytes(length: usize) -> usize {
    let bits = usize::BITS - length.leading_zeros() + 1;
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}

/// A header's name.
fn text(field: Option<&[u8]>) -> &str {
    std::str::from_utf8(field.unwrap_or_default()).expect("only text is pushed as a name")
}

/// The fields of a record that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let len = u32::from_ne_bytes(*len);
        if len == NULL {
            return Some(None);
        }
        let (field, rest) = rest.split_at(usize::try_from(len).ok()?);
        self.0 = rest;
        Some(Some(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Field = Option<Vec<u8>>;

    #[test]
    fn what_the_client_counts_has_lengths_of_as_many_bytes_as_they_need() {
        let mut record = Record::new("t".into(), 1, Some(b"k"), Some(b"value"), 0);
        assert_eq!(record.counted_bytes(), 36 + 1 + 5);
        record.push_header("a", None);
        assert_eq!(record.counted_bytes(), 36 + 6 + (1 + 1) + 1);
        record.push_header("b", Some(&[0; 63]));
        record.push_header("c", Some(&[0; 64]));
        assert_eq!(record.counted_bytes(), 36 + 6 + 3 + (2 + 64) + (2 + 66));
        record.push_header("d", Some(&[0; 8_192]));
        assert_eq!(record.counted_bytes(), 36 + 6 + 3 + 66 + 68 + (2 + 8_195));
        assert!(record.counted_bytes() <= record.size_bytes());
    }

    proptest! {
        #[test]
        fn a_record_holds_what_was_put_into_it(
            key: Field,
            value: Field,
            headers: Vec<(String, Field)>,
        ) {
            let mut record = Record::new("t".into(), 1, key.as_deref(), value.as_deref(), 0);
            for (name, value) in &headers {
                record.push_header(name, value.as_deref());
            }
            prop_assert_eq!(record.key(), key.as_deref());
            prop_assert_eq!(record.value(), value.as_deref());
            let held: Vec<(String, Field)> = record
                .headers()
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect();
            prop_assert_eq!(&held, &headers);
            let len = |field: &Field| field.as_ref().map_or(0, Vec::len);
            let of_headers: usize = headers.iter().map(|(name, value)| name.len() + len(value) + 10).sum();
            prop_assert!(record.counted_bytes() <= record.size_bytes());
            prop_assert_eq!(record.size_bytes(), 64 + len(&key) + len(&value) + of_headers);
        }
    }
}
