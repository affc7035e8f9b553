//! A table full of published rows: whether the past costs the present anything.

use anyhow::Result;

use super::drain::Drain;
use super::{latency, on_bed};
use crate::backlog;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::servers::Servers;
use crate::writers::Writing;

/// Measures latency and a drain behind so many published rows.
pub(crate) async fn measure(
    servers: &Servers,
    rows: i64,
    writing: Writing,
    drain: &Drain,
) -> Result<Figures> {
    on_bed(servers, Contender::Ours, async |bed| {
        backlog::write_many(bed, rows, true).await?;
        let mut figures = Figures::default();
        let latency = latency::on(bed, Contender::Ours, writing).await?;
        figures.extend("latency_", latency);
        drain.backlog.write(bed).await?;
        figures.extend("drain_", drain.drain(bed, Contender::Ours).await?);
        Ok(figures)
    })
    .await
}
