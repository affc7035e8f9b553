//! Events whose schema is not to be had: they wait, in their order, and others flow.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::shop::Shop;
use super::{order_of_total, totals};
use crate::support::{SOON, SchemaRegistry, eventually};

#[tokio::test]
async fn events_wait_for_a_registry_that_is_away_and_others_flow() {
    let (shop, proxy) = Shop::by_proxy("{ type = 'avro' }").await;
    let schema = order_of_total();
    let registry = SchemaRegistry::shared().await;
    registry.register(&shop.subject(), "AVRO", &schema).await;
    proxy.refuse(true);
    let relay = shop.verb("run", &[("failure.attempts_max", "1")]);
    for total in 1..=20 {
        shop.outbox
            .write("1", &format!("{{\"total\": {total}}}"))
            .await;
    }
    shop.outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('plain', '1', 'Told', '{}')",
        )
        .await;
    shop.receiver(".plain").await.wait_for(1, SOON).await;
    let cure = "start the registry, or correct schema_registry.urls";
    let told = shop.probes.wait_for("schema registry", SOON).await;
    assert!(
        told.contains(cure) && told.contains(&shop.subject()),
        "{told}"
    );
    relay.logs(cure, SOON).await;
    assert!(shop.check(69).await.contains(cure));
    assert_eq!(
        shop.outbox
            .count("attempts > 0 OR dead_at IS NOT NULL")
            .await,
        0
    );
    proxy.refuse(false);
    let records = shop.receiver("").await.wait_for(20, SOON).await;
    assert_eq!(totals(&records, &schema), (1..=20).collect::<Vec<_>>());
    shop.probes.wait_for("\"ready\":true", SOON).await;
    shop.outbox.drained(SOON).await;
}

#[tokio::test]
async fn a_registry_that_goes_away_later_stops_nothing() {
    let (shop, proxy) = Shop::by_proxy("{ type = 'avro' }").await;
    let schema = order_of_total();
    let registry = SchemaRegistry::shared().await;
    registry.register(&shop.subject(), "AVRO", &schema).await;
    let _relay = shop.verb("run", &[("schema_registry.refresh_ms", "1000")]);
    shop.outbox.write("1", "{\"total\": 1}").await;
    let receiver = shop.receiver("").await;
    receiver.wait_for(1, SOON).await;
    let asked = proxy.accepted();
    proxy.refuse(true);
    proxy.cut();
    eventually("a question in vain", SOON, async || {
        let now = proxy.accepted();
        (now > asked).then_some(()).ok_or(now)
    })
    .await;
    for total in 2..=10 {
        shop.outbox
            .write("1", &format!("{{\"total\": {total}}}"))
            .await;
    }
    let records = receiver.wait_for(10, SOON).await;
    assert_eq!(totals(&records, &schema), (1..=10).collect::<Vec<_>>());
    shop.probes.wait_for("\"ready\":true", SOON).await;
}

#[tokio::test]
async fn a_topic_waits_for_its_subject_alone_and_goes_on_in_order() {
    let shop = Shop::of("{ type = 'avro' }").await;
    let schema = order_of_total();
    for total in 1..=5 {
        shop.outbox
            .write("1", &format!("{{\"total\": {total}}}"))
            .await;
    }
    assert!(shop.check(1).await.contains("register the schema"));
    let _relay = shop.relay();
    let told = shop.probes.wait_for("circuits\":[{", SOON).await;
    assert!(told.contains("register the schema"), "{told}");
    let registry = SchemaRegistry::shared().await;
    registry.register(&shop.subject(), "AVRO", &schema).await;
    let records = shop.receiver("").await.wait_for(5, SOON).await;
    assert_eq!(totals(&records, &schema), [1, 2, 3, 4, 5]);
    let told = shop.check(0).await;
    assert!(
        told.contains("ok ") && told.contains(&shop.subject()),
        "{told}"
    );
}

#[tokio::test]
async fn of_several_kinds_in_a_topic_the_one_without_a_subject_waits_alone() {
    let rule = "{ type = 'avro', subject = 'topic-record', record = 'shop.{event_type}' }";
    let shop = Shop::of(rule).await;
    let registry = SchemaRegistry::shared().await;
    let schema = order_of_total();
    let subject = |kind: &str| format!("{}-shop.{kind}", shop.outbox.topic);
    registry
        .register(&subject("OrderPlaced"), "AVRO", &schema)
        .await;
    shop.outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', 'lost', 'OrderLost', '{\"total\": 1}'),
                    ('order', 'lost', 'OrderPlaced', '{\"total\": 2}')",
        )
        .await;
    let _relay = shop.verb("run", &[("failure.attempts_max", "1")]);
    for total in 3..=9 {
        let payload = format!("{{\"total\": {total}}}");
        shop.outbox.write("other", &payload).await;
    }
    let receiver = shop.receiver("").await;
    let records = receiver.wait_for(7, SOON).await;
    assert_eq!(totals(&records, &schema), (3..=9).collect::<Vec<_>>());
    shop.probes.wait_for(&subject("OrderLost"), SOON).await;
    registry
        .register(&subject("OrderLost"), "AVRO", &schema)
        .await;
    let records = receiver.wait_for(9, SOON).await;
    assert_eq!(totals(&records[7..], &schema), [1, 2], "in their order");
}

#[tokio::test]
async fn wrong_credentials_are_told_with_the_cure_and_never_shown() {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let (heard_in, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let strict = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; 4096];
            let read = stream.read(&mut question).await.unwrap_or(0);
            let _unheard = heard_in.send(String::from_utf8_lossy(&question[..read]).into_owned());
            let answer =
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _unheard = stream.write_all(answer.as_bytes()).await;
        }
    });
    let shop = Shop::at(&format!("http://{address}"), "{ type = 'avro' }").await;
    shop.outbox.write("1", "{\"total\": 1}").await;
    let token = shop.verb("run", &[("schema_registry.token", "canary")]);
    let question = heard.recv().await.expect("it asks");
    assert!(question.contains("Bearer canary"), "{question}");
    let logged = token.logs("schema_registry.token", SOON).await;
    assert!(!logged.contains("canary"), "{logged}");
    drop(token);
    while heard.try_recv().is_ok() {}
    let credentials = [
        ("schema_registry.username", "relay"),
        ("schema_registry.password", "canary"),
    ];
    let relay = shop.verb("run", &credentials);
    let question = heard.recv().await.expect("it asks");
    assert!(
        question.to_lowercase().contains("authorization: basic"),
        "it says who it is: {question}"
    );
    let told = shop.probes.wait_for("schema_registry.username", SOON).await;
    let logged = relay.logs("HTTP 401", SOON).await;
    assert!(!told.contains("canary") && !logged.contains("canary"));
    assert!(shop.check(1).await.contains("schema_registry.password"));
    assert_eq!(shop.outbox.count("dead_at IS NOT NULL").await, 0);
    strict.abort();
}
