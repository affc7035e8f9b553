//! Kafka inside this process: librdkafka's mock cluster, reachable by any client on this machine.
//!
//! Owns the cluster and its topics. It plays a broker well enough to be produced to and consumed
//! from; it proves nothing about a real one. It keeps the last 5 MiB of each partition.

use std::collections::HashSet;
use std::fmt;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::DevError;

/// Enough partitions to see that keys spread.
const PARTITIONS: i32 = 4;

/// A cluster of one broker; it goes when this goes.
pub struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    topics: HashSet<String>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("brokers", &self.brokers())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Starts a cluster on a free port of this machine.
    pub fn start() -> Result<Self, DevError> {
        let mock = MockCluster::new(1).map_err(|error| DevError::Kafka(error.to_string()))?;
        Ok(Self {
            mock,
            topics: HashSet::new(),
        })
    }

    /// Its address.
    pub fn brokers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// Makes a topic if it was not made before.
    pub fn make_topic(&mut self, topic: &str) -> Result<(), DevError> {
        if self.topics.insert(topic.to_owned()) {
            self.mock
                .create_topic(topic, PARTITIONS, 1)
                .map_err(|error| DevError::Kafka(error.to_string()))?;
        }
        Ok(())
    }
}
