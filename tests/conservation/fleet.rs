//! One to four relays on one outbox, and what is done to them.
//!
//! Owns the relays' processes and the list of what was done. Knows no schedule.
//!
//! Invariant: a frozen relay is thawed only when its lease has run out, so that every freeze is
//! one beyond the lease.

use std::time::Duration;

use tokio::time::Instant;

use super::incident::{Incident, Kind};
use super::site::note;
use crate::support::lanes::held;
use crate::support::{Outbox, Receiver, RelayProcess, eventually};

/// The most relays at once.
pub(super) const RELAYS: usize = 4;
/// Rows that a relay may have handed over and not yet marked: what a kill may duplicate.
pub(super) const WINDOW_ROWS: usize = 400;
/// Short leases, so that a run sees many of them end; a record's time-out, the margin and a renewal
/// fit in.
const SETTINGS: [(&str, &str); 5] = [
    ("lanes.lease_ttl_ms", "4000"),
    ("lanes.renew_ms", "500"),
    ("lanes.margin_ms", "500"),
    ("kafka.message_timeout_ms", "2000"),
    ("relay.window_rows", "400"),
];
/// A relay that can stop is gone within its grace of 9 s.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// A lease of 4 s has run out within this time on a busy machine.
const EXPIRED_WITHIN: Duration = Duration::from_mins(1);
/// Progress may have to wait for a lease to run out, and for a server to come back.
const PROGRESS_WITHIN: Duration = Duration::from_mins(2);

/// A place for a relay.
pub(super) enum Slot {
    Empty,
    Running { relay: RelayProcess, name: String },
    Frozen { relay: RelayProcess, name: String },
}

/// Relays on one outbox.
pub(super) struct Fleet<'a> {
    pub(super) outbox: &'a Outbox,
    pub(super) receiver: &'a Receiver,
    settings: Vec<(&'a str, &'a str)>,
    pub(super) slots: Vec<Slot>,
    pub(super) incidents: Vec<Incident>,
    /// The run's clock.
    pub(super) begun: Instant,
    started: usize,
}

impl<'a> Fleet<'a> {
    /// No relay yet; those to come have these settings beside the fleet's own.
    pub(super) fn new(
        outbox: &'a Outbox,
        receiver: &'a Receiver,
        settings: &[(&'a str, &'a str)],
    ) -> Self {
        Self {
            outbox,
            receiver,
            settings: [&SETTINGS[..], settings].concat(),
            slots: (0..RELAYS).map(|_| Slot::Empty).collect(),
            incidents: Vec::new(),
            begun: Instant::now(),
            started: 0,
        }
    }

    /// How many relays run.
    pub(super) fn running(&self) -> usize {
        let runs = |slot: &&Slot| matches!(slot, Slot::Running { .. });
        self.slots.iter().filter(runs).count()
    }

    /// Starts a relay in an empty place.
    pub(super) fn start(&mut self, place: usize) {
        self.started += 1;
        let name = format!("relay-{}", self.started);
        // The source tells the records of one relay from those of another.
        let named = [
            ("relay.name", name.as_str()),
            ("events.source", name.as_str()),
        ];
        let settings = [&self.settings[..], &named].concat();
        let relay = self.outbox.relay(&settings);
        self.slots[place] = Slot::Running { relay, name };
    }

    /// Stops a relay as an orchestrator does, and waits for its end.
    pub(super) async fn terminate(&mut self, place: usize) {
        if let Slot::Running { mut relay, name } = self.empty(place) {
            // Before it listens to signals, they end it as they end any process.
            relay.logs("relay started", STOP_WITHIN).await;
            self.begin_with(Kind::Stop, name).await;
            relay.terminate();
            assert_eq!(relay.wait_exit(STOP_WITHIN).await, 0, "a clean stop");
            let log = relay.stderr();
            if log.iter().any(|line| line.contains("grace ran out")) {
                self.last().kind = Kind::LateStop;
            }
            self.over();
        }
    }

    /// Ends a relay as a crash does.
    pub(super) async fn kill(&mut self, place: usize) {
        match self.empty(place) {
            Slot::Running { mut relay, name } => {
                self.begin_with(Kind::Kill, name).await;
                relay.kill();
                assert_eq!(relay.wait_exit(STOP_WITHIN).await, 137);
            }
            // Its window was counted when it was frozen.
            Slot::Frozen { relay, .. } => drop(relay),
            Slot::Empty => {}
        }
    }

    /// Stops a relay's clock.
    pub(super) async fn freeze(&mut self, place: usize) {
        if let Slot::Running { relay, name } = self.empty(place) {
            self.begin_with(Kind::Freeze, name.clone()).await;
            relay.freeze();
            self.slots[place] = Slot::Frozen { relay, name };
        }
    }

    /// Lets a frozen relay go on once all its leases have run out.
    pub(super) async fn thaw(&mut self, place: usize) {
        if let Slot::Frozen { relay, name } = self.empty(place) {
            self.expired(&name).await;
            self.back(&name);
            relay.thaw();
            self.slots[place] = Slot::Running { relay, name };
        }
    }

    /// Notes that something is done to all relays.
    pub(super) fn begin(&mut self, kind: Kind) {
        self.note(kind, None, Vec::new());
    }

    /// Notes that something is done to one relay.
    async fn begin_with(&mut self, kind: Kind, name: String) {
        let lanes = held(self.outbox).await.remove(&name).unwrap_or_default();
        self.note(kind, Some(name), lanes);
    }

    fn note(&mut self, kind: Kind, relay: Option<String>, lanes: Vec<i16>) {
        let whose = relay.as_deref().unwrap_or("all");
        note(&format!("{}: {whose}", kind.told()));
        self.incidents.push(Incident {
            kind,
            relay,
            lanes,
            records: self.receiver.count(),
            begun: self.begun.elapsed(),
            back: None,
            over: self.begun.elapsed(),
        });
    }

    /// Notes that the last thing that was done is over.
    pub(super) fn over(&mut self) {
        self.last().over = self.begun.elapsed();
    }

    /// Notes that a relay that was frozen is back.
    fn back(&mut self, name: &str) {
        let records = self.receiver.count();
        let mut incidents = self.incidents.iter_mut().rev();
        let freeze = incidents.find(|done| done.relay.as_deref() == Some(name));
        freeze.expect("it was frozen").back = Some(records);
    }

    fn last(&mut self) -> &mut Incident {
        let last = self.incidents.last_mut();
        last.expect("it is over once it has begun")
    }

    /// Waits until so many more records have been received.
    pub(super) async fn progress(&self, records: usize) {
        let wanted = self.receiver.count() + records;
        let what = format!("{records} more records");
        eventually(&what, PROGRESS_WITHIN, async || {
            let seen = self.receiver.count();
            (seen >= wanted)
                .then_some(())
                .ok_or(format!("{seen} of {wanted}"))
        })
        .await;
    }

    /// Waits until every number that was drawn so far is published, or never will be.
    pub(super) async fn settled(&self) {
        let drawn: i64 = sqlx::query_scalar("SELECT last_value FROM outbox_seq_seq")
            .fetch_one(&self.outbox.pool)
            .await
            .expect("the outbox answers");
        let waits = format!("published_at IS NULL AND seq <= {drawn}");
        eventually(
            "what was written is published",
            PROGRESS_WITHIN,
            async || {
                let waiting = self.outbox.count(&waits).await;
                (waiting == 0).then_some(()).ok_or(waiting)
            },
        )
        .await;
    }

    /// Waits until so many rows more wait for publication.
    pub(super) async fn backlog_grows(&self, rows: usize) {
        let waiting = async || self.outbox.count("published_at IS NULL").await;
        let wanted = waiting().await + i64::try_from(rows).expect("rows are few");
        let what = format!("a backlog of {wanted} rows");
        eventually(&what, PROGRESS_WITHIN, async || {
            let waiting = waiting().await;
            (waiting >= wanted).then_some(()).ok_or(waiting)
        })
        .await;
    }

    /// Ends every relay, has the backlog drained by one new relay alone, and stops that.
    pub(super) async fn drain(&mut self, within: Duration) {
        let before = self.incidents.len();
        for place in 0..self.slots.len() {
            if matches!(self.slots[place], Slot::Frozen { .. }) {
                self.kill(place).await;
            }
            self.terminate(place).await;
        }
        for stop in &mut self.incidents[before..] {
            // Nobody was there to take them over.
            stop.lanes.clear();
        }
        self.start(0);
        self.outbox.drained(within).await;
        self.terminate(0).await;
    }

    fn empty(&mut self, place: usize) -> Slot {
        std::mem::replace(&mut self.slots[place], Slot::Empty)
    }

    async fn expired(&self, name: &str) {
        eventually("the end of its leases", EXPIRED_WITHIN, async || {
            let left: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM outbox_relay_lanes WHERE owner = $1 AND expires_at > now()",
            )
            .bind(name)
            .fetch_one(&self.outbox.pool)
            .await
            .map_err(|error| error.to_string())?;
            (left == 0).then_some(()).ok_or(format!("{left} lanes"))
        })
        .await;
    }
}
