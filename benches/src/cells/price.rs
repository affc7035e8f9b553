//! The writer's price: how many transactions a second services commit, without an outbox, with one,
//! and with what else could wake a relay.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use sqlx::{Executor, PgPool};
use tokio::time::Instant;

use super::on_bed;
use crate::bed::Bed;
use crate::contender::Contender;
use crate::figures::{Figures, f64_of, rate};
use crate::servers::Servers;

/// Clients that write as fast as they are answered.
const CLIENTS: u32 = 8;
const WARMING: Duration = Duration::from_secs(2);
/// The service's own row, in every case.
const OWN_TABLE: &str = "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer integer NOT NULL, total numeric NOT NULL)";
/// The outbox that stands in most descriptions: no lane, and no index but its primary key.
const PLAIN_TABLE: &str = "CREATE TABLE plain (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(), aggregate_type text NOT NULL,
    aggregate_id text NOT NULL, event_type text NOT NULL, payload jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), published_at timestamptz)";
const NOTIFY: &str = "CREATE FUNCTION wake() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_notify('outbox', ''); RETURN NULL; END $$;
    CREATE TRIGGER wake AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION wake()";

/// What a transaction writes beside the service's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Price {
    /// Nothing.
    Nothing,
    /// A row of a plain table.
    Plain,
    /// An outbox row.
    Outbox,
    /// The same, and a notification of a trigger.
    Notified,
    /// An outbox row, while a relay works on the same two cores.
    Relayed,
}

impl Price {
    /// What each transaction does, in one statement.
    fn statement(self) -> String {
        let own = "INSERT INTO orders (customer, total) VALUES ($1, 9.99)";
        let table = match self {
            Self::Nothing => return format!("{own} RETURNING $2::text"),
            Self::Plain => "plain",
            Self::Outbox | Self::Notified | Self::Relayed => "outbox",
        };
        format!(
            "WITH own AS ({own})
             INSERT INTO {table} (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', $1::integer::text, 'OrderPlaced', jsonb_build_object('text', $2::text))"
        )
    }

    /// Measures it for so long.
    pub(crate) async fn measure(self, servers: &Servers, seconds: u32) -> Result<Figures> {
        let how_long = Duration::from_secs(u64::from(seconds));
        on_bed(servers, Contender::Ours, async |bed| {
            self.pay(bed, how_long).await
        })
        .await
    }

    async fn pay(self, bed: &Bed<'_>, how_long: Duration) -> Result<Figures> {
        for statement in [OWN_TABLE, PLAIN_TABLE] {
            bed.pool.execute(statement).await?;
        }
        if self == Self::Notified {
            sqlx::raw_sql(NOTIFY).execute(&bed.pool).await?;
        }
        let relay = (self == Self::Relayed).then(|| Contender::Ours.start(bed, &[]));
        // The relay has its lanes after that, and every client its connection and its plan.
        let _warm = self.write(&bed.pool, WARMING).await?;
        let began = Instant::now();
        let times = self.write(&bed.pool, how_long).await?;
        let took = began.elapsed();
        if let Some(relay) = relay {
            relay.stop().await;
        }
        let mut figures = Figures::default();
        figures.set(
            "transactions_per_s",
            rate(i64::try_from(times.len())?, took),
        );
        figures.set("clients", f64_of(CLIENTS));
        figures.set_spread("ms", times);
        Ok(figures)
    }

    /// Lets all clients write; returns how long each transaction took, in milliseconds.
    async fn write(self, pool: &PgPool, how_long: Duration) -> Result<Vec<f64>> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(self.client(pool.clone(), client, how_long)))
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await??);
        }
        Ok(times)
    }

    async fn client(self, pool: PgPool, client: u32, how_long: Duration) -> Result<Vec<f64>> {
        let mut connection = pool.acquire().await?;
        let statement = self.statement();
        let text = crate::backlog::text(270);
        let began = Instant::now();
        let mut times = Vec::new();
        for n in 0.. {
            let asked = Instant::now();
            if asked - began >= how_long {
                break;
            }
            sqlx::query(sqlx::AssertSqlSafe(statement.as_str()))
                .bind(i32::try_from((n * CLIENTS + client) % 10_000)?)
                .bind(&text)
                .execute(&mut *connection)
                .await?;
            times.push(asked.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(times)
    }
}
