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

/// Where large payloads are put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this table, by the event's id.
    Table(String),
    /// In a store of objects, below this address.
    Store(String),
}

impl Place {
    /// Where the payload of an event is found.
    pub fn location(&self, id: Uuid, sha256: &str) -> String {
        match self {
            Self::Table(table) => table.clone(),
            Self::Store(address) => format!("{address}/{}", object_name(id, sha256)),
        }
    }
}

/// What a payload is called in a store: a second one of the same id takes nothing from the first, and
/// one that is stored again is stored in the same place.
pub fn object_name(id: Uuid, sha256: &str) -> String {
    format!("{id}/{sha256}")
}

/// Where a payload stands, and what tells that it is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table that holds it, by the event's id: `postgresql:schema.table`; or the object that it is:
    /// `s3://bucket/prefix/id/sha256`.
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
    /// A reference to the payload of an event.
    pub fn new(place: &Place, id: Uuid, size_bytes: i64, sha256: String) -> Self {
        Self {
            location: place.location(id, &sha256),
            size_bytes,
            sha256,
        }
    }

    /// A reference to a payload that nobody has looked at yet: as long as any.
    pub fn blank(place: &Place) -> Self {
        Self::new(place, Uuid::nil(), i64::MAX, "0".repeat(64))
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
