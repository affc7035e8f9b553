//! `run` outlives what it depends on: it waits for it, says for what, and stops when asked.

use crate::support::{Database, Kafka, Outbox, Postgres, Probes, SOON, eventually};

#[tokio::test]
async fn run_waits_for_its_database_its_tables_and_kafka_in_turn() {
    let mut postgres = Postgres::private(&[]).await;
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::adopt(Database::create(&postgres).await, &kafka).await;
    postgres.stop_fast().await;
    kafka.stop().await;

    let probes = Probes::new();
    let mut relay = outbox.relay(&[("http.listen", &probes.listen)]);
    let answer = probes
        .wait_for("database: no connection to the database", SOON)
        .await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    relay.logs("waiting: database: no connection", SOON).await;

    postgres.start().await;
    probes
        .wait_for(
            "database: public.outbox is not migrated yet: run `outbox-relay migrate`",
            SOON,
        )
        .await;
    let columns = "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'outbox%'";
    let tables: i64 = sqlx::query_scalar(columns)
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(tables, 0, "run never migrates");

    outbox.migrate(&[]).await;
    let answer = probes.wait_for("kafka: no broker answered", SOON).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(relay.runs());

    kafka.start().await;
    let answer = probes.wait_for("\"ready\":true", SOON).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    outbox.write("1", "{}").await;
    outbox.drained(SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn a_stop_that_waits_for_kafka_is_ended_by_a_second_signal() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    for second_ends_with in [143, 130] {
        let probes = Probes::new();
        let mut relay = outbox.relay(&[
            ("http.listen", &probes.listen),
            ("relay.shutdown_grace_ms", "600000"),
            ("lanes.lease_ttl_ms", "120000"),
            ("kafka.message_timeout_ms", "100000"),
        ]);
        // A row has arrived, so the relay holds lanes and a connection.
        outbox.write("1", "{}").await;
        outbox.drained(SOON).await;
        kafka.freeze();
        outbox.write("1", "{}").await;
        probes.wait_for("kafka: ", SOON).await;
        relay.terminate();
        probes.wait_for("stopping", SOON).await;
        assert!(relay.runs(), "it waits for the record under way");
        if second_ends_with == 143 {
            relay.terminate();
        } else {
            relay.interrupt();
        }
        assert_eq!(relay.wait_exit(SOON).await, second_ends_with);
        kafka.thaw();
        sqlx::query("UPDATE outbox_relay_lanes SET expires_at = now()")
            .execute(&outbox.pool)
            .await
            .unwrap();
        sqlx::query("DELETE FROM outbox_relay_relays")
            .execute(&outbox.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_relay_that_still_waits_stops_at_the_first_signal() {
    let outbox = Outbox::create().await;
    let probes = Probes::new();
    let mut relay = outbox.relay(&[
        ("http.listen", &probes.listen),
        ("kafka.brokers", "127.0.0.1:1"),
    ]);
    probes.wait_for("kafka: no broker answered", SOON).await;
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
}

#[tokio::test]
async fn events_for_a_topic_that_is_missing_wait_and_others_go_on() {
    let outbox = Outbox::create().await;
    let kafka = Kafka::shared().await;
    let missing = Kafka::unique("missing");
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic)
         SELECT 'lost', (n % 30000)::text, 'A', $1 FROM generate_series(1, 60000) AS n",
    )
    .bind(&missing)
    .execute(&outbox.pool)
    .await
    .unwrap();
    let _relay = outbox.relay(&[]);
    outbox.write_many(5_000, 1_000).await;
    eventually("the others are published", SOON, async || {
        match outbox.count("published_at IS NOT NULL").await {
            5_000 => Ok(()),
            published => Err(format!("{published} published")),
        }
    })
    .await;
    assert_eq!(outbox.count("dead_at IS NOT NULL OR attempts > 0").await, 0);

    kafka.create_topic(&missing, 3, &[]).await;
    outbox.drained(SOON).await;
}

#[tokio::test]
async fn an_idle_relay_knows_that_its_broker_is_away() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let probes = Probes::new();
    let _relay = outbox.relay(&[("http.listen", &probes.listen)]);
    outbox.write("1", "{}").await;
    outbox.drained(SOON).await;
    probes.wait_for("\"ready\":true", SOON).await;
    kafka.stop().await;
    let answer = probes.wait_for("kafka: ", SOON).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    kafka.start().await;
    probes.wait_for("\"ready\":true", SOON).await;
}
