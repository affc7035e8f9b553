//! The probe: finds out whether Kafka answers, and whether this relay may say that it delivers.
//!
//! Owns one question, asked only where there is a doubt: the client has complained (an idle relay
//! learns of a broker that is away from nothing else), or records fly and none is confirmed. Knows
//! no records, only how many were confirmed and given up on.
//!
//! Invariant: a complaint alone is no outage; brokers close idle connections too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::decide::standing::{Sign, Standing};
use crate::kafka::admin::Admin;
use crate::kafka::producer::KafkaPublisher;
use crate::kafka::trouble::Trouble;
use crate::process::clock;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// A broker gets this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the probe tells, always anew.
#[derive(Debug)]
pub(super) struct Told {
    /// Whether Kafka answers.
    pub(super) answers: watch::Receiver<bool>,
    /// Whether this relay says that it delivers.
    pub(super) delivers: watch::Receiver<bool>,
}

/// Looks until it is aborted.
pub(super) fn start(admin: Admin, publisher: Arc<KafkaPublisher>) -> (Told, JoinHandle<()>) {
    let (answers, told_answers) = watch::channel(true);
    let (delivers, told_delivers) = watch::channel(true);
    let mut probe = Probe {
        admin,
        trouble: publisher.trouble(),
        counted: publisher.confirmed_and_abandoned(),
        publisher,
    };
    let task = tokio::spawn(async move {
        let mut standing = Standing::new(clock::boot_ms());
        loop {
            tokio::time::sleep(PAUSE).await;
            let seen = probe.look().await;
            answers.send_replace(seen.answers);
            let Some(sign) = seen.sign else { continue };
            let says = standing.see(sign, clock::boot_ms());
            if delivers.send_replace(says) != says {
                tell(says);
            }
        }
    });
    let told = Told {
        answers: told_answers,
        delivers: told_delivers,
    };
    (told, task)
}

fn tell(delivers: bool) {
    if delivers {
        tracing::info!("Kafka is in reach again: this relay takes its share of the lanes");
    } else {
        tracing::warn!(
            "Kafka is out of reach: the lanes go to other relays, if any says that it delivers"
        );
    }
}

/// What one look saw.
struct Seen {
    answers: bool,
    /// None while records fly and nothing is known of them.
    sign: Option<Sign>,
}

struct Probe {
    admin: Admin,
    publisher: Arc<KafkaPublisher>,
    trouble: watch::Receiver<Option<Trouble>>,
    /// How many records had been confirmed, and how many given up on, at the last look.
    counted: (u64, u64),
}

impl Probe {
    async fn look(&mut self) -> Seen {
        let (confirmed, abandoned) = self.publisher.confirmed_and_abandoned();
        let before = std::mem::replace(&mut self.counted, (confirmed, abandoned));
        if confirmed > before.0 {
            return Seen {
                answers: true,
                sign: Some(Sign::Good),
            };
        }
        let given_up = abandoned > before.1;
        let flying = self.publisher.in_flight() > 0;
        let doubt = given_up || flying || self.trouble.borrow().is_some();
        let answers = !doubt || self.admin.answers(PATIENCE).await;
        let sign = if given_up || !answers {
            Some(Sign::Bad)
        } else {
            (!flying).then_some(Sign::Good)
        };
        Seen { answers, sign }
    }
}
