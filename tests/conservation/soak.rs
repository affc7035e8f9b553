//! The soak: campaign after campaign, with faults of both servers among those of the relays.
//!
//! Owns the servers' faults and the time. `SOAK_MINUTES` says how long; `SEED` with what to begin.
//! The first seed is random otherwise, and each campaign has the next one.

use std::time::Duration;

use tokio::time::{Instant, interval};
use uuid::Uuid;

use super::campaign::{conclude, step};
use super::dice::{Dice, seed_or};
use super::fleet::{Fleet, RELAYS, WINDOW_ROWS};
use super::observe::After;
use super::workload::Workload;
use crate::support::{Kafka, Outbox, Postgres, Receiver, variable};

/// What is done in one campaign.
const STEPS: usize = 40;
/// The share of faults of a server among them, in percent.
const STRIKES: usize = 15;
/// A line says this often how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

#[tokio::test]
#[ignore = "takes as long as SOAK_MINUTES says: `make soak`"]
async fn soak() {
    let minutes = variable("SOAK_MINUTES").map_or(30, |minutes| {
        minutes.parse().expect("SOAK_MINUTES is a whole number")
    });
    let ends = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut postgres, mut kafka) = tokio::join!(Postgres::private(&[]), Kafka::private(&[]));
    let first = seed_or(Uuid::new_v4().as_u64_pair().0 % 1_000_000);
    for seed in first.. {
        campaign(seed, &mut postgres, &mut kafka).await;
        if Instant::now() >= ends {
            break;
        }
    }
}

async fn campaign(seed: u64, postgres: &mut Postgres, kafka: &mut Kafka) {
    let outbox = Outbox::create_on(postgres, kafka).await;
    let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
    let mut dice = Dice::new(seed);
    let workload = Workload::start(outbox.url(), &dice);
    let mut fleet = Fleet::new(&outbox, &receiver, &[]);
    let acting = async {
        for _ in 0..STEPS {
            step(&mut fleet, &mut dice).await;
            if dice.percent(STRIKES) {
                strike(&mut fleet, &mut dice, postgres, kafka).await;
            }
        }
    };
    tokio::select! {
        () = acting => {}
        () = tell(seed, &workload, &receiver) => {}
    }
    conclude(seed, workload, fleet, After::Mark).await;
}

/// What can happen to a server.
#[derive(Debug, Clone, Copy)]
enum Fault {
    StopPostgres,
    CrashPostgres,
    StopKafka,
    CrashKafka,
    FreezeKafka,
}

const FAULTS: [Fault; 5] = [
    Fault::StopPostgres,
    Fault::CrashPostgres,
    Fault::StopKafka,
    Fault::CrashKafka,
    Fault::FreezeKafka,
];

/// Lets one server fail and come back, and records pass again.
///
/// Whatever was in flight may be sent again: a record whose report did not come in time, and a
/// lane whose relay could not renew its lease.
async fn strike(
    fleet: &mut Fleet<'_>,
    dice: &mut Dice,
    postgres: &mut Postgres,
    kafka: &mut Kafka,
) {
    let fault = FAULTS[dice.below(FAULTS.len())];
    fleet.lose(format!("{fault:?}"), RELAYS * WINDOW_ROWS);
    match fault {
        Fault::StopPostgres => postgres.stop_fast().await,
        Fault::CrashPostgres => postgres.stop_immediate().await,
        Fault::StopKafka => kafka.stop().await,
        Fault::CrashKafka => kafka.kill().await,
        Fault::FreezeKafka => {
            kafka.freeze();
            fleet.backlog(2_000).await;
        }
    }
    match fault {
        Fault::StopPostgres | Fault::CrashPostgres => postgres.start().await,
        Fault::StopKafka | Fault::CrashKafka => kafka.start().await,
        Fault::FreezeKafka => kafka.thaw(),
    }
    fleet.progress(200 + dice.below(1_000)).await;
}

/// Says how far it is, for ever.
#[expect(clippy::print_stderr, reason = "a long run shows that it lives")]
async fn tell(seed: u64, workload: &Workload, receiver: &Receiver) {
    let mut lines = interval(LINE_EVERY);
    loop {
        lines.tick().await;
        let (committed, records) = (workload.committed(), receiver.count());
        eprintln!("SEED={seed}: {committed} committed, {records} records so far");
    }
}
