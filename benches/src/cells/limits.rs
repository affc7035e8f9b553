//! The limits: what Kafka's client takes from memory, and what the relay's own reading and marking
//! reach on the same table while nothing is published.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use outbox_relay::decide::order::AfterPublish;
use outbox_relay::decide::window::{Range, Read, What};
use outbox_relay::event::{EventRef, Lease};
use outbox_relay::outbox::leases::{Leases, Member};
use outbox_relay::outbox::mark::Marks;
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::page::Pages;
use outbox_relay::outbox::session::{Access, Purpose, Session};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::on_bed;
use crate::backlog::Backlog;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of, rate};
use crate::flood;
use crate::servers::{PARTITIONS, Servers};
use crate::spent;
use crate::statements;

/// As the relay asks: so many rows a page, over all lanes, and so many marks a batch.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 16 << 20;
const MARKS_MAX: usize = 5_000;
/// Pages that wait for their marks: as many rows as the relay's window holds.
const PAGES_AHEAD: usize = 20;
/// No lease ends while this lasts.
const TTL: Duration = Duration::from_mins(10);
const STATEMENT_TIMEOUT_MS: u64 = 10_000;
const RECORD_BYTES_MAX: u64 = 1_000_000;

/// Sends records from memory.
pub(crate) async fn flood(
    servers: &Servers,
    records: i64,
    properties: &[(&'static str, &'static str)],
) -> Result<Figures> {
    let topic = servers.kafka.topic("limit", PARTITIONS).await;
    let own = i32::try_from(std::process::id())?;
    let (own_s, kafka_s) = (spent::cpu_s(own), spent::cpu_s(servers.kafka_pid()));
    let counts = (records, flood::IN_FLIGHT_MAX);
    let took = flood::flood(&servers.kafka, &topic, counts, properties).await?;
    let a_million = |cpu_s: f64| cpu_s * 1e6 / f64_of(records);
    let mut figures = Figures::default();
    figures.set("rows_per_s", rate(records, took));
    figures.set(
        "own_cpu_s_per_million",
        a_million(spent::cpu_s(own) - own_s),
    );
    let kafka_s = spent::cpu_s(servers.kafka_pid()) - kafka_s;
    figures.set("kafka_cpu_s_per_million", a_million(kafka_s));
    servers.kafka.delete_topic(&topic).await;
    Ok(figures)
}

/// Reads and marks a backlog.
pub(crate) async fn claim_and_mark(servers: &Servers, rows: i64, deletes: bool) -> Result<Figures> {
    on_bed(servers, Contender::Postgres, async |bed| {
        let backlog = Backlog {
            rows,
            ..Backlog::BASE
        };
        backlog.write(bed).await?;
        read_and_mark(bed, rows, deletes).await
    })
    .await
}

async fn read_and_mark(bed: &Bed<'_>, rows: i64, deletes: bool) -> Result<Figures> {
    let after = if deletes {
        AfterPublish::Delete
    } else {
        AfterPublish::Mark
    };
    statements::reset(&bed.pool).await?;
    let postgres_s = bed.postgres_cpu_s();
    let began = Instant::now();
    let marked = Hands::new(bed)?.run(after).await?;
    let took = began.elapsed();
    ensure!(marked == rows, "{marked} of {rows} rows marked");
    let mut figures = Figures::default();
    figures.set("rows_per_s", rate(rows, took));
    let postgres_s = bed.postgres_cpu_s() - postgres_s;
    figures.set(
        "postgres_cpu_s_per_million",
        postgres_s * 1e6 / f64_of(rows),
    );
    figures.extend("", statements::figures(&bed.pool).await?);
    Ok(figures)
}

/// The relay's hands on the database, without a head.
struct Hands {
    names: Names,
    access: Access,
    token: Uuid,
}

impl Hands {
    fn new(bed: &Bed<'_>) -> Result<Self> {
        Ok(Self {
            names: Names::new("public", "outbox"),
            access: Access::new(bed.url(), "limit", STATEMENT_TIMEOUT_MS)?,
            token: Uuid::new_v4(),
        })
    }

    /// Claims all lanes, then reads ahead while the pages before are marked; returns how many rows
    /// were marked.
    async fn run(&self, after: AfterPublish) -> Result<i64> {
        let lanes = self.claim().await?;
        let (pages, marks) = mpsc::channel(PAGES_AHEAD);
        let (read, marked) = tokio::join!(
            Box::pin(self.read(lanes, pages)),
            Box::pin(self.mark(marks, after))
        );
        read?;
        marked
    }

    async fn claim(&self) -> Result<Vec<Lease>> {
        let member = Member {
            name: "limit".to_owned(),
            token: self.token,
            version: String::new(),
            routing: String::new(),
        };
        let leases = Leases::new(&self.names, member, u64::try_from(TTL.as_millis())?);
        let mut session = Session::new(&self.access, Purpose::Keep);
        let claim = leases.claim(&mut session, usize::MAX, &[]).await?;
        session.close().await;
        Ok(claim.lanes)
    }

    async fn read(&self, lanes: Vec<Lease>, pages: mpsc::Sender<Vec<EventRef>>) -> Result<()> {
        let reading = Pages::new(&self.names, self.token, RECORD_BYTES_MAX);
        let mut session = Session::new(&self.access, Purpose::Read);
        let rows_max = PAGE_ROWS / lanes.len().max(1);
        let range = |lease: &Lease| Range::above(lease.lane, lease.epoch, 0, rows_max);
        let mut read = Read {
            what: What::Lanes {
                spilled: Vec::new(),
            },
            ranges: lanes.iter().map(range).collect(),
            skip: Vec::new(),
            stragglers: Vec::new(),
            bytes_max: PAGE_BYTES,
        };
        loop {
            let page = reading.read(&mut session, &read).await?;
            let mut names = Vec::with_capacity(PAGE_ROWS);
            for seen in page {
                let asked = read.ranges.iter_mut().find(|range| range.lane == seen.lane);
                let last = seen.events.last().map(|fetched| fetched.event.at.seq);
                if let (Some(range), Some(last)) = (asked, last) {
                    range.above = last;
                }
                names.extend(seen.events.iter().map(|fetched| fetched.event.at));
            }
            if names.is_empty() {
                session.close().await;
                return Ok(());
            }
            pages.send(names).await.context("the marker has ended")?;
        }
    }

    async fn mark(
        &self,
        mut pages: mpsc::Receiver<Vec<EventRef>>,
        after: AfterPublish,
    ) -> Result<i64> {
        let marks = Marks::new(&self.names, after);
        let mut session = Session::new(&self.access, Purpose::Mark);
        let mut marked = 0;
        while let Some(mut batch) = pages.recv().await {
            while batch.len() < MARKS_MAX
                && let Ok(more) = pages.try_recv()
            {
                batch.extend(more);
            }
            batch.sort_unstable();
            marked += i64::try_from(marks.write(&mut session, &batch).await?)?;
        }
        session.close().await;
        Ok(marked)
    }
}
