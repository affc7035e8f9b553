//! What an operator grants to a user of a broker: rights to topics, and a rate.
//!
//! Owns the few requests of Kafka's protocol for which the client library has no call
//! (<https://kafka.apache.org/protocol>). Knows no relay.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Kafka;

/// `CreateAcls` and `DeleteAcls`, both in version 1.
const CREATE_ACLS: i16 = 30;
const DELETE_ACLS: i16 = 31;
/// `AlterClientQuotas`, in version 0.
const ALTER_QUOTAS: i16 = 49;

/// What can be done to a topic (`AclOperation`).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Right {
    Write,
    Describe,
    DescribeConfigs,
}

impl Kafka {
    /// Grants a user a right to a topic.
    pub(crate) async fn grant(&self, user: &str, right: Right, topic: &str) {
        self.request(CREATE_ACLS, 1, &rule(user, right, topic))
            .await;
    }

    /// Takes a right away again.
    pub(crate) async fn revoke(&self, user: &str, right: Right, topic: &str) {
        self.request(DELETE_ACLS, 1, &rule(user, right, topic))
            .await;
    }

    /// Bounds what a user may write, in bytes a second; or bounds it no longer.
    pub(crate) async fn bound_rate(&self, user: &str, bytes_per_s: Option<f64>) {
        let mut body = Vec::new();
        body.extend(1_i32.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        text(&mut body, "user");
        text(&mut body, user);
        body.extend(1_i32.to_be_bytes());
        text(&mut body, "producer_byte_rate");
        body.extend(bytes_per_s.unwrap_or_default().to_be_bytes());
        body.push(u8::from(bytes_per_s.is_none()));
        let validate_only = 0;
        body.push(validate_only);
        self.request(ALTER_QUOTAS, 0, &body).await;
    }

    /// Asks, and panics unless the first result is good.
    async fn request(&self, key: i16, version: i16, body: &[u8]) {
        let mut request = Vec::new();
        request.extend(key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        text(&mut request, "tests");
        request.extend(body);
        let mut stream = TcpStream::connect(self.brokers())
            .await
            .expect("the broker listens");
        let length = i32::try_from(request.len()).expect("it is short");
        stream.write_i32(length).await.expect("the broker reads");
        stream.write_all(&request).await.expect("the broker reads");
        let length = stream.read_i32().await.expect("the broker answers");
        let mut answer = vec![0; usize::try_from(length).expect("a length")];
        let read = stream.read_exact(&mut answer).await;
        read.expect("the broker answers in full");
        // The number of the request, the throttle time and the number of results, of 4 bytes each.
        let code = [answer[12], answer[13]];
        assert_eq!(i16::from_be_bytes(code), 0, "{key}: {answer:?}");
    }
}

/// One rule, as both requests have it: for all hosts, and this name alone.
fn rule(user: &str, right: Right, topic: &str) -> Vec<u8> {
    const TOPIC: u8 = 2;
    const LITERAL: u8 = 3;
    const ALLOW: u8 = 3;
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    body.push(TOPIC);
    text(&mut body, topic);
    body.push(LITERAL);
    text(&mut body, &format!("User:{user}"));
    text(&mut body, "*");
    body.push(match right {
        Right::Write => 4,
        Right::Describe => 8,
        Right::DescribeConfigs => 10,
    });
    body.push(ALLOW);
    body
}

fn text(body: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).expect("names are short");
    body.extend(length.to_be_bytes());
    body.extend(text.as_bytes());
}
