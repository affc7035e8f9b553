//! The text of our settings.
//!
//! Owns its order and its comments. Decides nothing.
//!
//! Invariant: it is TOML that the relay loads, with every key that the import knows.

use super::around::Around;
use super::router::Router;
use crate::decide::debezium::{Converter, DebeziumSpec, Rest};
use crate::decide::route::RouteSpec;

/// Lines of TOML.
struct Toml(String);

/// Writes the settings.
pub(super) fn written(around: &Around, router: &Router, route: &RouteSpec) -> String {
    let mut toml = Toml(String::new());
    toml.comment(
        "Settings that were made of Debezium's: docs/debezium.md says what to do with them.",
    );
    toml.open("[database]");
    toml.comment(
        "The URL without its password: give it whole by OUTBOX_RELAY__DATABASE__URL, or in a",
    );
    toml.comment("file that url_file names in its place.");
    toml.pair("url", &around.url);
    toml.pair("schema", &around.schema);
    toml.pair("table", &around.table);
    columns(&mut toml, router);
    toml.open("[kafka]");
    let brokers: Vec<String> = around.brokers.iter().map(|broker| quoted(broker)).collect();
    toml.line(&format!("brokers = [{}]", brokers.join(", ")));
    if !around.properties.is_empty() {
        toml.open("[kafka.properties]");
        for (name, value) in &around.properties {
            toml.line(&format!("{} = {}", quoted(name), quoted(value)));
        }
    }
    route_lines(&mut toml, route);
    toml.0
}

fn columns(toml: &mut Toml, router: &Router) {
    let columns = &router.columns;
    toml.open("[database.columns]");
    toml.comment("Our names on the left, the table's on the right; \"\" where it has none.");
    toml.pair("id", &columns.id);
    toml.pair("aggregate_type", &columns.aggregate_type);
    toml.pair("aggregate_id", &columns.aggregate_id);
    toml.pair("event_type", &columns.event_type);
    toml.pair("payload", &columns.payload);
    if columns.created_at.is_empty() {
        toml.comment("The record's time is that of reading the row, as it was with Debezium.");
    }
    toml.pair("created_at", &columns.created_at);
    if router.foreign.is_empty() {
        toml.pair("headers", "");
    } else {
        let names = router.foreign.join(", ");
        toml.comment(&format!(
            "A column of type jsonb to be added; a trigger writes {names} into it."
        ));
        toml.pair("headers", "headers");
    }
    for absent in ["topic", "partition_key", "available_at"] {
        toml.pair(absent, "");
    }
}

fn route_lines(toml: &mut Toml, route: &RouteSpec) {
    toml.open("[[routes]]");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    toml.pair("topic", &text(&route.topic));
    if let Some(rename) = &route.rename {
        let (regex, to) = (quoted(&rename.regex), quoted(&rename.to));
        toml.line(&format!("rename = {{ regex = {regex}, to = {to} }}"));
    }
    toml.pair("key", &text(&route.key));
    if let Some(partition) = &route.partition {
        toml.pair("partition", partition);
    }
    toml.pair("format", "debezium");
    toml.table("headers", route.headers.iter());
    if let Some(debezium) = &route.debezium {
        debezium_lines(toml, debezium);
    }
}

fn debezium_lines(toml: &mut Toml, debezium: &DebeziumSpec) {
    toml.open("[routes.debezium]");
    toml.pair("key", word(debezium.key));
    toml.pair("value", word(debezium.value));
    toml.pair("header", word(debezium.header));
    let flags = [
        ("expand", debezium.expand),
        ("tombstones", debezium.tombstones),
    ];
    for (name, _) in flags.iter().filter(|(_, is_on)| *is_on) {
        toml.line(&format!("{name} = true"));
    }
    let rests = [
        ("nulls", debezium.nulls),
        ("empty_lists", debezium.empty_lists),
    ];
    for (name, _) in rests.iter().filter(|(_, rest)| *rest == Rest::Keep) {
        toml.pair(name, "keep");
    }
    toml.table("envelope", debezium.envelope.iter());
    if let Some(name) = &debezium.schema_name {
        toml.pair("schema_name", name);
    }
    let converters = [debezium.key, debezium.value, debezium.header];
    if converters.iter().any(|one| *one != Converter::Plain) {
        toml.comment("Types as the table has them, of key and payload too; what is not told is text that may");
        toml.comment("be NULL, the payload jsonb: { key = \"bigint not null\", n = \"integer\" }");
    }
    toml.table("types", debezium.types.iter());
}

fn word(converter: Converter) -> &'static str {
    match converter {
        Converter::Plain => "plain",
        Converter::Json => "json",
        Converter::JsonSchema => "json-schema",
    }
}

impl Toml {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn comment(&mut self, text: &str) {
        // A name in it must not end the comment.
        let text = text.replace(char::is_control, " ");
        self.line(&format!("# {text}"));
    }

    fn open(&mut self, table: &str) {
        self.line(&format!("\n{table}"));
    }

    fn pair(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {}", quoted(value)));
    }

    fn table<'t>(&mut self, key: &str, pairs: impl Iterator<Item = (&'t String, &'t String)>) {
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
            .collect();
        if !pairs.is_empty() {
            self.line(&format!("{key} = {{ {} }}", pairs.join(", ")));
        }
    }
}

/// A text as TOML's basic string, whose escapes are those of JSON and one more.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007F")
}
