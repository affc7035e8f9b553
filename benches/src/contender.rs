//! Who is measured: the relay, what people use today, and the bare limits.
//!
//! Owns how each is started. Knows nothing of what it is put to.
//!
//! A rival is a program that is told by its environment where to read and where to write:
//! `DATABASE_URL`, `KAFKA_BROKERS`, `TOPIC`, `BATCH`, `POLL_MS`, and `FOLDER` for what it keeps. It
//! ends by SIGTERM. Called with `check` it exits 0 if it can run on this machine, or says why not;
//! called with `prepare`, before the backlog is written, it makes what it needs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

use crate::bed::Bed;
use crate::spent;
use crate::support::{self, RelayProcess};

/// How long a stop may take before it is a kill.
const STOPPED: Duration = Duration::from_secs(20);
/// How long a preparation may take; it may fetch and build.
const PREPARED: Duration = Duration::from_mins(15);
/// How long a poller waits when it found nothing, in milliseconds, as teams write it.
const POLL_MS: &str = "10";
/// How many rows a batch has in Go, as teams write it.
const GO_BATCH: u32 = 100;
/// What a rival is given of our own environment, beside `PATH`: where it finds its caches.
const INHERITED: [&str; 5] = [
    "HOME",
    "OUTBOX_RELAY_CACHE",
    "JAVA_HOME",
    "GOPATH",
    "GOCACHE",
];

/// One who moves rows, or shows a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// This relay.
    Ours,
    /// A poller as one writes it in Rust, with so many rows a batch.
    Naive(u32),
    /// A poller as teams write it in Go, with one of its clients of Kafka.
    Go(&'static str),
    /// Debezium Server with its outbox router, in one of its two set-ups.
    Debezium(&'static str),
    /// The bare client of Kafka.
    Kafka,
    /// The relay's own reading and marking, without Kafka.
    Postgres,
}

impl Contender {
    /// Its name in the results.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Ours => "ours".to_owned(),
            Self::Naive(batch) => format!("naive-rust-{batch}"),
            Self::Go(client) => format!("naive-go-{client}-{GO_BATCH}"),
            Self::Debezium(set_up) => format!("debezium-{set_up}"),
            Self::Kafka => "limit-kafka".to_owned(),
            Self::Postgres => "limit-postgres".to_owned(),
        }
    }

    /// Whether it reads the server's log instead of the table.
    pub(crate) fn decodes_log(self) -> bool {
        matches!(self, Self::Debezium(_))
    }

    /// Whether it sets `published_at`, or deletes the row.
    pub(crate) fn marks(self) -> bool {
        !self.decodes_log()
    }

    /// Why it cannot be measured here.
    pub(crate) fn unable(self) -> Option<String> {
        let (program, _) = self.program()?;
        if !program.exists() {
            return Some(format!("{} is not there", program.display()));
        }
        let check = Command::new(&program).arg("check").output();
        match check {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                Some(
                    said.lines()
                        .next()
                        .unwrap_or("it does not say why")
                        .to_owned(),
                )
            }
            Err(error) => Some(format!("{}: {error}", program.display())),
        }
    }

    /// Makes what it needs before the backlog is written.
    pub(crate) async fn prepare(self, bed: &Bed<'_>) -> Result<()> {
        let Some((program, _)) = self.program() else {
            return Ok(());
        };
        let environment = self.environment(bed);
        let program = program.to_string_lossy();
        let mut prepare = RelayProcess::start_program(&program, &["prepare"], &pairs(&environment));
        let code = prepare.wait_exit(PREPARED).await;
        let said = prepare.stderr();
        ensure!(code == 0, "{} prepare: {}", self.name(), said.join("\n"));
        Ok(())
    }

    /// Starts it; settings are the relay's, and of no concern to a rival.
    pub(crate) fn start(self, bed: &Bed<'_>, settings: &[(&str, &str)]) -> Running {
        let process = match self.program() {
            None => {
                let own = [
                    ("database.url", bed.url()),
                    ("kafka.brokers", bed.servers.kafka.brokers()),
                    ("route.topic", &bed.topic),
                    ("http.listen", "127.0.0.1:0"),
                    ("log.level", "warn"),
                ];
                RelayProcess::run(&[&own[..], settings].concat())
            }
            Some((program, arguments)) => {
                let environment = self.environment(bed);
                let program = program.to_string_lossy();
                RelayProcess::start_program(&program, &arguments, &pairs(&environment))
            }
        };
        Running { process }
    }

    fn environment(self, bed: &Bed<'_>) -> Vec<(String, String)> {
        let batch = match self {
            Self::Naive(batch) => batch.to_string(),
            Self::Go(_) => GO_BATCH.to_string(),
            Self::Ours | Self::Debezium(_) | Self::Kafka | Self::Postgres => String::new(),
        };
        let told = [
            ("DATABASE_URL", bed.url().to_owned()),
            ("KAFKA_BROKERS", bed.servers.kafka.brokers().to_owned()),
            ("TOPIC", bed.topic.clone()),
            ("BATCH", batch),
            ("POLL_MS", POLL_MS.to_owned()),
            ("FOLDER", bed.folder.path().to_string_lossy().into_owned()),
        ];
        let told = told.map(|(name, value)| (name.to_owned(), value));
        let inherited = INHERITED
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), support::variable(name)?)));
        told.into_iter().chain(inherited).collect()
    }

    /// A rival's program and its arguments.
    fn program(self) -> Option<(PathBuf, Vec<&'static str>)> {
        let rivals = support::repository().join("benches/rivals");
        match self {
            Self::Ours | Self::Kafka | Self::Postgres => None,
            Self::Naive(_) => {
                let own = std::env::current_exe().unwrap_or_default();
                Some((own.with_file_name("naive-poller"), Vec::new()))
            }
            Self::Go(client) => Some((rivals.join("go-poller/run"), vec![client])),
            Self::Debezium(set_up) => Some((rivals.join("debezium/run"), vec![set_up])),
        }
    }
}

fn pairs(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// A contender at work.
pub(crate) struct Running {
    process: RelayProcess,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// CPU seconds so far, its children's too.
    pub(crate) fn cpu_s(&self) -> f64 {
        spent::family_cpu_s(self.pid())
    }

    /// Fails if it has ended, with the last that it said.
    pub(crate) fn check(&mut self) -> Result<()> {
        let runs = self.process.runs();
        let said = if runs {
            Vec::new()
        } else {
            self.process.stderr()
        };
        let last = said.len().saturating_sub(5);
        ensure!(runs, "it has ended: {}", said[last..].join(" / "));
        Ok(())
    }

    /// Ends it as an orchestrator does.
    pub(crate) async fn stop(mut self) {
        self.process.terminate();
        let pid = Pid::from_raw(self.pid());
        let late = tokio::spawn(async move {
            tokio::time::sleep(STOPPED).await;
            pid.map(|pid| kill_process(pid, Signal::KILL))
        });
        self.process.wait_exit(STOPPED * 2).await;
        late.abort();
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(mut self) {
        self.process.kill();
        self.process.wait_exit(STOPPED).await;
    }
}
