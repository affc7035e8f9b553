//! What takes the place of the outbox event router.
//!
//! Owns its options (Debezium's documentation, "Outbox Event Router", "Configuration options"; for Quarkus,
//! "Outbox Quarkus Extension"). Does not know where database and brokers are.

use indexmap::IndexMap;

use super::around::Around;
use super::{Columns, Host, Notes, Options};
use crate::decide::debezium::{Converter, DebeziumSpec, Rest};
use crate::decide::envelope::Format;
use crate::decide::rename::RenameSpec;
use crate::decide::route::RouteSpec;

/// The expressions that mean the whole of a value, and how a replacement refers to it.
const WHOLE: [(&str, &[&str]); 2] = [
    ("(?<routedByValue>.*)", &["${routedByValue}", "$1"]),
    ("(.*)", &["$1"]),
];
/// What the router makes of a value unless it is told.
const REPLACEMENT: &str = "outbox.event.${routedByValue}";

/// The columns that are text in the table of Debezium's documentation, and their type there.
const TEXTS: [&str; 3] = ["{event_type}", "{aggregate_type}", "{aggregate_id}"];
const TEXT: &str = "varchar not null";

/// The router, read.
pub(super) struct Router {
    pub(super) columns: Columns,
    topic: String,
    rename: Option<RenameSpec>,
    key: String,
    /// What the topic is made of.
    routed_by: String,
    headers: IndexMap<String, String>,
    partition: Option<String>,
    debezium: DebeziumSpec,
    /// Columns that only `headers` can hold.
    pub(super) foreign: Vec<String>,
}

/// The router that Quarkus expects, whose table the extension names.
pub(super) fn of_quarkus(options: &mut Options, notes: &mut Notes) -> Router {
    let mut name = |key: &str, usual: &str| options.take_or(&format!("{key}.name"), usual);
    let columns = Columns {
        id: name("id", "id"),
        aggregate_type: name("aggregate-type", "aggregatetype"),
        aggregate_id: name("aggregate-id", "aggregateid"),
        event_type: name("type", "type"),
        payload: name("payload", "payload"),
        created_at: name("timestamp", "timestamp"),
    };
    let remove = "remove-after-insert";
    if options
        .take(remove)
        .is_none_or(|value| !value.eq_ignore_ascii_case("false"))
    {
        let text = "is true unless it is set: rows are deleted as they are written, and no relay can see \
                    them; set it to false before the move";
        notes.add(&format!("quarkus.debezium-outbox.{remove}"), text);
    }
    Router::new(columns)
}

/// The router that a connector's transform is.
pub(super) fn of_transform(name: &str, options: &mut Options, notes: &mut Notes) -> Router {
    let path = |key: &str| format!("transforms.{name}.{key}");
    for key in ["type", "table.op.invalid.behavior"] {
        options.take(&path(key));
    }
    let missing = options.take(&path("table.field.additional.missing"));
    let may_miss = missing.is_some_and(|word| word.eq_ignore_ascii_case("ignore"));
    let mut column = |key: &str, usual: &str| options.take_or(&path(key), usual);
    let mut router = Router::new(Columns {
        id: column("table.field.event.id", "id"),
        aggregate_type: "aggregatetype".to_owned(),
        aggregate_id: "aggregateid".to_owned(),
        event_type: column("table.field.event.type", "type"),
        payload: column("table.field.event.payload", "payload"),
        created_at: column("table.field.event.timestamp", ""),
    });
    let by = column("route.by.field", "aggregatetype");
    let key = column("table.field.event.key", "aggregateid");
    router.chosen_by(&by, &key);
    router.named_by(
        (
            options.take(&path("route.topic.regex")),
            &path("route.topic.regex"),
        ),
        options.take(&path("route.topic.replacement")),
        notes,
    );
    if let Some(list) = options.take(&path("table.fields.additional.placement")) {
        let key = options.key_in_file(&path("table.fields.additional.placement"));
        router.place(&list, &key, (options.host, may_miss), notes);
    }
    if options.host == Host::Server && !router.columns.created_at.is_empty() {
        let key = options.key_in_file(&path("table.field.event.timestamp"));
        let text = "Debezium Server does not heed it: its records had the time of sending";
        notes.add(&key, text);
    }
    router.debezium.tombstones = options.is_on(&path("route.tombstone.on.empty.payload"));
    router.expand(options, path);
    router
}

impl Router {
    fn new(columns: Columns) -> Self {
        Self {
            columns,
            topic: "outbox.event.{aggregate_type}".to_owned(),
            rename: None,
            key: "{aggregate_id}".to_owned(),
            routed_by: "{aggregate_type}".to_owned(),
            headers: IndexMap::new(),
            partition: None,
            debezium: DebeziumSpec::default(),
            foreign: Vec::new(),
        }
    }

    /// Takes over the columns that choose topic and key; one of another role keeps it.
    fn chosen_by(&mut self, by: &str, key: &str) {
        let columns = &self.columns;
        let roles = [&columns.id, &columns.event_type, &columns.created_at];
        let [by_role, key_role] = [by, key].map(|column| roles.iter().any(|role| **role == column));
        if !by_role && by != key {
            by.clone_into(&mut self.columns.aggregate_type);
        }
        if !key_role {
            key.clone_into(&mut self.columns.aggregate_id);
        }
        if let Some(known) = self.placeholder(by) {
            self.routed_by = known;
        }
        if let Some(known) = self.placeholder(key) {
            self.key = known;
        }
    }

    /// What stands for a column in a template, if the relay reads it.
    fn placeholder(&self, column: &str) -> Option<String> {
        let columns = &self.columns;
        let known = [
            (&columns.id, "{id}"),
            (&columns.aggregate_type, "{aggregate_type}"),
            (&columns.aggregate_id, "{aggregate_id}"),
            (&columns.event_type, "{event_type}"),
            (&columns.created_at, "{created_at}"),
        ];
        let found = known.into_iter().find(|(name, _)| *name == column);
        found.map(|(_, placeholder)| placeholder.to_owned())
    }

    /// Makes a template of expression and replacement where one says the same, else a rename.
    fn named_by(
        &mut self,
        (regex, key): (Option<String>, &str),
        to: Option<String>,
        notes: &mut Notes,
    ) {
        let regex = regex.unwrap_or_else(|| WHOLE[0].0.to_owned());
        let to = to.unwrap_or_else(|| REPLACEMENT.to_owned());
        let whole = WHOLE.iter().find(|(known, _)| *known == regex);
        if let Some((_, references)) = whole {
            let filled = references
                .iter()
                .fold(to.clone(), |text, reference| text.replace(reference, "\0"));
            if !filled.contains(['$', '{', '}', '\\']) {
                self.topic = filled.replace('\0', &self.routed_by);
                return;
            }
        }
        let rename = RenameSpec { regex, to };
        self.topic.clone_from(&self.routed_by);
        match rename.read() {
            Ok(_) => self.rename = Some(rename),
            Err((_, reason)) => {
                let text = format!("{reason}; write topic and rename yourself");
                notes.add(key, text);
            }
        }
    }

    /// Takes over the additional fields: `column:placement[:alias]`, with commas between.
    fn place(&mut self, list: &str, key: &str, (host, may_miss): (Host, bool), notes: &mut Notes) {
        for field in list
            .split(',')
            .map(str::trim)
            .filter(|field| !field.is_empty())
        {
            let mut parts = field.split(':').map(str::trim);
            let column = parts.next().unwrap_or_default();
            let placement = parts.next().unwrap_or_default().to_lowercase();
            let alias = parts.next().unwrap_or(column);
            let known = self.placeholder(column);
            let is_foreign = known.is_none();
            if is_foreign && !self.foreign.iter().any(|other| other == column) {
                self.foreign.push(column.to_owned());
                let text = format!(
                    "the relay does not read the column {column}: let a trigger write it into headers \
                     (docs/debezium.md)"
                );
                notes.add(key, text);
            }
            let source = known.unwrap_or_else(|| format!("{{headers.{column}}}"));
            match placement.as_str() {
                // The row's own headers are sent as they are: one that is absent is none then.
                "header" if is_foreign && may_miss && alias == column => {}
                "header" => drop(self.headers.insert(alias.to_owned(), source)),
                "envelope" => {
                    drop(self.debezium.envelope.insert(alias.to_owned(), source));
                }
                "partition" if host == Host::Server => {
                    let text = "Debezium Server does not heed a partition, so it is not taken over";
                    notes.add(key, format!("{column}: {text}"));
                }
                "partition" => self.partition = Some(source),
                _ => notes.add(key, format!("{column} has no placement that is known")),
            }
        }
    }

    /// Takes over what becomes of a payload of JSON.
    fn expand(&mut self, options: &mut Options, path: impl Fn(&str) -> String) {
        let mut rest = |key: &str| match options.take(&path(key)).as_deref() {
            None | Some("ignore") => Rest::Drop,
            Some(_) => Rest::Keep,
        };
        self.debezium.nulls = rest("table.json.payload.null.behavior");
        self.debezium.empty_lists = rest("table.json.payload.empty.array.behavior");
        self.debezium.expand = options.is_on(&path("table.expand.json.payload"));
    }

    /// The route that says the same.
    pub(super) fn route(&self, around: &Around) -> RouteSpec {
        let mut debezium = self.debezium.clone();
        [debezium.key, debezium.value, debezium.header] = around.converters;
        let is_named = debezium.value == Converter::JsonSchema && !debezium.envelope.is_empty();
        debezium.schema_name = is_named.then(|| {
            let prefix = around.prefix.as_deref().unwrap_or("PREFIX");
            let (schema, table) = (&around.schema, &around.table);
            format!("{prefix}.{schema}.{table}.{}.Value", self.routed_by)
        });
        if around.converters.contains(&Converter::JsonSchema) {
            let fields = self.headers.iter().chain(&debezium.envelope);
            let texts = fields.filter(|(_, source)| TEXTS.contains(&source.as_str()));
            let types = texts.map(|(name, _)| (name.clone(), TEXT.to_owned()));
            debezium.types = types.collect();
        }
        RouteSpec {
            topic: Some(self.topic.clone()),
            rename: self.rename.clone(),
            key: Some(self.key.clone()),
            partition: self.partition.clone(),
            format: Some(Format::Debezium),
            headers: self.headers.clone(),
            debezium: Some(debezium),
            ..RouteSpec::default()
        }
    }
}
