//! Names that lead nowhere, and then elsewhere.
//!
//! The relay has a table of names of its own in the place of `/etc/hosts`: only where that may be
//! mounted. Elsewhere the test says that it did nothing.

use std::fs;
use std::process::Command;

use crate::support::tally::assert_once_in_order;
use crate::support::{
    Kafka, Listener, Outbox, Postgres, Probes, Proxy, Receiver, RelayProcess, SOON, free_port,
    skipped, temporary_file,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_outbox-relay");
const FIRST: &str = "127.0.0.2";
const SECOND: &str = "127.0.0.3";
/// Puts a table of names, and a resolver that is not there, into the places of the machine's own.
const WITH_NAMES: &str = r#"
    mount --bind "$0" /etc/hosts &&
    { [ ! -e /etc/resolv.conf ] || mount --bind "$1" /etc/resolv.conf; } &&
    shift && exec "$@""#;

/// A table of names for one relay.
struct Names {
    hosts: String,
    resolver: String,
}

impl Names {
    /// A table in which both names lead to the first address.
    fn new() -> Self {
        let names = Self {
            hosts: temporary_file(""),
            resolver: temporary_file("nameserver 127.0.0.1\n"),
        };
        names.lead_to(FIRST);
        names
    }

    fn lead_to(&self, address: &str) {
        let names = format!("{address} database.test\n{address} kafka.test\n");
        fs::write(&self.hosts, names).expect("the table is ours");
    }

    fn lead_nowhere(&self) {
        fs::write(&self.hosts, "").expect("the table is ours");
    }

    /// How to start a program that goes by it.
    fn starting<'a>(&'a self, program: &'a [&str]) -> Vec<&'a str> {
        let start = ["--mount", "sh", "-c", WITH_NAMES];
        [&start[..], &[&self.hosts, &self.resolver], program].concat()
    }

    /// Whether it may be done here.
    fn may_be_used(&self) -> bool {
        let trying = Command::new("unshare")
            .args(self.starting(&["true"]))
            .status();
        let may = trying.is_ok_and(|status| status.success());
        if !may {
            skipped("no table of names may be mounted here");
        }
        may
    }
}

/// Two ways to a server, at one port of two addresses.
async fn ways(port: u16, server: &str) -> [Proxy; 2] {
    [
        Proxy::at(&format!("{FIRST}:{port}"), server).await,
        Proxy::at(&format!("{SECOND}:{port}"), server).await,
    ]
}

/// A broker that is known by its name, and the two ways to it.
async fn named_kafka() -> (Kafka, u16, [Proxy; 2]) {
    let (inner, port) = (free_port(), free_port());
    let listener = Listener {
        listens: &format!("PROXIED://127.0.0.1:{inner}"),
        advertises: &format!("PROXIED://kafka.test:{port}"),
    };
    let ways = ways(port, &format!("127.0.0.1:{inner}")).await;
    (Kafka::guarded(&[], Some(listener), &[]).await, port, ways)
}

#[tokio::test]
async fn names_that_lead_nowhere_and_then_elsewhere_are_followed() {
    let names = Names::new();
    if !names.may_be_used() {
        return;
    }
    let (kafka, kafka_port, kafka_ways) = named_kafka().await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let port = free_port();
    let database_ways = ways(port, outbox.server()).await;
    let probes = Probes::new();
    let settings = [
        (
            "database.url",
            outbox.url_through(&format!("database.test:{port}")),
        ),
        ("kafka.brokers", format!("kafka.test:{kafka_port}")),
        ("route.topic", outbox.topic.clone()),
        ("http.listen", probes.listen.clone()),
    ];
    let settings = settings
        .each_ref()
        .map(|(key, value)| (*key, value.as_str()));
    let program = [PROGRAM, "run"];
    let mut relay = RelayProcess::start_program("unshare", &names.starting(&program), &settings);
    outbox.write_numbered(1..=1_000, 50).await;
    outbox.drained(SOON).await;

    names.lead_nowhere();
    for [first, second] in [&database_ways, &kafka_ways] {
        assert!(first.accepted() > 0 && second.accepted() == 0);
        first.refuse(true);
        first.cut();
    }
    probes.wait_for("database: ", SOON).await;
    probes.wait_for("kafka: ", SOON).await;
    outbox.write_numbered(1_001..=2_000, 50).await;

    names.lead_to(SECOND);
    outbox.drained(SOON).await;
    probes.wait_for("\"ready\":true", SOON).await;
    for [_, second] in [&database_ways, &kafka_ways] {
        assert!(second.accepted() > 0);
    }
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let receiver = Receiver::start(&kafka, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 2_000);
}
