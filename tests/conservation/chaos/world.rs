//! The servers and wires of a run, a long campaign on them, and what strikes them in it.
//!
//! Owns the servers and the schedule, which follows from the seed. Writes no report.

use std::time::Duration;

use tokio::time::interval;

use super::Clock;
use crate::conservation::campaign::{Conclusion, conclude, step};
use crate::conservation::dice::Dice;
use crate::conservation::faults::steps::{Cell, Place, Struck};
use crate::conservation::fleet::{Fleet, RELAYS};
use crate::conservation::incident::Kind;
use crate::conservation::observe::After;
use crate::conservation::site::note;
use crate::conservation::workload::Workload;
use crate::support::{Kafka, Outbox, Postgres, Proxy, Receiver, Way};

/// What is done to relays in one campaign, after its calm opening.
const STEPS: usize = 24;
/// How often a server or a wire is struck after one of these steps, in percent.
const STRIKES: usize = 50;
/// A line says this often how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How late everything is on slow wires, each way.
const SLOW: Duration = Duration::from_millis(100);
const BOTH: [Way; 2] = [Way::ToServer, Way::ToClient];

/// The servers of a run, and the wire to Kafka.
pub(super) struct World {
    pub(super) postgres: Postgres,
    kafka: (Kafka, Proxy),
}

/// What a campaign strikes beside relays.
struct Struckable<'a> {
    postgres: &'a mut Postgres,
    kafka: &'a mut Kafka,
    to_kafka: &'a Proxy,
    to_database: Proxy,
}

impl World {
    pub(super) async fn start() -> Self {
        let (postgres, kafka) = tokio::join!(Postgres::private(&[]), Kafka::proxied(&[]));
        Self { postgres, kafka }
    }

    /// Strikes one step of the protocol, on an outbox of its own.
    pub(super) async fn strike(&self, cell: Cell) -> Struck {
        let place = Place::make(&self.postgres, &self.kafka).await;
        let topic = place.topic().to_owned();
        let struck = place.strike(cell).await;
        self.kafka.0.delete_topic(&topic).await;
        struck
    }

    /// One campaign on an outbox of its own.
    pub(super) async fn campaign(&mut self, seed: u64, clock: &Clock) -> Conclusion {
        let (kafka, to_kafka) = &mut self.kafka;
        let outbox = Outbox::create_on(&self.postgres, kafka).await;
        let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
        let (to_database, url) = outbox.proxied().await;
        let mut dice = Dice::new(seed);
        let workload = Workload::start(outbox.url(), &dice);
        let through = [
            ("kafka.brokers", to_kafka.address()),
            ("database.url", url.as_str()),
        ];
        let mut fleet = Fleet::new(&outbox, &receiver, &through);
        let mut struck = Struckable {
            postgres: &mut self.postgres,
            kafka,
            to_kafka,
            to_database,
        };
        let acting = async {
            open(&mut fleet).await;
            for _ in 0..STEPS {
                step(&mut fleet, &mut dice).await;
                if dice.percent(STRIKES) {
                    struck.strike(&mut fleet, &mut dice).await;
                }
            }
        };
        tokio::select! {
            () = acting => {}
            () = tell(seed, clock, &workload, &receiver) => {}
        }
        let conclusion = conclude(workload, fleet, After::Mark).await;
        // A long run must not leave more and more to recover behind.
        drop(receiver);
        struck.kafka.delete_topic(&outbox.topic).await;
        conclusion
    }
}

/// The calm opening: all relays, and a clean stop of each. Whatever comes twice here, comes twice
/// for nothing.
async fn open(fleet: &mut Fleet<'_>) {
    for place in 0..RELAYS {
        fleet.start(place);
    }
    for place in 0..RELAYS {
        fleet.progress(300).await;
        fleet.terminate(place).await;
        fleet.start(place);
    }
    fleet.progress(300).await;
}

impl Struckable<'_> {
    /// Lets one server or wire fail and come back, and all that waited pass.
    async fn strike(&mut self, fleet: &mut Fleet<'_>, dice: &mut Dice) {
        let kind = Kind::STRIKES[dice.below(Kind::STRIKES.len())];
        let ways = &[&[Way::ToServer][..], &[Way::ToClient], &BOTH][dice.below(3)];
        // From about two seconds of silence to well beyond the leases.
        let rows = 500 + dice.below(2_000);
        fleet.begin(kind);
        match kind {
            Kind::StopPostgres => {
                self.postgres.stop_fast().await;
                self.postgres.start().await;
            }
            Kind::CrashPostgres => {
                self.postgres.stop_immediate().await;
                self.postgres.start().await;
            }
            Kind::StopKafka => {
                self.kafka.stop().await;
                self.kafka.start().await;
            }
            Kind::CrashKafka => {
                self.kafka.kill().await;
                self.kafka.start().await;
            }
            Kind::FreezeKafka => {
                self.kafka.freeze();
                fleet.backlog_grows(rows).await;
                self.kafka.thaw();
            }
            Kind::CutDatabase => self.to_database.cut(),
            Kind::CutKafka => self.to_kafka.cut(),
            Kind::SilenceDatabase => silence(&self.to_database, ways, fleet, rows).await,
            Kind::SilenceKafka => silence(self.to_kafka, ways, fleet, rows).await,
            Kind::SlowWires => {
                self.slow(SLOW);
                fleet.progress(rows).await;
                self.slow(Duration::ZERO);
            }
            Kind::Stop | Kind::LateStop | Kind::Kill | Kind::Freeze => {
                unreachable!("what strikes one relay is a step")
            }
        }
        fleet.over();
        // What comes twice for it has come before the next thing is done.
        fleet.settled().await;
    }

    fn slow(&self, delay: Duration) {
        self.to_database.delay(delay);
        self.to_kafka.delay(delay);
    }
}

/// Keeps back what comes on these ways until so many rows more wait, and then lets it pass.
async fn silence(proxy: &Proxy, ways: &[Way], fleet: &Fleet<'_>, rows: usize) {
    for way in ways {
        proxy.hold(*way);
    }
    fleet.backlog_grows(rows).await;
    proxy.release();
}

/// Says how far it is, for ever.
async fn tell(seed: u64, clock: &Clock, workload: &Workload, receiver: &Receiver) {
    let mut lines = interval(LINE_EVERY);
    loop {
        lines.tick().await;
        note(&format!(
            "SEED={seed}: {} committed, {} records so far; {clock}",
            workload.committed(),
            receiver.count()
        ));
    }
}
