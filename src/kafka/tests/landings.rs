//! What becomes of records: each flight lands once, as what it is.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout};

use super::{Airport, Cluster, PATIENCE, flight, record, record_of};
use crate::kafka::producer::start;
use crate::kafka::publish::Publish;
use crate::outcome::Class;

#[tokio::test]
async fn each_record_lands_once_with_a_receipt() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    for ticket in 0..500 {
        airport.send(ticket);
    }
    let landed = airport.land(500).await;
    let mut offsets: Vec<i64> = landed
        .values()
        .map(|report| report.as_ref().unwrap().offset())
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..500).collect::<Vec<i64>>());
    assert_eq!(airport.publisher.in_flight(), 0);
    assert_eq!(airport.publisher.landed(), 500);
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn a_record_is_stored_as_it_was_handed_over() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    let mut full = record("t");
    for (name, value) in [("ce_id", Some(&b"1"[..])), ("null", None), ("", Some(b""))] {
        full.push_header(name, value);
    }
    let tombstone = record_of("t", Some(b"key"), None);
    let empty = record_of("t", Some(b""), Some(b""));
    for (ticket, sent) in (0..).zip([&full, &tombstone, &empty]) {
        airport
            .publisher
            .publish(flight(ticket), sent, false)
            .unwrap();
        assert!(airport.land(1).await[&ticket].is_ok());
    }

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.mock.bootstrap_servers())
        .set("group.id", "g")
        .create()
        .unwrap();
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset("t", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&place).unwrap();
    for sent in [full, tombstone, empty] {
        let stored = consumer.poll(PATIENCE).unwrap().unwrap();
        assert_eq!(stored.key(), sent.key());
        assert_eq!(stored.payload(), sent.value());
        assert_eq!(stored.timestamp().to_millis(), Some(sent.timestamp_ms));
        let headers: Vec<(String, Option<Vec<u8>>)> = stored
            .headers()
            .iter()
            .flat_map(|headers| headers.iter())
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect();
        let expected: Vec<_> = sent
            .headers()
            .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
            .collect();
        assert_eq!(headers, expected);
    }
}

/// Has the broker answer so, as often as given, and checks what becomes of one record.
async fn assert_class(answer: RDKafkaRespErr, times: usize, code: i32, class: Class) {
    let cluster = Cluster::start();
    cluster.refuse(&vec![answer; times]);
    let mut airport = Airport::start(&cluster, &[]);
    let failure = airport.send_and_land(1).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.code),
        (class, code),
        "{answer:?}: {failure}"
    );
    assert!(!airport.publisher.is_dead());
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn a_brokers_refusal_has_its_class() {
    use RDKafkaRespErr as Answer;
    for (answer, code, class) in [
        (
            Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            10,
            Class::Record,
        ),
        (Answer::RD_KAFKA_RESP_ERR_INVALID_RECORD, 87, Class::Record),
        (
            Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            29,
            Class::Topic,
        ),
        (
            Answer::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            31,
            Class::Cluster,
        ),
        // librdkafka takes these for lasting, having no rule for them.
        (
            Answer::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
            13,
            Class::Transient,
        ),
        (
            Answer::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            89,
            Class::Transient,
        ),
    ] {
        assert_class(answer, 1, code, class).await;
    }
}

/// librdkafka tries again by itself until the record's time is up.
#[tokio::test]
async fn a_refusal_that_passes_becomes_a_time_out_if_it_does_not() {
    use RDKafkaRespErr as Answer;
    for answer in [
        Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        Answer::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ] {
        assert_class(answer, 1_000, -192, Class::Transient).await;
    }
}

/// Records of a partition wait behind one that is tried again.
#[tokio::test]
async fn a_refusal_that_passes_soon_is_over_long_before_a_time_out() {
    let cluster = Cluster::start();
    cluster.refuse(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 6]);
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(1).await.is_ok());
}

#[tokio::test]
async fn a_missing_topic_is_told_from_a_time_out() {
    let cluster = Cluster::start();
    let (publisher, landings) = start(cluster.config_with_timeout(8_000, &[])).unwrap();
    let mut airport = Airport {
        publisher,
        landings,
    };
    airport
        .publisher
        .publish(flight(1), &record("missing"), false)
        .unwrap();
    let failure = airport.land(1).await.remove(&1).unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Topic, "{failure}");
}

#[tokio::test]
async fn a_broker_that_is_away_costs_time_and_nothing_else() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(0).await.is_ok());
    cluster.mock.broker_down(1).unwrap();
    for ticket in 1..=20 {
        airport.send(ticket);
    }
    let mut trouble = airport.publisher.trouble();
    timeout(PATIENCE, trouble.wait_for(Option::is_some))
        .await
        .expect("the client complains")
        .unwrap();
    for report in airport.land(20).await.into_values() {
        assert_eq!(report.unwrap_err().class, Class::Transient);
    }
    assert!(!airport.publisher.is_dead());

    cluster.mock.broker_up(1).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut ticket = 21;
    while airport.send_and_land(ticket).await.is_err() {
        assert!(Instant::now() < deadline, "the broker stays away");
        ticket += 1;
    }
    assert_eq!(*trouble.borrow(), None, "a receipt ends the complaint");
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn a_fatal_error_is_mended_by_a_rebuild() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(0).await.is_ok());
    cluster.refuse(&[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    let failure = airport.send_and_land(1).await.unwrap_err();
    assert_eq!(failure.class, Class::ProducerDead, "{failure}");
    assert!(airport.publisher.is_dead());
    let refused = airport
        .publisher
        .publish(flight(2), &record("t"), false)
        .unwrap_err();
    assert_eq!(refused.class, Class::ProducerDead, "{refused}");

    let began = Instant::now();
    assert_eq!(airport.publisher.rebuild().await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(!airport.publisher.is_dead());
    assert_eq!(airport.publisher.generation(), 2);
    assert!(airport.send_and_land(3).await.is_ok());
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn a_rebuild_reports_every_flight_of_the_old_producer() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(0).await.is_ok());
    cluster.mock.broker_down(1).unwrap();
    for ticket in 1..=50 {
        airport.send(ticket);
    }
    airport
        .publisher
        .publish(flight(51), &record("t"), true)
        .unwrap();
    assert_eq!(airport.publisher.in_flight(), 51);
    assert_eq!(airport.publisher.rebuild().await.unwrap(), 0);
    assert_eq!(airport.publisher.in_flight(), 0);
    let mut landed = HashMap::new();
    while let Ok((flight, report)) = airport.landings.try_recv() {
        assert!(landed.insert(flight.handed_over, report).is_none());
    }
    assert_eq!(landed.len(), 51);
    for report in landed.into_values() {
        assert_eq!(report.unwrap_err().class, Class::Transient);
    }
}

#[tokio::test]
async fn a_rebuild_waits_for_receipts_that_are_on_their_way() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    assert!(airport.send_and_land(0).await.is_ok());
    cluster
        .mock
        .broker_round_trip_time(1, Duration::from_millis(100))
        .unwrap();
    airport.send(1);
    assert_eq!(airport.publisher.rebuild().await.unwrap(), 0);
    assert!(airport.land(1).await[&1].is_ok());
}

#[tokio::test]
async fn a_record_too_large_for_the_client_is_refused_on_the_spot() {
    let cluster = Cluster::start();
    let airport = Airport::start(&cluster, &[]);
    let large = record_of("t", Some(b"key"), Some(&vec![b'x'; 1_000_000]));
    let refused = airport
        .publisher
        .publish(flight(1), &large, false)
        .unwrap_err();
    assert_eq!((refused.class, refused.code), (Class::Record, 10));
    assert_eq!(airport.publisher.in_flight(), 0);
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn a_lone_record_is_judged_without_its_neighbours() {
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    for (alone, expected_failures) in [(false, 3), (true, 1)] {
        let cluster = Cluster::start();
        // Long enough for three records to share a batch if they may.
        let mut airport = Airport::start(&cluster, &[("linger.ms", "500")]);
        cluster.refuse(&[too_large]);
        for ticket in 1..=3 {
            airport
                .publisher
                .publish(flight(ticket), &record("t"), alone)
                .unwrap();
        }
        let landed = airport.land(3).await;
        let failures = landed.values().filter(|report| report.is_err()).count();
        assert_eq!(failures, expected_failures, "alone: {alone}");
    }
}

#[tokio::test]
async fn closing_waits_for_what_is_in_flight_and_refuses_the_rest() {
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    for ticket in 0..100 {
        airport.send(ticket);
    }
    assert_eq!(airport.publisher.close(PATIENCE).await.unwrap(), 0);
    for report in airport.land(100).await.into_values() {
        assert!(report.is_ok());
    }
    let refused = airport.publisher.publish(flight(100), &record("t"), false);
    assert!(refused.is_err());
    airport.assert_quiet_to_the_end().await;
}

#[tokio::test]
async fn dropping_a_publisher_does_not_block() {
    let cluster = Cluster::start();
    cluster.mock.broker_down(1).unwrap();
    let airport = Airport::start(&cluster, &[]);
    airport.send(1);
    let Airport {
        publisher,
        mut landings,
    } = airport;
    let began = Instant::now();
    drop(publisher);
    // Destroying it here would take at least the 100 ms of one turn of the crate's flush.
    assert!(began.elapsed() < Duration::from_millis(90));
    let (landed, report) = timeout(PATIENCE, landings.recv()).await.unwrap().unwrap();
    assert_eq!(landed, flight(1));
    assert!(report.is_err());
    assert!(timeout(PATIENCE, landings.recv()).await.unwrap().is_none());
}
