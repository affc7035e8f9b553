//! Hand-over: a record, or its dead letter in its place.
//!
//! Owns the times that a dead letter tells. Decides nothing about the row. A value is encoded by its
//! schema here and no earlier: what waits in the window is what the row holds, and a dead letter too.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::decide::letter::{Circumstances, LetterFormat, letter};
use crate::decide::window::HandOver;
use crate::kafka::publish::{Flight, Publish};
use crate::outcome::Failure;
use crate::process::clock;
use crate::registry::Schemas;

/// Hands records over.
#[derive(Debug)]
pub(super) struct Outgoing<P> {
    pub(super) publisher: Arc<P>,
    /// The form of dead letters.
    pub(super) letters: LetterFormat,
    /// What values are encoded by; none where no route has a schema.
    pub(super) schemas: Option<Arc<Schemas>>,
}

impl<P: Publish> Outgoing<P> {
    /// Hands a record over, or its dead letter.
    pub(super) fn publish(
        &self,
        flight: Flight,
        next: &HandOver<'_>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let Some((topic, judgement)) = next.letter else {
            return match (&next.record.schema, &self.schemas) {
                (Some(name), Some(schemas)) => {
                    let encoded = schemas.encoded(next.at, next.record, name)?;
                    self.publisher.publish(flight, &encoded, next.alone)
                }
                (None, _) | (_, None) => self.publisher.publish(flight, next.record, next.alone),
            };
        };
        let now = clock::wall();
        let failed_ago_ms = now_ms.saturating_sub(judgement.first_failed_ms);
        let failed_ago = TimeDelta::milliseconds(i64::try_from(failed_ago_ms).unwrap_or(0));
        let told = Circumstances {
            event_id: next.at.id,
            judgement,
            first_failed_at: now - failed_ago,
            now,
        };
        let letter = letter(next.record, Arc::clone(topic), self.letters, told);
        self.publisher.publish(flight, &letter, next.alone)
    }
}
