//! A server with the API of Amazon's S3: `S3Proxy`, which keeps its objects as files.
//!
//! Owns starting and looking. Knows nothing of the relay.
//!
//! Invariant: whoever asks must have signed with its one key.

use std::fs;
use std::path::PathBuf;

use tokio::net::TcpStream;

use super::process::{self, Process};
use super::{SOON, eventually};

/// The bucket that is there.
pub(crate) const BUCKET: &str = "payloads";
/// Who may ask, and the secret that proves it.
pub(crate) const KEY: (&str, &str) = ("relay", "canary");

/// A store of objects.
pub(crate) struct S3 {
    port: u16,
    /// Where clients that know nothing else find it.
    pub(crate) endpoint: String,
    folder: PathBuf,
    process: Option<Process>,
}

impl S3 {
    /// A place for a store that is not there yet.
    pub(crate) fn absent() -> Self {
        let port = process::free_port();
        Self {
            port,
            endpoint: format!("http://127.0.0.1:{port}"),
            folder: process::folder("s3"),
            process: None,
        }
    }

    /// Starts it, with its bucket and no object.
    pub(crate) async fn start(&mut self) {
        let jar = process::printed_by("scripts/s3-jar").await;
        let (identity, credential) = KEY;
        let properties = format!(
            "s3proxy.endpoint={}\ns3proxy.authorization=aws-v2-or-v4\n\
             s3proxy.identity={identity}\ns3proxy.credential={credential}\n\
             jclouds.provider=filesystem\njclouds.identity=x\njclouds.credential=x\n\
             jclouds.filesystem.basedir={}\n",
            self.endpoint,
            self.folder.display()
        );
        fs::create_dir_all(self.folder.join(BUCKET)).expect("the work folder takes folders");
        let file = self.folder.join("properties");
        fs::write(&file, properties).expect("the work folder takes files");
        let mut command = process::mortal("KILL", None, "java".as_ref());
        command
            .current_dir(&self.folder)
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Djava.io.tmpdir={}", self.folder.display()))
            .args(["-DLOG_LEVEL=warn", "-jar"])
            .arg(jar)
            .arg("--properties")
            .arg(file);
        let log = self.folder.join("log");
        let mut process = Process::start_logged(command, &log);
        eventually("the store listens", SOON, async || {
            if let Some(code) = process.exit_code() {
                panic!("the store ended with {code}:\n{}", process::tail(&log));
            }
            TcpStream::connect(("127.0.0.1", self.port)).await.map(drop)
        })
        .await;
        self.process = Some(process);
    }

    /// What an object of the bucket holds; nothing if there is none.
    pub(crate) fn object(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(BUCKET).join(name)).ok()
    }
}
