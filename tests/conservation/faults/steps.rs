//! Each step of the protocol is struck, before it takes effect and after, before the relay knows:
//! the wire loses it, the wire stalls for a while, or the relay is killed there.
//!
//! The proxies recognise a step by its statement, or by the event that it carries.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::conservation::checker::{self, History};
use crate::conservation::dice::{Dice, seed_or};
use crate::conservation::observe::{self, After};
use crate::conservation::site::note;
use crate::conservation::toll::{self, Toll};
use crate::conservation::workload::Ledger;
use crate::support::lanes::named_relay;
use crate::support::{
    Deed, Kafka, Outbox, Postgres, Proxy, Receiver, RelayProcess, SOON, eventually, throughout,
};

/// A stall: longer than a statement's time-out and a record's, shorter than a lease.
const STALL: Duration = Duration::from_secs(3);
/// How many of all cells are tried each time.
const SAMPLE: usize = 12;
const WINDOW_ROWS: usize = 300;
/// The relay that is struck.
const STRUCK: &str = "struck";
const SETTINGS: [(&str, &str); 2] = [
    ("relay.window_rows", "300"),
    ("database.statement_timeout_ms", "1500"),
];

/// Where a step crosses a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conservation) enum Step {
    Claim,
    Renew,
    Poll,
    HandOver,
    Mark,
    Bury,
    Release,
}

impl Step {
    pub(in crate::conservation) const ALL: [Self; 7] = [
        Self::Claim,
        Self::Renew,
        Self::Poll,
        Self::HandOver,
        Self::Mark,
        Self::Bury,
        Self::Release,
    ];

    /// Its name in a report.
    pub(in crate::conservation) fn told(self) -> &'static str {
        match self {
            Self::Claim => "claiming lanes",
            Self::Renew => "renewing leases",
            Self::Poll => "reading a page",
            Self::HandOver => "handing a record over",
            Self::Mark => "marking what was published",
            Self::Bury => "writing an event off as dead",
            Self::Release => "giving lanes back",
        }
    }

    /// The statement's name; it is sent once, and what is executed follows it.
    fn statement(self) -> Option<&'static str> {
        match self {
            Self::Claim => Some("/* claim */"),
            Self::Renew => Some("/* renew */"),
            Self::Poll => Some("/* read_page */"),
            Self::Mark => Some("/* mark */"),
            Self::Bury => Some("/* bury */"),
            Self::Release => Some("/* release */"),
            Self::HandOver => None,
        }
    }
}

/// What is done there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conservation) enum Blow {
    Error,
    Stall,
    Kill,
}

/// One step, struck in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conservation) struct Cell {
    pub(in crate::conservation) step: Step,
    /// Before it takes effect, or after.
    pub(in crate::conservation) before: bool,
    pub(in crate::conservation) blow: Blow,
}

impl Cell {
    /// What is done to steps, by the names that [`told`](Self::told) gives.
    pub(in crate::conservation) const TOLD: [&str; 4] = [
        "step: its wire broke",
        "step: its wire stalled",
        "hand-over: its wire stalled",
        "step: its relay was killed",
    ];

    pub(in crate::conservation) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for step in Step::ALL {
            for before in [true, false] {
                let cell = |blow| Self { step, before, blow };
                all.extend([Blow::Error, Blow::Stall, Blow::Kill].map(cell));
            }
        }
        all
    }

    fn deed(self) -> Deed {
        match (self.blow, self.before) {
            (Blow::Error, true) => Deed::LoseRequest,
            (Blow::Error, false) => Deed::LoseAnswer,
            (Blow::Stall | Blow::Kill, true) => Deed::HoldRequest,
            (Blow::Stall | Blow::Kill, false) => Deed::HoldAnswer,
        }
    }

    /// What is done to which steps, in a report.
    fn told(self) -> &'static str {
        let [broke, stalled, stalled_hand_over, killed] = Self::TOLD;
        match (self.blow, self.step) {
            (Blow::Error, _) => broke,
            (Blow::Stall, Step::HandOver) => stalled_hand_over,
            (Blow::Stall, _) => stalled,
            (Blow::Kill, _) => killed,
        }
    }

    /// Rows that may be delivered twice. A wire that breaks costs nothing; a record that stalls
    /// beyond its time-out is sent again, and may arrive all the same.
    fn bound_rows(self) -> usize {
        match (self.blow, self.step) {
            (Blow::Kill, _) | (Blow::Stall, Step::HandOver) => WINDOW_ROWS,
            (Blow::Error | Blow::Stall, _) => 0,
        }
    }
}

/// What striking a step has come to.
pub(in crate::conservation) struct Struck {
    pub(in crate::conservation) history: History,
    pub(in crate::conservation) toll: Toll,
}

/// An outbox with a proxy before its database, on a broker with a proxy of its own.
pub(in crate::conservation) struct Place<'a> {
    begun: Instant,
    kafka: &'a Kafka,
    to_kafka: &'a Proxy,
    to_database: Proxy,
    url: String,
    outbox: Outbox,
    receiver: Receiver,
}

impl<'a> Place<'a> {
    pub(in crate::conservation) async fn make(
        postgres: &Postgres,
        (kafka, to_kafka): &'a (Kafka, Proxy),
    ) -> Self {
        let outbox = Outbox::create_on(postgres, kafka).await;
        let (to_database, url) = outbox.proxied().await;
        let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
        Self {
            begun: Instant::now(),
            kafka,
            to_kafka,
            to_database,
            url,
            outbox,
            receiver,
        }
    }

    /// Where its events go.
    pub(in crate::conservation) fn topic(&self) -> &str {
        &self.outbox.topic
    }

    fn relay(&self, name: &str) -> RelayProcess {
        let through = [
            ("kafka.brokers", self.to_kafka.address()),
            ("database.url", &self.url),
        ];
        named_relay(&self.outbox, name, &[&SETTINGS[..], &through].concat())
    }

    /// A relay whose broker is reached past the proxy, and its database too.
    fn heir(&self) -> RelayProcess {
        let past = [("kafka.brokers", self.kafka.brokers())];
        named_relay(&self.outbox, "heir", &[&SETTINGS[..], &past].concat())
    }

    /// Writes the event whose way is watched, and others beside it.
    async fn write(&self, step: Step) -> Uuid {
        let (id, doomed) = (Uuid::new_v4(), step == Step::Bury);
        self.outbox.write_many(200, 40).await;
        sqlx::query(
            "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, topic)
             VALUES ($1, 'order', $2, 'OrderPlaced', $3)",
        )
        .bind(id)
        .bind(if doomed { "doomed" } else { "7" })
        .bind(doomed.then_some("no topic"))
        .execute(&self.outbox.pool)
        .await
        .expect("an event is written");
        id
    }

    /// Sets the trap; returns its proxy and how many had been sprung there before.
    fn lay(&self, cell: Cell, id: Uuid) -> (&Proxy, usize) {
        let proxy = match cell.step.statement() {
            Some(_) => &self.to_database,
            None => self.to_kafka,
        };
        let before = proxy.sprung();
        match cell.step.statement() {
            Some(name) => proxy.trap(name.as_bytes(), 1, cell.deed()),
            None => proxy.trap(id.to_string().as_bytes(), 0, cell.deed()),
        }
        (proxy, before)
    }

    pub(in crate::conservation) async fn strike(self, cell: Cell) -> Struck {
        let id = self.write(cell.step).await;
        let (proxy, before) = self.lay(cell, id);
        let mut relay = self.relay(STRUCK);
        if cell.step == Step::Release {
            self.outbox.drained(SOON).await;
            relay.terminate();
        }
        eventually(&format!("{cell:?} is struck"), SOON, async || {
            (proxy.sprung() > before).then_some(())
        })
        .await;
        match cell.blow {
            Blow::Error => {}
            Blow::Stall => throughout("it stalls", STALL, async || Ok(())).await,
            Blow::Kill => relay.kill(),
        }
        proxy.release();
        let over = self.begun.elapsed();
        let ends = cell.blow == Blow::Kill || cell.step == Step::Release;
        let _heir = ends.then(|| self.heir());
        self.outbox.write_many(100, 40).await;
        self.outbox.drained(SOON).await;
        if ends {
            relay.wait_exit(SOON).await;
        }
        self.gather(cell, over).await
    }

    async fn gather(self, cell: Cell, over: Duration) -> Struck {
        let dead = self.outbox.count("dead_at IS NOT NULL").await;
        assert_eq!(dead, i64::from(cell.step == Step::Bury), "{cell:?}");
        let mut ledger = Ledger::default();
        ledger.add_bulk(&self.outbox.pool).await;
        let (after, windows) = (After::Mark, vec![cell.bound_rows()]);
        let history = observe::history(&self.outbox, &self.receiver, ledger, after, windows).await;
        let arrivals = observe::arrivals(&self.outbox, &self.receiver, self.begun).await;
        // What the one that was killed had sent may come later.
        let but_for = (cell.blow == Blow::Kill).then_some(STRUCK);
        let toll = Toll {
            what: cell.told(),
            bound_rows: cell.bound_rows(),
            duplicates: checker::duplicates(&history.delivered),
            recovery: toll::flows_again(&arrivals, over, but_for),
            is_alone: true,
        };
        note(&format!("{cell:?}: {toll:?}"));
        Struck { history, toll }
    }
}

#[tokio::test]
async fn a_step_that_is_struck_loses_and_reorders_nothing() {
    let mut dice = Dice::new(seed_or(8));
    let mut cells = Cell::all();
    while cells.len() > SAMPLE {
        cells.swap_remove(dice.below(cells.len()));
    }
    let (postgres, site) = (Postgres::shared().await, Kafka::proxied(&[]).await);
    for cell in cells {
        note(&format!("{cell:?}"));
        let struck = Place::make(postgres, &site).await.strike(cell).await;
        checker::assert_conserved(&struck.history);
    }
}
