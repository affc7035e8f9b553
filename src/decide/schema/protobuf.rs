//! JSON as Protobuf (Protobuf's documentation, "`ProtoJSON` Format" and "Encoding").
//!
//! Owns which message of a schema a value is, and where a value does not fit it. The schema is compiled
//! by `protox`, and the JSON read by `prost-reflect`; their errors quote values, so that the place of a
//! fault alone is taken from them, and told in words of our own.
//!
//! Before the message stand the numbers that lead to it in its schema (Confluent's "Wire format").
//!
//! Invariants:
//! - no whole number loses a digit (see `exact`);
//! - nothing is read but the schema, those that it refers to and Protobuf's own types: a schema that
//!   imports anything else is refused;
//! - what stands in a fault is a name of the schema, or one of a field that the schema does not have.

mod exact;
#[cfg(test)]
mod tests;

use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    ReflectMessage as _, Value as Held,
};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use serde_json::Value;
use serde_path_to_error::{Segment, Track};

use super::fault::Fault;
use super::number::put_long;

/// What the schema is called among the files that it refers to: a registry gives it no name.
const ROOT: &str = "value.schema.proto";
/// Brackets of a schema may lie this deep in each other: the compiler calls itself for each.
const DEPTH_MAX: usize = 100;
/// Where the types are that Protobuf brings along. Their JSON is of a form of its own.
const WELL_KNOWN: &str = "google.protobuf.";

/// A message by which JSON becomes Protobuf.
#[derive(Debug)]
pub(super) struct Protobuf {
    message: MessageDescriptor,
    /// Leads to the message in its schema.
    head: Vec<u8>,
}

impl Protobuf {
    /// Reads a schema with those that it refers to, and takes this message of it, or its first one.
    pub(super) fn parse(
        text: &str,
        references: &[(String, String)],
        message: Option<&str>,
    ) -> Result<Self, String> {
        let pool = compile(text, references)?;
        let found = match message {
            None => pool
                .get_file_by_name(ROOT)
                .and_then(|file| file.messages().next()),
            // Numbers lead to the messages of the schema itself, and to no others.
            Some(name) => pool
                .get_message_by_name(name)
                .filter(|known| known.parent_file().name() == ROOT && !known.is_map_entry()),
        };
        let message = found.ok_or_else(|| match message {
            None => "the schema has no message".to_owned(),
            Some(name) => format!("the schema has no message {name:?}"),
        })?;
        let head = head(&message);
        Ok(Self { message, head })
    }

    /// The full name of the message.
    pub(super) fn name(&self) -> &str {
        self.message.full_name()
    }

    /// Writes behind `out` what a JSON text becomes.
    pub(super) fn encode(&self, json: &str, mut out: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let mut track = Track::new();
        let mut text = serde_json::Deserializer::from_str(json);
        let read = DynamicMessage::deserialize_with_options(
            self.message.clone(),
            serde_path_to_error::Deserializer::new(&mut text, &mut track),
            &DeserializeOptions::new().deny_unknown_fields(true),
        );
        let whole = read.ok().filter(|_| text.end().is_ok());
        let message = whole.ok_or_else(|| self.fault(json, track))?;
        check_required(&message)?;
        if exact::may_be_rounded(json)
            && let Ok(value) = serde_json::from_str(json)
        {
            exact::check(&Kind::Message(self.message.clone()), &value)?;
        }
        out.extend_from_slice(&self.head);
        out.extend(message.encode_to_vec());
        Ok(out)
    }

    /// What is wrong with a text that could not be read beyond some place.
    fn fault(&self, json: &str, track: Track) -> Fault {
        let Ok(value) = serde_json::from_str(json) else {
            return Fault::new("the value is no JSON, or too deep");
        };
        let path = track.path();
        let path: Vec<&Segment> = path.iter().collect();
        fault(&Kind::Message(self.message.clone()), &value, &path)
    }
}

fn compile(text: &str, references: &[(String, String)]) -> Result<DescriptorPool, String> {
    let mut files = vec![(ROOT.to_owned(), text.to_owned())];
    files.extend_from_slice(references);
    if files.iter().any(|(_, text)| depth(text) > DEPTH_MAX) {
        return Err("no Protobuf schema: it is too deep".to_owned());
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(Known(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    let read = compiler.open_file(ROOT);
    read.map_err(|error| format!("no Protobuf schema: {error}"))?;
    Ok(compiler.descriptor_pool())
}

/// How deep brackets of any kind lie in each other, at most: those in comments count as well.
fn depth(text: &str) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' | b'<' => now += 1,
            b'}' | b']' | b')' | b'>' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// The numbers of a message and of those around it, each among its like, from the outermost: first how
/// many they are. The first message of a schema, which most are, is a zero alone.
fn head(message: &MessageDescriptor) -> Vec<u8> {
    let mut places = Vec::new();
    let mut next = Some(message.clone());
    while let Some(message) = next {
        next = message.parent_message();
        places.push(place(&message, next.as_ref()));
    }
    if places == [0] {
        return vec![0];
    }
    let mut head = Vec::new();
    put_long(&mut head, i64::try_from(places.len()).unwrap_or(i64::MAX));
    places
        .iter()
        .rev()
        .for_each(|&place| put_long(&mut head, place));
    head
}

/// The number of a message among those beside it. The entries of maps are messages too, and are not
/// counted, as in Confluent's `ProtobufSchema.toMessageIndexes`.
fn place(message: &MessageDescriptor, parent: Option<&MessageDescriptor>) -> i64 {
    let mut beside: Vec<_> = match parent {
        Some(parent) => parent.child_messages().collect(),
        None => message.parent_file().messages().collect(),
    };
    beside.retain(|other| !other.is_map_entry());
    let place = beside.iter().position(|other| other == message);
    place
        .and_then(|place| i64::try_from(place).ok())
        .unwrap_or_default()
}

/// What is wrong at the end of a path, seen from its start.
fn fault(kind: &Kind, value: &Value, path: &[&Segment]) -> Fault {
    let inside = || {
        let (Segment::Map { key }, rest) = path.split_first()? else {
            return None;
        };
        let field = field(kind.as_message()?, key)?;
        Some(in_field(&field, &value[key.as_str()], rest).in_field(field.name()))
    };
    inside().unwrap_or_else(|| here(kind, value))
}

fn in_field(field: &FieldDescriptor, value: &Value, path: &[&Segment]) -> Fault {
    match (path.split_first(), kind_in_map(field)) {
        (Some((Segment::Map { key }, rest)), Some(kind)) => {
            fault(&kind, &value[key.as_str()], rest).in_entry()
        }
        (_, Some(_)) => Fault::new("expected an object as a map, with keys of its type"),
        (Some((Segment::Seq { index }, rest)), None) if field.is_list() => {
            fault(&field.kind(), &value[*index], rest).in_item(*index)
        }
        (_, None) if field.is_list() => Fault::new("expected an array"),
        (_, None) => fault(&field.kind(), value, path),
    }
}

/// What the values of a field are that is a map.
fn kind_in_map(field: &FieldDescriptor) -> Option<Kind> {
    let kind = field.kind();
    let entry = kind.as_message().filter(|_| field.is_map())?;
    Some(entry.map_entry_value_field().kind())
}

/// What is wrong with a value itself.
fn here(kind: &Kind, value: &Value) -> Fault {
    let own = kind
        .as_message()
        .filter(|message| !message.full_name().starts_with(WELL_KNOWN));
    if let (Some(message), Value::Object(fields)) = (own, value) {
        let stranger = fields.keys().find(|name| field(message, name).is_none());
        return stranger.map_or_else(
            || Fault::new("it has two fields of a oneof"),
            |name| Fault::new("the schema has no such field").in_field(name),
        );
    }
    Fault::new(format!("expected {}", expected(kind)))
}

/// The field of a message that JSON calls so.
fn field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    let by_json = message.get_field_by_json_name(name);
    by_json.or_else(|| message.get_field_by_name(name))
}

fn expected(kind: &Kind) -> String {
    let text = match kind {
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number of 64 bits",
        Kind::Uint32 | Kind::Fixed32 => "a whole number of 32 bits without a sign",
        Kind::Uint64 | Kind::Fixed64 => "a whole number of 64 bits without a sign",
        Kind::Bool => "a boolean",
        Kind::String => "a string",
        Kind::Bytes => "bytes in base64",
        Kind::Enum(symbols) => return format!("a symbol of {}", symbols.full_name()),
        Kind::Message(message) => return format!("a {}", message.full_name()),
    };
    text.to_owned()
}

/// Looks for the fields that proto2 requires: without them a consumer could not read the message.
fn check_required(message: &DynamicMessage) -> Result<(), Fault> {
    let descriptor = message.descriptor();
    let missing = descriptor
        .fields()
        .find(|field| field.is_required() && !message.has_field(field));
    if let Some(field) = missing {
        return Err(Fault::new("it is missing and required").in_field(field.name()));
    }
    for (field, value) in message.fields() {
        check_inside(value).map_err(|fault| fault.in_field(field.name()))?;
    }
    Ok(())
}

fn check_inside(value: &Held) -> Result<(), Fault> {
    if let Held::Message(message) = value {
        return check_required(message);
    }
    if let Held::List(items) = value {
        for (place, item) in items.iter().enumerate() {
            check_inside(item).map_err(|fault| fault.in_item(place))?;
        }
    }
    if let Held::Map(entries) = value {
        let mut values = entries.values();
        return values.try_for_each(|value| check_inside(value).map_err(Fault::in_entry));
    }
    Ok(())
}

/// The schemas that may be imported, by the names under which they are.
struct Known(Vec<(String, String)>);

impl FileResolver for Known {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(known, _)| known == name) {
            Some((name, text)) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
