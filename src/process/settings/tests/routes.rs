//! Routes in a file: their keys, what is told of their faults, and what relays compare.

use std::collections::BTreeSet;

use super::*;
use crate::decide::debezium::{Converter, DebeziumSpec, Rest};
use crate::process::settings::routes::{DEBEZIUM, KEYS};

const ROUTES: &str = r#"
    [[routes]]
    match = { aggregate_type = "order*", event_type = "/Paid$/", headers = { Tenant-X = "acme" } }
    topic = "store.{aggregate_type|kebab}-events"
    key = ""
    partition = "3"
    format = "header-payload"
    order = "pipelined"
    on_dead = "block"
    headers = { Region = "{payload.region}", Area = "{payload.area}" }
    rename = { regex = 'store\.(.*)', to = '$1' }

    [[routes]]
    match = { aggregate_type = "customer" }
    format = "debezium"

    [routes.debezium]
    key = "json"
    value = "json-schema"
    header = "json"
    expand = true
    nulls = "keep"
    empty_lists = "keep"
    tombstones = true
    envelope = { eventType = "{event_type}", b = "{headers.b}", a = "{headers.a}" }
    schema_name = "shop.public.outbox.{aggregate_type}.Value"
    types = { key = "bigint not null" }

    [[routes]]
    topic = "all"
"#;

#[test]
fn every_key_of_a_route_has_an_effect() {
    let settings = load(ROUTES, &[URL]).unwrap();
    let [first, second, last] = settings.routes.as_slice() else {
        panic!("three routes")
    };
    let about = &first.about;
    assert_eq!(about.aggregate_type.as_deref(), Some("order*"));
    assert_eq!(about.event_type.as_deref(), Some("/Paid$/"));
    assert_eq!(about.headers["Tenant-X"], "acme", "capitals of names count");
    assert_eq!(
        first.topic.as_deref(),
        Some("store.{aggregate_type|kebab}-events")
    );
    assert_eq!(first.key.as_deref(), Some(""));
    assert_eq!(first.partition.as_deref(), Some("3"));
    assert_eq!(first.format, Some(Format::HeaderPayload));
    assert_eq!(first.order, Some(Order::Pipelined));
    assert_eq!(first.on_dead, Some(OnDead::Block));
    assert_eq!(first.headers["Region"], "{payload.region}");
    let headers: Vec<&str> = first.headers.keys().map(String::as_str).collect();
    assert_eq!(
        headers,
        ["Region", "Area"],
        "in the order in which they stand"
    );
    let rename = first.rename.as_ref().unwrap();
    assert_eq!((&*rename.regex, &*rename.to), (r"store\.(.*)", "$1"));
    every_key_of_debeziums_format(second.debezium.as_ref().unwrap());
    let topic_alone = RouteSpec {
        topic: Some("all".to_owned()),
        ..RouteSpec::default()
    };
    assert_eq!(*last, topic_alone);
    assert_eq!(settings.routes().all().count(), 4, "and one for the rest");
    let default = include_str!("../../../../config/default.toml");
    for (key, _) in KEYS {
        assert!(
            default.contains(&format!("\n# {key} = ")),
            "{key} is explained"
        );
    }
}

fn every_key_of_debeziums_format(debezium: &DebeziumSpec) {
    assert_eq!(debezium.key, Converter::Json);
    assert_eq!(debezium.value, Converter::JsonSchema);
    assert_eq!(debezium.header, Converter::Json);
    assert_eq!(
        (debezium.nulls, debezium.empty_lists),
        (Rest::Keep, Rest::Keep)
    );
    assert!(debezium.expand && debezium.tombstones);
    let envelope: Vec<&str> = debezium.envelope.keys().map(String::as_str).collect();
    assert_eq!(
        envelope,
        ["eventType", "b", "a"],
        "in the order in which they stand"
    );
    let name = debezium.schema_name.as_deref();
    assert_eq!(name, Some("shop.public.outbox.{aggregate_type}.Value"));
    assert_eq!(debezium.types["key"], "bigint not null");
    let default = include_str!("../../../../config/default.toml");
    let (_, explained) = default.split_once("# # Debezium's format.").unwrap();
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let words: BTreeSet<&str> = explained.split(|letter| !is_name(letter)).collect();
    for (key, _) in DEBEZIUM {
        assert!(words.contains(key), "{key} is explained");
    }
}

#[test]
fn what_is_wrong_with_debeziums_format_is_told_with_its_keys() {
    let toml = r#"
        [[routes]]
        match = { event_type = "a" }
        format = "raw"
        debezium = { key = "avro", expand = 1, colour = "red" }
        [[routes]]
        match = { event_type = "b" }
        format = "debezium"
        rename = { regex = "(" }
        debezium = { expand = true, envelope = { payload = "x", n = "{" }, types = { n = "money" } }
        [[routes]]
        format = "debezium"
        debezium = { value = "json-schema", envelope = { n = "{id}" } }
    "#;
    let error = load(toml, &[URL]).unwrap_err();
    let told: BTreeSet<&str> = error.problems.iter().map(|one| one.path.as_str()).collect();
    let expected: BTreeSet<&str> = [
        "routes[0].debezium",
        "routes[0].debezium.key",
        "routes[0].debezium.expand",
        "routes[0].debezium.colour",
        "routes[1].rename.to",
        "routes[1].debezium.expand",
        "routes[1].debezium.envelope",
        "routes[1].debezium.envelope.payload",
        "routes[1].debezium.envelope.n",
        "routes[1].debezium.types.n",
        "routes[2].debezium.schema_name",
    ]
    .into();
    assert_eq!(told, expected, "{error}");
}

#[test]
fn the_routes_that_the_default_file_shows_can_be_used() {
    let default = include_str!("../../../../config/default.toml");
    let shown: Vec<&str> = default
        .lines()
        .skip_while(|line| *line != "# [[routes]]")
        .map_while(|line| line.strip_prefix("# "))
        .collect();
    let settings = load(&shown.join("\n"), &[URL]).unwrap();
    let formats: Vec<_> = settings.routes.iter().map(|route| route.format).collect();
    assert_eq!(formats, [Some(Format::Cloudevents), Some(Format::Debezium)]);
}

#[test]
fn without_routes_there_is_the_one_of_the_rest() {
    let settings = load("", &[URL]).unwrap();
    let routes = settings.routes();
    let (name, route) = routes.all().next().unwrap();
    assert_eq!(name, "route");
    assert_eq!(route.topic().text(), "{aggregate_type}-events");
    assert_eq!(route.form.key.as_ref().unwrap().text(), "{aggregate_id}");
    assert_eq!(route.form.format, Format::Payload);
    assert_eq!(
        (route.order, route.on_dead),
        (Order::Strict, OnDead::DeadLetter)
    );
    assert!(route.is_about_all() && routes.all().count() == 1);
}

#[test]
fn all_that_is_wrong_with_routes_is_told_at_once() {
    let toml = r#"
        [relay]
        order = "fast"
        [[routes]]
        match = { agregate_type = "x", event_type = "/(/", headers = { a = 1 } }
        topic = "{agregate_type}"
        format = "avro"
        order = 1
        [[routes]]
        topic = ["a"]
        key = "{payload.}"
        headers = "x"
        colour = "red"
        [[routes]]
        match = "order"
        partition = "-1"
    "#;
    let error = load(toml, &[URL]).unwrap_err();
    let expected = [
        ("relay.order", "expected strict"),
        (
            "routes[0].format",
            "expected payload or cloudevents or header-payload",
        ),
        (
            "routes[0].match.agregate_type",
            "no such key; did you mean aggregate_type?",
        ),
        ("routes[0].match.event_type", "unclosed group"),
        (
            "routes[0].match.headers.a",
            "expected text in quotes, found an integer",
        ),
        (
            "routes[0].order",
            "expected text in quotes, found an integer",
        ),
        ("routes[0].topic", "`{agregate_type}` is not known"),
        (
            "routes[1].colour",
            "no such key; there are match, topic, key",
        ),
        ("routes[1].headers", "expected a table, found text"),
        ("routes[1].key", "`{payload.}` is not known"),
        ("routes[1].topic", "expected text in quotes, found a list"),
        ("routes[2].match", "expected a table, found text"),
        ("routes[2].partition", "expected a number from 0"),
    ];
    let paths: BTreeSet<&str> = error.problems.iter().map(|one| one.path.as_str()).collect();
    let expected_paths: BTreeSet<&str> = expected.iter().map(|(path, _)| *path).collect();
    for (path, text) in expected {
        let told = error.problems.iter().find(|one| one.path == path);
        let told = told.unwrap_or_else(|| panic!("{path}: {error}"));
        assert!(told.text.contains(text), "{path}: {}", told.text);
    }
    assert_eq!(paths, expected_paths, "{error}");
}

#[test]
fn routes_are_a_list_in_a_file() {
    assert_eq!(refused("routes = 7", &[URL]), ["routes"]);
    assert_eq!(refused("[routes]\ntopic = 'x'", &[URL]), ["routes"]);
    assert_eq!(refused("", &[URL, ("ROUTES__TOPIC", "x")]), ["routes"]);
    assert_eq!(
        refused("[[routes]]\ntopic = 'a'\n[[routes]]", &[URL]),
        ["routes[0].match"]
    );
}

#[test]
fn a_fault_of_the_usual_is_told_once_and_not_of_each_route() {
    let toml = "[route]\ntopic = 'a b'\nkey = '{'\n[[routes]]\n[[routes]]\nmatch = {}";
    let paths = refused(toml, &[URL]);
    assert_eq!(paths, ["route.key", "route.topic", "routes[0].match"]);
}

/// Two values of each key that decides about the way of an event, by section.
const WAYS: [(&str, &str, [&str; 2]); 19] = [
    ("route", "topic", ["'a'", "'b'"]),
    ("route", "key", ["''", "'{id}'"]),
    ("route", "format", ["'raw'", "'event'"]),
    ("relay", "order", ["'none'", "'pipelined'"]),
    ("failure", "on_dead", ["'block'", "'table'"]),
    (
        "[routes]",
        "match",
        ["{ aggregate_type = 'a' }", "{ aggregate_type = 'b' }"],
    ),
    (
        "[routes]",
        "match",
        ["{ event_type = 'a' }", "{ event_type = 'b' }"],
    ),
    (
        "[routes]",
        "match",
        ["{ headers = { a = 'x' } }", "{ headers = { a = 'y' } }"],
    ),
    (
        "[routes]",
        "match",
        [
            "{ headers = { b = 'x' } }",
            "{ headers = { b = '', x = '' } }",
        ],
    ),
    ("[routes]", "topic", ["'a'", "'b'"]),
    ("[routes]", "key", ["''", "'{id}'"]),
    ("[routes]", "partition", ["'1'", "'2'"]),
    ("[routes]", "format", ["'raw'", "'event'"]),
    ("[routes]", "order", ["'none'", "'pipelined'"]),
    ("[routes]", "on_dead", ["'block'", "'table'"]),
    ("[routes]", "headers", ["{ a = 'x' }", "{ a = 'y' }"]),
    (
        "[routes]",
        "rename",
        ["{ regex = 'a', to = 'x' }", "{ regex = 'a', to = 'y' }"],
    ),
    (
        "[routes]",
        "debezium",
        ["{ tombstones = true }", "{ tombstones = false }"],
    ),
    (
        "[routes]",
        "schema",
        ["{ type = 'avro' }", "{ type = 'json' }"],
    ),
];

#[test]
fn settings_that_route_differently_in_any_key_have_different_fingerprints() {
    let routing = |toml: &str| load(toml, &[URL]).unwrap().routing();
    assert_eq!(routing(""), "{aggregate_type}-events", "as it always was");
    let settings = WAYS.iter().flat_map(|(section, key, values)| {
        values.map(|value| format!("[{section}]\n{key} = {value}"))
    });
    let settings: Vec<String> = settings
        .chain([
            String::new(),
            "[[routes]]".into(),
            "[[routes]]\nheaders = { a = 'x', b = 'x' }".into(),
        ])
        .collect();
    let all: BTreeSet<String> = settings.iter().map(|toml| routing(toml)).collect();
    assert_eq!(all.len(), settings.len(), "{all:#?}");
    for (key, _) in KEYS {
        let tried = WAYS
            .iter()
            .any(|(section, tried, _)| (section, tried) == (&"[routes]", key));
        assert!(tried, "{key}: how it tells routes apart is not tried");
    }
    let one = "[[routes]]\nmatch = { headers = { a = 'x' } }\ntopic = 'a'\n";
    let other = "[[routes]]\nmatch = { headers = { a = 'y' } }\ntopic = 'b'\n";
    assert_ne!(
        routing(&format!("{one}{other}")),
        routing(&format!("{other}{one}")),
        "the first wins"
    );
    assert_eq!(routing(one), routing(one));
}

#[test]
fn a_fingerprint_shows_no_header() {
    let toml = "[[routes]]\nmatch = { headers = { a = 'canary' } }\nheaders = { b = 'canary' }";
    assert!(!load(toml, &[URL]).unwrap().routing().contains("canary"));
}
