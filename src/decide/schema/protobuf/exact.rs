//! Whole numbers that would lose digits on their way.
//!
//! Owns how they are found. `prost-reflect` reads a number with a fraction, with an exponent or of more
//! than 64 bits as a float, and makes a whole number of that where the field is one.

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::Value;

use super::{expected, field, kind_in_map};
use crate::decide::schema::fault::Fault;

/// A number without an exponent that a float does not hold has at least as many digits.
const DIGITS_MIN: usize = 16;
/// Below this, 2^53, a float holds every whole number, and no other is read as one of them.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether a text of JSON may have such a number. Few have: then it is worth a second look.
pub(super) fn may_be_rounded(json: &str) -> bool {
    let (mut digits, mut in_text) = (0, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_text = !in_text,
            // What is escaped ends no text.
            b'\\' => drop(bytes.next()),
            _ if in_text => {}
            b'0'..=b'9' => digits += 1,
            b'.' => {}
            b'e' | b'E' if digits > 0 => return true,
            _ => digits = 0,
        }
        if digits >= DIGITS_MIN {
            return true;
        }
    }
    false
}

/// Looks for such numbers in a value that fits.
pub(super) fn check(kind: &Kind, value: &Value) -> Result<(), Fault> {
    match value {
        Value::Number(number) if is_whole(kind) => {
            let is_exact = number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|float| float.abs() < EXACT_MAX);
            let told = || Fault::new(format!("expected {}", expected(kind)));
            is_exact.then_some(()).ok_or_else(told)
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(place, item)| {
                check(kind, item).map_err(|fault| fault.in_item(place))
            })
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let Some(field) = kind.as_message().and_then(|message| field(message, name)) else {
                return Ok(());
            };
            check_field(&field, value).map_err(|fault| fault.in_field(field.name()))
        }),
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn check_field(field: &FieldDescriptor, value: &Value) -> Result<(), Fault> {
    let (Some(kind), Value::Object(entries)) = (kind_in_map(field), value) else {
        return check(&field.kind(), value);
    };
    let mut values = entries.values();
    values.try_for_each(|value| check(&kind, value).map_err(Fault::in_entry))
}

/// Whether it is a whole number, or Protobuf's own message around one.
fn is_whole(kind: &Kind) -> bool {
    match kind {
        Kind::Double | Kind::Float | Kind::Bool | Kind::String | Kind::Bytes | Kind::Enum(_) => {
            false
        }
        Kind::Message(message) => matches!(
            message.full_name(),
            "google.protobuf.Int64Value" | "google.protobuf.UInt64Value"
        ),
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Fixed32
        | Kind::Fixed64
        | Kind::Sfixed32
        | Kind::Sfixed64 => true,
    }
}
