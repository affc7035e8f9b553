//! The probes, and the page of metrics: is the process alive, is it delivering, and how much.
//!
//! Owns the address and the three answers. Does not know what readiness follows from: it is told,
//! through a watch. Knows no database and no broker, so that every answer comes in any outage and
//! costs neither of them anything.
//!
//! Invariant: no answer holds more than counts and reasons; nothing of an event, nothing secret.

use std::future::Future;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::process::metrics::Metrics;
use crate::readiness::Readiness;

/// The version of the text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The probes could not be offered.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or not one of this machine.
    #[error("http.listen: cannot listen at {listen}")]
    Bind {
        /// The address that was asked for.
        listen: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Connections are no longer accepted.
    #[error("the probes ended")]
    Serve(#[source] std::io::Error),
}

/// An address that is taken and not yet served, so that a port in use is known before all else.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    listen: SocketAddr,
}

/// Takes the address.
pub async fn bind(listen: SocketAddr) -> Result<Server, HttpError> {
    let failed = |source| HttpError::Bind { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let listen = listener.local_addr().map_err(failed)?;
    Ok(Server { listener, listen })
}

impl Server {
    /// Where it listens; tells the port where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Answers until it is dropped.
    pub fn serve(
        self,
        readiness: watch::Receiver<Readiness>,
        metrics: Metrics,
    ) -> impl Future<Output = Result<(), HttpError>> + Send {
        let routes = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(readiness)
            .route("/metrics", get(page))
            .with_state(metrics);
        async move {
            axum::serve(self.listener, routes)
                .await
                .map_err(HttpError::Serve)
        }
    }
}

/// Alive is whoever answers.
async fn livez() -> &'static str {
    "ok\n"
}

/// 200 while it delivers, 503 with the reasons while it does not.
async fn readyz(
    State(readiness): State<watch::Receiver<Readiness>>,
) -> (StatusCode, Json<Readiness>) {
    let now = readiness.borrow().clone();
    let status = if now.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(now))
}

/// All that is counted, in the text format of Prometheus.
async fn page(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.page())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const ANY_PORT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    /// A server in the background, and what tells it whether it is ready.
    async fn served() -> (SocketAddr, watch::Sender<Readiness>) {
        let (tell, told) = watch::channel(Readiness::default());
        let server = bind(ANY_PORT).await.unwrap();
        let address = server.address();
        tokio::spawn(server.serve(told, Metrics::new("1")));
        (address, tell)
    }

    /// The first line and the body of an answer.
    async fn get(address: SocketAddr, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn a_relay_in_an_outage_is_alive_and_not_ready() {
        let (address, tell) = served().await;
        let reasons = vec!["kafka is away".to_owned()];
        tell.send_replace(Readiness {
            ready: false,
            starting: true,
            reasons,
            lanes: 3,
            circuits: Vec::new(),
        });
        let (status, body) = get(address, "/livez").await;
        assert_eq!(
            (status.as_str(), body.as_str()),
            ("HTTP/1.1 200 OK", "ok\n")
        );
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(
            body,
            r#"{"ready":false,"starting":true,"reasons":["kafka is away"],"lanes":3,"circuits":[]}"#
        );
    }

    #[tokio::test]
    async fn readiness_is_what_was_told_last() {
        let (address, tell) = served().await;
        assert_eq!(
            get(address, "/readyz").await.0,
            "HTTP/1.1 503 Service Unavailable"
        );
        tell.send_replace(Readiness {
            ready: true,
            starting: false,
            reasons: Vec::new(),
            lanes: 16,
            circuits: Vec::new(),
        });
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(
            body,
            r#"{"ready":true,"starting":false,"reasons":[],"lanes":16,"circuits":[]}"#
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_known_before_serving() {
        let first = bind(ANY_PORT).await.unwrap();
        let error = bind(first.address()).await.unwrap_err();
        let named = format!("http.listen: cannot listen at {}", first.address());
        assert_eq!(error.to_string(), named);
    }

    #[tokio::test]
    async fn what_is_counted_is_there_for_prometheus() {
        let (address, _tell) = served().await;
        let (status, body) = get(address, "/metrics").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(
            body.contains("# TYPE outbox_relay_lanes_owned gauge"),
            "{body}"
        );
        assert!(body.contains("outbox_relay_takeovers_total 0"), "{body}");
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let (address, _tell) = served().await;
        assert_eq!(get(address, "/").await.0, "HTTP/1.1 404 Not Found");
    }
}
