//! Values as Protobuf, with a real registry: several messages of one schema in one topic, and what another
//! schema gives. What values become is compared with a foreign client's bytes in the library's own tests.

use serde_json::json;

use super::shop::Shop;
use crate::support::{Kafka, Received, SOON, SchemaRegistry};

const SHOP: &str = "syntax = \"proto3\"; package shop;
    import \"shop/money.proto\";
    message OrderPlaced { Money total = 1; }
    message OrderPaid { string by = 1; }";
const WITH_LOST: &str = "message OrderLost { string why = 1; }";
const MONEY: &str = "syntax = \"proto3\"; package shop; message Money { int64 cents = 1; }";

/// A shop whose events are messages of one schema, by their types.
async fn shop() -> Shop {
    Shop::of("{ type = 'protobuf', record = 'shop.{event_type}' }").await
}

/// Registers the shop's schema, and the one that it imports before it.
async fn register(shop: &Shop, schema: &str) {
    let registry = SchemaRegistry::shared().await;
    let money = Kafka::unique("money");
    registry.register(&money, "PROTOBUF", MONEY).await;
    let references = json!([{"name": "shop/money.proto", "subject": money, "version": 1}]);
    let body = json!({"schemaType": "PROTOBUF", "schema": schema, "references": references});
    registry.register_with(&shop.subject(), body).await;
}

async fn write(shop: &Shop, aggregate: &str, event_type: &str, payload: &str) {
    let sql = format!(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', '{aggregate}', '{event_type}', '{payload}')"
    );
    shop.outbox.execute(&sql).await;
}

/// What follows the schema's number in a value.
fn message(record: &Received) -> &[u8] {
    let value = record.value.as_deref().expect("it has a value");
    assert_eq!(value[0], 0, "the magic byte");
    assert_eq!(record.header("content-type"), Some("application/protobuf"));
    &value[5..]
}

#[tokio::test]
async fn several_messages_of_one_schema_share_a_topic_and_what_does_not_fit_is_dead() {
    let shop = shop().await;
    register(&shop, SHOP).await;
    write(&shop, "1", "OrderPlaced", "{\"total\": {\"cents\": 150}}").await;
    write(
        &shop,
        "1",
        "OrderPlaced",
        "{\"total\": {\"cents\": \"canary\"}}",
    )
    .await;
    write(&shop, "1", "OrderPaid", "{\"by\": \"Ada\"}").await;
    let told = shop.check(0).await;
    assert!(
        told.contains("message \"shop.OrderPaid\": PROTOBUF"),
        "{told}"
    );
    let _relay = shop.relay();
    let records = shop.receiver("").await.wait_for(2, SOON).await;
    assert_eq!(message(&records[0]), [0, 10, 3, 8, 0x96, 1]);
    assert_eq!(message(&records[1]), b"\x02\x02\x0a\x03Ada");
    let letters = shop.receiver(".dlq").await.wait_for(1, SOON).await;
    let told = letters[0].header("dead_letter_error").unwrap_or_default();
    let reason =
        "the value does not fit its schema at $.total.cents: expected a whole number of 64 bits";
    assert!(told.starts_with(reason), "{told}");
}

#[tokio::test]
async fn an_event_waits_for_its_message_and_others_of_the_topic_flow() {
    let shop = shop().await;
    register(&shop, SHOP).await;
    write(&shop, "lost", "OrderLost", "{\"why\": \"rain\"}").await;
    write(&shop, "lost", "OrderPaid", "{\"by\": \"Bob\"}").await;
    let told = shop.check(1).await;
    assert!(told.contains("no message \"shop.OrderLost\""), "{told}");
    let _relay = shop.verb("run", &[("failure.attempts_max", "1")]);
    for _ in 0..5 {
        write(&shop, "other", "OrderPaid", "{\"by\": \"Ada\"}").await;
    }
    let receiver = shop.receiver("").await;
    let records = receiver.wait_for(5, SOON).await;
    assert!(
        records
            .iter()
            .all(|record| message(record).ends_with(b"Ada"))
    );
    let told = shop.probes.wait_for("shop.OrderLost", SOON).await;
    assert!(told.contains("`record`"), "{told}");
    register(&shop, &format!("{SHOP}{WITH_LOST}")).await;
    let records = receiver.wait_for(7, SOON).await;
    assert_eq!(message(&records[5]), b"\x02\x04\x0a\x04rain");
    assert!(message(&records[6]).ends_with(b"Bob"), "in their order");
}
