//! A relay's probes, asked as an orchestrator asks them.
//!
//! Owns the address. Knows no more of HTTP than one question needs.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{eventually, process};

/// The address that one relay's probes are to have.
pub(crate) struct Probes {
    /// For the setting `http.listen`.
    pub(crate) listen: String,
}

impl Probes {
    /// An address that is free.
    pub(crate) fn new() -> Self {
        Self {
            listen: format!("127.0.0.1:{}", process::free_port()),
        }
    }

    /// Waits until `/readyz` answers with this in it, and returns the answer.
    pub(crate) async fn wait_for(&self, text: &str, within: Duration) -> String {
        let what = format!("/readyz with {text:?}");
        eventually(&what, within, async || {
            let answer = self
                .ask("/readyz")
                .await
                .map_err(|error| error.to_string())?;
            if answer.contains(text) {
                Ok(answer)
            } else {
                Err(answer)
            }
        })
        .await
    }

    /// A value of `/metrics`: its name with its labels, as the page has them.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64, String> {
        let page = self.ask("/metrics").await;
        let page = page.map_err(|error| error.to_string())?;
        let value = page.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then_some(value)
        });
        let value = value.ok_or_else(|| format!("no {series} in {page}"))?;
        value.parse().map_err(|_| format!("{series} is {value}"))
    }

    /// Waits until a value of `/metrics` is this.
    pub(crate) async fn wait_for_metric(&self, series: &str, value: f64, within: Duration) {
        let what = format!("{series} {value}");
        eventually(&what, within, async || {
            let shown = self.metric(series).await?;
            if (shown - value).abs() < 1e-9 {
                Ok(())
            } else {
                Err(format!("{series} {shown}"))
            }
        })
        .await;
    }

    /// The whole answer of a probe: status line, headers and body.
    pub(crate) async fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.listen).await?;
        let question = format!("GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}
