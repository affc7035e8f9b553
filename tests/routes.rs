//! Routes on real servers: the conventions that the README shows, each event arriving as it says and as
//! `route --explain` told before, and what routes say about order and death.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::readme::pages::{CONVENTIONS, blocks, page, section};
use crate::support::{Kafka, Outbox, Received, Receiver, RelayProcess, SOON, eventually};

/// A service that keeps one of the conventions.
struct Service {
    outbox: Outbox,
    brokers: String,
    /// What makes its topics its own.
    prefix: String,
    folder: TempDir,
}

impl Service {
    /// A service by the settings that the page shows, with these topics.
    async fn of(convention: usize, topics: &[&str]) -> Self {
        let shown = blocks(&section(&page("README.md"), CONVENTIONS), "toml");
        Self::by(&shown[convention], topics).await
    }

    /// A service by these settings, with these topics.
    async fn by(toml: &str, topics: &[&str]) -> Self {
        let kafka = Kafka::shared().await;
        let outbox = Outbox::create().await;
        let prefix = Kafka::unique("routes");
        for topic in topics {
            kafka
                .create_topic(&format!("{prefix}.{topic}"), 6, &[])
                .await;
        }
        let toml = toml.replace("topic = \"", &format!("topic = \"{prefix}."));
        let folder = tempfile::tempdir().expect("a folder is made");
        fs::write(folder.path().join("relay.toml"), toml).expect("the file is written");
        Self {
            outbox,
            brokers: kafka.brokers().to_owned(),
            prefix,
            folder,
        }
    }

    fn start(&self, arguments: &[&str]) -> RelayProcess {
        let file = self.folder.path().join("relay.toml");
        let file = file.to_str().expect("the name is text");
        RelayProcess::start(
            &[&["--config", file], arguments].concat(),
            &[
                ("database.url", self.outbox.url()),
                ("kafka.brokers", &self.brokers),
                ("http.listen", "127.0.0.1:0"),
            ],
        )
    }

    /// Writes an event; returns its number.
    async fn write(&self, [of, id, kind]: [&str; 3], payload: Value, headers: Value) -> i64 {
        sqlx::query_scalar(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers,
                 created_at)
             VALUES ($1, $2, $3, $4, nullif($5, 'null'), '2026-03-04T05:06:07.000089Z')
             RETURNING seq",
        )
        .bind(of)
        .bind(id)
        .bind(kind)
        .bind(payload)
        .bind(headers)
        .fetch_one(&self.outbox.pool)
        .await
        .expect("an event is written")
    }

    /// What `route --explain` tells of an event.
    async fn explained(&self, seq: i64) -> Value {
        let mut verb = self.start(&["route", "--explain", "--json", "--seq", &seq.to_string()]);
        assert_eq!(verb.wait_exit(SOON).await, 0);
        serde_json::from_str(&verb.stdout().concat()).expect("it prints JSON")
    }

    /// Sends what was written, and returns the one record of each topic, which is what was told before.
    async fn sent(&self, seqs: &[i64], topics: &[&str]) -> Vec<Received> {
        let mut told = Vec::new();
        for &seq in seqs {
            told.push(self.explained(seq).await);
        }
        let _relay = self.start(&["run"]);
        let topics: Vec<String> = topics
            .iter()
            .map(|topic| format!("{}.{topic}", self.prefix))
            .collect();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let receiver = Receiver::start(Kafka::shared().await, &names).await;
        let records = receiver.wait_for(seqs.len(), SOON).await;
        self.outbox.drained(SOON).await;
        let mut ordered = Vec::new();
        for (told, topic) in told.iter().zip(&topics) {
            let record = records
                .iter()
                .find(|record| record.topic == *topic)
                .unwrap_or_else(|| panic!("{topic}: {told} {records:?}"));
            assert_eq!(told["record"], seen(record), "as it was told");
            ordered.push(record.clone());
        }
        ordered
    }
}

/// A record as `route --explain` tells it, but for a partition that the key chose.
fn seen(record: &Received) -> Value {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("it is text");
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|(name, value)| json!([name, value.as_ref().map(text)]))
        .collect();
    json!({
        "topic": record.topic,
        "partition": null,
        "timestamp_ms": record.timestamp_ms,
        "key": record.key.as_ref().map(text),
        "headers": headers,
        "value": record.value.as_ref().map(text),
    })
}

fn key(record: &Received) -> &str {
    str::from_utf8(record.key.as_deref().expect("it has a key")).expect("it is text")
}

fn value(record: &Received) -> Value {
    serde_json::from_slice(record.value.as_deref().expect("it has a value")).expect("it is JSON")
}

#[tokio::test]
async fn topics_by_prefix_plural_and_hyphens() {
    let topics = [
        "store.game-views",
        "store.wishlist-events",
        "analytics.top-games",
    ];
    let service = Service::of(0, &topics).await;
    let payload = json!({"event_id": "e-1", "user_id": "u-9", "timestamp": "2026-03-04T05:06:07Z"});
    let seqs = [
        service
            .write(
                ["GameView", "g-1", "GamePageViewed"],
                payload.clone(),
                json!(null),
            )
            .await,
        service
            .write(
                ["WishlistItem", "w-1", "Added"],
                payload.clone(),
                json!(null),
            )
            .await,
        service
            .write(
                ["Report", "r-1", "analytics.TopGames"],
                payload.clone(),
                json!(null),
            )
            .await,
    ];
    let records = service.sent(&seqs, &topics).await;
    for (record, id) in records.iter().zip(["g-1", "w-1", "r-1"]) {
        assert_eq!(value(record), payload);
        assert_eq!(key(record), id);
        assert!(record.headers.is_empty());
    }
}

#[tokio::test]
async fn keys_by_user_and_a_composite_key_for_hot_ones() {
    let topics = ["order-events", "user-events"];
    let service = Service::of(1, &topics).await;
    let payload = json!({"user_id": "u-9", "amount": 100});
    let seqs = [
        service
            .write(
                ["Order", "o-1", "OrderCreated"],
                payload.clone(),
                json!(null),
            )
            .await,
        service
            .write(["User", "u-9", "Clicked"], payload, json!({"load": "hot"}))
            .await,
    ];
    assert_eq!(service.explained(seqs[0]).await["order"], "strict");
    assert_eq!(service.explained(seqs[1]).await["order"], "none");
    let records = service.sent(&seqs, &topics).await;
    assert_eq!(key(&records[0]), "u-9");
    assert_eq!(key(&records[1]), "u-9:2026-03-04T05:06Z");
}

#[tokio::test]
async fn a_topic_for_each_event_type_as_cloud_events() {
    let topics = ["todos.task.created", "todos.task.events"];
    let service = Service::of(2, &topics).await;
    let payload = json!({"todoId": "123", "title": "Buy groceries"});
    let task = ["task", "123", "todos.task.created"];
    let seqs = [
        service
            .write(task, payload.clone(), json!({"traceparent": "00-x"}))
            .await,
        service
            .write(task, payload.clone(), json!({"stream": "events"}))
            .await,
    ];
    for record in service.sent(&seqs, &topics).await {
        let event = value(&record);
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["source"], "/todos/api");
        assert_eq!(event["type"], "todos.task.created");
        assert_eq!(event["time"], "2026-03-04T05:06:07.000089Z");
        assert_eq!(event["data"], payload);
        assert_eq!(
            record.header("content-type"),
            Some("application/cloudevents+json")
        );
    }
}

#[tokio::test]
async fn a_topic_for_each_domain_with_flat_events() {
    let topics = ["order-events", "dead-letter-queue"];
    let service = Service::of(3, &topics).await;
    let payload = json!({"order_id": "o-1", "total_amount": 12.50});
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = json!({"correlation_id": "c-1", "traceparent": trace, "version": "2.0"});
    let seq = service
        .write(["order", "o-1", "OrderCreated"], payload.clone(), headers)
        .await;
    let records = service.sent(&[seq], &topics[..1]).await;
    let event = value(&records[0]);
    assert_eq!(event["event_type"], "OrderCreated");
    assert_eq!(event["event_version"], "2.0");
    assert_eq!(event["correlation_id"], "c-1");
    assert_eq!(event["source_service"], "order-service");
    assert_eq!(event["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(event["data"], payload);
}

#[tokio::test]
async fn a_header_beside_the_payload() {
    let topics = ["orders", "order-commands", "trades"];
    let service = Service::of(4, &topics).await;
    let payload = json!({"order_id": "123", "symbol": "ACME", "action": "BUY"});
    let seqs = [
        service
            .write(
                ["order", "o-1", "OrderPlaced"],
                payload.clone(),
                json!(null),
            )
            .await,
        service
            .write(["order", "o-1", "PlaceOrder"], payload.clone(), json!(null))
            .await,
        service
            .write(
                ["trade", "t-1", "TradeExecuted"],
                payload.clone(),
                json!(null),
            )
            .await,
    ];
    let records = service.sent(&seqs, &topics).await;
    for (record, id) in records.iter().zip(["123", "123", "ACME"]) {
        assert_eq!(key(record), id);
        let event = value(record);
        assert_eq!(event["header"]["source"], "trading-engine");
        assert_eq!(event["header"]["version"], "1.0");
        assert_eq!(event["header"]["timestamp"], "2026-03-04T05:06:07.000089Z");
        assert_eq!(event["payload"], payload);
    }
}

/// Two routes for events of which some lack the region, and the rest.
const BY_REGION: &str = r#"
    [route]
    topic = "{payload.region}"
    [failure]
    on_dead = "table"
    [[routes]]
    match = { event_type = "Blocked" }
    topic = "eu"
    key = "{payload.region}"
    on_dead = "block"
    [[routes]]
    match = { event_type = "Spread" }
    key = ""
    order = "none"
    partition = "{payload.shard}"
"#;

#[tokio::test]
async fn each_route_has_its_own_end_and_order_and_the_start_and_check_tell() {
    let service = Service::by(BY_REGION, &["eu"]).await;
    let (good, bad) = (
        json!({"region": "eu", "shard": 4}),
        json!({"region": ["canary"]}),
    );
    service
        .write(["order", "1", "Blocked"], bad.clone(), json!(null))
        .await;
    service
        .write(["order", "1", "Blocked"], good.clone(), json!(null))
        .await;
    service
        .write(["order", "2", "Plain"], bad, json!(null))
        .await;
    service
        .write(["order", "2", "Plain"], good.clone(), json!(null))
        .await;
    service
        .write(["order", "1", "Spread"], good, json!(null))
        .await;

    let mut check = service.start(&["check"]);
    assert_eq!(check.wait_exit(SOON).await, 1);
    let lines = check.stdout().join("\n");
    let reason = "have no topic or no record: payload.region is an object or an array";
    for kind in ["Blocked", "Plain"] {
        let told = format!("events of type \"{kind}\" of a \"order\" {reason}");
        assert!(lines.contains(&told), "{lines}");
    }
    assert!(
        !lines.contains("Spread") && !lines.contains("canary"),
        "{lines}"
    );

    let relay = service.start(&["run"]);
    relay
        .logs(
            "the events of an aggregate may go to different partitions",
            SOON,
        )
        .await;
    let topic = format!("{}.eu", service.prefix);
    let receiver = Receiver::start(Kafka::shared().await, &[&topic]).await;
    let records = receiver.wait_for(2, SOON).await;
    eventually("two are dead", SOON, async || {
        let blocked = service.outbox.count("dead_state = 'blocked'").await;
        let dead = service.outbox.count("dead_state = 'dead'").await;
        ((blocked, dead) == (1, 1)).then_some(())
    })
    .await;
    assert_eq!(service.outbox.count("published_at IS NOT NULL").await, 2);
    for (wanted, found) in [(topic.as_str(), 1), ("", 1), ("other", 0)] {
        let mut list = service.start(&["dead", "list", "--json", "--topic", wanted]);
        assert_eq!(list.wait_exit(SOON).await, 0);
        assert_eq!(
            list.stdout().concat().matches("\"seq\"").count(),
            found,
            "{wanted}"
        );
    }
    let kinds = |kind| {
        records
            .iter()
            .find(move |one| one.header("ce_type") == Some(kind))
    };
    let spread = kinds("Spread").expect("it waits for no other of its aggregate");
    assert_eq!((spread.partition, &spread.key), (4, &None));
    assert_eq!(key(kinds("Plain").expect("its aggregate went on")), "2");
}
