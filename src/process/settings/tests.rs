//! Proves the layers and what is told of their faults; below, the values, declared topics, the
//! properties of Kafka's client, and that no secret is shown.

mod columns;
mod declarations;
mod inline;
mod properties;
mod routes;
mod schemas;
mod secrets;
mod values;

use std::fs;

use super::*;

const URL: (&str, &str) = (
    "DATABASE__URL",
    "postgres://relay:canary@localhost:5432/shop",
);

/// Loads the default, a file of this text, and these variables.
fn load(toml: &str, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    fs::write(&file, toml).unwrap();
    let env = env
        .iter()
        .map(|(name, value)| (format!("OUTBOX_RELAY__{name}"), (*value).to_owned()));
    Settings::load(Some(&file), env)
}

/// Loads with a url and one more variable.
fn with(name: &str, value: &str) -> Result<Settings, SettingsError> {
    load("", &[URL, (name, value)])
}

/// The paths that are refused.
fn refused(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let error = load(toml, env).unwrap_err();
    error
        .problems
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

#[test]
fn the_default_and_a_url_are_enough() {
    let settings = load("", &[URL]).unwrap();
    assert_eq!(settings.database.url.expose(), URL.1);
    assert_eq!(settings.database.table, "outbox");
    assert_eq!(settings.kafka.brokers, ["127.0.0.1:9092"]);
    assert_eq!(settings.kafka.properties["linger.ms"].expose(), "0");
    assert_eq!(settings.relay.order, Order::Strict);
    assert_eq!(settings.lanes.lease_ttl_ms, 15_000);
}

#[test]
fn without_a_url_there_are_no_settings() {
    assert_eq!(refused("", &[]), ["database.url"]);
    assert_eq!(
        refused("", &[("DATABASE__URL", "mysql://localhost/shop")]),
        ["database.url"]
    );
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let toml = "[relay]\nwindow_rows = 111\npoll_interval_ms = 7";
    let settings = load(toml, &[URL, ("RELAY__WINDOW_ROWS", "222")]).unwrap();
    assert_eq!(settings.relay.window_rows, 222);
    assert_eq!(settings.relay.poll_interval_ms, 7);
    assert_eq!(settings.relay.idle_poll_interval_ms, 50);
}

#[test]
fn all_problems_are_told_at_once_each_with_its_path() {
    let toml = "
        databse.url = 'postgres://localhost/shop'
        route = 'orders'
        [relay]
        windw_rows = 7
        order = 'fast'
        poll_interval_ms = '2'
        [lanes]
        order = 'strict'
        lease_ttl_ms = 3000
        [kafka]
        brokers = 'localhost:9092'
        properties.acks = 1
        [log]
        elephant = 1
    ";
    let env = [
        ("RELAY__SHUTDOWN_GRACE_MS", "soon"),
        ("KAFKA__NOPE__NO", "1"),
    ];
    let error = load(toml, &env).unwrap_err();
    let expected = [
        ("database.url", "expected postgres://"),
        ("databse", "did you mean database?"),
        ("kafka.brokers", "expected a list of texts, found text"),
        (
            "kafka.nope.no",
            "no such key; [kafka] has brokers, message_timeout_ms",
        ),
        ("kafka.properties.acks", "the relay owns it"),
        ("lanes.lease_ttl_ms", "at least 13000"),
        ("lanes.order", "did you mean relay.order?"),
        ("log.elephant", "no such key; [log] has format, level"),
        (
            "relay.order",
            "expected strict or pipelined or none, found \"fast\"",
        ),
        ("relay.poll_interval_ms", "expected an integer, found text"),
        (
            "relay.shutdown_grace_ms",
            "expected an integer, found text (in the environment)",
        ),
        ("relay.windw_rows", "did you mean relay.window_rows?"),
        ("route", "expected a table, found text"),
    ];
    let paths: Vec<_> = error
        .problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(paths, expected.map(|(path, _)| path), "{error}");
    for (problem, (path, text)) in error.problems.iter().zip(expected) {
        assert!(problem.text.contains(text), "{path}: {}", problem.text);
    }
}

#[test]
fn a_file_that_is_away_or_is_not_toml_is_named() {
    let away = Settings::load(Some(Path::new("/nowhere/relay.toml")), std::iter::empty());
    let error = away.unwrap_err();
    assert_eq!(error.problems[0].path, "/nowhere/relay.toml");
    let error = load("[database]\nurl = 'canary", &[]).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("line 2") && !text.contains("canary"),
        "{text}"
    );
    let text = load("[kafka.properties]\nsasl.password = canary", &[])
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("line 2") && !text.contains("canary"),
        "{text}"
    );
}

#[test]
fn other_names_in_the_environment_are_left_alone() {
    let names = [
        "PATH",
        "OUTBOX_RELAY_CONFIG",
        "OUTBOX_RELAY_SERVICE_HOST",
        "MY_OUTBOX_RELAY__X__Y",
    ];
    let others = names.map(|name| (name.to_owned(), "x".to_owned()));
    let url = (format!("OUTBOX_RELAY__{}", URL.0), URL.1.to_owned());
    assert!(Settings::load(None, others.into_iter().chain([url])).is_ok());
}

#[test]
fn rust_log_wins_over_the_level() {
    let env = [
        ("OUTBOX_RELAY__DATABASE__URL", URL.1),
        ("RUST_LOG", "info,sqlx=warn"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        Settings::load(None, env.into_iter()).unwrap().log.level,
        "info,sqlx=warn"
    );
}

#[test]
fn a_process_without_a_name_is_named_after_its_host_and_id() {
    let name = load("", &[URL]).unwrap().relay.name;
    assert!(
        name.ends_with(&format!("-{}", std::process::id())),
        "{name}"
    );
    assert!(name.len() <= NAME_MAX_BYTES);
}
