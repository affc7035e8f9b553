//! A transaction that stays open while events are written and moved: what it does to the poll and to
//! latency as time goes on.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sqlx::{Executor, PgConnection};
use tokio::time::interval;

use super::on_bed;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of, percentile, sorted};
use crate::log::Log;
use crate::servers::Servers;
use crate::statements::{self, Cost};
use crate::watch::Watch;
use crate::writers::{Writing, write_one};

/// Figures over time: one for so many seconds.
const SPAN_S: u32 = 10;

/// What the open transaction has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holder {
    /// There is none.
    Nobody,
    /// It reads under one snapshot, as a dump does.
    Reader,
    /// It has written an outbox row at its start.
    Writer,
}

/// Measures the relay beside it.
pub(crate) async fn measure(
    servers: &Servers,
    holder: Holder,
    writing: Writing,
) -> Result<Figures> {
    on_bed(servers, Contender::Ours, async |bed| {
        beside(bed, holder, writing).await
    })
    .await
}

async fn beside(bed: &Bed<'_>, holder: Holder, writing: Writing) -> Result<Figures> {
    let watch = Watch::over(bed).await?;
    let mut running = Contender::Ours.start(bed, &[]);
    write_one(&bed.pool, 0).await?;
    watch.until(1, || running.check()).await?;
    let events = i64::from(writing.events());
    let mut held = bed.pool.acquire().await?;
    open(&mut held, holder, events + 1).await?;
    let (commits, costs) = tokio::join!(writing.run(&bed.pool), sample(bed, writing.seconds));
    held.execute("COMMIT").await?;
    let (commits, costs) = (commits?, costs?);
    let records = events + 1 + i64::from(holder == Holder::Writer);
    let arrival = watch.until(records, || running.check()).await?;
    running.stop().await;
    let log = Log::read(bed, arrival.records).await?;
    let mut figures = Figures::default();
    set_costs(&mut figures, &costs);
    set_delays(&mut figures, &log.delays_ms(&commits)?);
    Ok(figures)
}

async fn open(connection: &mut PgConnection, holder: Holder, n: i64) -> Result<()> {
    connection
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    match holder {
        Holder::Nobody => {}
        Holder::Reader => {
            connection.execute("SELECT count(*) FROM outbox").await?;
        }
        Holder::Writer => {
            let write = sqlx::query(
                "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
                 VALUES ('order', 'held', 'OrderPlaced', jsonb_build_object('n', $1))",
            );
            write.bind(n).execute(connection).await?;
        }
    }
    Ok(())
}

/// What the poll has cost in each span.
async fn sample(bed: &Bed<'_>, seconds: u32) -> Result<Vec<Cost>> {
    let mut spans = interval(Duration::from_secs(u64::from(SPAN_S)));
    spans.tick().await;
    let mut costs = Vec::new();
    let mut before = statements::cost(&bed.pool, "read_page").await?;
    for _ in 0..seconds / SPAN_S {
        spans.tick().await;
        let now = statements::cost(&bed.pool, "read_page").await?;
        costs.push(now.since(before));
        before = now;
    }
    Ok(costs)
}

fn set_costs(figures: &mut Figures, costs: &[Cost]) {
    for (until_s, cost) in (1..).map(|span| span * SPAN_S).zip(costs) {
        if let (Some(ms), Some(pages)) = (cost.mean_ms(), cost.mean_pages()) {
            figures.set(&format!("poll_ms_at_{until_s}s"), ms);
            figures.set(&format!("poll_pages_at_{until_s}s"), pages);
            figures.set(&format!("polls_at_{until_s}s"), f64_of(cost.calls));
        }
    }
}

fn set_delays(figures: &mut Figures, delays: &[(i64, f64)]) {
    let last_s = delays.iter().map(|&(second, _)| second).max().unwrap_or(0);
    let span_s = i64::from(SPAN_S);
    for from_s in (0..=last_s).step_by(usize::try_from(SPAN_S).unwrap_or(1)) {
        let span = from_s..from_s + span_s;
        let held = delays.iter().filter(|(second, _)| span.contains(second));
        let held = sorted(held.map(|&(_, delay_ms)| delay_ms).collect());
        for (name, percent) in [("p50", 50), ("p99", 99)] {
            if let Some(delay_ms) = percentile(&held, percent) {
                figures.set(&format!("{name}_ms_at_{}s", span.end), delay_ms);
            }
        }
    }
    figures.set_spread("ms", delays.iter().map(|&(_, delay_ms)| delay_ms).collect());
}
