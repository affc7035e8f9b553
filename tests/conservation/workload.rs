//! Writers: a service's transactions, many at once, some rolled back, some held open.
//!
//! Owns the writing side of a run and remembers what it wrote. Knows no relay and no Kafka.
//!
//! Invariants:
//! - within one aggregate writers serialise before the number is drawn, by a lock of their own or
//!   by `outbox_publish`; across aggregates numbers commit out of order;
//! - what each writer does follows from the seed alone;
//! - an event whose commit was not answered is neither committed nor rolled back until the outbox
//!   itself was asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::checker::Written;
use super::dice::Dice;

/// How many writers there are.
const WRITERS: u64 = 6;
/// Half of all transactions write to these few aggregates.
const HOT: usize = 4;
/// The others are spread over as many.
const COLD: usize = 300;
/// The share of transactions that are rolled back, in percent.
const ROLLED_BACK: usize = 30;
/// How long a writer waits for a connection while the server is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(90);

/// What the writers did.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) committed: Vec<Written>,
    pub(super) rolled_back: HashSet<Uuid>,
    /// The commit was sent and not answered.
    pub(super) unanswered: Vec<Written>,
}

impl Ledger {
    fn add(&mut self, other: Self) {
        self.committed.extend(other.committed);
        self.rolled_back.extend(other.rolled_back);
        self.unanswered.extend(other.unanswered);
    }

    /// Adds what was written in bulk beside the writers, to aggregates that are mere numbers.
    pub(super) async fn add_bulk(&mut self, pool: &PgPool) {
        let rows = sqlx::query_as(
            "SELECT seq, id, aggregate_id FROM outbox WHERE aggregate_id SIMILAR TO '[0-9]+'",
        )
        .fetch_all(pool)
        .await
        .expect("the outbox answers");
        self.committed.extend(rows.into_iter().map(written));
    }

    /// Asks the outbox about the commits that were not answered.
    pub(super) async fn settle(&mut self, pool: &PgPool) {
        let ids: Vec<Uuid> = self.unanswered.iter().map(|event| event.id).collect();
        let kept: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM outbox WHERE id = ANY ($1)")
            .bind(ids)
            .fetch_all(pool)
            .await
            .expect("the outbox answers");
        for event in self.unanswered.drain(..) {
            if kept.contains(&event.id) {
                self.committed.push(event);
            } else {
                self.rolled_back.insert(event.id);
            }
        }
    }
}

/// Writers at work.
pub(super) struct Workload {
    stops: Arc<AtomicBool>,
    committed: Arc<AtomicUsize>,
    writers: JoinSet<Ledger>,
}

impl Workload {
    /// Sets writers to work on the outbox of this database.
    pub(super) fn start(url: &str, dice: &Dice) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(u32::try_from(WRITERS).expect("writers are few"))
            .acquire_timeout(CONNECT_WITHIN)
            .connect_lazy(url)
            .expect("the URL is one");
        let stops = Arc::new(AtomicBool::new(false));
        let committed = Arc::new(AtomicUsize::new(0));
        let mut writers = JoinSet::new();
        for name in 0..WRITERS {
            let writer = Writer {
                pool: pool.clone(),
                dice: dice.branch(name + 1),
                ledger: Ledger::default(),
                stops: Arc::clone(&stops),
                committed: Arc::clone(&committed),
            };
            writers.spawn(writer.run());
        }
        Self {
            stops,
            committed,
            writers,
        }
    }

    /// How many events have been committed so far.
    pub(super) fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }

    /// Lets every writer end its transaction, and returns what they did.
    pub(super) async fn stop(mut self) -> Ledger {
        self.stops.store(true, Ordering::Relaxed);
        let mut ledger = Ledger::default();
        while let Some(writer) = self.writers.join_next().await {
            ledger.add(writer.expect("a writer does not panic"));
        }
        ledger
    }
}

/// One writer.
struct Writer {
    pool: PgPool,
    dice: Dice,
    ledger: Ledger,
    stops: Arc<AtomicBool>,
    committed: Arc<AtomicUsize>,
}

impl Writer {
    async fn run(mut self) -> Ledger {
        while !self.stops.load(Ordering::Relaxed) {
            let plan = Plan::throw(&mut self.dice);
            let mut events = Vec::new();
            match self.transact(&plan, &mut events).await {
                Ok(()) if plan.rolls_back => self.roll_back(&events),
                Ok(()) => {
                    self.committed.fetch_add(events.len(), Ordering::Relaxed);
                    self.ledger.committed.append(&mut events);
                }
                Err(Broken::Before) => self.roll_back(&events),
                Err(Broken::Commit) => self.ledger.unanswered.append(&mut events),
            }
        }
        self.ledger
    }

    fn roll_back(&mut self, events: &[Written]) {
        let ids = events.iter().map(|event| event.id);
        self.ledger.rolled_back.extend(ids);
    }

    async fn transact(&self, plan: &Plan, events: &mut Vec<Written>) -> Result<(), Broken> {
        let mut transaction = self.pool.begin().await.map_err(|_away| Broken::Before)?;
        write(&mut transaction, plan, events)
            .await
            .map_err(|_away| Broken::Before)?;
        if plan.rolls_back {
            transaction.rollback().await.map_err(|_away| Broken::Before)
        } else {
            transaction.commit().await.map_err(|_away| Broken::Commit)
        }
    }
}

/// Where a transaction broke.
enum Broken {
    /// Before its commit was sent: it is rolled back.
    Before,
    /// Its commit was not answered.
    Commit,
}

/// One transaction to be.
struct Plan {
    /// Sorted, so that two transactions never wait for each other.
    aggregates: Vec<String>,
    /// By `outbox_publish`, and not by an insert under the writer's own lock.
    by_function: bool,
    /// How long it is held open after its numbers are drawn, in milliseconds.
    held_ms: usize,
    rolls_back: bool,
}

impl Plan {
    fn throw(dice: &mut Dice) -> Self {
        let by_function = dice.percent(30);
        let events = match dice.below(20) {
            0 => 20 + dice.below(180),
            1..8 => 2 + dice.below(7),
            _ => 1,
        };
        let is_hot = dice.percent(50);
        let mut aggregates: Vec<String> = (0..events)
            .map(|_| aggregate(dice, by_function, is_hot && events < 20))
            .collect();
        aggregates.sort_unstable();
        Self {
            aggregates,
            by_function,
            held_ms: match dice.below(20) {
                0 => 200 + dice.below(800),
                1..8 => dice.below(60),
                _ => 0,
            },
            rolls_back: dice.percent(ROLLED_BACK),
        }
    }
}

/// Each way of writing has aggregates of its own, because its locks are its own.
fn aggregate(dice: &mut Dice, by_function: bool, is_hot: bool) -> String {
    let way = if by_function { "published" } else { "inserted" };
    if is_hot {
        format!("{way}-hot-{}", dice.below(HOT))
    } else {
        format!("{way}-cold-{}", dice.below(COLD))
    }
}

async fn write(
    transaction: &mut Transaction<'_, Postgres>,
    plan: &Plan,
    events: &mut Vec<Written>,
) -> Result<(), sqlx::Error> {
    if plan.by_function {
        publish(transaction, &plan.aggregates, events).await?;
    } else {
        insert(transaction, &plan.aggregates, events).await?;
    }
    let held_s = format!("0.{:03}", plan.held_ms.min(999));
    sqlx::query("SELECT pg_sleep($1::float8)")
        .bind(held_s.parse::<f64>().expect("digits are a number"))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn publish(
    transaction: &mut Transaction<'_, Postgres>,
    aggregates: &[String],
    events: &mut Vec<Written>,
) -> Result<(), sqlx::Error> {
    for aggregate in aggregates {
        let id = sqlx::query_scalar("SELECT outbox_publish('order', $1, 'OrderPlaced', '{}')")
            .bind(aggregate)
            .fetch_one(&mut **transaction)
            .await?;
        let seq = sqlx::query_scalar("SELECT lastval()")
            .fetch_one(&mut **transaction)
            .await?;
        events.push(Written {
            seq,
            id,
            aggregate: aggregate.clone(),
        });
    }
    Ok(())
}

async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    aggregates: &[String],
    events: &mut Vec<Written>,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended(a, 0)) FROM unnest($1::text[]) a")
        .bind(aggregates)
        .execute(&mut **transaction)
        .await?;
    let rows: Vec<(i64, Uuid, String)> = sqlx::query_as(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', a, 'OrderPlaced', '{}' FROM unnest($1::text[]) a
         RETURNING seq, id, aggregate_id",
    )
    .bind(aggregates)
    .fetch_all(&mut **transaction)
    .await?;
    events.extend(rows.into_iter().map(written));
    Ok(())
}

fn written((seq, id, aggregate): (i64, Uuid, String)) -> Written {
    Written { seq, id, aggregate }
}
