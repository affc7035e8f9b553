//! Relays of one name: they are told apart by what they hold, and no broker fences any of them,
//! because nothing that they do with Kafka is a transaction.

use std::collections::HashSet;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use tokio::task::spawn_blocking;

use crate::support::lanes::named_relay;
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Postgres, Probes, Receiver, RelayProcess, SOON};

/// Where a broker keeps transactions; it makes the topic when a producer first names one
/// (`Topic.TRANSACTION_STATE_TOPIC_NAME` of Apache Kafka).
const TRANSACTIONS: &str = "__transaction_state";

/// A relay that is called as all others here are, to Kafka too.
fn twin(outbox: &Outbox, topic: &str, probes: &Probes) -> RelayProcess {
    let settings = [
        ("kafka.properties.client.id", "twin"),
        ("route.topic", topic),
        ("http.listen", probes.listen.as_str()),
    ];
    named_relay(outbox, "twin", &settings)
}

/// Waits until a relay holds so many lanes, as it says itself.
async fn holds(probes: &Probes, lanes: f64) {
    let series = "outbox_relay_lanes_owned";
    probes.wait_for_metric(series, lanes, SOON).await;
}

/// It has delivered, and no broker has made it begin again.
async fn is_unharmed(probes: &Probes, topic: &str) {
    let published = format!("outbox_relay_published_total{{topic=\"{topic}\"}}");
    let published = probes.metric(&published).await.expect("it has published");
    assert!(published > 0.0, "a twin has published nothing");
    let rebuilds = "outbox_relay_producer_rebuilds_total";
    assert!(probes.metric(rebuilds).await.expect("it is counted") < 1.0);
    let ready = probes.ask("/readyz").await.expect("it answers");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
}

#[tokio::test]
async fn two_relays_of_one_name_share_the_lanes_and_neither_is_fenced() {
    let outbox = Outbox::create().await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let (one, other) = (Probes::new(), Probes::new());
    let _one = twin(&outbox, &outbox.topic, &one);
    holds(&one, 16.0).await;
    outbox.write_numbered(1..=1_000, 200).await;
    let _other = twin(&outbox, &outbox.topic, &other);
    holds(&one, 8.0).await;
    holds(&other, 8.0).await;
    for batch in 1..=4 {
        outbox
            .write_numbered(batch * 1_000 + 1..=(batch + 1) * 1_000, 200)
            .await;
        outbox.drained(SOON).await;
    }
    is_unharmed(&one, &outbox.topic).await;
    is_unharmed(&other, &outbox.topic).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 5_000);
}

/// Two deployments that know nothing of each other write to one topic under one name.
#[tokio::test]
async fn twins_of_two_outboxes_both_deliver_and_no_transaction_is_ever_opened() {
    let kafka = Kafka::private(&[]).await;
    let one = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let other = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let topic = &one.topic;
    let (one_probes, other_probes) = (Probes::new(), Probes::new());
    let _one = twin(&one, topic, &one_probes);
    let _other = twin(&other, topic, &other_probes);
    holds(&one_probes, 16.0).await;
    holds(&other_probes, 16.0).await;
    for batch in 0..5 {
        let numbers = batch * 500 + 1..=(batch + 1) * 500;
        tokio::join!(
            one.write_numbered(numbers.clone(), 200),
            other.write_numbered(numbers, 200)
        );
        tokio::join!(one.drained(SOON), other.drained(SOON));
    }
    is_unharmed(&one_probes, topic).await;
    is_unharmed(&other_probes, topic).await;
    let receiver = Receiver::start(&kafka, &[topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let events: HashSet<_> = records
        .iter()
        .map(|record| record.header("ce_id"))
        .collect();
    assert_eq!((records.len(), events.len()), (5_000, 5_000));
    assert!(!has_transactions(&kafka).await);

    // Whoever had named a transaction would have been seen.
    begin_transactions(&kafka).await;
    assert!(has_transactions(&kafka).await);
}

/// Whether any producer has ever named a transaction to this cluster.
async fn has_transactions(kafka: &Kafka) -> bool {
    let config = kafka.client();
    let asking = spawn_blocking(move || {
        let client: BaseConsumer = config.create().expect("the configuration is legal");
        let metadata = client.fetch_metadata(None, SOON).expect("it answers");
        let mut topics = metadata.topics().iter();
        topics.any(|topic| topic.name() == TRANSACTIONS)
    });
    asking.await.expect("asking does not panic")
}

/// What a producer of transactions does first.
async fn begin_transactions(kafka: &Kafka) {
    let mut config = kafka.client();
    config.set("transactional.id", "other");
    let beginning = spawn_blocking(move || {
        let producer: BaseProducer = config.create().expect("the configuration is legal");
        producer.init_transactions(SOON).expect("it answers");
    });
    beginning.await.expect("beginning does not panic");
}
