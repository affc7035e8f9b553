//! What the figures were measured on: the machine, the versions, and the servers' settings.
//!
//! Owns the questions. Each that stays without an answer is told as unknown.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde_json::{Map, Value};

use crate::figures::{Figures, f64_of};
use crate::results::Line;
use crate::servers::Servers;
use crate::support::{self, Kafka};

/// The name of the lines that tell it.
pub(crate) const CELL: &str = "machine";

/// A line that tells all of it, for a run that begins now.
pub(crate) async fn line(servers: &Servers, quick: bool) -> Result<Line> {
    let postgres = servers.postgres(false).await;
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(postgres.url()).await?;
    let version = "SELECT split_part(version(), ' on ', 1)";
    let postgresql: String = sqlx::query_scalar(version)
        .fetch_one(&mut connection)
        .await?;
    let told = [
        ("processor", proc_value("/proc/cpuinfo", "model name")),
        ("kernel", first_line("/proc/sys/kernel/osrelease")),
        ("postgresql", Some(postgresql)),
        ("kafka", Some(Kafka::version().await)),
        ("java", said("java", &["-version"])),
        ("go", said("go", &["version"])),
        ("rustc", Some(env!("RUSTC_VERSION").to_owned())),
        ("librdkafka", Some(rdkafka::util::get_rdkafka_version().1)),
        ("commit", commit()),
        (
            "form",
            Some(if quick { "quick" } else { "full" }.to_owned()),
        ),
    ];
    let told = told.into_iter().map(|(name, value)| {
        (
            name.to_owned(),
            value.unwrap_or_else(|| "unknown".to_owned()),
        )
    });
    let settings: Map<String, Value> = told
        .chain(Servers::settings())
        .map(|(name, value)| (name, Value::String(value)))
        .collect();
    let mut figures = Figures::default();
    figures.set("cores", f64_of(std::thread::available_parallelism()?.get()));
    figures.set("memory_gib", memory_gib());
    Ok(Line {
        cell: CELL.to_owned(),
        contender: String::new(),
        variant: String::new(),
        round: 1,
        at: super::now(),
        figures,
        settings: Value::Object(settings),
        skipped: None,
    })
}

/// The commit that is measured, and whether more was changed.
pub(crate) fn commit() -> Option<String> {
    let root = support::repository().to_string_lossy();
    said(
        "git",
        &[
            "-C",
            &root,
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ],
    )
}

fn memory_gib() -> f64 {
    let total = proc_value("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib = total
        .split_whitespace()
        .next()
        .and_then(|kib| kib.parse::<i64>().ok());
    kib.map_or(0.0, |kib| f64_of(kib) / f64_of(1 << 20))
}

/// The value behind a name and a colon.
fn proc_value(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn first_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.lines().next()?.to_owned())
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat()).ok()?;
    Some(said.lines().next()?.to_owned())
}
