//! An Avro schema in the shape in which values are walked by it.
//!
//! Owns the translation from the parsed schema: every name is resolved, so that a walk looks nothing
//! up. Parsing, and what is wrong with a schema, is the crate's.
//!
//! Invariant: every number in a shape is a place in its list.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, RecordSchema, UuidSchema};

use super::logical::{Time, Unit};
use crate::decide::decimal::Measure;

/// A place in the list of shapes.
pub(super) type Place = usize;

/// How the bytes of a decimal or a UUID stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Bytes,
    Text,
    Fixed(usize),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) shape: Place,
    /// The JSON of its default.
    pub(super) default: Option<String>,
}

/// What a value must be.
#[derive(Debug)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Array(Place),
    Map(Place),
    Union(Vec<Place>),
    Record(Vec<Field>),
    Enum(Vec<String>),
    Decimal(Measure, Holder),
    Uuid(Holder),
    Time(Time),
}

/// The shapes of one schema.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    list: Vec<Shape>,
    named: HashMap<String, Place>,
}

impl Shapes {
    pub(super) fn get(&self, place: Place) -> &Shape {
        &self.list[place]
    }

    /// Whether null fits.
    pub(super) fn takes_null(&self, place: Place) -> bool {
        let shape = self.get(place);
        if let Shape::Union(branches) = shape {
            return self.null_of(branches).is_some();
        }
        matches!(shape, Shape::Null)
    }

    /// Which branch of a union null is.
    pub(super) fn null_of(&self, branches: &[Place]) -> Option<usize> {
        branches
            .iter()
            .position(|&branch| matches!(self.get(branch), Shape::Null))
    }

    /// Adds a schema, in which names may be short for those of its namespace.
    pub(super) fn add(
        &mut self,
        schema: &Schema,
        namespace: Option<&str>,
    ) -> Result<Place, String> {
        let shape = match schema {
            Schema::Ref { name } => {
                let full = name.fullname(namespace);
                let known = self.named.get(&full).copied();
                return known.ok_or_else(|| format!("the schema names {full}, which it lacks"));
            }
            Schema::Record(record) => return self.record(record, namespace),
            Schema::Array(array) => Shape::Array(self.add(&array.items, namespace)?),
            Schema::Map(map) => Shape::Map(self.add(&map.types, namespace)?),
            Schema::Union(union) => {
                let branches = union.variants().iter();
                let branches: Result<_, _> =
                    branches.map(|branch| self.add(branch, namespace)).collect();
                Shape::Union(branches?)
            }
            Schema::Enum(symbols) => Shape::Enum(symbols.symbols.clone()),
            Schema::Fixed(fixed) | Schema::Duration(fixed) => Shape::Fixed(fixed.size),
            Schema::Decimal(decimal) => {
                let measure = Measure {
                    precision: decimal.precision,
                    scale: decimal.scale,
                };
                Shape::Decimal(
                    measure,
                    match &decimal.inner {
                        InnerDecimalSchema::Bytes => Holder::Bytes,
                        InnerDecimalSchema::Fixed(fixed) => Holder::Fixed(fixed.size),
                    },
                )
            }
            Schema::Uuid(uuid) => Shape::Uuid(match uuid {
                UuidSchema::Bytes => Holder::Bytes,
                UuidSchema::String => Holder::Text,
                UuidSchema::Fixed(fixed) => Holder::Fixed(fixed.size),
            }),
            Schema::BigDecimal => return Err("big-decimal has no JSON form".to_owned()),
            Schema::Null => Shape::Null,
            Schema::Boolean => Shape::Boolean,
            Schema::Int => Shape::Int,
            Schema::Long => Shape::Long,
            Schema::Float => Shape::Float,
            Schema::Double => Shape::Double,
            Schema::Bytes => Shape::Bytes,
            Schema::String => Shape::Text,
            Schema::Date => Shape::Time(Time::Date),
            Schema::TimeMillis => Shape::Time(Time::OfDay(Unit::Milliseconds)),
            Schema::TimeMicros => Shape::Time(Time::OfDay(Unit::Microseconds)),
            Schema::TimestampMillis => Shape::Time(Time::Stamp(Unit::Milliseconds)),
            Schema::TimestampMicros => Shape::Time(Time::Stamp(Unit::Microseconds)),
            Schema::TimestampNanos => Shape::Time(Time::Stamp(Unit::Nanoseconds)),
            Schema::LocalTimestampMillis => Shape::Time(Time::Local(Unit::Milliseconds)),
            Schema::LocalTimestampMicros => Shape::Time(Time::Local(Unit::Microseconds)),
            Schema::LocalTimestampNanos => Shape::Time(Time::Local(Unit::Nanoseconds)),
        };
        let place = self.push(shape);
        if let Some(name) = schema.name() {
            self.named.insert(name.fullname(namespace), place);
        }
        Ok(place)
    }

    fn record(&mut self, record: &RecordSchema, namespace: Option<&str>) -> Result<Place, String> {
        // Its name is known before its fields are read: one of them may be of its own kind.
        let place = self.push(Shape::Null);
        self.named.insert(record.name.fullname(namespace), place);
        let inside = record.name.namespace().or(namespace);
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            fields.push(Field {
                name: field.name.clone(),
                shape: self.add(&field.schema, inside)?,
                default: field.default.as_ref().map(ToString::to_string),
            });
        }
        self.list[place] = Shape::Record(fields);
        Ok(place)
    }

    fn push(&mut self, shape: Shape) -> Place {
        self.list.push(shape);
        self.list.len() - 1
    }
}
