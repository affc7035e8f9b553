//! What the tests stand on: real servers, the built program, a receiver, and waiting.
//!
//! Invariants:
//! - nothing started here outlives the test process, however that ends;
//! - every wait has a deadline and says what it last saw;
//! - only a private server can be stopped: a shared one is handed out by shared reference.

use std::io::Write;
use std::path::Path;

mod clock;
mod cluster;
mod disc;
mod eventually;
mod java;
mod kafka;
pub(crate) mod lanes;
mod outbox;
mod pgbouncer;
mod postgres;
mod probes;
pub(crate) mod process;
mod proxy;
mod receiver;
mod registry;
mod relay;
mod rights;
#[cfg(feature = "object-store")]
pub(crate) mod s3;
pub(crate) mod tally;
mod tls;
mod topics;

pub(crate) use clock::Clock;
pub(crate) use cluster::Cluster;
pub(crate) use disc::Disc;
pub(crate) use eventually::{SOON, eventually, throughout};
pub(crate) use java::seen_by_java;
pub(crate) use kafka::{Kafka, Listener};
pub(crate) use outbox::Outbox;
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use postgres::{Database, Postgres};
pub(crate) use probes::Probes;
pub(crate) use process::{free_port, peak_memory_mib, temporary_file};
pub(crate) use proxy::{Deed, Proxy, Way};
pub(crate) use receiver::{Received, Receiver};
pub(crate) use registry::SchemaRegistry;
pub(crate) use relay::RelayProcess;
pub(crate) use rights::Right;
pub(crate) use tls::Certificates;

/// A variable of the environment, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the servers to test against"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The root of the repository, whichever of its packages this is compiled in.
pub(crate) fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").exists())
        .expect("the lock file stands at the root")
}

/// Tells that a test did nothing here. The harness keeps what a test prints that passes, but not
/// what is written to the process's own output.
pub(crate) fn skipped(why: &str) {
    let _unheard = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
