//! How a row's own headers are read.
//!
//! Owns what becomes of the JSON that a row holds: which names, which values, in which order. Does
//! not know the headers that the relay adds, nor the record.
//!
//! Invariants:
//! - no name stands twice: where the text repeats one the last value counts, as `jsonb` has it;
//! - a text that cannot be read is a defect, and the defect shows nothing of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::outcome::Defect;

/// A header on its way into a record; `None` is a null header.
pub(super) struct Header<'r> {
    pub(super) name: Cow<'r, str>,
    pub(super) value: Option<Cow<'r, str>>,
}

/// Takes a header, whose name may be in any case, out of others; none where it is absent or null.
/// Where it stands in several spellings the last one counts.
pub(super) fn take<'r>(headers: &mut Vec<Header<'r>>, name: &str) -> Option<Cow<'r, str>> {
    let mut taken = None;
    headers.retain_mut(|header| {
        let is_it = header.name.eq_ignore_ascii_case(name);
        if is_it {
            taken = header.value.take();
        }
        !is_it
    });
    taken
}

/// Reads the row's own headers: each name once, in the order of the text.
pub(super) fn own_headers(text: &str) -> Result<Vec<Header<'_>>, Defect> {
    // serde_json's own reason may quote a value.
    let Pairs(pairs) = serde_json::from_str(text)
        .map_err(|_| Defect::new("the row's headers are not a JSON object"))?;
    let mut own = pairs
        .into_iter()
        .map(|(name, value)| {
            Ok(Header {
                name: name.into(),
                value: header_value(value.get())?,
            })
        })
        .collect::<Result<Vec<_>, Defect>>()?;
    keep_last_of_each_name(&mut own);
    Ok(own)
}

/// The text of one header: a string as it is, null as a null header, anything else as its text.
fn header_value(json: &str) -> Result<Option<Cow<'_, str>>, Defect> {
    if json == "null" {
        return Ok(None);
    }
    if !json.starts_with('"') {
        return Ok(Some(Cow::Borrowed(json)));
    }
    serde_json::from_str(json)
        .map(|string: String| Some(Cow::Owned(string)))
        .map_err(|_| Defect::new("one of the row's headers is not valid Unicode"))
}

/// Drops every header whose name comes again later.
fn keep_last_of_each_name(headers: &mut Vec<Header<'_>>) {
    if headers.len() < 2 {
        return;
    }
    let last: HashMap<&str, usize> = headers
        .iter()
        .enumerate()
        .map(|(place, header)| (header.name.as_ref(), place))
        .collect();
    if last.len() == headers.len() {
        return;
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    let mut kept = kept.into_iter().peekable();
    let mut place = 0;
    headers.retain(|_| {
        let keep = kept.next_if_eq(&place).is_some();
        place += 1;
        keep
    });
}

/// The pairs of a JSON object in the order of its text, values unread.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Collects [`Pairs`].
struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
