//! A callback that panics ends the process at once.
//!
//! No callback of ours is known to panic, so what it calls does: whoever waits for the landing, or
//! whoever takes the log. The publisher, the client and the hook are the product's own.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use tracing::span::{Attributes, Id, Record as Fields};
use tracing::subscriber::set_global_default;
use tracing::{Event, Metadata, Subscriber};

use super::{Airport, Cluster};
use crate::process::{child, clock, panic};

/// A panic of the client's polling thread must be noticed within this.
const NOTICED_WITHIN_MS: u64 = 10_000;

/// Panics wherever it is called, but for events of other targets.
struct Startled {
    target: &'static str,
}

impl Startled {
    fn panic() -> ! {
        let thread = thread::current();
        child::say(&format!("startled on the {}", thread.name().unwrap_or("?")));
        panic!("startled")
    }
}

impl Wake for Startled {
    fn wake(self: Arc<Self>) {
        Self::panic()
    }
}

impl Subscriber for Startled {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Fields<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == self.target {
            Self::panic()
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The rest of a child's life, which is long enough for the parent to be disappointed.
fn live_on() {
    let (_open, nothing) = channel::<()>();
    let patience = Duration::from_millis(2 * NOTICED_WITHIN_MS);
    assert!(nothing.recv_timeout(patience).is_err());
    child::say("lives on");
}

/// Has the log panic, in a child, over what the client says of a broker that is gone.
fn lose_the_broker(target: &'static str) {
    if !child::is_child() {
        return;
    }
    panic::install();
    let cluster = Cluster::start();
    set_global_default(Startled { target }).unwrap();
    cluster.mock.broker_down(1).unwrap();
    let _airport = Airport::start(&cluster, &[]);
    live_on();
}

#[test]
fn in_a_child_the_log_callback_panics() {
    lose_the_broker("librdkafka");
}

#[test]
fn in_a_child_the_error_callback_panics() {
    lose_the_broker("outbox_relay::kafka::trouble");
}

#[test]
fn in_a_child_the_delivery_callback_panics() {
    if !child::is_child() {
        return;
    }
    panic::install();
    let cluster = Cluster::start();
    let mut airport = Airport::start(&cluster, &[]);
    let waker = Waker::from(Arc::new(Startled { target: "" }));
    let waiting = airport.landings.poll_recv(&mut Context::from_waker(&waker));
    assert!(waiting.is_pending());
    airport.send(1);
    live_on();
}

#[test]
fn a_callback_that_panics_ends_the_process_at_once() {
    for callback in ["log", "error", "delivery"] {
        let test = format!("kafka::tests::panics::in_a_child_the_{callback}_callback_panics");
        let (mut process, mut stderr) = child::start(&test);
        child::wait_for("startled on the kafka polling", &mut stderr);
        let panicked_ms = clock::boot_ms();
        let code = process.wait().unwrap().code();
        let took_ms = clock::boot_ms() - panicked_ms;
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(code, Some(70), "{callback}: {said}");
        assert!(took_ms < NOTICED_WITHIN_MS, "{callback}: {took_ms} ms");
        assert!(!said.contains("lives on"), "{callback}: {said}");
    }
}
