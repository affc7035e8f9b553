//! Values encoded by schemas, with a real registry: what arrives, by which version, and what is told. What
//! becomes of events while their schema is not to be had is in `waiting`.

mod gate;
mod protobuf;
mod shop;
mod waiting;

use std::fs;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avroed;
use serde_json::{Value, json};

use self::shop::Shop;
use crate::support::{Certificates, Kafka, Received, SOON, SchemaRegistry, free_port};

/// What tells a registry that a text is a JSON Schema.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

fn order(fields: &Value) -> String {
    json!({"type": "record", "name": "Order", "namespace": "shop", "fields": fields}).to_string()
}

fn order_of_total() -> String {
    order(&json!([{"name": "total", "type": "long"}]))
}

/// The number of the schema that a value names, and what `apache-avro` reads of the rest.
fn read(record: &Received, schema: &str) -> (u32, Avroed) {
    let value = record.value.as_deref().expect("it has a value");
    let (head, mut rest) = value.split_at(5);
    assert_eq!(head[0], 0, "the magic byte");
    let id = u32::from_be_bytes(head[1..].try_into().expect("four bytes are left"));
    let schema = apache_avro::Schema::parse_str(schema).expect("the test's schema is one");
    let reader = GenericDatumReader::builder(&schema)
        .build()
        .expect("it can be read by");
    let read = reader.read_value(&mut rest).expect("the value is Avro");
    assert!(rest.is_empty(), "all bytes are the value's");
    (id, read)
}

/// The totals of orders, in the order in which they came.
fn totals(records: &[Received], schema: &str) -> Vec<i64> {
    let total = |record| {
        let Avroed::Record(fields) = read(record, schema).1 else {
            panic!("an order is a record")
        };
        let Avroed::Long(total) = fields[0].1 else {
            panic!("its first field is a number")
        };
        total
    };
    records.iter().map(total).collect()
}

#[tokio::test]
async fn values_arrive_by_the_schema_of_their_topic_and_what_does_not_fit_is_dead() {
    let shop = Shop::of("{ type = 'avro' }").await;
    let schema = order_of_total();
    let registry = SchemaRegistry::shared().await;
    let id = registry.register(&shop.subject(), "AVRO", &schema).await;
    for payload in [
        "{\"total\": 1}",
        "{\"total\": \"canary\"}",
        "{\"total\": 3}",
    ] {
        shop.outbox.write("1", payload).await;
    }
    let _relay = shop.relay();
    let records = shop.receiver("").await.wait_for(2, SOON).await;
    assert_eq!(totals(&records, &schema), [1, 3], "the aggregate goes on");
    assert_eq!(read(&records[0], &schema).0, id);
    assert_eq!(records[0].header("content-type"), Some("application/avro"));
    assert_eq!(records[0].key.as_deref(), Some(&b"1"[..]));
    let letters = shop.receiver(".dlq").await.wait_for(1, SOON).await;
    assert_eq!(
        letters[0].value.as_deref(),
        Some(&b"{\"total\": \"canary\"}"[..]),
        "as the row has it"
    );
    let told = |name| letters[0].header(name).unwrap_or_default();
    assert_eq!(told("dead_letter_subject"), shop.subject());
    let reason = "the value does not fit its schema at $.total: expected a whole number of 64 bits";
    assert!(told("dead_letter_error").starts_with(reason));
    assert_eq!(told("dead_letter_attempts"), "0", "Kafka was not asked");
    assert_eq!(told("content-type"), "application/json");
}

#[tokio::test]
async fn json_is_judged_by_its_schema_and_the_schemas_that_it_refers_to() {
    let shop = Shop::of("{ type = 'json', version = 1 }").await;
    let registry = SchemaRegistry::shared().await;
    let money = Kafka::unique("money");
    let cents = json!({"$schema": DRAFT, "type": "integer"}).to_string();
    registry.register(&money, "JSON", &cents).await;
    let fields = json!({"total": {"$ref": "money.json"}});
    let schema = json!({"$schema": DRAFT, "type": "object", "properties": fields}).to_string();
    let references = json!([{"name": "money.json", "subject": money, "version": 1}]);
    let body = json!({"schemaType": "JSON", "schema": schema, "references": references});
    registry.register_with(&shop.subject(), body).await;
    shop.outbox.write("1", "{\"total\":  7}").await;
    shop.outbox.write("1", "{\"total\": 7.5}").await;
    let _relay = shop.relay();
    let records = shop.receiver("").await.wait_for(1, SOON).await;
    let value = records[0].value.as_deref().expect("it has a value");
    assert_eq!(&value[5..], b"{\"total\": 7}", "as jsonb prints it");
    let letters = shop.receiver(".dlq").await.wait_for(1, SOON).await;
    let told = letters[0].header("dead_letter_error").unwrap_or_default();
    assert!(told.contains("/total does not fit"), "{told}");
}

#[tokio::test]
async fn what_an_event_is_encoded_by_is_explained_before_it_is_sent() {
    let shop = Shop::of("{ type = 'avro', version = 3 }").await;
    let seq = shop.outbox.write("1", "{\"total\": 1}").await;
    let mut verb = shop.verb(&format!("route --explain --seq {seq}"), &[]);
    assert_eq!(verb.wait_exit(SOON).await, 0);
    let told = verb.stdout().join("\n");
    let expected = format!("AVRO, subject {:?} version 3", shop.subject());
    assert!(
        told.contains(&expected) && told.contains("{\"total\": 1}"),
        "{told}"
    );
}

#[tokio::test]
async fn a_registry_is_trusted_by_its_authority() {
    let certificates = Certificates::create();
    let registry = SchemaRegistry::guarded(&certificates).await;
    let schema = order_of_total();
    let shop = Shop::at(&registry.secure_url(), "{ type = 'avro' }").await;
    registry.register(&shop.subject(), "AVRO", &schema).await;
    let told = shop.check(69).await;
    assert!(
        told.contains("certificate") && told.contains("schema_registry.ca_file"),
        "{told}"
    );
    let authority = certificates.path("ca.pem");
    shop.outbox.write("1", "{\"total\": 1}").await;
    let _relay = shop.verb("run", &[("schema_registry.ca_file", &authority)]);
    let records = shop.receiver("").await.wait_for(1, SOON).await;
    assert_eq!(totals(&records, &schema), [1]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_the_known_version_is_judged_by_a_newer_one() {
    let shop = Shop::of("{ type = 'avro' }").await;
    let registry = SchemaRegistry::shared().await;
    let old = order_of_total();
    let first = registry.register(&shop.subject(), "AVRO", &old).await;
    let relay = shop.verb("run", &[("schema_registry.refresh_ms", "86400000")]);
    shop.outbox.write("1", "{\"total\": 1}").await;
    let receiver = shop.receiver("").await;
    receiver.wait_for(1, SOON).await;
    let new = order(&json!([
        {"name": "total", "type": "long"},
        {"name": "note", "type": "string", "default": ""},
    ]));
    let second = registry.register(&shop.subject(), "AVRO", &new).await;
    shop.outbox
        .write("1", "{\"total\": 2, \"note\": \"new\"}")
        .await;
    shop.outbox
        .write("1", "{\"total\": 3, \"nota\": \"wrong in any\"}")
        .await;
    shop.outbox.write("1", "{\"total\": 4}").await;
    let records = receiver.wait_for(3, SOON).await;
    assert_eq!(read(&records[0], &old).0, first);
    assert_eq!(read(&records[1], &new).0, second);
    assert_eq!(totals(&records[1..], &new), [2, 4]);
    shop.receiver(".dlq").await.wait_for(1, SOON).await;
    drop(relay);
}

#[tokio::test]
async fn a_pinned_version_stays_and_the_second_registry_is_asked_where_the_first_is_away() {
    let registry = SchemaRegistry::shared().await;
    // Nobody listens at the first address.
    let urls = format!("http://127.0.0.1:{},{}", free_port(), registry.url());
    let shop = Shop::at(&urls, "{ type = 'avro', version = 1 }").await;
    let old = order_of_total();
    let first = registry.register(&shop.subject(), "AVRO", &old).await;
    let new = order(&json!([{"name": "total", "type": "string"}]));
    registry.register(&shop.subject(), "AVRO", &new).await;
    shop.outbox.write("1", "{\"total\": 1}").await;
    let _relay = shop.relay();
    let records = shop.receiver("").await.wait_for(1, SOON).await;
    assert_eq!(read(&records[0], &old).0, first);
}

#[tokio::test]
async fn a_file_is_registered_where_that_is_allowed_and_told_of_where_it_does_not_follow() {
    let schema = order_of_total();
    let folder = tempfile::tempdir().expect("a folder is made");
    let file = folder.path().join("order.avsc");
    fs::write(&file, &schema).expect("the file is written");
    let rule = |register| {
        let file = file.display();
        format!(
            "{{ type = 'avro', subject = 'topic-record', file = '{file}', register = {register} }}"
        )
    };
    let registry = SchemaRegistry::shared().await;

    let shop = Shop::of(&rule(true)).await;
    let subject = format!("{}-shop.Order", shop.outbox.topic);
    assert!(shop.check(0).await.contains("`run` registers it"));
    shop.outbox.write("1", "{\"total\": 1}").await;
    let relay = shop.relay();
    let records = shop.receiver("").await.wait_for(1, SOON).await;
    assert_eq!(totals(&records, &schema), [1]);
    assert_eq!(registry.versions(&subject).await, json!([1]));
    drop(relay);

    let shop = Shop::of(&rule(true)).await;
    let subject = format!("{}-shop.Order", shop.outbox.topic);
    let other = order(&json!([{"name": "total", "type": "string"}]));
    registry.register(&subject, "AVRO", &other).await;
    registry.demand(&subject, "BACKWARD").await;
    let cure = "change the file so that it is compatible";
    assert!(shop.check(1).await.contains(cure));
    shop.outbox.write("1", "{\"total\": 1}").await;
    let relay = shop.relay();
    let told = relay.logs("not compatible", SOON).await;
    assert!(told.contains(cure), "{told}");
    assert_eq!(
        registry.versions(&subject).await,
        json!([1]),
        "nothing was registered"
    );

    let shop = Shop::of(&rule(false)).await;
    assert!(shop.check(1).await.contains("register = true"));
}
