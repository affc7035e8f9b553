//! The first event after a pause: what a relay that looks seldom when idle makes it wait.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::on_bed;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of};
use crate::log::Log;
use crate::servers::Servers;
use crate::watch::Watch;
use crate::writers::{Commits, write_one};

/// Long enough for every pace to be at its slowest.
const PAUSE: Duration = Duration::from_secs(3);
/// No two pauses end at the same point of a pace.
const MORE: Duration = Duration::from_millis(7);

/// Measures it over so many pauses.
pub(crate) async fn measure(
    servers: &Servers,
    contender: Contender,
    pauses: u32,
) -> Result<Figures> {
    on_bed(servers, contender, async |bed| {
        wake(bed, contender, pauses).await
    })
    .await
}

async fn wake(bed: &Bed<'_>, contender: Contender, pauses: u32) -> Result<Figures> {
    let watch = Watch::over(bed).await?;
    let mut running = contender.start(bed, &[]);
    write_one(&bed.pool, 0).await?;
    watch.until(1, || running.check()).await?;
    let mut commits = Commits::new();
    for pause in 1..=pauses {
        sleep(PAUSE + MORE * pause).await;
        let n = i64::from(pause);
        commits.insert(n, write_one(&bed.pool, n).await?);
    }
    let arrival = watch
        .until(i64::from(pauses) + 1, || running.check())
        .await?;
    running.stop().await;
    let log = Log::read(bed, arrival.records).await?;
    let delays = log.delays_ms(&commits).context("after a pause")?;
    let mut figures = Figures::default();
    figures.set_spread(
        "ms",
        delays.into_iter().map(|(_, delay_ms)| delay_ms).collect(),
    );
    figures.set("pauses", f64_of(pauses));
    Ok(figures)
}
