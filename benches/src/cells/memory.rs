//! Memory over backlogs of different size: whether what waits costs the relay anything.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use super::on_bed;
use crate::backlog;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of};
use crate::servers::Servers;
use crate::spent;
use crate::watch::Watch;

/// The longest that it works on a backlog: its peak comes early.
const AT_WORK: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(100);

/// Measures the relay's peak.
pub(crate) async fn measure(servers: &Servers, rows: i64) -> Result<Figures> {
    on_bed(servers, Contender::Ours, async |bed| {
        backlog::write_many(bed, rows, false).await?;
        let watch = Watch::over(bed).await?;
        let mut running = Contender::Ours.start(bed, &[]);
        let began = Instant::now();
        while began.elapsed() < AT_WORK && watch.records().await? < rows {
            running.check()?;
            sleep(LOOK).await;
        }
        let mut figures = Figures::default();
        figures.set("peak_mib", spent::peak_mib(running.pid()));
        figures.set("published_rows", f64_of(watch.records().await?.min(rows)));
        running.stop().await;
        Ok(figures)
    })
    .await
}
