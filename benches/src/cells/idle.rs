//! Idleness: what a contender costs while nothing is written.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::on_bed;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::servers::Servers;
use crate::spent;
use crate::watch::Watch;
use crate::writers::write_one;

/// How long it may come to rest.
const SETTLING: Duration = Duration::from_secs(5);

/// Measures it for so long.
pub(crate) async fn measure(
    servers: &Servers,
    contender: Contender,
    seconds: u32,
) -> Result<Figures> {
    let how_long = Duration::from_secs(u64::from(seconds));
    on_bed(servers, contender, async |bed| {
        rest(bed, contender, how_long).await
    })
    .await
}

async fn rest(bed: &Bed<'_>, contender: Contender, how_long: Duration) -> Result<Figures> {
    let watch = Watch::over(bed).await?;
    let mut running = contender.start(bed, &[]);
    write_one(&bed.pool, 0).await?;
    watch.until(1, || running.check()).await?;
    sleep(SETTLING).await;
    let (own_s, postgres_s) = (running.cpu_s(), bed.postgres_cpu_s());
    let began = Instant::now();
    sleep(how_long).await;
    let of_a_core = |cpu_s: f64| cpu_s / began.elapsed().as_secs_f64() * 100.0;
    let mut figures = Figures::default();
    figures.set("own_cpu_percent", of_a_core(running.cpu_s() - own_s));
    figures.set(
        "postgres_cpu_percent",
        of_a_core(bed.postgres_cpu_s() - postgres_s),
    );
    figures.set("resident_mib", spent::resident_mib(running.pid()));
    figures.set("peak_mib", spent::peak_mib(running.pid()));
    running.stop().await;
    Ok(figures)
}
