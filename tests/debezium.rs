//! Debezium's format, against what Debezium's own router made of the same rows.
//!
//! `vectors/debezium.jsonl` holds a case a line: a connector's settings, the route that takes their place, an
//! event, and the record in base64 that Debezium's outbox event router 3.7, or the version that it was made `by`, and
//! Kafka Connect's converters made of the row. Where Debezium itself fails or sends nothing of use the line says what is done `instead`; where
//! Kafka would refuse what was made it says what is `refused`, and `left_out` are headers that no reader can use.

mod moved;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outbox_relay::decide::dead::OnDead;
use outbox_relay::decide::envelope::{Envelope, Format};
use outbox_relay::decide::import::import;
use outbox_relay::decide::order::Order;
use outbox_relay::decide::route::{RouteSpec, Routes, Usual};
use outbox_relay::decide::topic::Allowed;
use outbox_relay::event::{Event, EventRef, Lane, OrderingKey, Payload};
use outbox_relay::process::settings::Settings;
use outbox_relay::record::Record;
use serde::Deserialize;

/// The cases that there are.
const CASES: usize = 125;
/// Those whose route is not what is made of the connector: a column that is NULL where the outbox takes none,
/// a number in JSON that the relay knows as text, and a name that shows more as a rename.
const BY_HAND: [&str; 3] = [
    "null_key",
    "decimal_key_json_noschema_numeric",
    "aggregatetype_newline",
];
/// Of them so many have no record that one would want.
const INSTEAD: usize = 23;

#[derive(Deserialize)]
struct Case {
    name: String,
    connector: BTreeMap<String, String>,
    route: Option<RouteSpec>,
    event: Option<Given>,
    record: Option<Made>,
    refused: Option<String>,
    instead: Option<String>,
}

#[derive(Deserialize)]
struct Given {
    id: uuid::Uuid,
    aggregate_type: String,
    aggregate_id: String,
    event_type: String,
    payload: Option<String>,
    /// A payload of bytes, in base64.
    bytes: Option<String>,
    headers: Option<String>,
    created_at: chrono::DateTime<chrono::Utc>,
}

/// A record, its bytes in base64.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Made {
    topic: String,
    partition: Option<i32>,
    timestamp_ms: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Given {
    fn event(self) -> Event {
        let bytes = self
            .bytes
            .map(|text| STANDARD.decode(text).expect("it is base64"));
        Event {
            at: EventRef {
                seq: 1,
                id: self.id,
            },
            own_id: None,
            lane: Lane(0),
            key: OrderingKey {
                aggregate_type: self.aggregate_type,
                aggregate_id: self.aggregate_id,
            },
            event_type: self.event_type,
            payload: self
                .payload
                .map(Payload::Json)
                .or(bytes.map(Payload::Bytes)),
            headers: self.headers,
            topic: None,
            partition_key: None,
            created_at: self.created_at,
            wait_ms: 0,
            judged: None,
        }
    }
}

impl Made {
    fn of(record: &Record) -> Self {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
        Self {
            topic: record.topic.to_string(),
            partition: record.partition,
            timestamp_ms: record.timestamp_ms,
            key: text(record.key()),
            value: text(record.value()),
            headers: record
                .headers()
                .map(|(name, value)| (name.to_owned(), text(value)))
                .collect(),
        }
    }

    /// The same for people to compare.
    fn shown(&self) -> String {
        let text = |bytes: &Option<String>| {
            let bytes = bytes
                .as_ref()
                .map(|text| STANDARD.decode(text).expect("it is base64"));
            bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let headers = self.headers.iter().map(|(name, value)| (name, text(value)));
        format!(
            "{} {:?} {} {:?} {:?} {:?}",
            self.topic,
            self.partition,
            self.timestamp_ms,
            text(&self.key),
            text(&self.value),
            headers.collect::<Vec<_>>()
        )
    }
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/debezium.jsonl");
    let text = fs::read_to_string(path).expect("the vectors are in the repository");
    let read = |line: &str| serde_json::from_str(line).expect("a line is a case");
    text.lines().map(read).collect()
}

fn usual() -> Usual {
    Usual {
        topic: "{aggregate_type}-events".to_owned(),
        key: "{aggregate_id}".to_owned(),
        format: Format::Payload,
        order: Order::Strict,
        on_dead: OnDead::DeadLetter,
    }
}

fn routes(spec: &RouteSpec) -> Routes {
    let usual = usual();
    let rest = RouteSpec::default().read(&usual).expect("it says nothing");
    let route = spec
        .read(&usual)
        .unwrap_or_else(|faults| panic!("{faults:?}"));
    Routes::new(vec![route], rest, Allowed::default())
}

/// What became of a case.
enum Became {
    Record(Made),
    Refused(String),
}

/// Routes the event of a case; a record whose topic Kafka would refuse is made all the same.
fn became(spec: &RouteSpec, event: &Event) -> (Became, Option<String>) {
    let mut routes = routes(spec);
    let name = routes.name(event).expect("the topic can be made");
    let (route, topic) = routes.route(event);
    let refused = topic.err().map(|defect| defect.reason);
    let record = Envelope::new("/shop").record(event, &route.form, Arc::from(name.as_str()));
    match record {
        Ok(record) => (Became::Record(Made::of(&record)), refused),
        Err(defect) => (Became::Refused(defect.reason), None),
    }
}

#[test]
fn every_record_is_byte_for_byte_what_debezium_makes_of_the_row() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (Some(spec), Some(given)) = (case.route, case.event) else {
            continue;
        };
        let (became, refused) = became(&spec, &given.event());
        match (became, case.record, case.refused) {
            (Became::Record(made), Some(wanted), expected) => {
                if made != wanted {
                    let (made, wanted) = (made.shown(), wanted.shown());
                    wrong.push(format!(
                        "{}:\n  made   {made}\n  wanted {wanted}",
                        case.name
                    ));
                }
                assert_eq!(
                    refused.is_some(),
                    expected.is_some(),
                    "{}: {refused:?}",
                    case.name
                );
            }
            (Became::Refused(reason), None, Some(expected)) => {
                assert!(reason.starts_with(&expected), "{}: {reason}", case.name);
            }
            (Became::Record(_), None, _) => wrong.push(format!("{}: a record", case.name)),
            (Became::Refused(reason), ..) => wrong.push(format!("{}: {reason}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_has_a_record_or_says_what_is_done_instead() {
    let cases = cases();
    assert!(cases.len() >= CASES, "cases were lost");
    let without = cases.iter().filter(|case| case.route.is_none());
    for case in without.clone() {
        let told = case.instead.as_deref().unwrap_or_default();
        assert!(!told.is_empty(), "{}", case.name);
    }
    assert_eq!(without.count(), INSTEAD);
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len(), "a name stands twice");
}

/// The settings of a case as a connector has them.
fn connector(case: &Case) -> String {
    let mut config = case.connector.clone();
    let prefix = config.entry("topic.prefix".to_owned());
    prefix.or_insert("oracle".to_owned());
    for (key, value) in [
        ("database.hostname", "127.0.0.1"),
        ("table.include.list", "public.outbox"),
        ("transforms", "outbox"),
        (
            "transforms.outbox.type",
            "io.debezium.transforms.outbox.EventRouter",
        ),
    ] {
        config.insert(key.to_owned(), value.to_owned());
    }
    serde_json::json!({"name": case.name, "config": config}).to_string()
}

/// The route without what a connector's settings do not know.
fn without_types(route: &RouteSpec) -> RouteSpec {
    let mut route = route.clone();
    let mut debezium = route.debezium.unwrap_or_default();
    debezium.types.clear();
    route.debezium = Some(debezium);
    route
}

#[test]
fn the_import_of_a_connector_makes_the_route_of_each_case_and_settings_that_load() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let file = folder.path().join("relay.toml");
    for case in cases() {
        let imported = import(&connector(&case)).expect("it is a connector");
        if let Some(route) = &case.route
            && !BY_HAND.contains(&case.name.as_str())
        {
            let (ours, known) = (without_types(&imported.route), without_types(route));
            assert_eq!(ours, known, "{}", case.name);
        }
        let Ok(_) = imported.route.read(&usual()) else {
            assert!(case.instead.is_some(), "{}", case.name);
            continue;
        };
        fs::write(&file, &imported.toml).expect("the file is written");
        let settings = Settings::load(Some(&file), std::iter::empty());
        let settings = settings.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(settings.routes, [imported.route], "{}", case.name);
    }
}
