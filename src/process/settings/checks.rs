//! Whether values can be: the bounds of numbers, the words of choices, the shape of texts, and the
//! relations between keys.
//!
//! Judges what the layers together say; a key that is already at fault is left out, and so is what
//! depends on it. Does not know where a value came from.

use std::net::SocketAddr;

use config::Config;

use super::problems::Problems;
use super::{properties, routes, schemas};
use crate::decide::dead::LetterTopic;
use crate::decide::topic::Allowed;

/// The bounds of every integer, both included. `config/default.toml` tells why.
pub(super) const BOUNDS: &[(&str, i64, i64)] = &[
    ("database.max_connections", 3, 16),
    ("database.statement_timeout_ms", 100, 600_000),
    ("kafka.message_timeout_ms", 1_000, 300_000),
    ("lanes.lease_ttl_ms", 2_000, 600_000),
    ("lanes.renew_ms", 100, 60_000),
    ("lanes.margin_ms", 100, 60_000),
    ("relay.window_rows", 100, 100_000),
    ("relay.window_bytes", 1_048_576, 1_073_741_824),
    ("relay.poll_interval_ms", 1, 1_000),
    ("relay.idle_poll_interval_ms", 1, 60_000),
    ("relay.shutdown_grace_ms", 1_000, 600_000),
    ("schema_registry.timeout_ms", 100, 60_000),
    ("schema_registry.refresh_ms", 1_000, 86_400_000),
    ("failure.attempts_max", 0, 1_000_000),
    ("large_payload.over_bytes", 1_024, 1_000_000_000),
    ("large_payload.keep_hours", 1, 87_600),
    ("failure.backoff_min_ms", 10, 60_000),
    ("failure.backoff_max_ms", 10, 600_000),
];

/// The words of `relay.order`, and of a route's.
pub(super) const ORDERS: &[&str] = &["strict", "pipelined", "none"];
/// The words of `failure.on_dead`, and of a route's.
pub(super) const ENDS: &[&str] = &["dead_letter", "block", "table"];
/// The words of `route.format`, and of any route's.
pub(super) const FORMATS: &[&str] = &[
    "payload",
    "cloudevents",
    "header-payload",
    "event",
    "raw",
    "debezium",
];

/// The words of every choice.
pub(super) const WORDS: &[(&str, &[&str])] = &[
    ("relay.order", ORDERS),
    ("relay.after_publish", &["mark", "delete"]),
    ("route.format", FORMATS),
    ("failure.on_dead", ENDS),
    ("failure.dead_letter_format", &["record", "document"]),
    ("large_payload.action", &["dead", "claim_check"]),
    ("log.format", &["auto", "human", "json"]),
    ("log.level", &["error", "warn", "info", "debug", "trace"]),
];

/// Adds everything that is wrong with the values.
pub(super) fn all(config: &Config, problems: &mut Problems) {
    bounds(config, problems);
    words(config, problems);
    texts(config, problems);
    brokers(config, problems);
    properties::check(&properties::of(config), problems);
    lease_outlives_records(config, problems);
    not_below(
        "relay.idle_poll_interval_ms",
        "relay.poll_interval_ms",
        config,
        problems,
    );
    not_below(
        "failure.backoff_max_ms",
        "failure.backoff_min_ms",
        config,
        problems,
    );
    topics(config, problems);
    schemas::check(config, problems);
    large_payload(config, problems);
    routes::check(config, problems);
}

fn bounds(config: &Config, problems: &mut Problems) {
    for (path, low, high) in BOUNDS {
        if let Some(value) = integer(config, path, problems)
            && !(*low..=*high).contains(&value)
        {
            problems.add(path, format!("expected {low} to {high}, found {value}"));
        }
    }
}

fn words(config: &Config, problems: &mut Problems) {
    for (path, words) in WORDS {
        let value = text(config, path);
        if !problems.name(path) && !words.contains(&value.as_str()) {
            problems.add(
                path,
                format!("expected {}, found {value:?}", words.join(" or ")),
            );
        }
    }
}

/// The texts whose shape matters.
fn texts(config: &Config, problems: &mut Problems) {
    let named_file_failed = problems.name("database.url_file");
    let mut expect = |path: &str, is_right: &dyn Fn(&str) -> bool, what: &str| {
        if !problems.name(path) && !is_right(&text(config, path)) {
            problems.add(path, what);
        }
    };
    expect(
        "database.url",
        &|url| is_database(url) || named_file_failed,
        "expected postgres://user:password@host:port/database, here or in the file that \
         database.url_file names",
    );
    expect(
        "database.schema",
        &|name| is_identifier(name, 63),
        "expected 1 to 63 bytes, no NUL",
    );
    expect(
        "database.table",
        &|name| is_identifier(name, 40),
        "expected 1 to 40 bytes, no NUL",
    );
    for (name, _) in config.get_table("database.columns").unwrap_or_default() {
        expect(
            &format!("database.columns.{name}"),
            &|column| column.is_empty() || is_identifier(column, 63),
            "expected up to 63 bytes, no NUL",
        );
    }
    expect(
        "database.created_at_zone",
        &|zone| !zone.is_empty() && !zone.contains('\0'),
        "expected the name of a time zone, such as Europe/Berlin",
    );
    expect(
        "relay.name",
        &is_relay_name,
        "expected up to 48 characters of printable ASCII",
    );
    expect(
        "events.source",
        &is_uri,
        "expected a URI reference, such as /outbox-relay",
    );
    expect(
        "http.listen",
        &|listen| listen.parse::<SocketAddr>().is_ok(),
        "expected an address and a port, such as 127.0.0.1:9464 or [::1]:9464",
    );
}

/// The list that must not be empty.
fn brokers(config: &Config, problems: &mut Problems) {
    let path = "kafka.brokers";
    let brokers: Vec<String> = config.get(path).unwrap_or_default();
    let right = !brokers.is_empty() && brokers.iter().all(|broker| is_broker(broker));
    if !right && !problems.name(path) {
        problems.add(path, "expected one host:port or more, such as kafka-1:9092");
    }
}

fn is_database(url: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
}

/// What can stand between double quotes in SQL.
fn is_identifier(name: &str, longest_bytes: usize) -> bool {
    (1..=longest_bytes).contains(&name.len()) && !name.contains('\0')
}

/// What `application_name` shows unchanged: `PostgreSQL` replaces other characters.
fn is_relay_name(name: &str) -> bool {
    name.len() <= super::NAME_MAX_BYTES && name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// A URI reference has no blanks and nothing beyond ASCII (RFC 3986).
fn is_uri(source: &str) -> bool {
    !source.is_empty() && source.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One `host:port`. The client would take a broker without a port for one at 9092: that hides slips.
fn is_broker(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else {
        return false;
    };
    let is_host = host
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b',');
    !host.is_empty() && is_host && port.parse().is_ok_and(|port: u16| port > 0)
}

/// A record may be confirmed as late as its time-out: the lease it was handed over under must
/// still hold then, and a renewal may be due just before.
fn lease_outlives_records(config: &Config, problems: &mut Problems) {
    let number = |path: &str| integer(config, path, problems);
    let (Some(ttl), Some(timeout), Some(margin), Some(renew)) = (
        number("lanes.lease_ttl_ms"),
        number("kafka.message_timeout_ms"),
        number("lanes.margin_ms"),
        number("lanes.renew_ms"),
    ) else {
        return;
    };
    let least = timeout + margin + renew;
    if ttl < least {
        let text = format!(
            "expected at least {least} (kafka.message_timeout_ms {timeout} + lanes.margin_ms \
             {margin} + lanes.renew_ms {renew}), found {ttl}: another relay could own a lane \
             while a record of it is still under way",
        );
        problems.add("lanes.lease_ttl_ms", text);
    }
}

/// The longest of two times must not be the shorter one.
fn not_below(longest: &str, least: &str, config: &Config, problems: &mut Problems) {
    let low = integer(config, least, problems);
    let high = integer(config, longest, problems);
    if let (Some(low), Some(high)) = (low, high)
        && high < low
    {
        problems.add(
            longest,
            format!("expected at least {least} {low}, found {high}"),
        );
    }
}

/// Names of topics: what may be reached, and where dead letters go.
fn topics(config: &Config, problems: &mut Problems) {
    let allow: Vec<String> = config.get("topics.allow").unwrap_or_default();
    if let Err(error) = Allowed::parse(&allow)
        && !problems.name("topics.allow")
    {
        problems.add("topics.allow", error.to_string());
    }
    let path = "failure.dead_letter_topic";
    if let Err(error) = LetterTopic::parse(&text(config, path))
        && !problems.name(path)
    {
        problems.add(path, format!("expected a topic or {{topic}}.dlq: {error}"));
    }
}

/// What is not large must find room in a record, and what is large a place.
fn large_payload(config: &Config, problems: &mut Problems) {
    let store = text(config, "large_payload.store");
    if store != super::IN_DATABASE && !is_store(&store) {
        let text = "expected database, or s3://bucket/prefix in letters, digits and -._/";
        problems.add("large_payload.store", text);
    }
    let path = "large_payload.over_bytes";
    let properties = properties::of(config);
    let allowed = properties.get("message.max.bytes");
    let allowed = allowed.map_or(Some(super::RECORD_BYTES_MAX), |text| text.parse().ok());
    let over = integer(config, path, problems).and_then(|over| u64::try_from(over).ok());
    let asks = text(config, "large_payload.action") == "claim_check";
    if let (Some(over), Some(allowed), true) = (over, allowed, asks)
        && over > allowed
    {
        let text = format!(
            "expected at most message.max.bytes {allowed}, found {over}: what lies between would be \
             dead"
        );
        problems.add(path, text);
    }
}

/// An address shows in records and logs, so no secret may stand in it.
fn is_store(address: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    address.strip_prefix("s3://").is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(is_plain)
    })
}

/// The value of an integer, unless it is at fault already.
fn integer(config: &Config, path: &str, problems: &Problems) -> Option<i64> {
    let value = config.get_int(path).ok()?;
    (!problems.name(path)).then_some(value)
}

/// The value of a text.
fn text(config: &Config, path: &str) -> String {
    config.get_string(path).unwrap_or_default()
}
