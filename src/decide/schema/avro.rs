//! JSON as Avro (Avro's specification, "Binary Encoding").
//!
//! Owns the mapping: which JSON a schema takes, and the bytes that it becomes. The schema is parsed and
//! judged by `apache-avro`; its own values are not used, because they would be a second tree of every
//! payload, and their errors name no place. What it reads back is what the tests compare with.
//!
//! Plain JSON, not Avro's own JSON encoding: what a service writes anyway. A union is resolved by fit,
//! in the order of its branches; a field that is left out has its default, or null where null fits; a
//! field that the schema does not have is refused, for it would be lost.
//!
//! Invariants:
//! - numbers are read from their text, so that none loses a digit on the way;
//! - the effort is bounded by the length of the text, whatever a schema makes possible.

mod logical;
mod shape;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use apache_avro::Schema;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::logical::{Texts, bytes, decimal, fixed, uuid};
use self::shape::{Field, Holder, Place, Shape, Shapes};
use super::fault::Fault;
use super::number::put_long;
use crate::decide::decimal::Measure;

/// Values may lie this deep in each other.
const DEPTH_MAX: usize = 128;
/// The bytes that may be read, over and over, for each byte of a text: a union of records reads what
/// is inside once for each branch.
const EFFORT: usize = 64;
/// What follows the last block of an array or a map.
const END: &[u8] = &[0];
/// Texts shorter than this are given the effort of this one, in bytes.
const SHORT_BYTES: usize = 1_024;

/// A schema by which JSON becomes Avro.
#[derive(Debug)]
pub(super) struct Avro {
    shapes: Shapes,
    root: Place,
    name: Option<String>,
}

impl Avro {
    /// Reads a schema, and before it those that it refers to.
    pub(super) fn parse(text: &str, references: &[String]) -> Result<Self, String> {
        let told = |error: apache_avro::Error| error.to_string();
        let (schema, known) = Schema::parse_str_with_list(text, references).map_err(told)?;
        let mut shapes = Shapes::default();
        for reference in &known {
            shapes.add(reference, None)?;
        }
        let root = shapes.add(&schema, None)?;
        Ok(Self {
            shapes,
            root,
            name: schema.name().map(|name| name.fullname(None)),
        })
    }

    /// The full name of what it describes.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Writes behind `out` what a JSON text becomes.
    pub(super) fn encode(&self, json: &str, out: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let value: &RawValue =
            serde_json::from_str(json).map_err(|_| Fault::new("the value is no JSON"))?;
        let mut walk = Walk {
            shapes: &self.shapes,
            out,
            texts: Texts::OfPayload,
            depth: 0,
            effort: EFFORT * json.len().max(SHORT_BYTES),
        };
        walk.put(self.root, value.get())?;
        Ok(walk.out)
    }
}

/// One value on its way.
struct Walk<'s> {
    shapes: &'s Shapes,
    out: Vec<u8>,
    texts: Texts,
    depth: usize,
    effort: usize,
}

impl Walk<'_> {
    /// Writes one value.
    fn put(&mut self, place: Place, json: &str) -> Result<(), Fault> {
        match self.shapes.get(place) {
            Shape::Null => expect(json == "null", "expected null")?,
            Shape::Boolean => {
                expect(matches!(json, "true" | "false"), "expected a boolean")?;
                self.out.push(u8::from(json == "true"));
            }
            Shape::Int => self.int(whole(json, "of 32 bits")?)?,
            Shape::Long => self.long(whole(json, "of 64 bits")?),
            Shape::Float => {
                let number: f32 = fraction(json)?;
                expect(number.is_finite(), "the number is beyond a float")?;
                self.write(&number.to_le_bytes());
            }
            Shape::Double => {
                let number: f64 = fraction(json)?;
                expect(number.is_finite(), "the number is beyond a double")?;
                self.write(&number.to_le_bytes());
            }
            Shape::Bytes => self.sized(&bytes(&text(json, "bytes as text")?, self.texts)?),
            Shape::Text => self.sized(text(json, "a string")?.as_bytes()),
            Shape::Fixed(size) => {
                self.write(&fixed(&text(json, "bytes as text")?, *size, self.texts)?);
            }
            Shape::Enum(symbols) => {
                let given = text(json, "a symbol of the enum")?;
                let number = symbols.iter().position(|symbol| *symbol == given);
                self.number(number.ok_or_else(|| Fault::new("the enum has no such symbol"))?);
            }
            Shape::Decimal(measure, holder) => self.decimal(*measure, *holder, json)?,
            Shape::Uuid(holder) => {
                let id = uuid(&text(json, "a UUID")?)?;
                match holder {
                    Holder::Text => self.sized(id.to_string().as_bytes()),
                    Holder::Bytes => self.sized(id.as_bytes()),
                    Holder::Fixed(_) => self.write(id.as_bytes()),
                }
            }
            Shape::Time(time) => {
                let number = time.count(json)?;
                if time.is_int() {
                    self.int(number)?;
                } else {
                    self.long(number);
                }
            }
            Shape::Array(_) | Shape::Map(_) | Shape::Union(_) | Shape::Record(_) => {
                self.put_compound(place, json)?;
            }
        }
        Ok(())
    }

    /// Writes a value with others inside, as long as that is worth the effort.
    fn put_compound(&mut self, place: Place, json: &str) -> Result<(), Fault> {
        let left = self.effort.checked_sub(json.len());
        self.effort = left.ok_or_else(|| {
            Fault::new("too deep, or there are too many ways in which unions could fit")
        })?;
        expect(self.depth < DEPTH_MAX, "values lie too deep in each other")?;
        self.depth += 1;
        let shapes = self.shapes;
        let shape = shapes.get(place);
        if let Shape::Array(items) = shape {
            self.array(*items, json)?;
        } else if let Shape::Map(values) = shape {
            self.map(*values, json)?;
        } else if let Shape::Union(branches) = shape {
            self.union(branches, json)?;
        } else if let Shape::Record(fields) = shape {
            self.record(fields, json)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, shape: Place, json: &str) -> Result<(), Fault> {
        let items: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|_| Fault::new("expected an array"))?;
        self.head(items.len());
        for (place, item) in items.iter().enumerate() {
            let put = self.put(shape, item.get());
            put.map_err(|fault| fault.in_item(place))?;
        }
        self.write(END);
        Ok(())
    }

    fn map(&mut self, shape: Place, json: &str) -> Result<(), Fault> {
        let entries = entries(json, "expected an object as a map")?;
        self.head(entries.len());
        for (key, value) in &entries {
            self.sized(key.as_bytes());
            self.put(shape, value.get()).map_err(Fault::in_entry)?;
        }
        self.write(END);
        Ok(())
    }

    fn record(&mut self, fields: &[Field], json: &str) -> Result<(), Fault> {
        let entries = entries(json, "expected an object as a record")?;
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        if let Some((name, _)) = entries.iter().find(|(name, _)| !known(name)) {
            return Err(Fault::new("the schema has no such field").in_field(name));
        }
        for field in fields {
            // Of a name that repeats the last value counts, as `jsonb` has it.
            let given = entries.iter().rfind(|(name, _)| *name == field.name);
            let put = match given {
                Some((_, value)) => self.put(field.shape, value.get()),
                None => self.absent(field),
            };
            put.map_err(|fault| fault.in_field(&field.name))?;
        }
        Ok(())
    }

    /// A field that is left out: its default, or null where null fits.
    fn absent(&mut self, field: &Field) -> Result<(), Fault> {
        if let Some(default) = &field.default {
            let before = std::mem::replace(&mut self.texts, Texts::OfDefault);
            let put = self.put(field.shape, default);
            self.texts = before;
            return put;
        }
        expect(
            self.shapes.takes_null(field.shape),
            "it is missing and has no default",
        )?;
        self.put(field.shape, "null")
    }

    /// The first branch that fits.
    fn union(&mut self, branches: &[Place], json: &str) -> Result<(), Fault> {
        let null = self.shapes.null_of(branches);
        if json == "null" {
            let place = null.ok_or_else(|| Fault::new("null fits no branch of the union"))?;
            self.number(place);
            return Ok(());
        }
        let (start, depth) = (self.out.len(), self.depth);
        let mut nearest: Option<Fault> = None;
        for (number, &branch) in branches.iter().enumerate() {
            if Some(number) == null {
                continue;
            }
            self.number(number);
            let Err(fault) = self.put(branch, json) else {
                return Ok(());
            };
            self.out.truncate(start);
            self.depth = depth;
            let is_nearer = nearest
                .as_ref()
                .is_none_or(|old| fault.depth() > old.depth());
            if is_nearer {
                nearest = Some(fault);
            }
        }
        Err(nearest.unwrap_or_else(|| Fault::new("expected null")))
    }

    fn decimal(&mut self, measure: Measure, holder: Holder, json: &str) -> Result<(), Fault> {
        let given = match json.as_bytes().first() {
            Some(b'"') => text(json, "a decimal")?,
            _ => Cow::Borrowed(json),
        };
        match holder {
            Holder::Fixed(size) => self.write(&decimal(&given, measure, Some(size))?),
            Holder::Bytes | Holder::Text => self.sized(&decimal(&given, measure, None)?),
        }
        Ok(())
    }

    /// The head of a block of so many; none are no block.
    fn head(&mut self, items: usize) {
        if items > 0 {
            self.number(items);
        }
    }

    /// Bytes after their length.
    fn sized(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn number(&mut self, number: usize) {
        let number = i64::try_from(number);
        self.long(number.expect("no length of what is in memory needs more than 63 bits"));
    }

    fn int(&mut self, number: i64) -> Result<(), Fault> {
        expect(
            i32::try_from(number).is_ok(),
            "the number is beyond 32 bits",
        )?;
        self.long(number);
        Ok(())
    }

    fn long(&mut self, number: i64) {
        put_long(&mut self.out, number);
    }
}

fn expect(is_right: bool, reason: &'static str) -> Result<(), Fault> {
    is_right.then_some(()).ok_or_else(|| Fault::new(reason))
}

fn whole(json: &str, what: &str) -> Result<i64, Fault> {
    let number = json.parse().ok();
    number.ok_or_else(|| Fault::new(format!("expected a whole number {what}")))
}

fn fraction<N: std::str::FromStr>(json: &str) -> Result<N, Fault> {
    let is_number = json.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number = is_number.then(|| json.parse().ok()).flatten();
    number.ok_or_else(|| Fault::new("expected a number"))
}

/// A string of JSON, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

fn text<'j>(json: &'j str, what: &'static str) -> Result<Cow<'j, str>, Fault> {
    serde_json::from_str(json)
        .map(|Text(text)| text)
        .map_err(|_| Fault::new(format!("expected {what}")))
}

/// The names and values of an object in their order.
fn entries<'j>(
    json: &'j str,
    expected: &'static str,
) -> Result<Vec<(Cow<'j, str>, &'j RawValue)>, Fault> {
    serde_json::Deserializer::from_str(json)
        .deserialize_map(Entries)
        .map_err(|_| Fault::new(expected))
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Self::Value = Vec::new();
        while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &RawValue>()? {
            entries.push((name, value));
        }
        Ok(entries)
    }
}
