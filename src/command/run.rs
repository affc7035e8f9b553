//! `run`: the daemon.
//!
//! Owns the order in which the process comes up and goes down. All the work is the relay's.

use std::path::Path;

use tokio::sync::watch;

use super::{Done, Exit, Refusal, settings};
use crate::http;
use crate::process::metrics::Metrics;
use crate::process::settings::warnings;
use crate::process::shutdown::Shutdown;
use crate::process::telemetry;
use crate::readiness::Readiness;
use crate::relay::{self, Ended, Options};

/// Move events from the outbox to Kafka until a signal ends it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay run --config relay.toml

Any number of relays may run on one outbox: they share its lanes. A dependency that is away is
waited for, at the start too, and before `migrate` was run.

SIGTERM or SIGINT: hands nothing more over, waits for what was (relay.shutdown_grace_ms at most),
marks it, releases its lanes, exit code 0. A second signal ends it at once.")]
pub(super) struct Run {
    /// Feed the Kafka cluster that kafka.brokers lead to, though the outbox fed another before
    #[arg(long)]
    adopt_kafka_cluster: bool,
}

impl Run {
    /// Runs until a signal.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        // Before all else: a process that is asked to stop while it comes up stops cleanly too.
        let shutdown = Shutdown::on_signals().map_err(|error| Refusal::new(Exit::Bug, &error))?;
        let settings = settings(file)?;
        telemetry::init(&settings.log);
        for warning in warnings(&settings) {
            tracing::warn!("{warning}");
        }
        let server = http::bind(settings.http.listen)
            .await
            .map_err(|error| Refusal::new(Exit::Usage, &error))?;
        let (probes, readiness) = watch::channel(Readiness::default());
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        let metrics = Metrics::new(&librdkafka);
        tokio::spawn(server.serve(readiness, metrics.clone()));
        let options = Options {
            adopt_kafka_cluster: self.adopt_kafka_cluster,
        };
        let ended = relay::run(&settings, options, shutdown, probes, metrics)
            .await
            .map_err(|error| Refusal::new(Exit::Usage, &error))?;
        match ended {
            Some(Ended::OutOfGrace { unmarked }) => tracing::warn!(
                unmarked,
                "stopped when the grace ran out: what was in flight may be sent again"
            ),
            Some(Ended::Drained) | None => tracing::info!("stopped"),
        }
        Ok(Exit::Clean)
    }
}
