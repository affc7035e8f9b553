//! How fast one relay is on real servers: the drain of a backlog, the latency of single
//! transactions, what it costs in memory and CPU, idle too, and what a kill duplicates.
//!
//! `cargo bench --bench relay` runs all of it on servers of its own; figures of one run compare with each other,
//! not with another machine's. `ROWS` and `SECONDS` make it shorter; `-- drain` measures the cases
//! alone whose name begins so.

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;

use std::collections::HashMap;
use std::time::Duration;

use sqlx::PgPool;
use support::{Kafka, Outbox, Postgres, Receiver};
use tokio::time::{Instant, interval};

const LONG: Duration = Duration::from_mins(5);
/// 300 bytes, as events often are.
const PAYLOAD: &str = "jsonb_build_object('n', n, 'text', repeat('x', 270))";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rows = number("ROWS", 300_000);
    let seconds = number("SECONDS", 20);
    let kafka = Kafka::private(&[]).await;
    let postgres = Postgres::private(&[
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
        ("synchronous_commit", "on"),
    ])
    .await;
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|name| !name.starts_with("--"))
        .collect();
    let wanted = |case: &str| names.is_empty() || names.iter().any(|name| case.starts_with(name));
    for after_publish in ["mark", "delete"] {
        if wanted(&format!("drain-{after_publish}")) {
            drain(&postgres, &kafka, rows, after_publish).await;
        }
    }
    for rate in [1_000, 2_000] {
        if wanted("latency") {
            latency(&postgres, &kafka, rate, seconds, 0).await;
        }
    }
    if wanted("poison") {
        latency(&postgres, &kafka, 1_000, seconds, 0).await;
        latency(&postgres, &kafka, 1_000, seconds, 1).await;
    }
    if wanted("idle") {
        idle(&postgres, &kafka).await;
    }
    if wanted("kill") {
        kill(&postgres, &kafka, rows).await;
    }
}

/// A backlog over 10,000 aggregates, in strict order, from the relay's start to its last mark.
async fn drain(postgres: &Postgres, kafka: &Kafka, rows: i64, after_publish: &str) {
    let outbox = backlog(postgres, kafka, rows).await;
    let relay = outbox.relay(&[("relay.after_publish", after_publish)]);
    relay.logs("relay started", LONG).await;
    let began = Instant::now();
    await_drained(&outbox).await;
    let took = began.elapsed().as_secs_f64();
    let per_second = f64_of(rows) / took;
    let a_million = |cpu: f64| cpu * 1e6 / f64_of(rows);
    let sessions = session_cpu_seconds(&outbox).await;
    say(&format!(
        "drain, {after_publish}: {rows} rows, {per_second:.0} rows/s; CPU s a million: relay {:.2}, \
         its sessions {:.2?}; peak {} MiB",
        a_million(cpu_seconds(relay.pid())),
        sessions.into_iter().map(a_million).collect::<Vec<_>>(),
        peak_mib(relay.pid())
    ));
}

/// CPU time of the backends that serve the relay, largest first.
async fn session_cpu_seconds(outbox: &Outbox) -> Vec<f64> {
    let sessions = "SELECT pid FROM pg_stat_activity
        WHERE application_name LIKE 'outbox-relay %' AND datname = current_database()";
    let pids: Vec<i32> = sqlx::query_scalar(sessions)
        .fetch_all(&outbox.pool)
        .await
        .expect("the sessions are listed");
    let mut seconds: Vec<f64> = pids.into_iter().map(cpu_seconds).collect();
    seconds.sort_by(|a, b| b.total_cmp(a));
    seconds
}

/// A backlog over 10,000 aggregates, at rest.
async fn backlog(postgres: &Postgres, kafka: &Kafka, rows: i64) -> Outbox {
    let outbox = Outbox::create_on(postgres, kafka).await;
    let insert = format!(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', (n % 10000)::text, 'OrderPlaced', {PAYLOAD}
         FROM generate_series(1, {rows}) AS n"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(insert))
        .execute(&outbox.pool)
        .await
        .expect("a backlog is written");
    for statement in ["VACUUM ANALYZE outbox", "CHECKPOINT"] {
        sqlx::query(statement)
            .execute(&outbox.pool)
            .await
            .expect("the table is at rest");
    }
    outbox
}

/// Waits until nothing waits, with looks that cost next to nothing: to count would take a core.
async fn await_drained(outbox: &Outbox) {
    let mut looks = interval(Duration::from_millis(20));
    let waits = "SELECT EXISTS (SELECT FROM outbox
        WHERE published_at IS NULL AND dead_at IS NULL AND available_at IS NULL AND lane >= 0)";
    loop {
        looks.tick().await;
        let left: bool = sqlx::query_scalar(waits)
            .fetch_one(&outbox.pool)
            .await
            .expect("the outbox is looked at");
        if !left {
            return;
        }
    }
}

/// One-row transactions at a rate, some of a hundred too large for their topic: from the writer's
/// commit to the broker's append of the others.
async fn latency(postgres: &Postgres, kafka: &Kafka, rate: u32, seconds: i64, poison: i64) {
    let outbox = Outbox::create_on(postgres, kafka).await;
    let topic = Kafka::unique("latency");
    let limits = [
        ("message.timestamp.type", "LogAppendTime"),
        (
            "max.message.bytes",
            if poison > 0 { "100000" } else { "1048588" },
        ),
    ];
    kafka.create_topic(&topic, 6, &limits).await;
    let settings = [
        ("route.topic", topic.as_str()),
        ("failure.on_dead", "table"),
    ];
    let relay = outbox.relay(&settings);
    let receiver = Receiver::start(kafka, &[&topic]).await;
    outbox.write("warm", "{}").await;
    receiver.wait_for(1, LONG).await;
    let cpu_before = cpu_seconds(relay.pid());
    let began = Instant::now();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let writing = write(outbox.pool.clone(), writer, rate / 4, seconds, poison);
            tokio::spawn(writing)
        })
        .collect();
    let mut commits = HashMap::new();
    for writer in writers {
        commits.extend(writer.await.expect("a writer ends"));
    }
    let took = began.elapsed().as_secs_f64();
    let records = receiver.wait_for(commits.len() + 1, LONG).await;
    let cpu = cpu_seconds(relay.pid()) - cpu_before;
    let mut delays: Vec<i64> = records
        .iter()
        .filter_map(|record| {
            let key = String::from_utf8(record.key.clone()?).ok()?;
            Some(record.timestamp_ms? - commits.get(&key)?)
        })
        .collect();
    delays.sort_unstable();
    say(&format!(
        "latency at {rate}/s, {poison} % poison ({:.0}/s reached): p50 {} ms, p95 {} ms, p99 {} ms, max {} ms; \
         relay {:.1} % of a core",
        f64_of(delays.len()) / took,
        percentile(&delays, 50),
        percentile(&delays, 95),
        percentile(&delays, 99),
        percentile(&delays, 100),
        cpu / took * 100.0
    ));
}

/// Writes one-row transactions at a rate; returns the wall time of each commit by aggregate.
async fn write(
    pool: PgPool,
    writer: u32,
    rate: u32,
    seconds: i64,
    poison: i64,
) -> HashMap<String, i64> {
    let mut connection = pool.acquire().await.expect("a writer connects");
    let mut commits = HashMap::new();
    let mut pace = interval(Duration::from_secs(1) / rate);
    for n in 0..i64::from(rate) * seconds {
        pace.tick().await;
        let key = format!("{writer}-{n}");
        let is_poison = n % 100 < poison;
        sqlx::query(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', $1, 'OrderPlaced', $2)",
        )
        .bind(&key)
        .bind(
            serde_json::json!({"n": n, "text": "x".repeat(if is_poison { 120_000 } else { 270 })}),
        )
        .execute(&mut *connection)
        .await
        .expect("an event is written");
        if !is_poison {
            commits.insert(key, now_ms());
        }
    }
    commits
}

/// Nothing to do for ten seconds.
async fn idle(postgres: &Postgres, kafka: &Kafka) {
    let outbox = Outbox::create_on(postgres, kafka).await;
    let relay = outbox.relay(&[]);
    outbox.write("1", "{}").await;
    outbox.drained(LONG).await;
    let rest = Duration::from_secs(10);
    let mut pause = interval(rest / 2);
    for _ in 0..3 {
        pause.tick().await;
    }
    let (cpu, began) = (cpu_seconds(relay.pid()), Instant::now());
    for _ in 0..2 {
        pause.tick().await;
    }
    let used = cpu_seconds(relay.pid()) - cpu;
    say(&format!(
        "idle: relay {:.2} % of a core, {} MiB",
        used / began.elapsed().as_secs_f64() * 100.0,
        peak_mib(relay.pid())
    ));
    drop(relay);
}

/// A kill in the middle of a drain: what the next relay sends a second time.
async fn kill(postgres: &Postgres, kafka: &Kafka, rows: i64) {
    let outbox = backlog(postgres, kafka, rows).await;
    let first = outbox.relay(&[]);
    let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
    let half = usize::try_from(rows / 2).expect("a count of rows");
    receiver.wait_for(half, LONG).await;
    first.kill();
    let second = outbox.relay(&[]);
    await_drained(&outbox).await;
    let records = receiver.read_to_end(LONG).await.len();
    say(&format!(
        "kill in a drain of {rows} rows: {} duplicates",
        i64::try_from(records).unwrap_or(i64::MAX) - rows
    ));
    drop(second);
}

fn percentile(sorted: &[i64], percent: usize) -> i64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(-1)
}

/// CPU time of a process so far, from the kernel's 100 ticks a second (`proc(5)`).
fn cpu_seconds(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: i64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<i64>().ok())
        .sum();
    f64_of(ticks) / 100.0
}

/// The largest resident size of a process so far, in MiB.
fn peak_mib(pid: i32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok())
        .map_or(-1, |kib| kib / 1024)
}

#[expect(
    clippy::disallowed_methods,
    reason = "commits are compared with the broker's wall clock, on one machine"
)]
fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[expect(clippy::disallowed_methods, reason = "a bench has no settings file")]
fn number(name: &str, default: i64) -> i64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "figures for people"
)]
fn f64_of<T: TryInto<i64>>(count: T) -> f64 {
    count.try_into().unwrap_or(i64::MAX) as f64
}

#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn say(line: &str) {
    println!("{line}");
}
