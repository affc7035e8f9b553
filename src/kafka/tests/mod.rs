//! The producer and the questions against librdkafka's own mock cluster.
//!
//! The mock plays a broker's answers, well or badly; it does not check sequence numbers, so it
//! proves nothing about order or duplicates. This file owns the rig; the tests stand beside it.

mod landings;
mod panics;
mod questions;
mod queue;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use uuid::Uuid;

use super::producer::{KafkaPublisher, start};
use super::properties::client_config;
use super::publish::{Flight, Landing, Publish};
use crate::event::EventRef;
use crate::outcome::Report;
use crate::process::metrics::TopicSlot;
use crate::record::Record;

/// Longer than anything here may take, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of one broker with a topic `t` of one partition.
struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
}

impl Cluster {
    fn start() -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("t", 1, 1).unwrap();
        Self { mock }
    }

    fn config(&self, extra: &[(&str, &str)]) -> ClientConfig {
        self.config_with_timeout(2_000, extra)
    }

    fn config_with_timeout(&self, timeout_ms: u64, extra: &[(&str, &str)]) -> ClientConfig {
        let extra = extra
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>();
        client_config(&[self.mock.bootstrap_servers()], timeout_ms, &extra, 1_000)
    }

    /// Makes the next requests to write fail with a code each.
    fn refuse(&self, codes: &[RDKafkaRespErr]) {
        self.mock.request_errors(RDKafkaApiKey::Produce, codes);
    }
}

/// A publisher with its landings.
struct Airport {
    publisher: KafkaPublisher,
    landings: UnboundedReceiver<Landing>,
}

impl Airport {
    fn start(cluster: &Cluster, extra: &[(&str, &str)]) -> Self {
        let (publisher, landings) = start(cluster.config(extra)).unwrap();
        Self {
            publisher,
            landings,
        }
    }

    fn send(&self, ticket: u64) {
        self.publisher
            .publish(flight(ticket), &record("t"), false)
            .unwrap();
    }

    /// Sends one record and awaits what becomes of it.
    async fn send_and_land(&mut self, ticket: u64) -> Report {
        self.send(ticket);
        let (landed, report) = self.landing().await;
        assert_eq!(landed, flight(ticket));
        report
    }

    async fn landing(&mut self) -> Landing {
        timeout(PATIENCE, self.landings.recv())
            .await
            .expect("no landing in time")
            .expect("the publisher keeps the channel open")
    }

    /// Awaits as many landings, each of another flight.
    async fn land(&mut self, count: usize) -> HashMap<u64, Report> {
        let mut landed = HashMap::new();
        for _ in 0..count {
            let (flight, report) = self.landing().await;
            let earlier = landed.insert(flight.handed_over, report);
            assert!(earlier.is_none(), "{flight:?} landed twice");
        }
        landed
    }

    /// Nothing more lands once all of librdkafka's threads have ended.
    async fn assert_quiet_to_the_end(mut self) {
        assert_eq!(self.publisher.close(Duration::ZERO).await.unwrap(), 0);
        assert!(self.landings.try_recv().is_err());
    }
}

fn flight(ticket: u64) -> Flight {
    Flight {
        at: EventRef {
            seq: i64::try_from(ticket).unwrap(),
            id: Uuid::from_u128(u128::from(ticket)),
        },
        handed_over: ticket,
        topic: TopicSlot::default(),
        created_ms: 0,
    }
}

fn record(topic: &str) -> Record {
    record_of(topic, Some(b"key"), Some(b"value"))
}

fn record_of(topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
    Record::new(Arc::from(topic), 1_772_600_767_000, key, value, 0)
}
