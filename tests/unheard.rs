//! A relay whose log nobody reads: that is no reason to stop.

use std::io::{PipeReader, Read, pipe};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Probes, Receiver, SOON};

/// What a pipe of Linux holds (pipe(7)), in bytes.
const PIPE_BYTES: usize = 65_536;
/// A relay that says all it can, and a client that does.
const TALKATIVE: [(&str, &str); 2] = [("RUST_LOG", "trace"), ("kafka.properties.debug", "all")];

/// An output, and what it leads to.
fn output() -> (PipeReader, Stdio) {
    let (reader, writer) = pipe().expect("two descriptors are left");
    (reader, writer.into())
}

async fn assert_delivered(outbox: &Outbox, events: usize) {
    outbox.drained(SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, events);
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing_and_its_gap_is_told() {
    let outbox = Outbox::create().await;
    let (_unread, stdout) = output();
    let (mut unread, stderr) = output();
    let probes = Probes::new();
    let settings = [&TALKATIVE[..], &[("http.listen", &probes.listen)]].concat();
    let mut relay = outbox.relay_into((stdout, stderr), &settings);
    for _ in 0..20 {
        outbox.write_many(1_000, 200).await;
        outbox.drained(SOON).await;
    }
    probes.wait_for("HTTP/1.1 200", SOON).await;
    let reading = thread::spawn(move || {
        let mut log = String::new();
        unread.read_to_string(&mut log).map(|_bytes| log)
    });
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let log = reading.join().expect("it reads").expect("the log is text");
    assert!(log.len() > PIPE_BYTES, "{} bytes", log.len());
    assert!(
        log.contains("lines of the log were dropped"),
        "{} lines and no gap",
        log.lines().count()
    );
    assert!(log.trim_end().ends_with('}'), "its last line is whole");
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 20_000);
}

#[tokio::test]
async fn outputs_that_are_closed_end_nothing() {
    let outbox = Outbox::create().await;
    let ((out, stdout), (err, stderr)) = (output(), output());
    drop((out, err));
    let mut relay = outbox.relay_into((stdout, stderr), &TALKATIVE);
    outbox.write_many(2_000, 200).await;
    assert_delivered(&outbox, 2_000).await;
    assert!(relay.runs());
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
}

/// Its end waits for whoever reads, and not for ever.
#[tokio::test]
async fn a_relay_whose_log_nobody_reads_stops_when_it_is_asked_to() {
    let outbox = Outbox::create().await;
    let ((_out, stdout), (_err, stderr)) = (output(), output());
    let mut relay = outbox.relay_into((stdout, stderr), &TALKATIVE);
    outbox.write_many(2_000, 200).await;
    assert_delivered(&outbox, 2_000).await;
    relay.terminate();
    let asked = Instant::now();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}
