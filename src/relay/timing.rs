//! When the loop polls and marks next, and how long leases last.
//!
//! Owns the two timers; times are boot milliseconds given by the loop. Knows no rows.
//!
//! Invariant: after a failure the next try waits, ever longer, but never beyond two seconds.

use crate::decide::{backoff, pace};
use crate::event::EventRef;

/// Marks are at most this far apart, in milliseconds (measured: further apart is clearly worse).
const MARK_MS: u64 = 10;
/// The first retry of the database waits about this long, in milliseconds.
const RETRY_MIN_MS: u64 = 100;
/// A retry of the database waits at most this long, in milliseconds.
const RETRY_MAX_MS: u64 = 2_000;

/// How long what failed so often waits, in milliseconds; it differs a little from event to event.
pub(super) fn retry_ms(failures: u32, at: EventRef) -> u64 {
    backoff::delay_ms(failures, at.id.as_u64_pair().1, RETRY_MIN_MS, RETRY_MAX_MS)
}

/// How long leases last, and how long a delivery may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Lease time, in milliseconds.
    pub(super) ttl_ms: u64,
    /// Time between renewals, in milliseconds.
    pub(super) renew_ms: u64,
    /// A record handed over may still arrive this much later, in milliseconds, margin included.
    pub(super) delivery_ms: u64,
}

impl Terms {
    /// Until when rows may be handed over under a lease asked for at `asked_ms`.
    pub(super) fn fly_until_ms(self, asked_ms: u64) -> u64 {
        (asked_ms + self.ttl_ms).saturating_sub(self.delivery_ms)
    }
}

/// The loop's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// Between polls while rows come, in milliseconds.
    pub(super) poll_ms: u64,
    /// Between polls when nothing has come for long, in milliseconds.
    pub(super) idle_ms: u64,
    /// How long a stop may take, in milliseconds.
    pub(super) grace_ms: u64,
}

/// When to poll.
#[derive(Debug)]
pub(super) struct PollTimer {
    timing: Timing,
    began_ms: u64,
    last_row_ms: u64,
    failures: u32,
    not_before_ms: u64,
}

impl PollTimer {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            began_ms: 0,
            last_row_ms: 0,
            failures: 0,
            not_before_ms: 0,
        }
    }

    /// Whether the database may be asked at all: a failure makes it wait.
    pub(super) fn may_ask(&self, now_ms: u64) -> bool {
        now_ms >= self.not_before_ms
    }

    /// When the lanes are polled next.
    pub(super) fn due_ms(&self, now_ms: u64) -> u64 {
        let idle_for_ms = now_ms.saturating_sub(self.last_row_ms);
        let interval_ms = pace::interval_ms(idle_for_ms, self.timing.poll_ms, self.timing.idle_ms);
        self.began_ms + interval_ms
    }

    pub(super) fn begin(&mut self, now_ms: u64) {
        self.began_ms = now_ms;
    }

    pub(super) fn answered(&mut self, rows: usize, now_ms: u64) {
        self.failures = 0;
        if rows > 0 {
            self.last_row_ms = now_ms;
        }
    }

    pub(super) fn failed(&mut self, now_ms: u64) {
        self.failures += 1;
        self.not_before_ms =
            now_ms + backoff::delay_ms(self.failures, 0, RETRY_MIN_MS, RETRY_MAX_MS);
    }
}

/// When one marker marks.
#[derive(Debug, Clone, Default)]
pub(super) struct MarkTimer {
    busy: bool,
    began_ms: u64,
    failures: u32,
    not_before_ms: u64,
}

impl MarkTimer {
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// When the next batch may begin; a full one need not wait.
    pub(super) fn due_ms(&self, full: bool) -> u64 {
        let spaced_ms = if full { 0 } else { self.began_ms + MARK_MS };
        spaced_ms.max(self.not_before_ms)
    }

    pub(super) fn begin(&mut self, now_ms: u64) {
        self.busy = true;
        self.began_ms = now_ms;
    }

    pub(super) fn end(&mut self) {
        self.busy = false;
        self.failures = 0;
    }

    pub(super) fn fail(&mut self, now_ms: u64) {
        self.busy = false;
        self.failures += 1;
        self.not_before_ms =
            now_ms + backoff::delay_ms(self.failures, 1, RETRY_MIN_MS, RETRY_MAX_MS);
    }
}
