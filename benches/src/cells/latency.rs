//! Latency: from the answer to the writer's commit until the broker appended the record.

use anyhow::Result;
use tokio::time::Instant;

use super::on_bed_with;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of, rate};
use crate::log::Log;
use crate::servers::Servers;
use crate::spent;
use crate::statements;
use crate::watch::Watch;
use crate::writers::{Writing, write_one};

/// Measures it while events are written.
pub(crate) async fn measure(
    servers: &Servers,
    contender: Contender,
    writing: Writing,
) -> Result<Figures> {
    let (topic, _) = poisoned(writing);
    on_bed_with(servers, contender, topic, async |bed| {
        on(bed, contender, writing).await
    })
    .await
}

/// Measures it on a bed whose topic is empty.
pub(crate) async fn on(bed: &Bed<'_>, contender: Contender, writing: Writing) -> Result<Figures> {
    let watch = Watch::over(bed).await?;
    statements::reset(&bed.pool).await?;
    let (_, settings) = poisoned(writing);
    let mut running = contender.start(bed, settings);
    // The first event waits for the start, which is no part of this.
    write_one(&bed.pool, 0).await?;
    watch.until(1, || running.check()).await?;
    let (own_s, kafka_s, postgres_s) = (
        running.cpu_s(),
        spent::cpu_s(bed.servers.kafka_pid()),
        bed.postgres_cpu_s(),
    );
    let began = Instant::now();
    let commits = writing.run(&bed.pool).await?;
    let took = began.elapsed();
    let of_a_core = |cpu_s: f64| cpu_s / took.as_secs_f64() * 100.0;
    let mut figures = Figures::default();
    let events = i64::from(writing.events());
    figures.set("reached_per_s", rate(events, took));
    figures.set("own_cpu_percent", of_a_core(running.cpu_s() - own_s));
    figures.set(
        "kafka_cpu_percent",
        of_a_core(spent::cpu_s(bed.servers.kafka_pid()) - kafka_s),
    );
    figures.set(
        "postgres_cpu_percent",
        of_a_core(bed.postgres_cpu_s() - postgres_s),
    );
    let arrival = watch.until(events + 1, || running.check()).await?;
    figures.set("peak_mib", spent::peak_mib(running.pid()));
    figures.extend("", statements::figures(&bed.pool).await?);
    running.stop().await;
    let log = Log::read(bed, arrival.records).await?;
    let delays = log.delays_ms(&commits)?;
    figures.set_spread(
        "ms",
        delays.into_iter().map(|(_, delay_ms)| delay_ms).collect(),
    );
    figures.set("duplicates", f64_of(log.duplicates));
    Ok(figures)
}

/// What is set for the topic and the relay where some events are too large: those are left to the
/// table, because dead letters would need a topic more.
fn poisoned(writing: Writing) -> (Settings, Settings) {
    match writing.poison_percent {
        0 => (&[], &[]),
        _ => (
            &[("max.message.bytes", "100000")],
            &[("failure.on_dead", "table")],
        ),
    }
}

/// Settings by their keys.
type Settings = &'static [(&'static str, &'static str)];
