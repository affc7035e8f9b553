//! `health`: asks a relay on this machine whether it is alive, as a container's health check does.
//!
//! Owns one question over HTTP. Does not know whether the relay delivers: a relay in an outage is
//! alive, and to restart it would not end the outage.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Done, Exit, Refusal, say, settings};

/// The time for the answer: a health check's own patience is seldom shorter than this.
const DEADLINE: Duration = Duration::from_secs(2);

/// Ask a relay on this machine whether it is alive
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay health --config relay.toml

Asks at http.listen of the settings that the relay itself runs with. Exit code 0 if it is alive, 1
if it is not or does not answer within two seconds.")]
pub(super) struct Health {}

impl Health {
    /// Asks, and says what was answered.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let address = reachable(settings(file)?.http.listen);
        let failed = |text| {
            Err(Refusal {
                exit: Exit::Failed,
                text,
            })
        };
        match tokio::time::timeout(DEADLINE, livez(address)).await {
            Ok(Ok(true)) => Ok(say(&format!("alive at {address}"))),
            Ok(Ok(false)) => failed(format!("what answers at {address} is not a relay")),
            Ok(Err(error)) => failed(format!("no relay at {address}: {error}")),
            Err(_) => failed(format!(
                "no answer from {address} in {} s",
                DEADLINE.as_secs()
            )),
        }
    }
}

/// Where one reaches what listens on every address: on this machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address: IpAddr = match listen {
        _ if !listen.ip().is_unspecified() => return listen,
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, listen.port())
}

/// Whether `/livez` answers 200. Of the answer only the first line is read.
async fn livez(address: SocketAddr) -> io::Result<bool> {
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let expected = b"HTTP/1.1 200 ";
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 13];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_on_this_machine() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(asked("[::]:9464"), "[::1]:9464");
        assert_eq!(asked("10.0.0.7:1"), "10.0.0.7:1");
    }
}
