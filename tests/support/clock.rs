//! A clock that a test can set, for a server of its own.
//!
//! Owns the file that libfaketime, loaded into the server, reads whenever the server asks for the
//! time. Only the time of day is another: what is measured by the monotonic clock stays true.

use std::fs;
use std::path::{Path, PathBuf};

use super::process;

/// The time of day of a server.
pub(crate) struct Clock {
    library: String,
    file: PathBuf,
}

impl Clock {
    /// A clock that is right so far.
    pub(crate) fn new() -> Self {
        Self {
            library: library().expect("libfaketime is installed: scripts/install test"),
            file: PathBuf::from(process::temporary_file("+0\n")),
        }
    }

    /// What a server needs in its environment to go by this clock.
    pub(crate) fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.file.to_str().expect("our paths are ASCII"),
            ),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }

    /// Sets it: so many seconds ahead of the right time.
    pub(crate) fn set(&self, ahead_s: i32) {
        // A file in its place is never read half-written.
        let next = process::temporary_file(&format!("{ahead_s:+}\n"));
        fs::rename(next, &self.file).expect("both are in one folder");
    }
}

/// Where Debian keeps the library: below a folder named after the machine's kind.
fn library() -> Option<String> {
    let kinds = fs::read_dir(Path::new("/usr/lib")).ok()?;
    let mut found = kinds.filter_map(|kind| {
        let library = kind.ok()?.path().join("faketime/libfaketime.so.1");
        library.exists().then_some(library)
    });
    found.next()?.to_str().map(str::to_owned)
}
