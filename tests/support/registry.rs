//! A real schema registry: Apicurio, which speaks the API of Confluent's.
//!
//! Owns starting and asking. Knows nothing of the relay.
//!
//! Invariant: it holds its schemas in memory, and is shared by all tests; each has subjects of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::process::{self, Process};
use super::{Certificates, eventually};

/// How long the registry may take to start on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_mins(2);
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Where it speaks Confluent's API.
const API: &str = "/apis/ccompat/v7";

/// A registry of schemas.
pub(crate) struct SchemaRegistry {
    /// `host:port`.
    server: String,
    secure_port: u16,
    _process: Process,
}

impl SchemaRegistry {
    /// The registry that all tests share.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<SchemaRegistry> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::start(None)).await
    }

    /// A registry of its own that speaks TLS too.
    pub(crate) async fn guarded(certificates: &Certificates) -> Self {
        Self::start(Some(certificates)).await
    }

    async fn start(certificates: Option<&Certificates>) -> Self {
        let archive = process::printed_by("scripts/registry-jars").await;
        let folder = process::folder("registry");
        let port = process::free_port();
        let mut command = process::mortal("KILL", None, "java".as_ref());
        command
            .current_dir(&folder)
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Djava.io.tmpdir={}", folder.display()))
            .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.log.level=WARN"])
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-Dquarkus.oidc.enabled=false");
        let secure_port = process::free_port();
        if let Some(certificates) = certificates {
            let ssl = "-Dquarkus.http.ssl";
            let (certificate, key) = (
                certificates.path("server.pem"),
                certificates.path("server.key"),
            );
            command
                .arg(format!("{ssl}-port={secure_port}"))
                .arg(format!("{ssl}.certificate.files={certificate}"))
                .arg(format!("{ssl}.certificate.key-files={key}"));
        }
        command.arg("-jar").arg(runner(&archive));
        let log = folder.join("log");
        let mut process = Process::start_logged(command, &log);
        let server = format!("127.0.0.1:{port}");
        eventually(
            "an answer of the schema registry",
            STARTED_WITHIN,
            async || {
                if let Some(code) = process.exit_code() {
                    panic!("the registry ended with {code}:\n{}", process::tail(&log));
                }
                match ask(&server, "GET", "/subjects", None).await {
                    (200, _) => Ok(()),
                    other => Err(format!("{other:?}; its log:\n{}", process::tail(&log))),
                }
            },
        )
        .await;
        Self {
            server,
            secure_port,
            _process: process,
        }
    }

    /// Where it listens (`host:port`).
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The address of its API, at this server or at a proxy before it.
    pub(crate) fn url_at(server: &str) -> String {
        format!("http://{server}{API}")
    }

    /// The address of its API.
    pub(crate) fn url(&self) -> String {
        Self::url_at(&self.server)
    }

    /// The address of its API by TLS.
    pub(crate) fn secure_url(&self) -> String {
        format!("https://localhost:{}{API}", self.secure_port)
    }

    /// Registers a schema; returns its number.
    pub(crate) async fn register(&self, subject: &str, kind: &str, schema: &str) -> u32 {
        let path = format!("/subjects/{subject}/versions");
        let body = json!({"schemaType": kind, "schema": schema});
        let (status, told) = ask(&self.server, "POST", &path, Some(body)).await;
        assert_eq!(status, 200, "{told}");
        let id = told["id"].as_u64().expect("a number is told");
        u32::try_from(id).expect("the number has 32 bits")
    }

    /// Registers a schema that refers to others.
    pub(crate) async fn register_with(&self, subject: &str, body: Value) {
        let path = format!("/subjects/{subject}/versions");
        let (status, told) = ask(&self.server, "POST", &path, Some(body)).await;
        assert_eq!(status, 200, "{told}");
    }

    /// Says what may follow a version of a subject.
    pub(crate) async fn demand(&self, subject: &str, compatibility: &str) {
        let body = json!({ "compatibility": compatibility });
        let path = format!("/config/{subject}");
        let (status, told) = ask(&self.server, "PUT", &path, Some(body)).await;
        assert_eq!(status, 200, "{told}");
    }

    /// The versions of a subject.
    pub(crate) async fn versions(&self, subject: &str) -> Value {
        let path = format!("/subjects/{subject}/versions");
        ask(&self.server, "GET", &path, None).await.1
    }
}

/// The archive that is to be run.
fn runner(archive: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(archive).expect("the script prints a folder");
    files
        .find_map(|file| {
            let path = file.ok()?.path();
            path.to_str()?.ends_with("-runner.jar").then_some(path)
        })
        .expect("the folder holds what is run")
}

/// Asks one question; status 0 where nobody answers. A server does not cut an answer of HTTP 1.0 into
/// pieces.
async fn ask(server: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map_or_else(String::new, |body| body.to_string());
    let question = format!(
        "{method} {API}{path} HTTP/1.0\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let asking = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(ANSWER_WITHIN, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return (0, Value::String(error.to_string())),
        Err(_) => return (0, Value::String("no answer in time".to_owned())),
    };
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let told = serde_json::from_str(body).unwrap_or_else(|_| Value::String(answer.clone()));
    (status.unwrap_or(0), told)
}
