//! What is around the router: database, table, converters, brokers.
//!
//! Owns which options of connector, worker and server say it, and what to do about the others.

use std::fmt::Write as _;

use super::{Host, Notes, Options};
use crate::decide::debezium::Converter;

/// What is around the router.
pub(super) struct Around {
    /// Without a password.
    pub(super) url: String,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) prefix: Option<String>,
    pub(super) brokers: Vec<String>,
    /// Properties of the client.
    pub(super) properties: Vec<(String, String)>,
    /// Of key, value and header.
    pub(super) converters: [Converter; 3],
}

/// The parts of a record that have a converter each.
const PARTS: [&str; 3] = ["key", "value", "header"];
/// Properties that Java's client and ours call the same, and that hold no secret.
const PROPERTIES: [&str; 4] = [
    "security.protocol",
    "sasl.mechanism",
    "compression.type",
    "client.id",
];
/// What begins the keys that nothing needs any more.
const NEEDLESS: [&str; 28] = [
    "connector.class",
    "tasks.max",
    "name",
    "slot.",
    "publication.",
    "plugin.name",
    "snapshot.",
    "heartbeat.",
    "offset.",
    "schema.history.",
    "schema.name.",
    "schema.refresh.",
    "tombstones.on.delete",
    "skipped.operations",
    "provide.transaction.metadata",
    "decimal.handling.mode",
    "time.precision.mode",
    "include.unknown.datatypes",
    "max.batch.size",
    "max.queue.size",
    "poll.interval.ms",
    "signal.",
    "notification.",
    "status.update.interval.ms",
    "extended.headers.enabled",
    "sink.type",
    "exactly.once.support",
    "database.server.name",
];

/// Whether an option has lost its meaning.
pub(super) fn is_needless(key: &str) -> bool {
    NEEDLESS.iter().any(|needless| key.starts_with(needless))
}

/// What to do about an option that was not taken over.
pub(super) fn advice(key: &str) -> &'static str {
    let known: [(&[&str], &str); 8] = [
        (
            &["topic.creation."],
            "declare topics by [[topics.declare]], and make them by `outbox-relay topics apply`",
        ),
        (
            &["producer.override."],
            "see the property's name in librdkafka's documentation, and set it in [kafka.properties]; a \
             secret by a file: \"sasl.password_file\"",
        ),
        (
            &["database."],
            "see whether the connection needs it: parameters go into database.url, as \
             ?sslmode=verify-full&sslrootcert=FILE",
        ),
        (
            &["errors."],
            "see [failure]: a row that cannot be published is a dead letter, and nothing stops",
        ),
        (
            &["predicates", "transforms"],
            "the relay has no transforms: `match`, `topic`, `rename` and `headers` of a route may do it",
        ),
        (
            &[
                "table.exclude.list",
                "schema.exclude.list",
                "schema.include.list",
            ],
            "one relay serves one table: database.schema and database.table",
        ),
        (
            &["additional-fields", "tracing"],
            "write it into the row's headers: traceparent and whatever else consumers need",
        ),
        (
            &[
                "key.converter.",
                "value.converter.",
                "header.converter.",
                "format.",
            ],
            "has no equivalent: compare a record by `outbox-relay route --explain`",
        ),
    ];
    let of = |prefixes: &[&str]| prefixes.iter().any(|prefix| key.starts_with(prefix));
    if key.contains(".tracing.") {
        return "write the row's trace context into its headers as traceparent";
    }
    if key.ends_with("event.schema.version") {
        return "has no equivalent: it shows in the schema of an envelope alone";
    }
    if key.ends_with(".predicate") || key.ends_with(".negate") {
        return "every row of the outbox is an event; a `match` tells events apart";
    }
    let found = known.iter().find(|(prefixes, _)| of(prefixes));
    found.map_or(
        "is not known here: see whether a consumer would miss what it does",
        |(_, text)| text,
    )
}

/// Reads it, and tells what is missing.
pub(super) fn read(options: &mut Options, notes: &mut Notes) -> Around {
    let (schema, table) = table(options, notes);
    let (properties, brokers) = client(options, notes);
    Around {
        url: url(options, notes),
        schema,
        table,
        prefix: options.take("topic.prefix"),
        brokers,
        properties,
        converters: PARTS.map(|part| match options.host {
            Host::Connect => converter(part, options, notes),
            Host::Server => format(part, options, notes),
            Host::Quarkus => Converter::Plain,
        }),
    }
}

/// The database's URL without its password.
fn url(options: &mut Options, notes: &mut Notes) -> String {
    let mut told = |key: &str, usual: &str| {
        let value = options.take(&format!("database.{key}"));
        // A reference, such as ${file:…}, is not followed.
        let value = value.filter(|value| !value.contains("${"));
        value.map_or_else(|| usual.to_owned(), |value| encoded(&value))
    };
    let (user, host) = (told("user", "USER"), told("hostname", "HOST"));
    let (port, name) = (told("port", "5432"), told("dbname", "DATABASE"));
    if options.take("database.password").is_some() {
        let key = options.key_in_file("database.password");
        let text = "is not printed: give the URL with it by OUTBOX_RELAY__DATABASE__URL, or in a file by \
                    database.url_file";
        notes.add(&key, text);
    }
    let mode = options
        .take("database.sslmode")
        .filter(|mode| !mode.contains("${"));
    let mode = mode.map(|mode| format!("?sslmode={}", encoded(&mode)));
    format!(
        "postgres://{user}@{host}:{port}/{name}{}",
        mode.unwrap_or_default()
    )
}

/// A text as a part of a URL may hold it.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes what memory holds");
        }
    }
    encoded
}

/// Schema and table: of the one table that is captured, or of Quarkus' entity.
fn table(options: &mut Options, notes: &mut Notes) -> (String, String) {
    if options.host == Host::Quarkus {
        let table = options.take("table-name");
        // Its default stands unquoted in the statement that makes it.
        let table = table.map_or_else(|| "outboxevent".to_owned(), |name| name.to_lowercase());
        return ("public".to_owned(), table);
    }
    let list = options.take("table.include.list").unwrap_or_default();
    let plain = list.replace("\\.", ".");
    let is_name = |part: &str| {
        part.chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    match plain.split_once('.') {
        Some((schema, table)) if is_name(schema) && is_name(table) => {
            (schema.to_owned(), table.to_owned())
        }
        Some(_) | None => {
            let text = "names no single table: set database.schema and database.table";
            notes.add(&options.key_in_file("table.include.list"), text);
            ("public".to_owned(), "outboxevent".to_owned())
        }
    }
}

/// What the client is given, and its brokers.
fn client(options: &mut Options, notes: &mut Notes) -> (Vec<(String, String)>, Vec<String>) {
    let properties = PROPERTIES.iter().filter_map(|name| {
        let value = options.take(&format!("producer.override.{name}"))?;
        (!value.contains("${")).then(|| ((*name).to_owned(), value))
    });
    let properties = properties.collect();
    let brokers = options.take("producer.override.bootstrap.servers");
    let brokers = brokers.or_else(|| options.take("bootstrap.servers"));
    let brokers = brokers.filter(|brokers| !brokers.contains("${"));
    if brokers.is_none() {
        let text = "are not in this file: set kafka.brokers to those of the worker";
        notes.add("bootstrap.servers", text);
    }
    let brokers = brokers.unwrap_or_else(|| "BROKER:9092".to_owned());
    let brokers = brokers.split(',').map(|broker| broker.trim().to_owned());
    (properties, brokers.collect())
}

/// A part's converter in Kafka Connect.
fn converter(part: &str, options: &mut Options, notes: &mut Notes) -> Converter {
    let key = format!("{part}.converter");
    let has_schemas = options.take(&format!("{key}.schemas.enable"));
    let Some(class) = options.take(&key) else {
        if part != "header" {
            let text = format!(
                "is the worker's and not in this file: taken for StringConverter; for JsonConverter set \
                 debezium.{part} to \"json\" or \"json-schema\""
            );
            notes.add(&key, text);
        }
        return Converter::Plain;
    };
    let class = class.rsplit('.').next().unwrap_or_default();
    match class {
        "StringConverter"
        | "SimpleHeaderConverter"
        | "ByteArrayConverter"
        | "BinaryDataConverter" => Converter::Plain,
        "JsonConverter" if has_schemas.is_some_and(|on| on.eq_ignore_ascii_case("false")) => {
            Converter::Json
        }
        "JsonConverter" => Converter::JsonSchema,
        _ => {
            let text = "has no equivalent in this format; for Avro, JSON Schema and Protobuf by a registry \
                        choose the route's format anew";
            notes.add(&options.key_in_file(&key), text);
            Converter::Plain
        }
    }
}

/// A part's format in Debezium Server, which is JSON with its schema unless it is told.
fn format(part: &str, options: &mut Options, notes: &mut Notes) -> Converter {
    let key = format!("format.{part}");
    let all = options.take("format.schemas.enable");
    let own = options.take(&format!("{key}.schemas.enable"));
    let is_bare = own
        .or(all)
        .is_some_and(|on| on.eq_ignore_ascii_case("false"));
    match options.take(&key).as_deref().unwrap_or("json") {
        "json" | "jsonbytearray" if is_bare => Converter::Json,
        "json" | "jsonbytearray" => Converter::JsonSchema,
        "simplestring" | "binary" => Converter::Plain,
        _ => {
            let text = "has no equivalent in this format; `cloudevents` is a format of routes";
            notes.add(&options.key_in_file(&key), text);
            Converter::Plain
        }
    }
}
