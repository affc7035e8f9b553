//! A throw-away `PostgreSQL` from the server programs on this machine.
//!
//! Owns the server's folder, its password and its end. Knows nothing of the outbox.
//!
//! Invariants:
//! - the server ends when this process ends, also by `kill -9`: the kernel sends it SIGQUIT then
//!   (prctl(2), `PR_SET_PDEATHSIG`), on which it ends its own processes too;
//! - it listens on this machine alone and lets in nobody without the password: whoever may act as
//!   its superuser may run programs as its user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::DevError;
use super::folder::Folder;
use super::machine::{self, User};
use crate::process::settings::Secret;

/// The server's rows, in its folder.
const ROWS: &str = "rows";
/// What the server says, in its folder.
const LOG: &str = "log";
/// A server may take this long to start or to stop on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// How many of the last lines of its log tell what went wrong.
const LOG_LINES: usize = 10;
/// A crash loses nothing that anyone wants, so nothing is forced to the disc.
const SETTINGS: [&str; 4] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
];

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    password: Secret,
    folder: Folder,
}

impl Server {
    /// Makes a server and waits until it is ready; a kept one leaves its folder behind.
    pub async fn start(kept: bool) -> Result<Self, DevError> {
        let programs = machine::server_programs().ok_or(DevError::NoServer)?;
        let folder = Folder::make(kept)?;
        let place = Place {
            programs: &programs,
            folder: folder.path(),
            user: User::unprivileged().await?,
        };
        let password = Secret::new(Uuid::new_v4().simple().to_string());
        place.init(&password).await?;
        let port = machine::free_port().map_err(|error| place.failed(error))?;
        let mut server = Self {
            process: place.start(port)?,
            port,
            password,
            folder,
        };
        server.until_ready().await?;
        Ok(server)
    }

    /// The superuser's URL. The server has no TLS, so a client must not insist on it.
    pub fn url(&self) -> String {
        let (port, password) = (self.port, self.password.expose());
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    /// Where it keeps its rows and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it, as an operator does.
    pub async fn stop(mut self) {
        self.signal(Signal::INT);
        if timeout(PATIENCE, self.process.wait()).await.is_err() {
            tracing::warn!("PostgreSQL does not end when it is asked to");
        }
    }

    /// Waits for its end, which nobody has asked for, and tells how it came.
    pub async fn ended(&mut self) -> DevError {
        let _status = self.process.wait().await;
        failed_by_log("postgres", self.folder())
    }

    /// Waits until the server says that it is ready, in the last line of its pid file
    /// (`miscadmin.h`, `LOCK_FILE_LINE_PM_STATUS`), as `pg_ctl` does: to knock at a port that
    /// nobody listens on yet may connect a client to itself.
    async fn until_ready(&mut self) -> Result<(), DevError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pid_file = fs::read_to_string(self.folder().join(ROWS).join("postmaster.pid"));
            if pid_file.is_ok_and(|text| text.trim_end().ends_with("\nready")) {
                return Ok(());
            }
            let ended = !matches!(self.process.try_wait(), Ok(None));
            if ended || Instant::now() > deadline {
                return Err(failed_by_log("postgres", self.folder()));
            }
            sleep(LOOK).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _gone = kill_process(pid, signal);
        }
    }
}

impl Drop for Server {
    /// Where the verb is broken off, [`Server::stop`] is not reached.
    fn drop(&mut self) {
        self.signal(Signal::QUIT);
    }
}

/// Where a server is made, from what, and as whom it runs.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    programs: &'a Path,
    folder: &'a Path,
    user: Option<User>,
}

impl Place<'_> {
    async fn init(self, password: &Secret) -> Result<(), DevError> {
        let failed = |error| self.failed(error);
        self.give(self.folder).map_err(failed)?;
        let secret = self.folder.join("password");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&secret)
            .and_then(|mut file| file.write_all(password.expose().as_bytes()))
            .and_then(|()| self.give(&secret))
            .map_err(failed)?;
        let mut command = self.command("initdb")?;
        command
            .args(["--auth=scram-sha-256", "--username=postgres", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C", "--pgdata", ROWS])
            .args(["--pwfile", "password"])
            .kill_on_drop(true);
        let mut process = spawn(command, "initdb")?;
        match timeout(PATIENCE, process.wait()).await {
            Ok(Ok(status)) if status.success() => fs::remove_file(&secret).map_err(failed),
            _ => Err(failed_by_log("initdb", self.folder)),
        }
    }

    fn start(self, port: u16) -> Result<Child, DevError> {
        let mut command = self.command("postgres")?;
        command.args(["-D", ROWS, "-p", &port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        spawn(command, "postgres")
    }

    /// A command that runs in the folder and gets SIGQUIT when the thread that starts it ends. Its
    /// group is its own: a Ctrl-C in the terminal reaches us alone, and the server lives until we
    /// are done with it.
    fn command(self, program: &str) -> Result<Command, DevError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(LOG))
            .and_then(|log| Ok((log.try_clone()?, log)));
        let (stdout, stderr) = log.map_err(|error| self.failed(error))?;
        let mut command = Command::new("setpriv");
        command.arg("--pdeathsig=QUIT");
        if let Some(User { uid, gid }) = self.user {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
            command.arg("--clear-groups");
        }
        command
            .arg("--")
            .arg(self.programs.join(program))
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        Ok(command)
    }

    /// Gives a file or folder to the user of the server.
    fn give(self, path: &Path) -> io::Result<()> {
        match self.user {
            Some(User { uid, gid }) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    fn failed(self, error: io::Error) -> DevError {
        DevError::Folder {
            folder: self.folder.display().to_string(),
            error,
        }
    }
}

/// Shows the end of the log, before the folder goes.
fn failed_by_log(program: &str, folder: &Path) -> DevError {
    let log = fs::read(folder.join(LOG)).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    DevError::Failed {
        program: program.to_owned(),
        log: lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
    }
}

fn spawn(mut command: Command, program: &str) -> Result<Child, DevError> {
    command.spawn().map_err(|error| DevError::Start {
        program: format!("{program} by setpriv"),
        error,
    })
}
