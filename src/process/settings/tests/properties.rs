//! The properties of Kafka's client: their names, and which of them are refused.

use super::{URL, load, refused, with};
use crate::process::settings::properties::OWNED;

#[test]
fn a_property_is_the_same_quoted_nested_and_in_the_environment() {
    let quoted = "[kafka.properties]\n'socket.keepalive.enable' = true\n'linger.ms' = 1.5";
    let nested = "[kafka.properties]\nsocket.keepalive.enable = true\nlinger.ms = 1.5";
    let env = [
        URL,
        ("KAFKA__PROPERTIES__SOCKET_KEEPALIVE_ENABLE", "true"),
        ("KAFKA__PROPERTIES__LINGER__MS", "1.5"),
    ];
    let settings = load(quoted, &[URL]).unwrap();
    assert_eq!(settings.kafka.properties["linger.ms"].expose(), "1.5");
    assert_eq!(
        settings.kafka.properties["socket.keepalive.enable"].expose(),
        "true"
    );
    assert_eq!(settings.kafka, load(nested, &[URL]).unwrap().kafka);
    assert_eq!(settings.kafka, load("", &env).unwrap().kafka);
}

#[test]
fn an_alias_of_a_property_wins_over_its_default_and_stands_alone() {
    let settings = with("KAFKA__PROPERTIES__QUEUE_BUFFERING_MAX_MS", "7").unwrap();
    assert_eq!(settings.kafka.properties["linger.ms"].expose(), "7");
    assert!(
        !settings
            .kafka
            .properties
            .contains_key("queue.buffering.max.ms")
    );
    let toml = "[kafka.properties]\n'queue.buffering.max.ms' = 1\n'linger.ms' = 2";
    assert_eq!(refused(toml, &[URL]).len(), 1);
    let toml = "[kafka.properties]\nlinger.ms = 1\n'linger.ms' = 2";
    assert_eq!(refused(toml, &[URL]), ["kafka.properties.linger.ms"]);
}

#[test]
fn a_property_that_the_relay_owns_is_refused_with_the_reason() {
    for (name, reason) in OWNED {
        let toml = format!("[kafka.properties]\n'{name}' = 'canary'");
        let error = load(&toml, &[URL]).unwrap_err();
        assert_eq!(error.problems.len(), 1);
        assert_eq!(error.problems[0].path, format!("kafka.properties.{name}"));
        assert!(error.problems[0].text.contains(reason));
    }
    assert_eq!(
        refused("[kafka.properties]\ndr_msg_cb = 'x'", &[URL]).len(),
        1
    );
}

#[test]
fn a_property_whose_value_weakens_the_promise_is_refused() {
    let wrong = [
        ("max.in.flight", "6"),
        ("max.in.flight.requests.per.connection", "0"),
        ("enable.ssl.certificate.verification", "false"),
        ("enable.ssl.certificate.verification", "0"),
        ("ssl.endpoint.identification.algorithm", "none"),
        ("client.id", "__admin_client"),
    ];
    for (name, value) in wrong {
        let toml = format!("[kafka.properties]\n'{name}' = '{value}'");
        assert_eq!(refused(&toml, &[URL]).len(), 1, "{name} = {value}");
    }
    let right = [
        ("max.in.flight", "5"),
        ("enable.ssl.certificate.verification", "True"),
    ];
    for (name, value) in right {
        let toml = format!("[kafka.properties]\n'{name}' = '{value}'");
        assert!(load(&toml, &[URL]).is_ok(), "{name} = {value}");
    }
}

#[test]
fn a_property_that_is_no_text_is_refused() {
    assert_eq!(
        refused("[kafka.properties]\nlinger.ms = [1]", &[URL]),
        ["kafka.properties.linger.ms"]
    );
    assert_eq!(
        refused("[kafka]\nproperties = 1", &[URL]),
        ["kafka.properties"]
    );
}
