//! A sample service: a shop that writes orders, and their events in the same transactions.
//!
//! Owns a schema of its own, `sample_shop`, and shows both ways of writing an event in order: a
//! plain INSERT after the aggregate's row was locked, and `outbox_publish`, which locks by itself.
//! One transaction in five is rolled back, events and all. Knows no relay and no Kafka.
//!
//! Invariant: what it tells of a transaction's events, it tells while the transaction holds the
//! locks of their aggregates.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Fate, News};
use crate::event::OrderingKey;
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::{Access, Purpose, Session};
use crate::process::shutdown::Shutdown;

/// How many write at once; they contend for the same orders and products.
const CLERKS: u32 = 4;
/// The longest pause of a clerk between two transactions, in milliseconds.
const PAUSE_MS: u64 = 400;
/// Between two tries while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// One transaction in so many is rolled back.
const ROLLED_BACK_IN: u64 = 5;
/// One transaction in so many places an order; the others move one on.
const PLACED_IN: u64 = 5;
/// Few, so that their events are many: hot aggregates.
const PRODUCTS: [&str; 3] = ["apple", "pear", "plum"];
/// The topics of its events where `route.topic` is the default.
pub const TOPICS: [&str; 2] = ["order-events", "stock-events"];

const SHOP: &str = "
CREATE SCHEMA IF NOT EXISTS sample_shop;
CREATE TABLE IF NOT EXISTS sample_shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product text NOT NULL,
    state text NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_open ON sample_shop.orders (id) WHERE state <> 'shipped';
";

const PLACE: &str =
    "INSERT INTO sample_shop.orders (product, state) VALUES ($1, 'placed') RETURNING id";

/// The lock comes before the event's number is drawn: that keeps the order's events in order.
const LOCK_ONE: &str = "
SELECT id, product, state FROM sample_shop.orders WHERE id = (
    SELECT id FROM sample_shop.orders WHERE state <> 'shipped' ORDER BY id LIMIT 1 OFFSET $1
) FOR UPDATE
";

const MOVE_ON: &str = "UPDATE sample_shop.orders SET state = $2 WHERE id = $1";

/// A plain INSERT. The id is drawn here because reading it back would need a right to read.
const WRITE: &str = "
INSERT INTO {outbox} (id, aggregate_type, aggregate_id, event_type, payload)
VALUES ($1, 'order', $2, $3, $4)
";

const PUBLISH: &str = "SELECT {publish}('stock', $1, $2, $3)";

/// The shop with its clerks at work.
#[derive(Debug)]
pub struct Service {
    stop: Shutdown,
    shop: JoinHandle<()>,
}

impl Service {
    /// Opens the shop; a database that is away or not migrated yet is waited for.
    pub fn start(access: &Access, names: &Names, news: &UnboundedSender<News>) -> Self {
        let stop = Shutdown::default();
        let clerk = |_| Clerk {
            session: Session::new(access, Purpose::Command),
            write: names.render(WRITE),
            publish: names.render(PUBLISH),
            news: news.clone(),
            stop: stop.clone(),
            trouble: false,
        };
        let clerks = (0..CLERKS).map(clerk).collect();
        Self {
            shop: tokio::spawn(keep_shop(clerks)),
            stop,
        }
    }

    /// Lets every clerk end the transaction that it is in.
    pub async fn stop(self) {
        self.stop.request();
        if let Err(error) = self.shop.await {
            tracing::debug!(%error, "the sample service did not end by itself");
        }
    }
}

async fn keep_shop(mut clerks: Vec<Clerk>) {
    if let Some(first) = clerks.first_mut() {
        first.open_shop().await;
    }
    let clerks = clerks.into_iter().map(Clerk::run);
    clerks.collect::<JoinSet<_>>().join_all().await;
}

/// One who writes, over a session of its own.
#[derive(Debug)]
struct Clerk {
    session: Session,
    write: String,
    publish: String,
    news: UnboundedSender<News>,
    stop: Shutdown,
    trouble: bool,
}

impl Clerk {
    async fn open_shop(&mut self) {
        while !self.stop.requested() {
            let opened = self
                .session
                .run(async |connection| sqlx::raw_sql(SHOP).execute(connection).await)
                .await;
            if self.is_well(opened).await {
                return;
            }
        }
    }

    /// Pauses first: the very first events of a topic wait for Kafka's clients to learn of it, and
    /// the fewer these are the better the times show what comes after.
    async fn run(mut self) {
        loop {
            self.pause(Duration::from_millis(dice(PAUSE_MS))).await;
            if self.stop.requested() {
                break;
            }
            let (write, publish, news) = (&self.write, &self.publish, &self.news);
            let done = self
                .session
                .run(async |connection| transact(connection, (write, publish), news).await)
                .await;
            self.is_well(done).await;
        }
        self.session.close().await;
    }

    /// Tells of trouble once, and pauses while it lasts.
    async fn is_well<T>(&mut self, done: Result<T, OutboxError>) -> bool {
        match done {
            Ok(_) => {
                self.trouble = false;
                true
            }
            Err(error) => {
                if !self.trouble {
                    tracing::warn!(%error, "the sample service cannot write; it tries again");
                }
                self.trouble = true;
                self.pause(RETRY).await;
                false
            }
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.wait() => {}
        }
    }
}

/// One transaction: changes an order, writes what happened, and commits or does not.
async fn transact(
    connection: &mut PgConnection,
    statements: (&str, &str),
    news: &UnboundedSender<News>,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let moved = match dice(PLACED_IN) {
        0 => None,
        _ => move_on(&mut transaction, statements.0).await?,
    };
    let events = match moved {
        Some(event) => vec![event],
        None => place(&mut transaction, statements).await?,
    };
    let ids: Vec<Uuid> = events.iter().map(|(id, _)| *id).collect();
    // Nobody listens any more once the verb has been broken off.
    let _unheard = news.send(News::Written {
        events,
        at: Instant::now(),
    });
    let fate = if dice(ROLLED_BACK_IN) == 0 {
        transaction.rollback().await?;
        Fate::RolledBack
    } else {
        transaction.commit().await?;
        Fate::Committed
    };
    let _unheard = news.send(News::Ended { ids, fate });
    Ok(())
}

/// Places an order and reserves its product: two aggregates, and every transaction takes their
/// locks in the same order.
async fn place(
    connection: &mut PgConnection,
    (write, publish): (&str, &str),
) -> Result<Vec<(Uuid, OrderingKey)>, sqlx::Error> {
    let product = PRODUCTS[usize::try_from(dice(3)).unwrap_or_default()];
    let order: i64 = sqlx::query_scalar(PLACE)
        .bind(product)
        .fetch_one(&mut *connection)
        .await?;
    let placed = write_event(connection, write, (order, "OrderPlaced", product)).await?;
    let id: Uuid = sqlx::query_scalar(AssertSqlSafe(publish.to_owned()))
        .bind(product)
        .bind("StockReserved")
        .bind(serde_json::json!({ "product": product, "order": order }))
        .fetch_one(connection)
        .await?;
    Ok(vec![placed, (id, key("stock", product))])
}

/// Moves an order on that is not shipped yet, if there is one.
async fn move_on(
    connection: &mut PgConnection,
    write: &str,
) -> Result<Option<(Uuid, OrderingKey)>, sqlx::Error> {
    let found: Option<(i64, String, String)> = sqlx::query_as(LOCK_ONE)
        .bind(i64::try_from(dice(u64::from(CLERKS))).unwrap_or_default())
        .fetch_optional(&mut *connection)
        .await?;
    let Some((order, product, state)) = found else {
        return Ok(None);
    };
    // Another clerk may have moved it on while this one waited for the lock.
    let (state, event_type) = match state.as_str() {
        "placed" => ("paid", "OrderPaid"),
        "paid" => ("packed", "OrderPacked"),
        "packed" => ("shipped", "OrderShipped"),
        _ => return Ok(None),
    };
    sqlx::query(MOVE_ON)
        .bind(order)
        .bind(state)
        .execute(&mut *connection)
        .await?;
    let event = write_event(connection, write, (order, event_type, &product)).await?;
    Ok(Some(event))
}

async fn write_event(
    connection: &mut PgConnection,
    write: &str,
    (order, event_type, product): (i64, &str, &str),
) -> Result<(Uuid, OrderingKey), sqlx::Error> {
    let id = Uuid::new_v4();
    let aggregate_id = order.to_string();
    sqlx::query(AssertSqlSafe(write.to_owned()))
        .bind(id)
        .bind(&aggregate_id)
        .bind(event_type)
        .bind(serde_json::json!({ "order": order, "product": product }))
        .execute(connection)
        .await?;
    Ok((id, key("order", &aggregate_id)))
}

fn key(aggregate_type: &str, aggregate_id: &str) -> OrderingKey {
    OrderingKey {
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: aggregate_id.to_owned(),
    }
}

/// A number below `sides`, by chance.
fn dice(sides: u64) -> u64 {
    let (chance, _) = Uuid::new_v4().as_u64_pair();
    chance % sides
}
