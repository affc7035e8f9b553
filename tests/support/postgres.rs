//! A real `PostgreSQL` server, and a database of its own for each test.
//!
//! Owns starting, stopping and naming. Knows nothing of the outbox.
//!
//! Invariants:
//! - a server keeps its port and its rows when it is stopped and started again;
//! - a private server writes through to the disc, so that a crash proves something; the shared one
//!   does not, because nothing restarts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getuid};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::process::{self, Process, User};
use super::{eventually, variable};

/// How long a server may take to start or to stop on a busy machine.
const SERVER_WITHIN: Duration = Duration::from_mins(1);
/// How long one attempt to reach a server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A `PostgreSQL` server.
pub(crate) struct Postgres {
    url: String,
    own: Option<OwnServer>,
}

/// A server that this process has started.
struct OwnServer {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    user: Option<User>,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    process: Option<Process>,
}

impl Postgres {
    /// The server that all tests share: the one that `TEST_DATABASE_URL` names (a superuser's URL
    /// with a database), else one of our own.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_init(async || match variable("TEST_DATABASE_URL") {
                Some(url) => Self { url, own: None },
                None => Self::private(&[("fsync", "off"), ("full_page_writes", "off")]).await,
            })
            .await
    }

    /// A server for one test alone, with settings that win over ours.
    pub(crate) async fn private(settings: &[(&str, &str)]) -> Self {
        Self::private_in(&[], settings).await
    }

    /// The same in an environment.
    pub(crate) async fn private_in(
        environment: &[(&str, &str)],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut own = OwnServer::place();
        own.settings = settings_of(settings);
        own.environment = owned(environment);
        own.init().await;
        let url = own.url();
        own.start(&url).await;
        Self {
            url,
            own: Some(own),
        }
    }

    /// A standby of this server, which takes no writes until it is promoted.
    pub(crate) async fn standby(&self) -> Self {
        let primary = self.own.as_ref().expect("the server is ours");
        let mut own = OwnServer::place();
        own.copy(primary).await;
        let url = own.url();
        own.start(&url).await;
        Self {
            url,
            own: Some(own),
        }
    }

    /// Makes a standby a primary.
    pub(crate) async fn promote(&self) {
        execute(&self.url, "SELECT pg_promote()")
            .await
            .expect("a standby can be promoted");
    }

    /// Where it listens (`host:port`).
    pub(crate) fn address(&self) -> String {
        let own = self.own.as_ref().expect("the server is ours");
        format!("127.0.0.1:{}", own.port)
    }

    /// The superuser's URL of the database `postgres`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The process id of the server.
    pub(crate) fn pid(&self) -> i32 {
        let own = self.own.as_ref().expect("the server is ours");
        own.running().pid().as_raw_pid()
    }

    /// Stops the server as an operator does: sessions are cut, a checkpoint is written.
    pub(crate) async fn stop_fast(&mut self) {
        self.own_mut().stop(Signal::INT).await;
    }

    /// Stops the server as a crash does: no checkpoint, recovery at the next start.
    pub(crate) async fn stop_immediate(&mut self) {
        self.own_mut().stop(Signal::QUIT).await;
    }

    /// Starts the server again, on the same port, with the same rows.
    pub(crate) async fn start(&mut self) {
        let url = self.url.clone();
        self.own_mut().start(&url).await;
    }

    fn own_mut(&mut self) -> &mut OwnServer {
        self.own
            .as_mut()
            .expect("only a private server is handed out to be stopped")
    }
}

impl OwnServer {
    /// A place for a new server, with nothing in it.
    fn place() -> Self {
        let programs = programs();
        let folder = process::folder("postgres");
        let user = unprivileged();
        if let Some(User { uid, gid }) = user {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid))
                .expect("root may give a folder away");
        }
        Self {
            programs,
            port: process::free_port(),
            user,
            settings: settings_of(&[]),
            environment: Vec::new(),
            process: None,
            folder,
        }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Fills the place with a copy of another server, which is to be followed.
    async fn copy(&mut self, primary: &Self) {
        self.settings.clone_from(&primary.settings);
        let mut command = self.command("pg_basebackup", "KILL");
        command
            .args(["--host=127.0.0.1", "--username=postgres", "--port"])
            .arg(primary.port.to_string())
            .args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"])
            .arg("--pgdata")
            .arg(self.rows());
        self.finish(command, "pg_basebackup").await;
    }

    /// Runs a program to its end.
    async fn finish(&self, command: Command, name: &str) {
        let mut program = Process::start_logged(command, &self.log());
        let code = program.ended(name, SERVER_WITHIN).await;
        assert_eq!(code, 0, "{name}:\n{}", process::tail(&self.log()));
    }

    async fn init(&self) {
        let mut command = self.command("initdb", "KILL");
        command
            .args(["--auth=trust", "--username=postgres", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(self.rows());
        self.finish(command, "initdb").await;
    }

    /// Starts the server and waits until it answers.
    async fn start(&mut self, url: &str) {
        assert!(self.process.is_none(), "the server is running");
        // SIGQUIT ends the server's own children too and gives its shared memory back.
        let mut command = self.command("postgres", "QUIT");
        command.arg("-D").arg(self.rows());
        command.arg("-p").arg(self.port.to_string());
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = self.log();
        let process = self.process.insert(Process::start_logged(command, &log));
        eventually("an answer of PostgreSQL", SERVER_WITHIN, async || {
            if let Some(code) = process.exit_code() {
                panic!("postgres ended with {code}:\n{}", process::tail(&log));
            }
            connect(url)
                .await
                .map_err(|error| format!("{error}; its log:\n{}", process::tail(&log)))
        })
        .await;
    }

    async fn stop(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("the server is running");
        process.signal(signal);
        process.ended("PostgreSQL", SERVER_WITHIN).await;
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server is running")
    }

    fn command(&self, program: &str, signal: &str) -> Command {
        // Not in the environment of what gives up root's rights first.
        let mut command = process::mortal(signal, self.user, Path::new("env"));
        let variables = self.environment.iter();
        command
            .args(variables.map(|(name, value)| format!("{name}={value}")))
            .arg(self.programs.join(program))
            .current_dir(&self.folder);
        command
    }

    fn rows(&self) -> PathBuf {
        self.folder.join("rows")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end_by(Signal::QUIT);
        }
        let _swept_later = fs::remove_dir_all(&self.folder);
    }
}

/// Our settings, over which those of a test win.
fn settings_of(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    let ours = [
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("max_connections", "200"),
        ("max_prepared_transactions", "20"),
        ("log_line_prefix", "%m [%p] %a "),
    ];
    owned(&[&ours[..], settings].concat())
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    pairs.iter().map(own).collect()
}

/// The folder of the newest server programs: Debian keeps one for each version, off the `PATH`.
fn programs() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = debian
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
            Some((version, folder.join("bin")))
        })
        .filter(|(_, programs)| holds_server(programs))
        .max();
    let path = variable("PATH").unwrap_or_default();
    newest
        .map(|(_, programs)| programs)
        .or_else(|| std::env::split_paths(&path).find(|programs| holds_server(programs)))
        .expect("PostgreSQL's server programs are installed: scripts/install test")
}

fn holds_server(programs: &Path) -> bool {
    programs.join("initdb").exists() && programs.join("postgres").exists()
}

/// Whom a server runs as where we are root, which it refuses to be.
pub(super) fn unprivileged() -> Option<User> {
    getuid().is_root().then(|| {
        User::named("postgres")
            .or_else(|| User::named("nobody"))
            .expect("every machine knows nobody")
    })
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    timeout(CONNECT_WITHIN, PgConnection::connect(url))
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
}

/// A database of its own for one test; it goes when this goes.
pub(crate) struct Database {
    name: String,
    url: String,
    server_url: String,
}

impl Database {
    /// Creates an empty database.
    pub(crate) async fn create(server: &Postgres) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        execute(server.url(), &format!("CREATE DATABASE {name}"))
            .await
            .expect("the superuser may create databases");
        Self {
            url: with_database(server.url(), &name),
            server_url: server.url().to_owned(),
            name,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's URL of this database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A small pool.
    pub(crate) async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(SERVER_WITHIN)
            .connect(&self.url)
            .await
            .expect("the database answers")
    }

    /// One connection.
    pub(crate) async fn connect(&self) -> PgConnection {
        connect(&self.url).await.expect("the database answers")
    }
}

impl Drop for Database {
    /// Drops the database if its server answers, sessions or not. The thread brings a runtime,
    /// because the test's own must not be blocked on from within.
    fn drop(&mut self) {
        let url = self.server_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs two descriptors");
            let _server_gone = runtime
                .block_on(async { timeout(CONNECT_WITHIN, execute(&url, &statement)).await });
        });
        let _panicked = dropping.join();
    }
}

async fn execute(url: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = connect(url).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

/// The same server's URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (server, query) = match url.split_once('?') {
        Some((server, query)) => (server, format!("?{query}")),
        None => (url, String::new()),
    };
    let (server, _database) = server
        .rsplit_once('/')
        .expect("the URL of the test server names a database");
    format!("{server}/{name}{query}")
}
