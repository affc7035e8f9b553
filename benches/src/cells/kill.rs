//! A kill at full speed: what the next start sends a second time, and that nothing is lost.

use anyhow::Result;
use tokio::time::Instant;

use super::on_bed;
use crate::backlog::Backlog;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of};
use crate::log::Log;
use crate::servers::Servers;
use crate::watch::Watch;

/// Kills at half of so many rows, and starts again.
pub(crate) async fn measure(servers: &Servers, contender: Contender, rows: i64) -> Result<Figures> {
    on_bed(servers, contender, async |bed| {
        strike(bed, contender, rows).await
    })
    .await
}

async fn strike(bed: &Bed<'_>, contender: Contender, rows: i64) -> Result<Figures> {
    let backlog = Backlog {
        rows,
        ..Backlog::BASE
    };
    backlog.write(bed).await?;
    let watch = Watch::over(bed).await?;
    let mut first = contender.start(bed, &[]);
    watch.until(rows / 2, || first.check()).await?;
    first.kill().await;
    let killed = Instant::now();
    let at_kill = watch.records().await?;
    let mut second = contender.start(bed, &[]);
    watch.until(at_kill + 1, || second.check()).await?;
    let mut figures = Figures::default();
    figures.set("resumed_after_s", killed.elapsed().as_secs_f64());
    let log = all_there(bed, (&watch, rows), || second.check()).await?;
    if contender.marks() {
        bed.marked().await?;
    }
    second.stop().await;
    // What was under way when the log had been read is on Kafka by now.
    let records = watch.records().await?;
    figures.set("duplicates", f64_of(records - rows));
    figures.set("lost", f64_of(rows - i64::try_from(log.events.len())?));
    Ok(figures)
}

/// Reads the topic until each row is there: where some were sent twice, a count of records says
/// nothing of the last row.
async fn all_there(
    bed: &Bed<'_>,
    (watch, rows): (&Watch, i64),
    mut check: impl FnMut() -> Result<()>,
) -> Result<Log> {
    let mut wanted = rows;
    loop {
        let arrival = watch.until(wanted, &mut check).await?;
        let log = Log::read(bed, arrival.records).await?;
        let missing = rows - i64::try_from(log.events.len())?;
        if missing <= 0 {
            return Ok(log);
        }
        wanted = arrival.records + missing;
    }
}
