//! The reader: carries the window's asks to the database and brings back pages of records.
//!
//! Owns the reading session, the routes and the form of records. Decides nothing about the rows.
//!
//! Invariant: one ask at a time, answered in order; a failed one ends the session.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::news::News;
use crate::decide::envelope::Envelope;
use crate::decide::route::Routes;
use crate::decide::window::{Ask, Candidate, Page, PageRange, Read};
use crate::outbox::error::OutboxError;
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
                let ranges = ranges.into_iter().map(|range| self.page_range(range));
                Ok(News::Page(Page {
                    ranges: ranges.collect(),
                }))
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
        let (route, topic) = self.routes.route(&fetched.event);
        let content = match (&topic, fetched.unfit) {
            (_, Some(defect)) => Err(defect),
            (Err(defect), None) => Err(defect.clone()),
            (Ok(topic), None) => {
                self.envelope
                    .record(&fetched.event, &route.form, Arc::clone(topic))
            }
        };
        let (order, on_dead) = (route.order, route.on_dead);
        let content = content.and_then(|mut record| {
            record.schema = self.routes.schema(&fetched.event, &record.topic)?;
            Ok(record)
        });
        Candidate {
            at: fetched.event.at,
            key: fetched.event.key,
            topic: topic.unwrap_or_else(|_| Arc::from("")),
            available_us: fetched.available_us,
            wait_ms: fetched.event.wait_ms,
            judged,
            order,
            on_dead,
            content: content.map_err(Failure::from),
        }
    }
}
