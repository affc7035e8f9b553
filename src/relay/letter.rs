//! Hand-over: a record, or its dead letter in its place.
//!
//! Owns the times that a dead letter tells. Decides nothing about the row.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::decide::letter::{Circumstances, LetterFormat, letter};
use crate::decide::window::HandOver;
use crate::kafka::publish::{Flight, Publish};
use crate::outcome::Failure;
use crate::process::clock;

/// Hands records over.
#[derive(Debug)]
pub(super) struct Outgoing<P> {
    pub(super) publisher: Arc<P>,
    /// The form of dead letters.
    pub(super) letters: LetterFormat,
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
            return self.publisher.publish(flight, next.record, next.alone);
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
