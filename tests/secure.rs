//! TLS and SASL: the settings reach both clients, a wrong one is told in clear words, and no
//! password is.

mod door;

use self::door::Door;
use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::tally::assert_once_in_order;
use crate::support::{
    Certificates, Kafka, Listener, Outbox, Postgres, Probes, Receiver, RelayProcess, SOON,
    eventually, free_port, temporary_file,
};

/// Passwords; no output may show a part of either.
const PASSWORD: &str = "canary-right";
const WRONG_PASSWORD: &str = "canary-wrong";
/// What is told to whoever gave a wrong one.
const CREDENTIALS_CURE: &str = "correct `sasl.username`, `sasl.password`";
/// Relays that are stopped while they shake hands. Where OpenSSL is torn down at the process's end,
/// one in three of them dies of a segmentation fault.
const STOPS: usize = 20;

fn assert_discreet(relay: &RelayProcess) {
    let lines = [relay.stdout(), relay.stderr()].concat();
    assert!(!lines.is_empty(), "it logged everything");
    let telling = lines.iter().find(|line| line.contains("canary"));
    assert_eq!(telling, None, "a line shows a password");
}

#[tokio::test]
async fn postgresql_is_reached_by_tls_that_knows_whom_it_talks_to() {
    let certificates = Certificates::create();
    let postgres = Postgres::private(&[
        ("ssl", "on"),
        ("ssl_cert_file", &certificates.path("server.pem")),
        ("ssl_key_file", &certificates.path("server.key")),
    ])
    .await;
    let kafka = Kafka::shared().await;
    let outbox = Outbox::create_on(&postgres, kafka).await;
    let of_host = |host: &str, authority: &str| {
        let place = outbox.url().replacen("postgres@127.0.0.1", host, 1);
        format!("{place}?sslmode=verify-full&sslrootcert={authority}")
    };
    let ours = certificates.path("ca.pem");
    let url = of_host("postgres:canary@localhost", &ours);
    let talkative = [&LONG_LEASES[..], &[("RUST_LOG", "trace")]].concat();
    let mut relay = named_relay(
        &outbox,
        "known",
        &[&talkative[..], &[("database.url", &url)]].concat(),
    );
    outbox.write_many(200, 50).await;
    outbox.drained(SOON).await;
    let (all, encrypted): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE ssl)
         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name LIKE 'outbox-relay %'",
    )
    .fetch_one(&outbox.pool)
    .await
    .unwrap();
    assert!(
        all >= 3 && all == encrypted,
        "{encrypted} of {all} sessions"
    );
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    assert_discreet(&relay);
    let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 200);

    let stranger = Certificates::create().path("ca.pem");
    for (what, url) in [
        (
            "another authority",
            of_host("postgres:canary@localhost", &stranger),
        ),
        ("another host", of_host("postgres:canary@127.0.0.1", &ours)),
    ] {
        let settings = [&talkative[..], &[("database.url", &url)]].concat();
        let mut refused = named_relay(&outbox, "unknown", &settings);
        let line = refused.logs("waiting: database", SOON).await;
        println!("{what}: {line}");
        assert!(line.contains("certificate"), "{what}: {line}");
        assert!(refused.runs(), "it waits");
        assert_discreet(&refused);
    }
}

/// What `status --json` says.
async fn status(outbox: &Outbox) -> serde_json::Value {
    let mut verb = outbox.verb(&["status", "--json"], &[]);
    assert_eq!(verb.wait_exit(SOON).await, 0, "{:?}", verb.stderr());
    serde_json::from_str(&verb.stdout().join("\n")).expect("it prints one JSON object")
}

/// A broker with a listener for SASL over TLS, and one user, `relay`.
pub(crate) async fn guarded_kafka(
    certificates: &Certificates,
    address: &str,
    password: &str,
) -> Kafka {
    let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let settings = [
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
        ),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-512"),
        (
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
            scram,
        ),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &certificates.path("all.pem")),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", &certificates.path("ca.pem")),
    ];
    let user = format!("SCRAM-SHA-512=[name=relay,password={password}]");
    let listener = format!("SASL_SSL://{address}");
    let listener = Listener {
        listens: &listener,
        advertises: &listener,
    };
    Kafka::guarded(&settings, Some(listener), &["--add-scram", &user]).await
}

/// The settings of a relay that is this user, and says all it can.
fn as_user<'a>(address: &'a str, authority: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("RUST_LOG", "trace"),
        ("kafka.brokers", address),
        ("kafka.properties.security.protocol", "SASL_SSL"),
        ("kafka.properties.sasl.mechanism", "SCRAM-SHA-512"),
        ("kafka.properties.sasl.username", "relay"),
        ("kafka.properties.sasl.password", password),
        ("kafka.properties.ssl.ca.location", authority),
    ];
    [&LONG_LEASES[..], &own].concat()
}

/// A broker by another name than its certificate's, and one whose certificate has expired.
#[tokio::test]
async fn a_certificate_that_expired_or_is_anothers_is_refused_and_told() {
    let postgres = Postgres::shared().await;
    for (certificates, host) in [
        (Certificates::create(), "127.0.0.1"),
        (Certificates::expired(), "localhost"),
    ] {
        let port = free_port();
        let kafka = guarded_kafka(&certificates, &format!("localhost:{port}"), PASSWORD).await;
        let outbox = Outbox::create_on(postgres, &kafka).await;
        outbox.write_many(10, 10).await;
        let address = format!("{host}:{port}");
        let authority = certificates.path("ca.pem");
        let probes = Probes::new();
        let mut settings = as_user(&address, &authority, PASSWORD);
        settings.push(("http.listen", &probes.listen));
        let mut relay = named_relay(&outbox, "only", &settings);
        // Now and then librdkafka tells of a refused certificate as of a lost connection.
        let told = probes.wait_for("or the broker's certificate", SOON).await;
        println!("{told}");
        assert!(told.contains("\"ready\":false"), "{told}");
        relay.logs("or the broker's certificate", SOON).await;
        assert!(relay.runs(), "it waits");
        assert_eq!(outbox.count("published_at IS NOT NULL").await, 0);
        relay.terminate();
        assert_eq!(relay.wait_exit(SOON).await, 0);
        assert_discreet(&relay);
    }
}

/// Sessions that are open live on; new ones know the new password as soon as the file has it.
#[tokio::test]
async fn a_password_that_changes_is_read_anew_from_its_file() {
    let rules = temporary_file(
        "host all keeper 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n",
    );
    let postgres = Postgres::private(&[("hba_file", &rules)]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    let with = |password: &str| format!("{}\n", outbox.url_as("keeper", password));
    outbox
        .execute("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'canary-old'")
        .await;
    let file = temporary_file(&with("canary-old"));
    let probes = Probes::new();
    let settings = [
        ("RUST_LOG", "trace"),
        ("database.url", ""),
        ("database.url_file", &file),
        ("http.listen", &probes.listen),
    ];
    let mut relay = outbox.relay(&settings);
    outbox.write_many(200, 50).await;
    outbox.drained(SOON).await;

    outbox
        .execute("ALTER ROLE keeper PASSWORD 'canary-new'")
        .await;
    outbox.write_many(200, 50).await;
    outbox.drained(SOON).await;
    outbox
        .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'")
        .await;
    probes
        .wait_for("password authentication failed", SOON)
        .await;
    outbox.write_many(200, 50).await;
    std::fs::write(&file, with("canary-new")).expect("the file is ours");
    outbox.drained(SOON).await;
    probes.wait_for("HTTP/1.1 200", SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    assert_discreet(&relay);
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 600);
}

#[tokio::test]
async fn kafka_is_reached_by_sasl_over_tls_and_a_wrong_password_is_told() {
    let certificates = Certificates::create();
    let address = format!("localhost:{}", free_port());
    let kafka = guarded_kafka(&certificates, &address, PASSWORD).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    outbox.write_many(200, 50).await;
    let authority = certificates.path("ca.pem");
    let settings = |password| as_user(&address, &authority, password);
    let probes = Probes::new();
    let mut wrong = settings(WRONG_PASSWORD);
    wrong.push(("http.listen", &probes.listen));
    let mut refused = named_relay(&outbox, "wrong", &wrong);
    let line = refused.logs("waiting: kafka", SOON).await;
    println!("{line}");
    let told = probes.wait_for("uthentication failed", SOON).await;
    println!("{told}");
    assert!(told.contains("\"ready\":false"), "{told}");
    assert!(told.contains(CREDENTIALS_CURE), "{told}");
    refused.logs(CREDENTIALS_CURE, SOON).await;
    let waits = eventually("status tells of the relay that waits", SOON, async || {
        let told = status(&outbox).await;
        let waits = told["relays"][0]["starting"] == true;
        if waits {
            Ok(told)
        } else {
            Err(told.to_string())
        }
    })
    .await;
    assert_eq!(waits["relays"][0]["ready"], false, "{waits}");
    let reason = waits["relays"][0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains(CREDENTIALS_CURE), "{reason}");
    refused.logs("uthentication failed", SOON).await;
    assert!(refused.runs(), "it waits");
    refused.terminate();
    assert_eq!(refused.wait_exit(SOON).await, 0);
    assert_discreet(&refused);
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 0);

    let mut relay = named_relay(&outbox, "right", &settings(PASSWORD));
    outbox.drained(SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    assert_discreet(&relay);
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 200);
}

/// What ends a process with a client's handshake under way is the relay's exit code alone.
#[tokio::test]
async fn a_stop_in_the_middle_of_a_handshake_ends_well() {
    let certificates = Certificates::create();
    let door = Door::open(&certificates);
    let outbox = Outbox::create().await;
    let settings = [
        ("kafka.brokers", &*door.address),
        ("kafka.properties.security.protocol", "SSL"),
        (
            "kafka.properties.ssl.ca.location",
            &certificates.path("ca.pem"),
        ),
        ("kafka.properties.reconnect.backoff.ms", "0"),
        ("kafka.properties.reconnect.backoff.max.ms", "1"),
    ];
    let mut exits = Vec::new();
    for _ in 0..STOPS {
        let mut relay = named_relay(&outbox, "sent-away", &settings);
        relay.logs("brokers are down", SOON).await;
        relay.terminate();
        exits.push(relay.wait_exit(SOON).await);
    }
    assert_eq!(exits, [0; STOPS]);
}
