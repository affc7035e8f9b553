//! A payload's JSON as a document of its own, printed as Debezium prints one that it expanded.
//!
//! Owns the rules by which it guesses a schema (Debezium's documentation, "Outbox Event Router",
//! `table.expand.json.payload`): nulls and empty lists are left out unless asked for, a list holds values of
//! one type, and the objects of a list share all their fields.
//!
//! Invariants:
//! - what cannot be expanded is told by none, and is never printed in part;
//! - the fields of an object keep the order of the text; those of a list's objects are in the order in
//!   which they appear first.

#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use super::column::finite;
use super::{Field, PAYLOAD, json};

/// Deeper documents are not expanded: the walk must end before the stack does.
const DEPTH_MAX: usize = 128;

/// What is kept of what has no type.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keep {
    pub(super) nulls: bool,
    pub(super) empty_lists: bool,
}

/// A value; a name that repeats holds its place and its last value.
enum Node {
    Null,
    Flag(bool),
    Integer(i32),
    Long(i64),
    Double(f64),
    Text(String),
    List(Vec<Node>),
    Object(IndexMap<String, Node>),
}

/// What is guessed of a value.
#[derive(Debug, Clone, PartialEq)]
enum Schema {
    Bytes,
    Boolean,
    Int32,
    Int64,
    Float64,
    Text,
    List(Box<Schema>),
    Struct {
        name: Option<String>,
        fields: IndexMap<String, Schema>,
    },
}

/// Expands a payload, unless it is none that can be.
pub(super) fn expand(payload: &str, keep: Keep) -> Option<Field> {
    if !payload.starts_with(['{', '[']) {
        return None;
    }
    // What stands behind the first value is not looked at, as Debezium does not.
    let mut values = serde_json::Deserializer::from_str(payload).into_iter();
    let first: &RawValue = values.next()?.ok()?;
    let node = Node::read(first, DEPTH_MAX)?;
    let schema = Schema::of(Some(PAYLOAD), &node, keep).ok()??;
    let mut expanded = Field {
        schema: String::new(),
        json: String::with_capacity(payload.len()),
    };
    schema.print(&mut expanded.schema);
    schema.write(&node, &mut expanded.json)?;
    Some(expanded)
}

impl Node {
    fn read(json: &RawValue, depth_left: usize) -> Option<Self> {
        let text = json.get();
        let below = depth_left.checked_sub(1)?;
        Some(match text.as_bytes().first()? {
            b'{' => {
                let pairs: IndexMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let read = |(name, value)| Some((name, Node::read(value, below)?));
                Self::Object(pairs.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'[' => {
                let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let read = |value| Node::read(value, below);
                Self::List(values.into_iter().map(read).collect::<Option<_>>()?)
            }
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b't' => Self::Flag(true),
            b'f' => Self::Flag(false),
            b'n' => Self::Null,
            _ => Self::number(text)?,
        })
    }

    /// An integer of up to 64 bits, or a double; a larger integer is neither.
    fn number(text: &str) -> Option<Self> {
        if text.contains(['.', 'e', 'E']) {
            return finite(text).map(Self::Double);
        }
        let long: i64 = text.parse().ok()?;
        Some(i32::try_from(long).map_or(Self::Long(long), Self::Integer))
    }
}

/// A list that has no one type.
struct Mixed;

impl Schema {
    /// What a value is, or nothing where it is left out.
    fn of(name: Option<&str>, node: &Node, keep: Keep) -> Result<Option<Self>, Mixed> {
        Ok(Some(match node {
            Node::Null if keep.nulls => Self::Bytes,
            Node::Null => return Ok(None),
            Node::Flag(_) => Self::Boolean,
            Node::Integer(_) => Self::Int32,
            Node::Long(_) => Self::Int64,
            Node::Double(_) => Self::Float64,
            Node::Text(_) => Self::Text,
            Node::List(values) if values.is_empty() => {
                return Ok(keep.empty_lists.then(|| Self::List(Box::new(Self::Text))));
            }
            Node::List(values) => Self::List(Box::new(Self::of_all(name, values, keep)?)),
            Node::Object(pairs) => {
                let mut fields = IndexMap::with_capacity(pairs.len());
                for (field, value) in pairs {
                    let inner = match name {
                        Some(name) if !name.trim().is_empty() => format!("{name}.{field}"),
                        Some(_) | None => field.clone(),
                    };
                    if let Some(schema) = Self::of(Some(&inner), value, keep)? {
                        if field.is_empty() {
                            return Err(Mixed);
                        }
                        fields.insert(field.clone(), schema);
                    }
                }
                Self::Struct {
                    name: name.map(ToOwned::to_owned),
                    fields,
                }
            }
        }))
    }

    /// What all values of a list are.
    fn of_all(name: Option<&str>, values: &[Node], keep: Keep) -> Result<Self, Mixed> {
        let mut present = values.iter().filter(|node| !matches!(node, Node::Null));
        let first = present.next().unwrap_or(&Node::Null);
        if present.any(|node| std::mem::discriminant(node) != std::mem::discriminant(first)) {
            return Err(Mixed);
        }
        if !matches!(first, Node::Object(_)) {
            return Self::of(None, first, keep)?.ok_or(Mixed);
        }
        let mut merged: Option<Self> = None;
        let objects = values.iter().filter(|node| matches!(node, Node::Object(_)));
        for object in objects {
            let schema = Self::of(name, object, keep)?.ok_or(Mixed)?;
            match &mut merged {
                Some(merged) => merged.merge(schema),
                None => merged = Some(schema),
            }
        }
        merged.ok_or(Mixed)
    }

    /// Takes over the fields of another struct that this one lacks, or knows nothing but null of.
    fn merge(&mut self, other: Self) {
        if let (Self::Struct { fields, .. }, Self::Struct { fields: others, .. }) = (self, other) {
            for (name, schema) in others {
                match fields.get_mut(&name) {
                    Some(known) if *known == Self::Bytes => *known = schema,
                    Some(_) => {}
                    None => {
                        fields.insert(name, schema);
                    }
                }
            }
        }
    }

    /// Prints the schema, the last brace left open.
    fn print(&self, out: &mut String) {
        out.push_str("{\"type\":\"");
        out.push_str(match self {
            Self::Bytes => "bytes",
            Self::Boolean => "boolean",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "double",
            Self::Text => "string",
            Self::List(_) => "array",
            Self::Struct { .. } => "struct",
        });
        out.push('"');
        match self {
            Self::List(of) => {
                out.push_str(",\"items\":");
                of.print(out);
                out.push('}');
            }
            Self::Struct { fields, .. } => {
                out.push_str(",\"fields\":[");
                for (place, (name, field)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    field.print(out);
                    out.push_str(",\"field\":");
                    json::quote(name, out);
                    out.push('}');
                }
                out.push(']');
            }
            Self::Bytes
            | Self::Boolean
            | Self::Int32
            | Self::Int64
            | Self::Float64
            | Self::Text => {}
        }
        out.push_str(",\"optional\":true");
        if let Self::Struct {
            name: Some(name), ..
        } = self
        {
            out.push_str(",\"name\":");
            json::quote(name, out);
        }
    }

    /// Writes a value, if it is what was guessed.
    fn write(&self, node: &Node, out: &mut String) -> Option<()> {
        match (self, node) {
            (_, Node::Null) => out.push_str("null"),
            (Self::Boolean, Node::Flag(flag)) => out.push_str(if *flag { "true" } else { "false" }),
            (Self::Int32, Node::Integer(number)) => out.push_str(&number.to_string()),
            (Self::Int64, Node::Long(number)) => out.push_str(&number.to_string()),
            (Self::Float64, Node::Double(number)) => out.push_str(&json::double(*number)),
            (Self::Text, Node::Text(text)) => json::quote(text, out),
            (Self::List(of), Node::List(values)) => {
                out.push('[');
                for (place, value) in values.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    of.write(value, out)?;
                }
                out.push(']');
            }
            (Self::Struct { fields, .. }, Node::Object(pairs)) => {
                out.push('{');
                for (place, (name, schema)) in fields.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    json::quote(name, out);
                    out.push(':');
                    schema.write(pairs.get(name.as_str()).unwrap_or(&Node::Null), out)?;
                }
                out.push('}');
            }
            _ => return None,
        }
        Some(())
    }
}
