//! On what a run is made: the machine, and the versions of what is at work.
//!
//! Owns the questions to the machine. Judges nothing.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

use crate::support::{Kafka, Postgres};

/// The facts, each with its name.
pub(super) async fn facts(postgres: &Postgres) -> Vec<(&'static str, String)> {
    let now = DateTime::<Utc>::from(SystemTime::now());
    vec![
        ("Begun", now.format("%Y-%m-%d %H:%M UTC").to_string()),
        ("outbox-relay", version()),
        ("PostgreSQL", postgresql(postgres).await),
        ("Apache Kafka", Kafka::version().await),
        ("librdkafka", rdkafka::util::get_rdkafka_version().1),
        ("Machine", machine()),
    ]
}

fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let build = if cfg!(debug_assertions) {
        "built without optimisation"
    } else {
        "optimised"
    };
    let commit = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR")])
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output();
    let commit = commit.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    let commit = commit.map_or_else(String::new, |commit| format!(", commit {}", commit.trim()));
    format!("{version}{commit}, {build}")
}

async fn postgresql(postgres: &Postgres) -> String {
    let mut connection = PgConnection::connect(postgres.url())
        .await
        .expect("the server answers");
    sqlx::query_scalar("SHOW server_version")
        .fetch_one(&mut connection)
        .await
        .expect("the server knows its version")
}

fn machine() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let processor = line_of("/proc/cpuinfo", "model name");
    let memory = line_of("/proc/meminfo", "MemTotal");
    let kib = memory.strip_suffix(" kB").and_then(|kib| kib.parse().ok());
    let memory_gib = kib.unwrap_or(0_u64) / (1024 * 1024);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cores} cores ({processor}), {memory_gib} GiB of memory, Linux {kernel}")
}

/// What a file of the kernel says of a name.
fn line_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    line.unwrap_or_else(|| "unknown".to_owned())
}
