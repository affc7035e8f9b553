//! Three real Apache Kafka brokers that replicate each other.
//!
//! Owns their places. What a broker is, is in `kafka`.

use rustix::process::Signal;

use super::kafka::{Kafka, OwnBroker, cluster_id};
use super::process;

/// A topic has three replicas. A broker that is gone is noticed
/// within 1.5 s (9 s by default), so that a fault shows soon.
const SETTINGS: [(&str, &str); 7] = [
    ("default.replication.factor", "3"),
    ("broker.session.timeout.ms", "1500"),
    ("broker.heartbeat.interval.ms", "300"),
    ("replica.lag.time.max.ms", "1500"),
    ("replica.fetch.wait.max.ms", "200"),
    ("controller.quorum.election.timeout.ms", "300"),
    ("controller.quorum.fetch.timeout.ms", "900"),
];

/// A cluster of three brokers, each of which may be a controller too.
pub(crate) struct Cluster {
    brokers: Vec<(String, OwnBroker)>,
}

impl Cluster {
    /// Three brokers, started together; so many of them must have a record for it to be confirmed.
    pub(crate) async fn start(replicas: &str) -> Self {
        let ports: Vec<(u16, u16)> = (0..3)
            .map(|_| (process::free_port(), process::free_port()))
            .collect();
        let voters: Vec<String> = ports
            .iter()
            .zip(1..)
            .map(|((_, controller), id)| format!("{id}@127.0.0.1:{controller}"))
            .collect();
        let cluster_id = cluster_id();
        let mut brokers = Vec::new();
        for ((port, controller), id) in ports.into_iter().zip(1..) {
            let broker = place(id, (port, controller), &voters.join(","), replicas).await;
            broker.format(&cluster_id, &[]).await;
            brokers.push((format!("127.0.0.1:{port}"), broker));
        }
        let mut cluster = Self { brokers };
        let [one, two, three] = &mut cluster.brokers[..] else {
            panic!("there are three")
        };
        tokio::join!(
            one.1.start(&one.0),
            two.1.start(&two.0),
            three.1.start(&three.0)
        );
        cluster
    }

    /// The cluster, for clients that begin with any of its brokers.
    pub(crate) fn kafka(&self) -> Kafka {
        let addresses: Vec<&str> = self.brokers.iter().map(|(at, _)| at.as_str()).collect();
        Kafka::at(&addresses.join(","))
    }

    /// Stops a broker as an operator does.
    pub(crate) async fn stop(&mut self, broker: usize) {
        self.brokers[broker].1.end(Signal::TERM).await;
    }

    /// Ends a broker as a crash does.
    pub(crate) async fn kill(&mut self, broker: usize) {
        self.brokers[broker].1.end(Signal::KILL).await;
    }

    /// Starts a broker again.
    pub(crate) async fn restart(&mut self, broker: usize) {
        let (address, broker) = &mut self.brokers[broker];
        broker.start(address).await;
    }
}

async fn place(id: u8, (port, controller): (u16, u16), voters: &str, replicas: &str) -> OwnBroker {
    let id = id.to_string();
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    let own = [
        ("node.id", id.as_str()),
        ("controller.quorum.voters", voters),
        ("listeners", &listeners),
        ("min.insync.replicas", replicas),
    ];
    OwnBroker::create(port, &[&SETTINGS[..], &own].concat(), None).await
}
