//! Every key, its effect, its bounds, words and relations.

use super::*;
use crate::process::settings::{checks, layers, schema};

/// A key's path, another value for it, and whether the settings show it.
type Effect = (&'static str, &'static str, fn(&Settings) -> bool);

const EFFECTS: &[Effect] = &[
    ("database.url", "postgresql://elsewhere/db", |s| {
        s.database.url.expose() == "postgresql://elsewhere/db"
    }),
    ("database.schema", "Shop", |s| s.database.schema == "Shop"),
    ("database.table", "events", |s| s.database.table == "events"),
    ("database.created_at_zone", "Europe/Berlin", |s| {
        s.database.created_at_zone == "Europe/Berlin"
    }),
    ("database.max_connections", "5", |s| {
        s.database.max_connections == 5
    }),
    ("database.statement_timeout_ms", "700", |s| {
        s.database.statement_timeout_ms == 700
    }),
    ("kafka.brokers", "a:1, b:2", |s| {
        s.kafka.brokers == ["a:1", "b:2"]
    }),
    ("kafka.message_timeout_ms", "5000", |s| {
        s.kafka.message_timeout_ms == 5000
    }),
    ("lanes.lease_ttl_ms", "16000", |s| {
        s.lanes.lease_ttl_ms == 16_000
    }),
    ("lanes.renew_ms", "1000", |s| s.lanes.renew_ms == 1000),
    ("lanes.margin_ms", "1000", |s| s.lanes.margin_ms == 1000),
    ("relay.name", "12", |s| s.relay.name == "12"),
    ("relay.order", "pipelined", |s| {
        s.relay.order == Order::Pipelined
    }),
    ("relay.window_rows", "500", |s| s.relay.window_rows == 500),
    ("relay.window_bytes", "2000000", |s| {
        s.relay.window_bytes == 2_000_000
    }),
    ("relay.poll_interval_ms", "9", |s| {
        s.relay.poll_interval_ms == 9
    }),
    ("relay.idle_poll_interval_ms", "99", |s| {
        s.relay.idle_poll_interval_ms == 99
    }),
    ("relay.shutdown_grace_ms", "20000", |s| {
        s.relay.shutdown_grace_ms == 20_000
    }),
    ("relay.after_publish", "delete", |s| {
        s.relay.after_publish == AfterPublish::Delete
    }),
    ("route.topic", "all", |s| s.route.topic == "all"),
    ("route.key", "{id}", |s| s.route.key == "{id}"),
    ("route.format", "raw", |s| s.route.format == Format::Raw),
    ("topics.allow", "shop.*,audit", |s| {
        s.topics.allow == ["shop.*", "audit"]
    }),
    ("topics.create_on_start", "true", |s| {
        s.topics.create_on_start
    }),
    ("schema_registry.urls", "http://a:1,https://b/x", |s| {
        s.schema_registry.urls == ["http://a:1", "https://b/x"]
    }),
    ("schema_registry.username", "relay", |s| {
        s.schema_registry.username == "relay"
    }),
    ("schema_registry.password", "canary", |s| {
        s.schema_registry.password.expose() == "canary"
    }),
    ("schema_registry.token", "canary", |s| {
        s.schema_registry.token.expose() == "canary"
    }),
    ("schema_registry.ca_file", "/ca.pem", |s| {
        s.schema_registry.ca_file == "/ca.pem"
    }),
    ("schema_registry.timeout_ms", "700", |s| {
        s.schema_registry.timeout_ms == 700
    }),
    ("schema_registry.refresh_ms", "7000", |s| {
        s.schema_registry.refresh_ms == 7000
    }),
    ("failure.on_dead", "block", |s| {
        s.failure.on_dead == OnDead::Block
    }),
    ("failure.dead_letter_topic", "dead", |s| {
        s.failure.dead_letter_topic == "dead"
    }),
    ("failure.dead_letter_format", "document", |s| {
        s.failure.dead_letter_format == LetterFormat::Document
    }),
    ("failure.attempts_max", "7", |s| s.failure.attempts_max == 7),
    ("failure.backoff_min_ms", "70", |s| {
        s.failure.backoff_min_ms == 70
    }),
    ("failure.backoff_max_ms", "7000", |s| {
        s.failure.backoff_max_ms == 7000
    }),
    ("large_payload.action", "claim_check", |s| {
        s.large_payload.action == LargeAction::ClaimCheck
    }),
    ("large_payload.over_bytes", "2048", |s| {
        s.large_payload.over_bytes == 2_048
    }),
    ("large_payload.store", "s3://bucket/shop/", |s| {
        s.large_payload.store_url() == Some("s3://bucket/shop")
    }),
    ("large_payload.keep_hours", "7", |s| {
        s.large_payload.keep_hours == 7
    }),
    ("events.source", "/shop", |s| s.events.source == "/shop"),
    ("http.listen", "[::1]:8080", |s| {
        s.http.listen == "[::1]:8080".parse().unwrap()
    }),
    ("log.format", "json", |s| s.log.format == LogFormat::Json),
    ("log.level", "debug", |s| s.log.level == "debug"),
];

fn variable(path: &str) -> String {
    path.to_uppercase().replace('.', "__")
}

#[test]
fn every_key_has_an_effect() {
    let default = load("", &[URL]).unwrap();
    for (path, value, shows) in EFFECTS {
        let settings = with(&variable(path), value).unwrap();
        assert!(shows(&settings) && !shows(&default), "{path} has no effect");
    }
    let (schema, _) = layers::default();
    let mut tried: Vec<_> = EFFECTS.iter().map(|(path, _, _)| *path).collect();
    // Their effects are proved beside them: each has a file of its own.
    tried.extend([
        "database.url_file",
        "schema_registry.password_file",
        "schema_registry.token_file",
        "schema_registry.certificate_file",
        "schema_registry.key_file",
        "topics.declare",
    ]);
    let columns = |path: &&str| path.starts_with("database.columns.");
    tried.extend(schema.paths().filter(columns));
    tried.sort_unstable();
    assert_eq!(schema.paths().collect::<Vec<_>>(), tried);
}

#[test]
fn every_word_of_a_choice_has_a_type() {
    for (path, words) in checks::WORDS {
        for word in *words {
            assert!(with(&variable(path), word).is_ok(), "{path} = {word}");
        }
        assert_eq!(refused("", &[URL, (&variable(path), "canary")]), [*path]);
    }
}

/// A bound that no relation with another default stands in the way of.
fn is_free(path: &str) -> bool {
    !path.starts_with("lanes.")
        && path != "kafka.message_timeout_ms"
        && !path.contains("poll")
        && !path.contains("backoff")
}

#[test]
fn a_number_outside_its_bounds_is_refused_and_one_on_them_is_not() {
    for (path, low, high) in checks::BOUNDS {
        for out in [low - 1, high + 1] {
            let paths = refused("", &[URL, (&variable(path), &out.to_string())]);
            assert_eq!(paths, [*path], "{path} = {out}");
        }
        for bound in [low, high].into_iter().filter(|_| is_free(path)) {
            assert!(
                with(&variable(path), &bound.to_string()).is_ok(),
                "{path} = {bound}"
            );
        }
    }
}

#[test]
fn every_integer_has_bounds_and_the_default_file_tells_them() {
    let text = include_str!("../../../../config/default.toml");
    let (schema, _) = layers::default();
    for path in schema.paths() {
        let bounds = checks::BOUNDS
            .iter()
            .find(|(bounded, _, _)| *bounded == path);
        let is_integer = schema.kind(path) == Some(schema::Kind::Integer);
        assert_eq!(bounds.is_some(), is_integer, "{path}");
        if let Some((_, low, high)) = bounds {
            let key = path.split('.').next_back().unwrap();
            let before = text.split(&format!("\n{key} = ")).next().unwrap();
            let comment = before.rsplit("\n\n").next().unwrap().replace("\n# ", " ");
            assert!(
                comment.contains(&format!("{low} to {high}")),
                "{path}: {comment}"
            );
        }
    }
}

#[test]
fn a_lease_must_outlive_record_margin_and_renewal() {
    let error = with("LANES__LEASE_TTL_MS", "12999").unwrap_err();
    assert_eq!(error.problems[0].path, "lanes.lease_ttl_ms");
    assert!(error.to_string().contains("at least 13000"), "{error}");
    assert!(with("LANES__LEASE_TTL_MS", "13000").is_ok());
    assert_eq!(
        refused("", &[URL, ("KAFKA__MESSAGE_TIMEOUT_MS", "10001")]),
        ["lanes.lease_ttl_ms"]
    );
    assert_eq!(
        refused("", &[URL, ("LANES__MARGIN_MS", "4001")]),
        ["lanes.lease_ttl_ms"]
    );
    assert_eq!(
        refused("", &[URL, ("LANES__RENEW_MS", "5001")]),
        ["lanes.lease_ttl_ms"]
    );
}

#[test]
fn a_store_is_addressed_without_secrets() {
    for wrong in [
        "",
        "s3://",
        "s3:///a",
        "https://b/c",
        "s3://key:canary@b",
        "s3://b?a=b",
    ] {
        let env = [URL, ("LARGE_PAYLOAD__STORE", wrong)];
        assert_eq!(refused("", &env), ["large_payload.store"], "{wrong}");
    }
}

#[test]
fn what_is_not_large_must_find_room_in_a_record() {
    let claims = ("LARGE_PAYLOAD__ACTION", "claim_check");
    let over = |bytes| ("LARGE_PAYLOAD__OVER_BYTES", bytes);
    let record = |bytes| ("KAFKA__PROPERTIES__MESSAGE_MAX_BYTES", bytes);
    let wrong = ["large_payload.over_bytes"];
    assert_eq!(refused("", &[URL, claims, over("1000001")]), wrong);
    assert_eq!(refused("", &[URL, claims, record("400000")]), wrong);
    assert!(load("", &[URL, claims, over("1000000")]).is_ok());
    assert!(load("", &[URL, claims, over("2000000"), record("2000000")]).is_ok());
    assert!(load("", &[URL, over("2000000")]).is_ok(), "nobody asks");
}

#[test]
fn an_idle_relay_does_not_poll_more_often() {
    let toml = "relay.poll_interval_ms = 2";
    let idle = |ms| [URL, ("RELAY__IDLE_POLL_INTERVAL_MS", ms)];
    assert_eq!(refused(toml, &idle("1")), ["relay.idle_poll_interval_ms"]);
    assert!(load(toml, &idle("2")).is_ok());
}

#[test]
fn texts_of_the_wrong_shape_are_refused() {
    let long = "x".repeat(64);
    let wrong = [
        ("database.schema", ""),
        ("database.schema", &long),
        ("database.schema", "a\0b"),
        ("database.table", ""),
        ("database.table", &long[..41]),
        ("kafka.brokers", " , "),
        ("kafka.brokers", "kafka"),
        ("kafka.brokers", "a:9092,:9092"),
        ("kafka.brokers", "a:0"),
        ("relay.name", &long[..49]),
        ("relay.name", "a\nb"),
        ("route.topic", ""),
        ("route.topic", "{agregate_type}"),
        ("route.topic", "a b"),
        ("route.key", "{aggregate_id"),
        ("events.source", ""),
        ("events.source", "/out box"),
        ("http.listen", "9464"),
        ("http.listen", "localhost"),
    ];
    for (path, value) in wrong {
        assert_eq!(
            refused("", &[URL, (&variable(path), value)]),
            [path],
            "{value:?}"
        );
    }
}

#[test]
fn what_depends_on_a_faulty_key_is_not_judged() {
    let env = [
        URL,
        ("KAFKA__MESSAGE_TIMEOUT_MS", "x"),
        ("LANES__LEASE_TTL_MS", "2000"),
    ];
    assert_eq!(refused("", &env), ["kafka.message_timeout_ms"]);
}
