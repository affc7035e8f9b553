//! The Java client: Apache Kafka's own console consumer.
//!
//! Owns its command, and the lines that it prints. Knows nothing of the relay.
//!
//! Invariant: it is told how many records there are, and has seen them all when it is asked.

use std::fs;

use super::process::{self, Process};
use super::{Kafka, SOON};

/// What it prints of a record, in the order in which it does.
const FIELDS: [&str; 5] = [
    "print.timestamp",
    "print.partition",
    "print.offset",
    "print.headers",
    "print.key",
];
/// How each of its lines about a record begins.
const TIMESTAMP: &str = "CreateTime:";

/// What the Java client sees in a topic, a line for each record, with tabs between the fields.
pub(crate) async fn seen_by_java(kafka: &Kafka, topic: &str, records: usize) -> Vec<String> {
    let jars = process::printed_by("scripts/kafka-jars").await;
    let folder = process::folder("java");
    let mut command = process::mortal("KILL", None, "java".as_ref());
    command
        .current_dir(&folder)
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dfile.encoding=UTF-8")
        .arg("-Dstdout.encoding=UTF-8")
        .arg("-cp")
        .arg(jars.join("*"))
        .arg("org.apache.kafka.tools.consumer.ConsoleConsumer")
        .args(["--bootstrap-server", kafka.brokers()])
        .args(["--topic", topic, "--from-beginning"])
        .args(["--max-messages", &records.to_string()])
        .args(["--timeout-ms", &SOON.as_millis().to_string()]);
    for field in FIELDS {
        command.args(["--formatter-property", &format!("{field}=true")]);
    }
    let log = folder.join("log");
    let mut consumer = Process::start_logged(command, &log);
    let code = consumer.ended("the console consumer", 2 * SOON).await;
    assert_eq!(code, 0, "{}", process::tail(&log));
    let printed = fs::read_to_string(&log).expect("it prints text");
    let lines = printed.lines().filter(|line| line.starts_with(TIMESTAMP));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    assert_eq!(lines.len(), records, "{printed}");
    lines
}
