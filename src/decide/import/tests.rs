//! Proves what is read from each form of file, and that nothing secret leaves.

use super::*;
use crate::decide::debezium::Converter;
use crate::decide::rename::RenameSpec;

const CONNECTOR: &str = r#"{
    "name": "shop-outbox",
    "config": {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": 1,
        "slot.name": "shop",
        "database.hostname": "db.example", "database.port": "5433",
        "database.user": "o'brien@shop", "database.password": "canary-1",
        "database.dbname": "shop", "database.sslmode": "require",
        "database.sslpassword": "canary-2",
        "topic.prefix": "shop",
        "table.include.list": "inventory\\.outboxevent",
        "producer.override.security.protocol": "SASL_SSL",
        "producer.override.sasl.jaas.config": "password=\"canary-3\"",
        "topic.creation.default.partitions": 6,
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "transforms": "mask,outbox",
        "transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.predicate": "isOutbox",
        "transforms.outbox.route.by.field": "kind",
        "transforms.outbox.route.topic.replacement": "${routedByValue}.events",
        "transforms.outbox.table.field.event.key": "type",
        "transforms.outbox.table.field.event.timestamp": "occurred",
        "transforms.outbox.table.fields.additional.placement":
            "type:header:eventType, tenant:header, n:envelope:count ,part:partition,occurred:shelf",
        "transforms.outbox.table.expand.json.payload": true,
        "transforms.outbox.table.json.payload.null.behavior": "optional_bytes",
        "transforms.outbox.route.tombstone.on.empty.payload": "true",
        "surprise": "canary-4"
    }
}"#;

const SERVER: &str = r"
# Debezium Server
debezium.source.connector.class = io.debezium.connector.postgresql.PostgresConnector
debezium.source.database.hostname: db
debezium.source.database.password=canary
debezium.source.table.include.list=public.\
    outbox
debezium.sink.type=kafka
debezium.sink.kafka.producer.bootstrap.servers=k1:9092,k2:9092
debezium.format.key=simplestring
debezium.transforms=o
debezium.transforms.o.type=io.debezium.transforms.outbox.EventRouter
debezium.transforms.o.table.field.event.timestamp=occurred
debezium.transforms.o.route.topic.regex=(.*)_(.*)
debezium.transforms.o.route.topic.replacement=$2-$1
debezium.transforms.o.table.fields.additional.placement=part:partition
quarkus.log.level=INFO
";

fn keys(imported: &Imported) -> Vec<&str> {
    imported
        .notes
        .iter()
        .map(|note| note.key.as_str())
        .collect()
}

#[test]
fn a_connector_becomes_a_route_and_tells_what_it_could_not_take() {
    let imported = import(CONNECTOR).unwrap();
    let route = &imported.route;
    assert_eq!(route.topic.as_deref(), Some("{aggregate_type}.events"));
    assert_eq!(route.key.as_deref(), Some("{event_type}"));
    assert_eq!(route.partition.as_deref(), Some("{headers.part}"));
    assert_eq!(route.headers["eventType"], "{event_type}");
    assert_eq!(route.headers["tenant"], "{headers.tenant}");
    let debezium = route.debezium.as_ref().unwrap();
    assert_eq!(
        (debezium.key, debezium.value),
        (Converter::Plain, Converter::JsonSchema)
    );
    assert_eq!(debezium.envelope["count"], "{headers.n}");
    let name = debezium.schema_name.as_deref();
    assert_eq!(
        name,
        Some("shop.inventory.outboxevent.{aggregate_type}.Value")
    );
    assert!(debezium.expand && debezium.tombstones);
    for line in [
        "url = \"postgres://o%27brien%40shop@db.example:5433/shop?sslmode=require\"",
        "schema = \"inventory\"",
        "table = \"outboxevent\"",
        "aggregate_type = \"kind\"",
        "aggregate_id = \"aggregateid\"",
        "event_type = \"type\"",
        "created_at = \"occurred\"",
        "headers = \"headers\"",
        "\"security.protocol\" = \"SASL_SSL\"",
        "nulls = \"keep\"",
        "types = { \"eventType\" = \"varchar not null\" }",
    ] {
        assert!(
            imported.toml.lines().any(|one| one == line),
            "{line}\n{}",
            imported.toml
        );
    }
    let told = keys(&imported).join(" ");
    for key in [
        "database.password",
        "database.sslpassword",
        "bootstrap.servers",
        "key.converter",
        "producer.override.sasl.jaas.config",
        "surprise",
        "topic.creation.default.partitions",
        "transforms.mask.type",
        "transforms.outbox.predicate",
        "transforms.outbox.table.fields.additional.placement",
        "slot.name",
    ] {
        assert!(told.contains(key), "{key} is told: {told}");
    }
}

#[test]
fn no_value_that_may_be_secret_is_shown() {
    for file in [CONNECTOR, SERVER] {
        let shown = format!("{:?}", import(file).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
    let error = import("{\"database.password\": canary}").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn debezium_server_is_read_by_its_own_keys_and_defaults() {
    let imported = import(SERVER).unwrap();
    let route = &imported.route;
    assert_eq!(route.topic.as_deref(), Some("{aggregate_type}"));
    let rename = RenameSpec {
        regex: "(.*)_(.*)".to_owned(),
        to: "$2-$1".to_owned(),
    };
    assert_eq!(route.rename.as_ref(), Some(&rename));
    assert_eq!(route.partition, None, "its sink does not heed one");
    let debezium = route.debezium.as_ref().unwrap();
    let converters = [debezium.key, debezium.value, debezium.header];
    let expected = [
        Converter::Plain,
        Converter::JsonSchema,
        Converter::JsonSchema,
    ];
    assert_eq!(converters, expected, "JSON with schemas unless it is told");
    assert!(
        imported
            .toml
            .contains("brokers = [\"k1:9092\", \"k2:9092\"]")
    );
    assert!(
        imported.toml.contains("table = \"outbox\"\n"),
        "a line may go on"
    );
    let told = keys(&imported).join(" ");
    assert!(
        told.contains("debezium.source.database.password"),
        "as the file has it: {told}"
    );
    assert!(told.contains("debezium.transforms.o.table.field.event.timestamp"));
    assert!(!told.contains("quarkus."), "{told}");
}

#[test]
fn quarkus_tells_its_table_and_that_it_deletes_its_rows() {
    let file = "quarkus.datasource.password=canary\n\
                quarkus.debezium-outbox.table-name=Events\n\
                quarkus.debezium-outbox.aggregate-id.name=agg\n";
    let imported = import(file).unwrap();
    for line in [
        "table = \"events\"",
        "aggregate_id = \"agg\"",
        "created_at = \"timestamp\"",
    ] {
        assert!(imported.toml.contains(line), "{line}");
    }
    let deletes = "quarkus.debezium-outbox.remove-after-insert";
    assert!(keys(&imported).contains(&deletes));
    let kept = import(&format!("{file}{deletes}=false")).unwrap();
    assert!(!keys(&kept).contains(&deletes));
}

#[test]
fn what_is_no_outbox_is_refused() {
    let refused = |file: &str| import(file).unwrap_err();
    assert_eq!(
        refused("a=1\n\nword\n"),
        ImportError::Unreadable { line: 3 }
    );
    assert_eq!(refused("{\n\"a\": }"), ImportError::Unreadable { line: 2 });
    assert_eq!(
        refused("{\"config\": 7}"),
        ImportError::Unreadable { line: 1 }
    );
    assert_eq!(refused("{}"), ImportError::NoOutbox);
    assert_eq!(
        refused("transforms.a.type=io.x.Mask"),
        ImportError::NoOutbox
    );
}

#[test]
fn an_expression_that_is_not_served_is_told_with_its_key() {
    let file = "transforms.o.type=x.outbox.EventRouter\n\
                transforms.o.route.topic.regex=(?=x)(.*)\n";
    let imported = import(file).unwrap();
    assert_eq!(imported.route.rename, None);
    assert!(keys(&imported).contains(&"transforms.o.route.topic.regex"));
}

#[test]
fn each_column_has_one_role_whatever_chooses_topic_and_key() {
    let imported = |by: &str, key: &str| {
        let file = format!(
            "transforms.o.type=x.outbox.EventRouter\ntransforms.o.route.by.field={by}\n\
             transforms.o.table.field.event.key={key}\n"
        );
        let Imported { toml, route, .. } = import(&file).unwrap();
        let column = |name: &str| {
            let start = format!("{name} = ");
            let line = toml.lines().find_map(|line| line.strip_prefix(&start));
            line.unwrap().trim_matches('"').to_owned()
        };
        let columns = (column("aggregate_type"), column("aggregate_id"));
        (
            route.topic.unwrap(),
            route.key.unwrap(),
            columns.0,
            columns.1,
        )
    };
    for (by, key, topic, own_key, of, id) in [
        (
            "kind",
            "customer",
            "{aggregate_type}",
            "{aggregate_id}",
            "kind",
            "customer",
        ),
        (
            "aggregateid",
            "customer",
            "{aggregate_type}",
            "{aggregate_id}",
            "aggregateid",
            "customer",
        ),
        (
            "kind",
            "aggregatetype",
            "{aggregate_type}",
            "{aggregate_id}",
            "kind",
            "aggregatetype",
        ),
        (
            "customer",
            "customer",
            "{aggregate_id}",
            "{aggregate_id}",
            "aggregatetype",
            "customer",
        ),
        (
            "type",
            "id",
            "{event_type}",
            "{id}",
            "aggregatetype",
            "aggregateid",
        ),
    ] {
        let expected = (
            format!("outbox.event.{topic}"),
            own_key.into(),
            of.into(),
            id.into(),
        );
        assert_eq!(imported(by, key), expected, "{by} {key}");
    }
}
