//! The properties that librdkafka is started with.
//!
//! Owns the defaults that the relay's promises rest on, and which of them a user may change. Knows
//! no setting's origin and checks no value: librdkafka does.
//!
//! Invariant: a property is set under one name only. librdkafka has several names for some, and
//! the crate hands them over in no order, so that of two names for one property either might win.

use std::collections::BTreeMap;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

/// Other names of properties that are set here (`CONFIGURATION.md`, "Alias for").
const ALIASES: [(&str, &str); 5] = [
    ("acks", "request.required.acks"),
    ("bootstrap.servers", "metadata.broker.list"),
    ("compression.type", "compression.codec"),
    ("linger.ms", "queue.buffering.max.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
];

/// What a user's own properties may change.
const DEFAULTS: [(&str, &str); 11] = [
    ("client.id", "outbox-relay"),
    // A missing topic is to be seen, not made.
    ("allow.auto.create.topics", "false"),
    // Keys land where the Java client puts them; librdkafka's own choice is CRC32.
    ("partitioner", "murmur2_random"),
    // At 30 s, its default, a missing topic looks like a time-out; so it is reported after 2 s.
    ("topic.metadata.propagation.max.ms", "1500"),
    // Waiting for company costs latency in strict order and wins nothing: records that queue up
    // behind a request under way are company enough.
    ("linger.ms", "0"),
    ("compression.type", "none"),
    ("socket.keepalive.enable", "true"),
    // When a batch is refused, those on their way behind it to its partition are too, and wait this
    // long before they are sent again: at 100, its default, one bad record halts the good ones of
    // its partition that much. It doubles with each try, up to `retry.backoff.max.ms`.
    ("retry.backoff.ms", "10"),
    // At 10 s, its default, a broker that is back is noticed late.
    ("reconnect.backoff.max.ms", "1000"),
    // Brokers close idle connections; that is no news.
    ("log.connection.close", "false"),
    // The OpenSSL that is built in looks for public authorities below /usr/local/ssl, where no
    // system keeps them; probed are the places where systems do.
    ("ssl.ca.location", "probe"),
];

/// The configuration of a producer for these brokers. `extra` wins over what is a default here,
/// and not over what the relay's promises rest on: idempotence, the time-out, and a queue that
/// cannot fill before the window of `window_rows` does. Not set, so as in librdkafka:
/// `message.max.bytes` and `batch.size`, each 1,000,000, and `socket.nagle.disable`, which is true.
pub fn client_config(
    brokers: &[String],
    message_timeout_ms: u64,
    extra: &BTreeMap<String, String>,
    window_rows: usize,
) -> ClientConfig {
    let owned = [
        ("bootstrap.servers", brokers.join(",")),
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("message.timeout.ms", message_timeout_ms.to_string()),
        ("queue.buffering.max.messages", queue_rows(window_rows)),
        // The window bounds the bytes; a record larger than the window still has to pass.
        ("queue.buffering.max.kbytes", i32::MAX.to_string()),
    ];
    let mut config = ClientConfig::new();
    config.set_log_level(log_level());
    for (name, value) in DEFAULTS {
        config.set(name, value);
    }
    for (name, value) in extra {
        config.set(canonical(name), value);
    }
    for (name, value) in owned {
        config.set(name, value);
    }
    config
}

/// Twice the window, so that only the window is ever full.
fn queue_rows(window_rows: usize) -> String {
    let rows = window_rows.saturating_mul(2).max(1_000);
    i32::try_from(rows).unwrap_or(i32::MAX).to_string()
}

/// The name under which a property is set here.
fn canonical(name: &str) -> &str {
    ALIASES
        .into_iter()
        .find_map(|(ours, alias)| (alias == name).then_some(ours))
        .unwrap_or(name)
}

/// What librdkafka is to say at all; our own filter then chooses among it.
fn log_level() -> RDKafkaLogLevel {
    if tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG) {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librdkafka itself understood.
    fn effective(extra: &[(&str, &str)], name: &str) -> String {
        let extra = extra
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        client_config(&["a:1".to_owned(), "b:2".to_owned()], 8_000, &extra, 20_000)
            .create_native_config()
            .unwrap()
            .get(name)
            .unwrap()
    }

    #[test]
    fn the_promises_rest_on_these_properties() {
        for (name, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("enable.idempotence", "true"),
            ("acks", "-1"),
            ("message.timeout.ms", "8000"),
            ("partitioner", "murmur2_random"),
            ("allow.auto.create.topics", "false"),
            ("topic.metadata.propagation.max.ms", "1500"),
            ("linger.ms", "0"),
            ("compression.type", "none"),
            ("retry.backoff.ms", "10"),
            ("message.max.bytes", "1000000"),
            ("batch.size", "1000000"),
            ("socket.keepalive.enable", "true"),
            ("socket.nagle.disable", "true"),
            ("queue.buffering.max.messages", "40000"),
            ("ssl.ca.location", "probe"),
        ] {
            assert_eq!(effective(&[], name), value, "{name}");
        }
    }

    #[test]
    fn a_users_property_wins_over_a_default_under_any_name() {
        for _ in 0..20 {
            assert_eq!(effective(&[("linger.ms", "7")], "linger.ms"), "7");
            assert_eq!(
                effective(&[("queue.buffering.max.ms", "7")], "linger.ms"),
                "7"
            );
            assert_eq!(
                effective(&[("compression.codec", "zstd")], "compression.type"),
                "zstd"
            );
            assert_eq!(
                effective(&[("message.max.bytes", "5000")], "message.max.bytes"),
                "5000"
            );
        }
    }

    #[test]
    fn no_users_property_weakens_a_promise_under_any_name() {
        for _ in 0..20 {
            for (name, value) in [
                ("acks", "1"),
                ("request.required.acks", "1"),
                ("enable.idempotence", "false"),
                ("message.timeout.ms", "1"),
                ("delivery.timeout.ms", "1"),
                ("metadata.broker.list", "c:3"),
                ("queue.buffering.max.messages", "1"),
            ] {
                assert_eq!(
                    effective(&[(name, value)], name),
                    effective(&[], name),
                    "{name}"
                );
            }
        }
    }
}
