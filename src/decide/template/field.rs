//! How one field of a JSON text is found.
//!
//! Owns the walk, which builds no tree: what is not asked for is skipped. Does not know what the text is.
//!
//! Invariant: no fault shows anything of the text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a field gives no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    /// It is an object or an array.
    Compound,
    /// What holds it cannot be read.
    Unreadable,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing or null",
            Self::Compound => "is an object or an array",
            Self::Unreadable => "stands in what is no JSON",
        })
    }
}

/// The field at a path, as text: a string without its quotes, a number or boolean as it stands.
pub(super) fn text<'j>(json: &'j str, path: &[String]) -> Result<Cow<'j, str>, Fault> {
    let mut rest = json.trim_ascii();
    for name in path {
        if !rest.starts_with('{') {
            return Err(Fault::Missing);
        }
        let mut object = serde_json::Deserializer::from_str(rest);
        let found = object.deserialize_map(Field(name));
        rest = match found.map_err(|_| Fault::Unreadable)? {
            Some(value) => value.get(),
            None => return Err(Fault::Missing),
        };
    }
    match rest.as_bytes().first() {
        Some(b'"') => serde_json::from_str(rest)
            .map(|Text(text)| text)
            .map_err(|_| Fault::Unreadable),
        Some(b'{' | b'[') => Err(Fault::Compound),
        _ if rest == "null" => Err(Fault::Missing),
        _ => Ok(Cow::Borrowed(rest)),
    }
}

/// A string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

/// Finds the value of one name in an object. Where a name repeats the last one counts, as `jsonb` has
/// it.
struct Field<'p>(&'p str);

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsName(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a name with the one that is looked for.
struct IsName<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
