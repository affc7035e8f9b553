//! What is allowed and yet unwise, for `check` to say.
//!
//! Pure: settings in, sentences out. Does not connect to anything.

use super::Settings;

/// One sentence for each thing that is unwise.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let found = [
        database(settings),
        kafka(settings),
        grace(settings),
        creation(settings),
        registry(settings),
    ];
    found.into_iter().flatten().collect()
}

/// The connection to the database, unless it stays on this machine.
fn database(settings: &Settings) -> Option<String> {
    let url = Url::of(settings.database.url.expose());
    if is_loopback(&url.host) {
        return None;
    }
    let weakness = match url.sslmode.as_str() {
        "verify-full" => return None,
        "verify-ca" => "checks the certificate and not whose it is",
        "require" => "encrypts and checks no certificate: anyone may pose as the database",
        "disable" => "sends events and the password as plain text",
        _ => "sends events as plain text if the server does not offer TLS, or someone says so",
    };
    let mode = &url.sslmode;
    Some(format!(
        "database.url: sslmode={mode} {weakness}; use sslmode=verify-full"
    ))
}

/// The connections to the brokers, unless they stay on this machine.
fn kafka(settings: &Settings) -> Option<String> {
    let protocol = settings.kafka.properties.get("security.protocol");
    let protocol = protocol
        .map_or("plaintext", |protocol| protocol.expose())
        .to_lowercase();
    let local = |broker: &String| {
        let address = broker
            .rsplit_once("://")
            .map_or(broker.as_str(), |(_, address)| address);
        is_loopback(host_of(address))
    };
    let plain = protocol == "plaintext" || protocol == "sasl_plaintext";
    (plain && !settings.kafka.brokers.iter().all(local)).then(|| {
        let better = if protocol == "plaintext" {
            "ssl"
        } else {
            "sasl_ssl"
        };
        format!(
            "kafka.properties.security.protocol: {protocol} sends everything as plain text; use \
             {better}",
        )
    })
}

/// A stop that does not wait for a record's time-out.
fn grace(settings: &Settings) -> Option<String> {
    let (grace, timeout) = (
        settings.relay.shutdown_grace_ms,
        settings.kafka.message_timeout_ms,
    );
    (grace < timeout).then(|| {
        format!(
            "relay.shutdown_grace_ms: {grace} is less than kafka.message_timeout_ms {timeout}: a \
             stop may leave records without an answer, to be published again",
        )
    })
}

/// Topics that are to be made, and none is named.
fn creation(settings: &Settings) -> Option<String> {
    let topics = &settings.topics;
    (topics.create_on_start && topics.declare.is_empty()).then(|| {
        "topics.create_on_start: no topic is declared, so none is made; see topics.declare"
            .to_owned()
    })
}

/// The password or token for the registry, unless it stays on this machine.
fn registry(settings: &Settings) -> Option<String> {
    let registry = &settings.schema_registry;
    let is_distant = |url: &String| {
        let address = url.strip_prefix("http://");
        let address = address.and_then(|rest| rest.split('/').next());
        address.is_some_and(|address| !is_loopback(host_of(address)))
    };
    let secret = if registry.username.is_empty() {
        (!registry.token.expose().is_empty()).then_some("token")
    } else {
        Some("password")
    };
    let secret = secret.filter(|_| registry.urls.iter().any(is_distant))?;
    let text = format!("schema_registry.urls: http sends the {secret} as plain text; use https");
    Some(text)
}

/// What matters here of a database url.
struct Url {
    host: String,
    sslmode: String,
}

impl Url {
    /// Reads it as the database client does: `?host=` wins over the authority, and the mode is
    /// `prefer` where none is given.
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = rest.split('/').next().unwrap_or_default();
        let address = authority
            .rsplit_once('@')
            .map_or(authority, |(_, address)| address);
        let mut found = Self {
            host: host_of(address).to_owned(),
            sslmode: "prefer".to_owned(),
        };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "host" | "hostaddr" => value.clone_into(&mut found.host),
                "sslmode" | "ssl-mode" => found.sslmode = value.to_lowercase(),
                _ => {}
            }
        }
        found
    }
}

/// The host of `host:port` or `[host]:port`.
fn host_of(address: &str) -> &str {
    if let Some(rest) = address.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    address.split(':').next().unwrap_or_default()
}

/// Whether a host is this machine: no host and a path are Unix sockets.
fn is_loopback(host: &str) -> bool {
    let socket = host.is_empty() || host.starts_with('/') || host.to_lowercase().starts_with("%2f");
    let address = host.parse::<std::net::IpAddr>();
    socket || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(pairs: &[(&str, &str)]) -> Vec<String> {
        let env = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = Settings::load(None, env).unwrap();
        warnings(&settings)
    }

    fn of_url(url: &str) -> usize {
        warned(&[("OUTBOX_RELAY__DATABASE__URL", url)]).len()
    }

    #[test]
    fn a_database_on_this_machine_needs_no_tls() {
        assert_eq!(of_url("postgres://u:p@localhost:5432/shop"), 0);
        assert_eq!(of_url("postgres://u:p@127.0.0.1/shop"), 0);
        assert_eq!(of_url("postgres://[::1]:5432/shop"), 0);
        assert_eq!(of_url("postgres:///shop?host=/run/postgresql"), 0);
    }

    #[test]
    fn anything_below_verify_full_is_warned_of() {
        assert_eq!(of_url("postgres://db.example/shop"), 1);
        assert_eq!(of_url("postgres:///shop?host=db.example"), 1);
        for mode in ["disable", "prefer", "require", "verify-ca"] {
            assert_eq!(
                of_url(&format!("postgres://u:p@db.example/shop?sslmode={mode}")),
                1
            );
        }
        assert_eq!(
            of_url("postgres://u:p@db.example/shop?sslmode=verify-full"),
            0
        );
    }

    #[test]
    fn a_warning_does_not_show_the_password() {
        let url = "postgres://u:canary@db.example/shop?password=canary&sslmode=require";
        let said = warned(&[("OUTBOX_RELAY__DATABASE__URL", url)]);
        assert_eq!(said.len(), 1);
        assert!(!said[0].contains("canary"));
    }

    #[test]
    fn plain_text_to_a_distant_broker_is_warned_of() {
        let url = ("OUTBOX_RELAY__DATABASE__URL", "postgres://localhost/shop");
        let near = ("OUTBOX_RELAY__KAFKA__BROKERS", "localhost:9092,[::1]:9093");
        let far = (
            "OUTBOX_RELAY__KAFKA__BROKERS",
            "localhost:9092,kafka.example:9092",
        );
        let tls = (
            "OUTBOX_RELAY__KAFKA__PROPERTIES__SECURITY_PROTOCOL",
            "SASL_SSL",
        );
        assert_eq!(warned(&[url, near]).len(), 0);
        assert_eq!(warned(&[url, far]).len(), 1);
        assert_eq!(warned(&[url, far, tls]).len(), 0);
    }

    #[test]
    fn making_topics_that_nobody_declared_is_warned_of() {
        let url = ("OUTBOX_RELAY__DATABASE__URL", "postgres://localhost/shop");
        let make = ("OUTBOX_RELAY__TOPICS__CREATE_ON_START", "true");
        assert_eq!(warned(&[url, make]).len(), 1);
    }

    #[test]
    fn a_stop_shorter_than_the_time_out_is_warned_of() {
        let url = ("OUTBOX_RELAY__DATABASE__URL", "postgres://localhost/shop");
        let grace = ("OUTBOX_RELAY__RELAY__SHUTDOWN_GRACE_MS", "7999");
        assert_eq!(warned(&[url, grace]).len(), 1);
    }

    #[test]
    fn a_password_in_plain_text_to_a_distant_registry_is_warned_of() {
        let warned = |url: &str, key: &str, value: &str| {
            let key = format!("OUTBOX_RELAY__SCHEMA_REGISTRY__{key}");
            let env = [
                ("OUTBOX_RELAY__DATABASE__URL", "postgres://localhost/shop"),
                ("OUTBOX_RELAY__SCHEMA_REGISTRY__URLS", url),
                (&key, value),
            ];
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let settings = Settings::load(None, env.into_iter()).unwrap();
            let all = warnings(&settings);
            all.iter()
                .any(|text| text.starts_with("schema_registry.urls"))
        };
        let about = |url: &str, user: &str| warned(url, "USERNAME", user);
        assert!(about("http://registry:8081/apis", "relay"));
        assert!(!about("http://registry:8081", ""), "there is no password");
        assert!(!about("https://registry:8081", "relay"));
        assert!(!about("http://127.0.0.1:8081", "relay"));
        assert!(warned("http://registry:8081", "TOKEN", "canary"));
    }
}
