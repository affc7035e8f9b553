//! The drain: a backlog, from a contender's start until all of it is on Kafka, and marked.

use anyhow::Result;
use serde::Serialize;
use tokio::time::Instant;

use super::on_bed;
use crate::backlog::Backlog;
use crate::bed::Bed;
use crate::contender::{Contender, Running};
use crate::figures::{Figures, f64_of, rate};
use crate::log::Log;
use crate::servers::Servers;
use crate::spent;
use crate::statements;
use crate::watch::{Arrival, Watch};

/// What differs between drains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Drain {
    pub(crate) backlog: Backlog,
    /// The relay's settings that are not its defaults.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// How many relays share the work.
    pub(crate) relays: usize,
    /// Whether to tell how fast the rows went that do not belong to the hot aggregate.
    pub(crate) tells_others: bool,
}

impl Drain {
    /// The base case with so many rows.
    pub(crate) fn of(rows: i64) -> Self {
        Self {
            backlog: Backlog {
                rows,
                ..Backlog::BASE
            },
            settings: Vec::new(),
            relays: 1,
            tells_others: false,
        }
    }

    /// The same with a setting of the relay.
    pub(crate) fn with(mut self, key: &'static str, value: &'static str) -> Self {
        self.settings.push((key, value));
        self
    }

    /// Measures it.
    pub(crate) async fn measure(&self, servers: &Servers, contender: Contender) -> Result<Figures> {
        on_bed(servers, contender, async |bed| {
            self.backlog.write(bed).await?;
            self.drain(bed, contender).await
        })
        .await
    }

    /// Drains a bed that holds this backlog.
    pub(crate) async fn drain(&self, bed: &Bed<'_>, contender: Contender) -> Result<Figures> {
        let rows = self.backlog.rows;
        let watch = Watch::over(bed).await?;
        statements::reset(&bed.pool).await?;
        let before = Spent::so_far(bed);
        let began = Instant::now();
        let mut running: Vec<Running> = (0..self.relays)
            .map(|relay| {
                let name = format!("relay-{relay}");
                let mut settings = self.settings.clone();
                settings.push(("relay.name", &name));
                contender.start(bed, &settings)
            })
            .collect();
        let alive = || running.iter_mut().try_for_each(Running::check);
        let arrival = watch.until(rows, alive).await?;
        let mut figures = Figures::default();
        set_rates(&mut figures, rows, began, arrival);
        if contender.marks() {
            bed.marked().await?;
            figures.set("marked_rows_per_s", rate(rows, began.elapsed()));
        }
        let after = Spent::so_far(bed);
        let sessions_s = bed.sessions_cpu_s().await?;
        set_cpu(
            &mut figures,
            rows,
            (&before, &after),
            (&running, sessions_s),
        );
        figures.set("duplicates", f64_of(watch.records().await? - rows));
        figures.extend("", statements::figures(&bed.pool).await?);
        for contender in running {
            contender.stop().await;
        }
        if self.tells_others {
            figures.extend("", others(bed, arrival.records).await?);
        }
        Ok(figures)
    }
}

/// What the servers have spent, in CPU seconds.
struct Spent {
    kafka_s: f64,
    postgres_s: f64,
}

impl Spent {
    fn so_far(bed: &Bed<'_>) -> Self {
        Self {
            kafka_s: spent::cpu_s(bed.servers.kafka_pid()),
            postgres_s: bed.postgres_cpu_s(),
        }
    }
}

/// From the start, and from the first record: a program that starts slowly shows in one alone.
fn set_rates(figures: &mut Figures, rows: i64, began: Instant, arrival: Arrival) {
    let Arrival { first, last, .. } = arrival;
    figures.set("rows_per_s", rate(rows, last - began));
    figures.set("rows_per_s_flowing", rate(rows, last - first));
    figures.set("first_record_ms", (first - began).as_secs_f64() * 1_000.0);
    figures.set("took_s", (last - began).as_secs_f64());
}

/// CPU seconds for a million rows, and the peak of memory.
fn set_cpu(
    figures: &mut Figures,
    rows: i64,
    (before, after): (&Spent, &Spent),
    (running, sessions_s): (&[Running], f64),
) {
    let mut set = |name: &str, cpu_s: f64| {
        figures.set(
            &format!("{name}_cpu_s_per_million"),
            cpu_s * 1e6 / f64_of(rows),
        );
    };
    set("own", running.iter().map(Running::cpu_s).sum());
    set("sessions", sessions_s);
    set("kafka", after.kafka_s - before.kafka_s);
    set("postgres", after.postgres_s - before.postgres_s);
    let peaks_mib = running.iter().map(|running| spent::peak_mib(running.pid()));
    figures.set("peak_mib", peaks_mib.sum());
}

/// How fast the rows went that do not belong to the hot aggregate.
async fn others(bed: &Bed<'_>, records: i64) -> Result<Figures> {
    let log = Log::read(bed, records).await?;
    let times = log
        .events
        .values()
        .filter(|event| !event.is_hot)
        .map(|event| event.at_ms);
    let times: Vec<i64> = times.collect();
    let span_ms = times.iter().max().unwrap_or(&0) - times.iter().min().unwrap_or(&0);
    let mut figures = Figures::default();
    figures.set(
        "others_rows_per_s",
        f64_of(times.len()) * 1_000.0 / f64_of(span_ms.max(1)),
    );
    Ok(figures)
}
