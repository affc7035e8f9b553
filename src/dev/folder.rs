//! A folder that goes when this process goes, however that ends.
//!
//! Owns the folder's making and its end. A process of its own notices the end of ours by a pipe
//! that closes, which a `kill -9` closes too, and removes the folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use uuid::Uuid;

use super::DevError;

/// Those who write into the folder may be at their last words still, hence the tries.
const SWEEP: &str = "cat; for try in 1 2 3 4 5 6 7 8 9; do rm -rf \"$0\" && exit; sleep 1; done";

/// A folder that only its owner may enter.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    sweeper: Option<Child>,
}

impl Folder {
    /// Makes one among the temporary files; a kept one stays there.
    pub(super) fn make(kept: bool) -> Result<Self, DevError> {
        let name = format!("outbox-relay-dev-{}", Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        let failed = |error| DevError::Folder {
            folder: path.display().to_string(),
            error,
        };
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        let sweeper = if kept { None } else { Some(sweeper(&path)?) };
        Ok(Self { path, sweeper })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(mut sweeper) = self.sweeper.take() {
            drop(sweeper.stdin.take());
            let _swept = sweeper.wait();
        }
    }
}

/// Ctrl-C in a terminal reaches a whole group of processes: the sweeper has one of its own.
fn sweeper(folder: &Path) -> Result<Child, DevError> {
    Command::new("sh")
        .args(["-c", SWEEP])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| DevError::Start {
            program: "sh".to_owned(),
            error,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_owner_and_a_kept_one_stays() {
        let gone = Folder::make(false).unwrap();
        std::fs::write(gone.path().join("file"), "text").unwrap();
        let path = gone.path().to_owned();
        assert!(path.is_dir());
        drop(gone);
        assert!(!path.exists());

        let kept = Folder::make(true).unwrap();
        let path = kept.path().to_owned();
        drop(kept);
        assert!(path.is_dir());
        std::fs::remove_dir(path).unwrap();
    }
}
