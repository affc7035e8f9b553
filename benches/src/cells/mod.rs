//! The measurements: each module is one, with what can differ in it.
//!
//! Each is given a bed of its own, which is cleared after it.

pub(crate) mod drain;
pub(crate) mod idle;
pub(crate) mod kill;
pub(crate) mod latency;
pub(crate) mod limits;
pub(crate) mod long;
pub(crate) mod memory;
pub(crate) mod pause;
pub(crate) mod price;
pub(crate) mod published;
pub(crate) mod sizes;

use anyhow::Result;

use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::Figures;
use crate::servers::Servers;

/// Gives a measurement its bed, prepared for its contender; clears it however that went.
async fn on_bed(
    servers: &Servers,
    contender: Contender,
    measure: impl AsyncFnOnce(&Bed<'_>) -> Result<Figures>,
) -> Result<Figures> {
    on_bed_with(servers, contender, &[], measure).await
}

/// The same, with settings of the topic.
async fn on_bed_with(
    servers: &Servers,
    contender: Contender,
    topic_settings: &[(&str, &str)],
    measure: impl AsyncFnOnce(&Bed<'_>) -> Result<Figures>,
) -> Result<Figures> {
    let bed = Bed::make(servers, contender.decodes_log(), topic_settings).await?;
    let measured = async {
        contender.prepare(&bed).await?;
        measure(&bed).await
    };
    let measured = measured.await;
    let cleared = bed.clear().await;
    let figures = measured?;
    cleared?;
    Ok(figures)
}
