//! A real `PgBouncer` before a server.
//!
//! Owns starting and its settings. Knows nothing of who connects.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::postgres::unprivileged;
use super::process::{self, Process};
use super::{Outbox, eventually};

/// How long it may take to listen on a busy machine.
const LISTENS_WITHIN: Duration = Duration::from_mins(1);

/// A pooler of one test alone; it goes when this goes.
pub(crate) struct PgBouncer {
    address: String,
    folder: PathBuf,
    process: Process,
}

impl PgBouncer {
    /// A pooler in this mode (`session`, `transaction`, `statement`) before the outbox's server,
    /// with so many server sessions a database.
    pub(crate) async fn before(outbox: &Outbox, mode: &str, size: usize) -> Self {
        let folder = process::folder("pgbouncer");
        let port = process::free_port();
        let (host, server_port) = outbox.server().split_once(':').expect("it names a port");
        let settings = format!(
            "[databases]\n\
             * = host={host} port={server_port}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = trust\n\
             auth_file = users\n\
             pool_mode = {mode}\n\
             default_pool_size = {size}\n"
        );
        fs::write(folder.join("pgbouncer.ini"), settings).expect("the work folder takes files");
        fs::write(folder.join("users"), "\"postgres\" \"\"\n").expect("it takes another");
        let mut command = process::mortal("KILL", unprivileged(), Path::new(program()));
        command.current_dir(&folder).arg("pgbouncer.ini");
        let log = folder.join("log");
        let process = Process::start_logged(command, &log);
        let mut pooler = Self {
            address: format!("127.0.0.1:{port}"),
            folder,
            process,
        };
        pooler.listens(&log).await;
        pooler
    }

    /// Where clients reach it (`host:port`).
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    async fn listens(&mut self, log: &Path) {
        eventually("an answer of PgBouncer", LISTENS_WITHIN, async || {
            if let Some(code) = self.process.exit_code() {
                panic!("pgbouncer ended with {code}:\n{}", process::tail(log));
            }
            tokio::net::TcpStream::connect(&self.address).await
        })
        .await;
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _swept_later = fs::remove_dir_all(&self.folder);
    }
}

/// Debian keeps it off the `PATH` of users.
fn program() -> &'static str {
    const DEBIAN: &str = "/usr/sbin/pgbouncer";
    if Path::new(DEBIAN).exists() {
        DEBIAN
    } else {
        "pgbouncer"
    }
}
