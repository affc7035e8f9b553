//! The probe: finds out whether Kafka answers while nothing is sent to it.
//!
//! Owns one question, asked only once the client has complained: an idle relay learns of a broker
//! that is away from nothing else. Knows no records.
//!
//! Invariant: a complaint alone is no outage; brokers close idle connections too.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::kafka::admin::Admin;
use crate::kafka::trouble::Trouble;

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(2);
/// A broker gets this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks until it is aborted; the answer is whether Kafka answers.
pub(super) fn start(
    admin: Admin,
    trouble: watch::Receiver<Option<Trouble>>,
) -> (watch::Receiver<bool>, JoinHandle<()>) {
    let (answers, told) = watch::channel(true);
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            let complained = trouble.borrow().is_some();
            let reachable = !complained || admin.answers(PATIENCE).await;
            answers.send_replace(reachable);
        }
    });
    (told, task)
}
