//! The reader: carries the window's asks to the database and brings back pages of records.
//!
//! Owns the reading session, the routes and the form of records. Decides nothing about the rows.
//!
//! Invariant: one ask at a time, answered in order; a failed one ends the session.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::news::News;
use super::porter::Load;
use crate::decide::envelope::{Envelope, Reference};
use crate::decide::route::Routes;
use crate::decide::window::{Ask, Candidate, Page, PageRange, Read, UNTIL_FILLED_MS};
use crate::event::EventRef;
use crate::outbox::error::OutboxError;
use crate::outbox::large::Payloads;
use crate::outbox::page::{EventRange, Fetched, Pages, may_be_a_rows};
use crate::outbox::session::Session;
use crate::outcome::Failure;
use crate::process::metrics::Metrics;

/// Reads for the loop.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) session: Session,
    pub(super) pages: Pages,
    pub(super) routes: Routes,
    pub(super) envelope: Envelope,
    pub(super) metrics: Metrics,
    /// Where large payloads stay in the database.
    pub(super) large: Option<Large>,
}

/// What it takes to read the row of a large payload without it.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) payloads: Payloads,
    /// A record of the same size as the one that the porter will make refers to there.
    pub(super) blank: Reference,
    pub(super) porter: mpsc::UnboundedSender<Load>,
    /// What the page under way has for the porter, whose answers must come behind the page.
    pub(super) loads: Vec<Load>,
}

impl Reader {
    /// Answers asks until there are no more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, news: mpsc::Sender<News>) {
        while let Some(ask) = asks.recv().await {
            let answer = match self.answer(&ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.session.close().await;
                    News::ReadFailed(error)
                }
            };
            if news.send(answer).await.is_err() {
                break;
            }
            self.hand_loads_over();
        }
        self.session.close().await;
    }

    async fn answer(&mut self, ask: &Ask) -> Result<News, OutboxError> {
        match ask {
            Ask::Sight => self.pages.sight(&mut self.session).await.map(News::Sighted),
            Ask::Drawn => self.pages.drawn(&mut self.session).await.map(News::Drawn),
            Ask::HasDelayed => {
                let has_delayed = self.pages.has_delayed(&mut self.session).await;
                has_delayed.map(News::DelayedTold)
            }
            Ask::Page(read) => {
                let asked = Instant::now();
                let ranges = self.ranges(read).await?;
                self.metrics.polled(asked.elapsed());
                let mut page = Page::default();
                for mut range in ranges {
                    self.complete(&mut range.events).await?;
                    page.ranges.push(self.page_range(range));
                }
                Ok(News::Page(page))
            }
        }
    }

    /// Reads a page, and again row by row where one of its rows may be what made it fail.
    async fn ranges(&mut self, read: &Read) -> Result<Vec<EventRange>, OutboxError> {
        match self.pages.read(&mut self.session, read).await {
            Err(error) if may_be_a_rows(&error) => {
                tracing::warn!(%error, "a page could not be read: reading its rows one by one");
                self.pages.read_apart(&mut self.session, read).await
            }
            result => result,
        }
    }

    /// Reads what a page left out of rows for their size, but for their payloads. Then a row is large for
    /// its payload alone, or is not.
    async fn complete(&mut self, events: &mut [Fetched]) -> Result<(), OutboxError> {
        let Some(large) = &self.large else {
            return Ok(());
        };
        for fetched in events.iter_mut().filter(|fetched| fetched.is_large) {
            let EventRef { seq, id } = fetched.event.at;
            let read = large.payloads.event(&mut self.session, seq, Some(id));
            match read.await? {
                Some(Ok(bare)) => {
                    let page = std::mem::replace(&mut fetched.event, bare.event);
                    fetched.event.wait_ms = page.wait_ms;
                    fetched.event.judged = page.judged;
                    fetched.is_large = bare.has_payload;
                    fetched.unfit = None;
                }
                Some(Err(defect)) => fetched.unfit = Some(defect),
                // It is gone since: nothing of it will be written.
                None => {}
            }
        }
        Ok(())
    }

    fn page_range(&mut self, range: EventRange) -> PageRange {
        PageRange {
            lane: range.lane,
            epoch: range.epoch,
            end: range.end,
            rows: range
                .events
                .into_iter()
                .map(|fetched| self.candidate(fetched))
                .collect(),
        }
    }

    fn candidate(&mut self, mut fetched: Fetched) -> Candidate {
        let judged = fetched.event.judged.take();
        let event = fetched.event;
        let (route, topic) = self.routes.route(&event);
        let (order, on_dead) = (route.order, route.on_dead);
        let large = self.large.as_mut().filter(|_| fetched.is_large);
        let mut wait_ms = event.wait_ms;
        let content = match (&topic, fetched.unfit, large) {
            (_, Some(defect), _) => Err(defect),
            (Err(defect), None, _) => Err(defect.clone()),
            (Ok(topic), None, None) => {
                let record = self.envelope.record(&event, &route.form, Arc::clone(topic));
                record.and_then(|mut record| {
                    record.schema = self.routes.schema(&event, topic)?;
                    Ok(record)
                })
            }
            // Its record is a reference: the relay's own document, which no schema is about.
            (Ok(topic), None, Some(large)) => {
                let (form, topic) = (&route.form, Arc::clone(topic));
                let blank = self
                    .envelope
                    .reference(&event, form, Arc::clone(&topic), &large.blank);
                blank.inspect(|_blank| {
                    wait_ms = UNTIL_FILLED_MS;
                    large.loads.push(Load::new(&event, form, topic));
                })
            }
        };
        Candidate {
            at: event.at,
            key: event.key,
            topic: topic.unwrap_or_else(|_| Arc::from("")),
            available_us: fetched.available_us,
            wait_ms,
            judged,
            order,
            on_dead,
            content: content.map_err(Failure::from),
        }
    }

    /// Hands over what the page had for the porter. One that is gone has panicked, and the process with
    /// it.
    fn hand_loads_over(&mut self) {
        let Some(large) = &mut self.large else {
            return;
        };
        for load in large.loads.drain(..) {
            if large.porter.send(load).is_err() {
                tracing::debug!("the porter is gone");
            }
        }
    }
}
