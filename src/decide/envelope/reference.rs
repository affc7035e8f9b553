//! What stands in a record for a payload that is too large for it.
//!
//! Owns the form of a reference: a small JSON document, and the header that tells it from a payload. Does
//! not know how a payload came where it is.
//!
//! Invariant: what a reference tells is about the payload's bytes as they would have stood in the record.

use serde::Serialize;
use uuid::Uuid;

/// The header of records that hold a reference; its value is the location.
pub const REFERENCE_HEADER: &str = "claim-check";

/// Where a payload stands, and what tells that it is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The place that holds it, by the event's id: `postgresql:schema.table`.
    pub location: String,
    /// How long it is.
    pub size_bytes: i64,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// The document, in the order of its keys.
#[derive(Serialize)]
struct Document<'r> {
    id: Uuid,
    location: &'r str,
    size_bytes: i64,
    sha256: &'r str,
}

impl Reference {
    /// A reference to a payload that nobody has looked at yet: as long as any.
    pub fn blank(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            size_bytes: i64::MAX,
            sha256: "0".repeat(64),
        }
    }

    /// The JSON that stands in the payload's place.
    pub(super) fn document(&self, id: Uuid) -> String {
        let document = Document {
            id,
            location: &self.location,
            size_bytes: self.size_bytes,
            sha256: &self.sha256,
        };
        serde_json::to_string(&document).expect("a document of texts and numbers has a JSON form")
    }
}
