//! What nobody may read: passwords and what is in events, through success, failure, death and
//! outages, in every place where the program says something.
//!
//! Every secret text has the word `canary` in it.

use outbox_relay::event::{Epoch, Event, EventRef, Lane, OrderingKey, Payload};
use outbox_relay::record::Record;

use crate::secure::guarded_kafka;
use crate::support::lanes::named_relay;
use crate::support::{
    Certificates, Kafka, Outbox, Postgres, Probes, RelayProcess, SOON, eventually,
};

const CANARY: &str = "canary";
const PASSWORD: &str = "canary-sasl";
const PASSPHRASE: &str = "canary-passphrase";

/// Everything that the program has said.
#[derive(Default)]
struct Heard(Vec<String>);

impl Heard {
    /// Listens to the probes, the metrics and `status` in both forms.
    async fn listen(&mut self, outbox: &Outbox, probes: &Probes) {
        for path in ["/readyz", "/metrics", "/livez"] {
            let answer = probes.ask(path).await.expect("the probes answer");
            self.0.push(answer);
        }
        for form in [&["status"][..], &["status", "--json"]] {
            let url = secret_url(outbox);
            let mut verb = outbox.verb(form, &[("database.url", &url)]);
            verb.wait_exit(SOON).await;
            self.hear_out(&verb);
        }
    }

    fn hear_out(&mut self, process: &RelayProcess) {
        self.0.extend(process.stdout());
        self.0.extend(process.stderr());
    }

    fn assert_discreet(&self) {
        let telling = self.0.iter().find(|line| line.contains(CANARY));
        assert_eq!(telling, None, "it tells a secret");
    }
}

fn secret_url(outbox: &Outbox) -> String {
    let url = outbox.url();
    url.replacen("postgres@", "postgres:canary-url@", 1)
}

/// Good events, one too large for its topic, one that can be no record, all full of secrets.
async fn write_secrets(outbox: &Outbox, narrow: &str) {
    outbox
        .execute(&format!(
            r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers,
                   topic, partition_key)
               SELECT 'order', 'canary-' || n, 'OrderPlaced',
                   jsonb_build_object('canary', n, 'pad', CASE WHEN n = 50 THEN
                       (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 160))
                   END),
                   '{{"tenant": "canary-header"}}'::jsonb, CASE WHEN n >= 40 THEN '{narrow}' END,
                   'canary-key-' || n
               FROM generate_series(1, 60) AS n
               UNION ALL SELECT 'order', 'canary-bad', 'Bad', '{{"canary": 1}}', '["canary"]',
                   NULL, NULL
               UNION ALL SELECT 'order', 'canary-worse', 'Bad', '{{"canary": 1}}', NULL,
                   'no topic', NULL"#
        ))
        .await;
}

#[tokio::test]
async fn no_secret_is_told_through_success_failure_death_and_outages() {
    let certificates = Certificates::create();
    let address = format!("localhost:{}", crate::support::free_port());
    let mut kafka = guarded_kafka(&certificates, &address, PASSWORD).await;
    let mut postgres = Postgres::private(&[]).await;
    let outbox = Outbox::create_on(&postgres, &kafka).await;
    let (narrow, limit) = (Kafka::unique("narrow"), [("max.message.bytes", "2000")]);
    kafka.create_topic(&narrow, 1, &limit).await;
    kafka.create_topic(&format!("{narrow}.dlq"), 1, &[]).await;
    let (probes, url) = (Probes::new(), secret_url(&outbox));
    let key = certificates.encrypted_key(PASSPHRASE);
    let (authority, own) = (certificates.path("ca.pem"), certificates.path("server.pem"));
    let settings = [
        ("RUST_LOG", "trace"),
        ("http.listen", probes.listen.as_str()),
        ("database.url", &url),
        ("kafka.brokers", &address),
        ("kafka.properties.security.protocol", "SASL_SSL"),
        ("kafka.properties.sasl.mechanism", "SCRAM-SHA-512"),
        ("kafka.properties.sasl.username", "relay"),
        ("kafka.properties.sasl.password", PASSWORD),
        ("kafka.properties.ssl.ca.location", &authority),
        ("kafka.properties.ssl.certificate.location", &own),
        ("kafka.properties.ssl.key.location", &key),
        ("kafka.properties.ssl.key.password", PASSPHRASE),
    ];
    let mut heard = Heard::default();
    let mut relay = named_relay(&outbox, "only", &settings);
    write_secrets(&outbox, &narrow).await;
    eventually(
        "all but three are published, and those are dead",
        SOON,
        async || {
            let published = outbox.count("published_at IS NOT NULL").await;
            let dead = outbox.count("dead_class = 'record'").await;
            ((published, dead) == (59, 3))
                .then_some(())
                .ok_or((published, dead))
                .map_err(|seen| format!("{seen:?}"))
        },
    )
    .await;
    heard.listen(&outbox, &probes).await;

    kafka.kill().await;
    write_secrets(&outbox, &narrow).await;
    probes.wait_for("kafka: ", SOON).await;
    heard.listen(&outbox, &probes).await;
    kafka.start().await;
    probes.wait_for("\"ready\":true", SOON).await;

    postgres.stop_immediate().await;
    probes.wait_for("database: ", SOON).await;
    heard.listen(&outbox, &probes).await;
    postgres.start().await;
    probes.wait_for("\"ready\":true", SOON).await;
    eventually("all is done", SOON, async || {
        match outbox
            .count("published_at IS NULL AND dead_class IS NULL")
            .await
        {
            0 => Ok(()),
            left => Err(format!("{left} rows wait")),
        }
    })
    .await;
    heard.listen(&outbox, &probes).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let fine = |line: &String| line.contains("DEBUG") || line.contains("TRACE");
    assert!(relay.stderr().iter().any(fine), "it logged everything");
    heard.hear_out(&relay);
    heard.assert_discreet();
}

#[tokio::test]
async fn a_wrong_passphrase_is_refused_without_being_shown() {
    let certificates = Certificates::create();
    let outbox = Outbox::create().await;
    let key = certificates.encrypted_key("another");
    let own = certificates.path("server.pem");
    let settings = [
        ("RUST_LOG", "trace"),
        ("kafka.properties.security.protocol", "SSL"),
        ("kafka.properties.ssl.certificate.location", own.as_str()),
        ("kafka.properties.ssl.key.location", &key),
        ("kafka.properties.ssl.key.password", PASSPHRASE),
    ];
    let mut heard = Heard::default();
    for verb in ["run", "check"] {
        let mut refused = outbox.verb(&[verb], &settings);
        assert_ne!(refused.wait_exit(SOON).await, 0, "{verb}");
        println!("{:?}", refused.stderr().last());
        heard.hear_out(&refused);
    }
    heard.assert_discreet();
}

#[test]
fn debug_output_shows_nothing_that_a_writer_wrote() {
    let secret = || Some("canary".to_owned());
    let key = OrderingKey {
        aggregate_type: "order".to_owned(),
        aggregate_id: "canary".to_owned(),
    };
    let event = Event {
        at: EventRef {
            seq: 1,
            id: uuid::Uuid::nil(),
        },
        own_id: None,
        lane: Lane(1),
        key: key.clone(),
        event_type: "OrderPlaced".to_owned(),
        payload: secret().map(Payload::Text),
        headers: secret(),
        topic: None,
        partition_key: secret(),
        created_at: chrono::DateTime::default(),
        wait_ms: 0,
        judged: None,
    };
    let canary = Some(&b"canary"[..]);
    let mut record = Record::new("orders".into(), 0, canary, canary, 0);
    record.push_header("tenant", canary);
    let shown = format!("{key:?} {event:?} {record:?} {:?}", Epoch(1));
    assert!(shown.contains("orders"), "{shown}");
    let bytes = format!("{:?}", b"canary");
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!shown.contains(CANARY) && !shown.contains(bytes), "{shown}");
}
