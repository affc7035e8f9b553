//! The poller that most teams write, in Rust: claim rows with SKIP LOCKED, publish them while the
//! transaction is held, mark them, commit. A rival of the relay in the bench, as quick as its shape
//! allows: nothing lingers, the whole batch flies at once, and no record has a future of its own.
//!
//! `naive-poller check`, `prepare` (adds its index to the outbox), or nothing to run, with
//! `DATABASE_URL`, `KAFKA_BROKERS`, `TOPIC`, `BATCH` (100) and `POLL_MS` (10).

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

const INDEX: &str = include_str!("../../rivals/poller-index.sql");
const READ: &str = "SELECT seq, aggregate_id, payload::text FROM outbox WHERE published_at IS NULL
    ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED";
const MARK: &str = "UPDATE outbox SET published_at = now() WHERE seq = ANY($1)";

type Row = (i64, String, String);
type Report = Result<(), KafkaError>;

/// Hands each delivery report over.
struct Reports(UnboundedSender<Report>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let report = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        let _nobody_waits_any_more = self.0.send(report);
    }
}

/// Where a batch flies from.
struct Kafka {
    producer: ThreadedProducer<Reports>,
    reports: UnboundedReceiver<Report>,
    topic: String,
}

impl Kafka {
    fn connect() -> anyhow::Result<Self> {
        let (sender, reports) = unbounded_channel();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", variable("KAFKA_BROKERS")?)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .create_with_context(Reports(sender))?;
        let topic = variable("TOPIC")?;
        Ok(Self {
            producer,
            reports,
            topic,
        })
    }

    /// Returns when every row is confirmed.
    async fn publish(&mut self, rows: &[Row]) -> anyhow::Result<()> {
        for (_, key, value) in rows {
            let record = BaseRecord::to(&self.topic).key(key).payload(value);
            self.producer.send(record).map_err(|(error, _)| error)?;
        }
        for _ in rows {
            let report = self.reports.recv().await;
            report.context("the producer has gone")??;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("check") => Ok(()),
        Some("prepare") => prepare().await,
        None => run().await,
        Some(_) => anyhow::bail!("usage: naive-poller [check|prepare]"),
    }
}

async fn prepare() -> anyhow::Result<()> {
    sqlx::raw_sql(INDEX).execute(&mut connect().await?).await?;
    Ok(())
}

async fn run() -> anyhow::Result<()> {
    let batch = number("BATCH", 100)?;
    let pause = Duration::from_millis(u64::try_from(number("POLL_MS", 10)?)?);
    let mut connection = connect().await?;
    let mut kafka = Kafka::connect()?;
    say("ready");
    loop {
        if relay(&mut connection, &mut kafka, batch).await? == 0 {
            sleep(pause).await;
        }
    }
}

/// Moves one batch and returns how many rows it held.
async fn relay(
    connection: &mut PgConnection,
    kafka: &mut Kafka,
    batch: i64,
) -> anyhow::Result<usize> {
    let mut transaction = connection.begin().await?;
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(batch)
        .fetch_all(&mut *transaction)
        .await?;
    if !rows.is_empty() {
        kafka.publish(&rows).await?;
        let published: Vec<i64> = rows.iter().map(|(seq, ..)| *seq).collect();
        sqlx::query(MARK)
            .bind(published)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(rows.len())
}

async fn connect() -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect(&variable("DATABASE_URL")?).await?)
}

fn number(name: &str, otherwise: i64) -> anyhow::Result<i64> {
    variable(name).map_or(Ok(otherwise), |text| {
        text.parse().with_context(|| format!("{name} is no number"))
    })
}

#[expect(clippy::disallowed_methods, reason = "a rival has no settings file")]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

#[expect(clippy::print_stdout, reason = "the bench waits for this line")]
fn say(line: &str) {
    println!("{line}");
}
