//! A small disc that can be full: a file system in memory.
//!
//! Owns the mount, which only root may make. Knows no server.
//!
//! Invariant: it goes when this is dropped, or when the test process ends, in whatever way.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::unprivileged;
use super::{process, skipped};

/// A disc with some room.
pub(crate) struct Disc {
    folder: PathBuf,
}

impl Disc {
    /// A disc on which everybody may write; none, where none may be mounted: that is told.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let folder = process::folder("disc");
        let options = format!("size={mib}m,mode=777");
        let mounting = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&folder)
            .status();
        if mounting.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        skipped("no disc may be mounted here");
        None
    }

    /// A new folder on it, which a server of ours owns.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("there is room so far");
        if let Some(user) = unprivileged() {
            std::os::unix::fs::chown(&folder, Some(user.uid), Some(user.gid))
                .expect("root may give a folder away");
        }
        folder
    }

    /// Leaves no room on it.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file needs no room");
        let error = loop {
            if let Err(error) = ballast.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    /// Gives all room back that was taken.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Disc {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

/// Files that are open still go when they are closed.
fn unmount(folder: &Path) {
    let _swept_later = Command::new("umount").arg("--lazy").arg(folder).status();
}
