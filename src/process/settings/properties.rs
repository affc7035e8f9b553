//! The properties of Kafka's client: which of them the relay owns, which have two names, which
//! are secret.
//!
//! Does not know the other properties: the client refuses what it does not know when a producer is
//! made. Names and aliases are those of librdkafka 2.12 (`CONFIGURATION.md`).
//!
//! Invariant: a property that could weaken order, or lose an event, never reaches the client.

use std::collections::BTreeMap;

use config::{Config, Value, ValueKind};

use super::problems::Problems;

/// Aliases and the name that stands for both. Two names for one property would otherwise reach the
/// client in no order, and the default could win over what was given.
const ALIASES: &[(&str, &str)] = &[
    ("compression.codec", "compression.type"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("sasl.mechanisms", "sasl.mechanism"),
    (
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.id",
    ),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ),
];

/// The properties that the relay sets itself, or that must not be set, each with the reason.
pub(super) const OWNED: &[(&str, &str)] = &[
    ("acks", ALL_REPLICAS),
    ("request.required.acks", ALL_REPLICAS),
    (
        "enable.idempotence",
        "is always on: without it a retry may publish twice or out of order",
    ),
    (
        "enable.gapless.guarantee",
        "would stop the producer at a failure that the relay retries",
    ),
    ("message.send.max.retries", RETRIES),
    ("retries", RETRIES),
    (
        "partitioner",
        "is always murmur2_random: a key has the partition that Java's client gives it",
    ),
    (
        "allow.auto.create.topics",
        "is always off: a misspelt topic must not come into being",
    ),
    ("message.timeout.ms", TIMEOUT),
    ("delivery.timeout.ms", TIMEOUT),
    ("bootstrap.servers", BROKERS),
    ("metadata.broker.list", BROKERS),
    ("queue.buffering.max.messages", WINDOW),
    ("queue.buffering.max.kbytes", WINDOW),
    ("transactional.id", TRANSACTIONS),
    ("transaction.timeout.ms", TRANSACTIONS),
    (
        "delivery.report.only.error",
        "is always off: a positive report is the only proof",
    ),
    (
        "queuing.strategy",
        "is always fifo: anything else breaks order",
    ),
    ("msg_order_cmp", "would break order"),
    ("enabled_events", CALLBACK),
    ("opaque", CALLBACK),
    (
        "test.mock.num.brokers",
        "would publish to brokers that exist in this process alone",
    ),
];

const ALL_REPLICAS: &str = "is always all: an event counts as published once all replicas have it";
const RETRIES: &str = "is the relay's: a record is retried until kafka.message_timeout_ms is over";
const TIMEOUT: &str = "is kafka.message_timeout_ms: the length of leases depends on it";
const BROKERS: &str = "is kafka.brokers";
const WINDOW: &str = "follows from relay.window_rows and relay.window_bytes";
const TRANSACTIONS: &str = "cannot be set: the relay does not publish in transactions";
const CALLBACK: &str = "is set by the program and not by text";

/// The secrets: these may come from a file, by their name and `_file`.
const SECRETS: &[&str] = &[
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
];

/// The path of a property in settings.
pub(super) fn path(name: &str) -> String {
    format!("kafka.properties.{name}")
}

/// The properties of laid-on layers, by name.
pub(super) fn of(config: &Config) -> BTreeMap<String, String> {
    let table = config.get_table("kafka.properties").unwrap_or_default();
    let texts = table.into_iter();
    texts
        .filter_map(|(name, value)| Some((name, text_of(&value)?)))
        .collect()
}

/// A value as the client takes it: as text.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        ValueKind::Boolean(value) => Some(value.to_string()),
        ValueKind::I64(value) => Some(value.to_string()),
        ValueKind::Float(value) => Some(value.to_string()),
        ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Nil
        | ValueKind::Table(_)
        | ValueKind::Array(_) => None,
    }
}

/// The one name under which a property stands.
pub(super) fn canonical(name: &str) -> String {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, canonical)| canonical).to_owned()
}

/// The name of a property by its name in the environment, where a dot is an underscore.
pub(super) fn of_environment(name: &str) -> String {
    let dotted = name.replace("__", ".").replace('_', ".");
    match dotted.strip_suffix(".file") {
        Some(secret) if SECRETS.contains(&secret) => format!("{secret}_file"),
        Some(_) | None => dotted,
    }
}

/// The property that a `..._file` key gives.
pub(super) fn secret_of_file(key: &str) -> Option<&str> {
    key.strip_suffix("_file")
        .filter(|name| SECRETS.contains(name))
}

/// Whether a key names a file, not a property.
pub(super) fn is_file(key: &str) -> bool {
    key.ends_with("_file")
}

/// Refuses what the relay owns, what is unsafe, and files for what is no secret.
pub(super) fn check(given: &BTreeMap<String, String>, problems: &mut Problems) {
    for (name, value) in given {
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| owned == name) {
            problems.add(&path(name), format!("the relay owns it: it {reason}"));
        } else if name.ends_with("_cb") {
            problems.add(&path(name), format!("the relay owns it: it {CALLBACK}"));
        } else if is_file(name) && secret_of_file(name).is_none() {
            let text = format!("only secrets come from a file: {}", SECRETS.join(", "));
            problems.add(&path(name), text);
        } else if let Some(reason) = unsafe_value(name, value) {
            problems.add(&path(name), reason);
        }
    }
}

/// Why a value weakens what the relay promises, if it does.
fn unsafe_value(name: &str, value: &str) -> Option<&'static str> {
    match name {
        "max.in.flight.requests.per.connection" => {
            let few = value
                .parse::<u8>()
                .is_ok_and(|requests| (1..=5).contains(&requests));
            (!few).then_some("expected 1 to 5: with more, brokers no longer keep retries in order")
        }
        "enable.ssl.certificate.verification" => (!is_true(value)).then_some(
            "expected true: unverified, anyone may pose as a broker; trust your own authority by \
             ssl.ca.location",
        ),
        "ssl.endpoint.identification.algorithm" => (value != "https").then_some(
            "expected https: otherwise any certificate of the same authority passes as a broker",
        ),
        "client.id" => (value == "__admin_client")
            .then_some("expected another name: brokers let this one write to internal topics"),
        _ => None,
    }
}

/// How librdkafka reads a boolean.
fn is_true(value: &str) -> bool {
    ["true", "t", "1"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(value))
}
