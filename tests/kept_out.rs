//! Brokers that keep a relay from writing: by its rights, by a rate, by an address that leads
//! nowhere.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::tally::assert_once_in_order;
use crate::support::{
    Kafka, Listener, Outbox, Postgres, Probes, Receiver, Right, SOON, eventually, free_port,
};

/// What is told to whoever is led astray.
const ADVERTISED: &str = "the listeners that they advertise";
pub(crate) const USER: &str = "relay";
const PASSWORD: &str = "canary";

/// A broker that knows its users, and where they are let in. The tests themselves are no user, and
/// may do all.
pub(crate) async fn guarded_kafka() -> (Kafka, String) {
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let address = format!("127.0.0.1:{}", free_port());
    let settings = [
        (
            "listener.security.protocol.map",
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,USERS:SASL_PLAINTEXT",
        ),
        ("sasl.enabled.mechanisms", "PLAIN"),
        (
            "listener.name.users.plain.sasl.jaas.config",
            &format!("{login} user_{USER}=\"{PASSWORD}\";"),
        ),
        (
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        ),
        ("super.users", "User:ANONYMOUS"),
        // A rate is that of the last two seconds: eleven by default.
        ("quota.window.num", "2"),
    ];
    let listener = format!("USERS://{address}");
    let listener = Listener {
        listens: &listener,
        advertises: &listener,
    };
    let kafka = Kafka::guarded(&settings, Some(listener), &[]).await;
    (kafka, address)
}

/// The settings of a relay that is this user.
pub(crate) fn as_user(address: &str) -> Vec<(&str, &str)> {
    let own = [
        ("kafka.brokers", address),
        ("kafka.properties.security.protocol", "SASL_PLAINTEXT"),
        ("kafka.properties.sasl.mechanism", "PLAIN"),
        ("kafka.properties.sasl.username", USER),
        ("kafka.properties.sasl.password", PASSWORD),
    ];
    [&LONG_LEASES[..], &own].concat()
}

async fn may_write(kafka: &Kafka, topic: &str) {
    kafka.grant(USER, Right::Describe, topic).await;
    kafka.grant(USER, Right::Write, topic).await;
}

/// Writes events of 50 aggregates to two topics, counting on from `first`.
async fn write_to_both(outbox: &Outbox, other: &str, first: i32) {
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, topic)
             SELECT 'order', (n % 50)::text, 'OrderPlaced', jsonb_build_object('n', n), topic
             FROM generate_series({first}, {first} + 499) AS n, (VALUES (NULL), ('{other}')) AS t (topic)"
        ))
        .await;
}

#[tokio::test]
async fn a_topic_whose_right_is_taken_away_waits_alone_and_flows_once_it_is_back() {
    let (kafka, address) = guarded_kafka().await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let other = kafka.topic("guarded", 3).await;
    may_write(&kafka, &outbox.topic).await;
    may_write(&kafka, &other).await;
    let probes = Probes::new();
    let mut settings = as_user(&address);
    settings.push(("http.listen", &probes.listen));
    let relay = named_relay(&outbox, "only", &settings);
    write_to_both(&outbox, &other, 1).await;
    outbox.drained(SOON).await;

    kafka.revoke(USER, Right::Write, &other).await;
    write_to_both(&outbox, &other, 501).await;
    relay.logs("the topic takes nothing", SOON).await;
    let told = probes.wait_for(&other, SOON).await;
    assert!(told.contains("WRITE and DESCRIBE on the topic"), "{told}");
    assert!(told.contains("\"ready\":true"), "others flow: {told}");
    eventually("the others are published", SOON, async || {
        let waiting = outbox.count("topic IS NULL AND published_at IS NULL").await;
        (waiting == 0).then_some(()).ok_or(waiting)
    })
    .await;
    assert!(outbox.count("published_at IS NULL").await > 400, "no right");

    kafka.grant(USER, Right::Write, &other).await;
    outbox.drained(SOON).await;
    let blamed = "attempts > 0 OR dead_state IS NOT NULL";
    assert_eq!(outbox.count(blamed).await, 0);
    for topic in [&outbox.topic, &other] {
        let receiver = Receiver::start(&kafka, &[topic]).await;
        assert_once_in_order(&receiver.read_to_end(SOON).await, 1_000);
    }
}

#[tokio::test]
async fn a_rate_that_bounds_the_producer_makes_it_slower_and_loses_nothing() {
    const BYTES_PER_S: u32 = 200_000;
    let (kafka, address) = guarded_kafka().await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    may_write(&kafka, &outbox.topic).await;
    kafka.bound_rate(USER, Some(BYTES_PER_S.into())).await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', (n % 50)::text, 'OrderPlaced',
                 jsonb_build_object('n', n, 'text', repeat('x', 4000))
             FROM generate_series(1, 500) AS n",
        )
        .await;
    let _relay = named_relay(&outbox, "only", &as_user(&address));
    let begun = Instant::now();
    outbox.drained(SOON).await;
    let took = begun.elapsed();
    println!("2 MB at {BYTES_PER_S} bytes a second: {took:?}");
    assert!(
        took > Duration::from_secs(5),
        "{took:?}: nothing was bounded"
    );
    assert_eq!(outbox.count("attempts > 0").await, 0);
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 500);
}

#[tokio::test]
async fn an_advertised_address_that_leads_nowhere_is_told() {
    let door = format!("127.0.0.1:{}", free_port());
    let nowhere = format!("127.0.0.1:{}", free_port());
    let listener = Listener {
        listens: &format!("PROXIED://{door}"),
        advertises: &format!("PROXIED://{nowhere}"),
    };
    let kafka = Kafka::guarded(&[], Some(listener), &[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    outbox.write_many(10, 10).await;
    let probes = Probes::new();
    let settings = [
        ("kafka.brokers", door.as_str()),
        ("http.listen", &probes.listen),
    ];
    let mut relay = outbox.relay(&settings);
    let told = probes.wait_for(&nowhere, SOON).await;
    println!("{told}");
    assert!(told.contains("\"ready\":false"), "{told}");
    assert!(told.contains(ADVERTISED), "the cure: {told}");
    relay.logs(ADVERTISED, SOON).await;
    assert!(relay.runs(), "it waits");
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 0);
}
