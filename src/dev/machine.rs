//! What this machine offers to a server: its programs, a user, a port.
//!
//! Owns the looking. Changes nothing.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use rustix::process::getuid;
use tokio::process::Command;

use super::DevError;
use crate::process::settings::environment;

/// Where Debian's packages put server programs.
const DEBIAN: &str = "/usr/lib/postgresql";
/// The oldest server that the relay works with.
const VERSION_MIN: u32 = 13;

/// The folder of `PostgreSQL`'s server programs, if there is one.
pub(super) fn server_programs() -> Option<PathBuf> {
    let path = environment().find_map(|(name, value)| (name == "PATH").then_some(value));
    newest_programs(Path::new(DEBIAN), &path.unwrap_or_default())
}

/// The folder of the newest server programs: Debian keeps one for each version, off the `PATH`.
fn newest_programs(debian: &Path, path: &str) -> Option<PathBuf> {
    let newest = fs::read_dir(debian)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
            Some((version, folder.join("bin")))
        })
        .filter(|(version, programs)| *version >= VERSION_MIN && holds_server(programs))
        .max();
    newest
        .map(|(_, programs)| programs)
        .or_else(|| std::env::split_paths(path).find(|programs| holds_server(programs)))
}

fn holds_server(programs: &Path) -> bool {
    programs.join("initdb").exists() && programs.join("postgres").exists()
}

/// Whom the server runs as where we are root, which it refuses to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// The one to run it as; none where we are not root, and unprivileged ourselves.
    pub(super) async fn unprivileged() -> Result<Option<Self>, DevError> {
        if !getuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", name).await?, id("-g", name).await?) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        Err(DevError::Start {
            program: "PostgreSQL as another user than root".to_owned(),
            error: io::Error::other("there is neither `postgres` nor `nobody`"),
        })
    }
}

/// What `id` says of a user; nothing if there is none of this name.
async fn id(what: &str, name: &str) -> Result<Option<u32>, DevError> {
    let answer = Command::new("id").args([what, name]).output().await;
    let answer = answer.map_err(|error| DevError::Start {
        program: "id".to_owned(),
        error,
    })?;
    let text = String::from_utf8_lossy(&answer.stdout);
    Ok(text.trim().parse().ok())
}

/// A port that nobody listens on.
pub(super) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_that_is_whole_and_not_too_old_is_taken() {
        let machine = tempfile::tempdir().unwrap();
        let install = |folder: &str, programs: &[&str]| {
            let folder = machine.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            for program in programs {
                fs::write(folder.join(program), "").unwrap();
            }
        };
        let found = |path: &str| {
            let found = newest_programs(&machine.path().join("debian"), path)?;
            Some(found.strip_prefix(machine.path()).unwrap().to_owned())
        };
        assert_eq!(found(""), None);
        install("debian/9.6/bin", &["initdb", "postgres"]);
        install("debian/12/bin", &["initdb", "postgres"]);
        install("debian/18/bin", &["pg_dump"]);
        assert_eq!(found(""), None);
        install("local", &["initdb", "postgres"]);
        let path = machine.path().join("local");
        let path = format!("/nowhere:{}", path.display());
        assert_eq!(found(&path), Some("local".into()));
        install("debian/13/bin", &["initdb", "postgres"]);
        install("debian/17/bin", &["initdb", "postgres"]);
        assert_eq!(found(&path), Some("debian/17/bin".into()));
    }

    #[test]
    fn a_machine_without_a_server_is_told_the_line_that_installs_one() {
        let text = DevError::NoServer.to_string();
        let line = text.lines().last().unwrap();
        assert!(
            line.contains("apt-get install") && line.ends_with(" postgresql"),
            "{text}"
        );
    }
}
