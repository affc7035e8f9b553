//! Writers at a rate: services that commit events while a contender moves them.
//!
//! Owns the pace, and the wall time at which each commit was answered. Knows no contender.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sqlx::PgPool;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::backlog::{self, Backlog};

/// Writes so many events in one transaction, over the base case's aggregates.
const WRITE: &str = "
INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
SELECT 'order', (n % $3)::text, 'OrderPlaced', jsonb_build_object('n', n, 'text', $4::text)
FROM generate_series($1::bigint, $2) AS n";
/// Bytes of each text: with it a payload has the base case's size.
const TEXT_BYTES: usize = 274;

/// Bytes of each text that is too large, for a topic that is told to take less.
const POISON_BYTES: usize = 120_000;

/// What the runtime's timers are rounded up to.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
/// Multiples of it leave the parts of a whole evenly covered, in no order.
const GOLDEN_RATIO: f64 = 1.618_033_988_749_895;

/// When each event's commit was answered, in microseconds of the wall clock, by its number.
pub(crate) type Commits = HashMap<i64, i64>;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Writing {
    pub(crate) transactions_per_s: u32,
    pub(crate) events_a_transaction: u32,
    pub(crate) seconds: u32,
    pub(crate) writers: u32,
    /// So many of a hundred transactions write an event that is too large for its topic.
    pub(crate) poison_percent: u32,
}

impl Writing {
    /// One event a transaction.
    pub(crate) fn single(transactions_per_s: u32, seconds: u32) -> Self {
        Self {
            transactions_per_s,
            events_a_transaction: 1,
            seconds,
            writers: 8,
            poison_percent: 0,
        }
    }

    /// Writes all of them, with numbers from 1; returns when each was committed. The writers take
    /// turns, as services do that know nothing of each other. Who is late does not stop to be: the
    /// rate holds over the whole time.
    pub(crate) async fn run(self, pool: &PgPool) -> Result<Commits> {
        let writers: Vec<_> = (0..self.writers)
            .map(|writer| tokio::spawn(self.write(pool.clone(), writer)))
            .collect();
        let mut commits = Commits::new();
        for writer in writers {
            commits.extend(writer.await??);
        }
        Ok(commits)
    }

    /// How many events there will be that can be published.
    pub(crate) fn events(self) -> u32 {
        let turns = 0..self.transactions_of_one();
        let sound = turns.filter(|&turn| !self.is_poison(turn)).count();
        let sound = u32::try_from(sound).unwrap_or(u32::MAX);
        sound * self.writers * self.events_a_transaction
    }

    fn is_poison(self, turn: u32) -> bool {
        turn % 100 < self.poison_percent
    }

    fn transactions_of_one(self) -> u32 {
        self.transactions_per_s * self.seconds / self.writers
    }

    async fn write(self, pool: PgPool, writer: u32) -> Result<Commits> {
        let mut connection = pool.acquire().await?;
        let (text, poison) = (backlog::text(TEXT_BYTES), backlog::text(POISON_BYTES));
        let apart = Duration::from_secs(1) / self.transactions_per_s;
        let mut pace = interval_at(Instant::now() + apart * writer, apart * self.writers);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut commits = Commits::new();
        for turn in 0..self.transactions_of_one() {
            let first = i64::from((turn * self.writers + writer) * self.events_a_transaction) + 1;
            let last = first + i64::from(self.events_a_transaction) - 1;
            pace.tick().await;
            off_the_grain(turn * self.writers + writer).await?;
            sqlx::query(WRITE)
                .bind(first)
                .bind(last)
                .bind(Backlog::BASE.aggregates)
                .bind(if self.is_poison(turn) { &poison } else { &text })
                .execute(&mut *connection)
                .await?;
            if self.is_poison(turn) {
                continue;
            }
            let at_us = wall_us();
            commits.extend((first..=last).map(|n| (n, at_us)));
        }
        Ok(commits)
    }
}

/// Rests for a part of a millisecond, another one each turn. Timers here and in a contender go off at whole
/// milliseconds of a clock of their own: writers that kept to theirs would meet a contender that looks
/// each millisecond at one point of its pause for the whole run.
#[expect(
    clippy::disallowed_methods,
    reason = "on a thread of its own: the runtime's timers are what this must not keep to"
)]
async fn off_the_grain(turn: u32) -> Result<()> {
    let part = (f64::from(turn) * GOLDEN_RATIO).fract();
    let rest = TIMER_GRAIN.mul_f64(part);
    Ok(spawn_blocking(move || std::thread::sleep(rest)).await?)
}

/// Writes one event with a number and returns when its commit was answered.
pub(crate) async fn write_one(pool: &PgPool, n: i64) -> Result<i64> {
    sqlx::query(WRITE)
        .bind(n)
        .bind(n)
        .bind(Backlog::BASE.aggregates)
        .bind("x")
        .execute(pool)
        .await?;
    Ok(wall_us())
}

/// The wall clock, which the broker's on this machine is too.
#[expect(
    clippy::disallowed_methods,
    reason = "commits are compared with the broker's wall clock, on one machine"
)]
pub(crate) fn wall_us() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
