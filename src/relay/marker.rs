//! A marker: writes the marks of confirmed rows.
//!
//! Owns one marking session. Knows no receipt; the window gives out names only with one.
//!
//! Invariant: one batch at a time, answered in order.

use tokio::sync::mpsc;

use super::news::News;
use crate::event::EventRef;
use crate::outbox::mark::Marks;
use crate::outbox::session::Session;

/// Marks for the loop.
#[derive(Debug)]
pub(super) struct Marker {
    /// Its place among the markers.
    pub(super) index: usize,
    pub(super) session: Session,
    pub(super) marks: Marks,
}

impl Marker {
    /// Writes batches until there are no more.
    pub(super) async fn run(
        mut self,
        mut batches: mpsc::Receiver<Vec<EventRef>>,
        news: mpsc::Sender<News>,
    ) {
        let marker = self.index;
        while let Some(batch) = batches.recv().await {
            let answer = match self.marks.write(&mut self.session, &batch).await {
                Ok(rows) => News::Marked { marker, rows },
                Err(error) => News::MarkFailed { marker, error },
            };
            if news.send(answer).await.is_err() {
                break;
            }
        }
        self.session.close().await;
    }
}
