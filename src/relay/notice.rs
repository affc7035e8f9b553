//! What an operator hears in the log: rows that failed for good, and topics that take nothing.
//!
//! Owns the words. Knows not what led to it.
//!
//! Invariant: no payload, key or header value is told.

use crate::decide::verdict;
use crate::decide::window::{Burial, Notice};
use crate::outcome::DeadState;

/// Tells of a row that failed for good.
pub(super) fn log_burial(burial: &Burial) {
    let what = match burial.state {
        DeadState::Blocked => "blocked: its aggregate waits for `outbox-relay dead`",
        DeadState::DeadLetterPending => "dead: its aggregate waits until its dead letter arrives",
        DeadState::DeadLettered => "dead: a dead letter says why",
        DeadState::Dead => "dead: the outbox alone keeps it",
    };
    tracing::error!(
        event.id = %burial.at.id,
        seq = burial.at.seq,
        topic = &*burial.topic,
        lane = %burial.lane,
        class = %burial.judgement.class,
        attempts = burial.judgement.attempts,
        "{what}: {}",
        burial.judgement.error
    );
}

/// Tells of a circuit.
pub(super) fn log_notice(notice: &Notice) {
    match notice {
        Notice::Opened(topic, failure) => tracing::error!(
            topic = &**topic,
            class = %failure.class,
            code = failure.code,
            "the topic takes nothing, and its events wait: {}; {}",
            failure.reason,
            verdict::cure(failure.code).unwrap_or("it is probed until it does")
        ),
        Notice::Closed(topic) => {
            tracing::info!(
                topic = &**topic,
                "the topic is tried again, and its events with it"
            );
        }
    }
}
