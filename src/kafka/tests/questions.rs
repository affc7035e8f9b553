//! What the cluster answers, and what a client says when it cannot start.

use std::time::Duration;

use rdkafka::types::RDKafkaRespErr;

use super::{Cluster, PATIENCE};
use crate::kafka::KafkaError;
use crate::kafka::admin::{Admin, Topic};
use crate::kafka::producer::start;

#[tokio::test]
async fn the_cluster_answers_questions() {
    let cluster = Cluster::start();
    cluster.mock.create_topic("wide", 7, 1).unwrap();
    cluster.mock.create_topic("secret", 1, 1).unwrap();
    cluster
        .mock
        .topic_error(
            "secret",
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        )
        .unwrap();
    let admin = Admin::start(&cluster.config(&[])).unwrap();
    let other = Cluster::start();
    let elsewhere = Admin::start(&other.config(&[])).unwrap();
    let id = admin.cluster_id(PATIENCE).await.unwrap();
    assert!(!id.is_empty());
    assert_ne!(id, elsewhere.cluster_id(PATIENCE).await.unwrap());
    for (name, expected) in [
        (
            "wide",
            Topic::Present {
                partitions: 7,
                copies: 1,
            },
        ),
        ("missing", Topic::Missing),
        ("secret", Topic::Denied),
    ] {
        assert_eq!(
            admin.topic(name, PATIENCE).await.unwrap(),
            expected,
            "{name}"
        );
    }
    assert!(admin.topic("no name", PATIENCE).await.is_err());
}

#[tokio::test]
async fn a_question_to_nobody_says_why_there_is_no_answer() {
    let cluster = Cluster::start();
    cluster.mock.broker_down(1).unwrap();
    let admin = Admin::start(&cluster.config(&[])).unwrap();
    for error in [
        admin.cluster_id(Duration::from_secs(2)).await.unwrap_err(),
        admin.topic("t", Duration::from_secs(2)).await.unwrap_err(),
    ] {
        assert!(matches!(error, KafkaError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_property_is_named_and_its_value_is_not() {
    let cluster = Cluster::start();
    for (name, value) in [
        ("socket.timeout.ms", "hunter2"),
        ("no.such.property", "hunter2"),
        ("ssl.key.pem", "hunter2"),
    ] {
        let config = cluster.config(&[(name, value), ("security.protocol", "ssl")]);
        let error = start(config).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(name), "{shown}");
    }
}
