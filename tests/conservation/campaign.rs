//! Campaigns: relays come, go, crash and freeze at random under load; nothing is lost by it.
//!
//! Owns the schedule, which follows from a printed seed: `SEED=` has it again. The short campaigns
//! run with every test; `make chaos` runs long ones, in which servers and wires fail too.

use std::time::Duration;

use super::checker::{self, History};
use super::dice::{Dice, seed_or};
use super::fleet::{Fleet, Slot};
use super::observe::{self, After};
use super::site::note;
use super::toll::{self, Toll};
use super::workload::Workload;
use crate::support::{Kafka, Outbox, Receiver};

/// What is done in a short campaign.
const STEPS: usize = 12;
/// How long one relay may take to drain what is left.
const DRAIN_WITHIN: Duration = Duration::from_mins(2);

#[tokio::test]
async fn relays_may_stop_crash_and_freeze_and_all_is_conserved_first_seed() {
    short_campaign(seed_or(1), After::Mark).await;
}

#[tokio::test]
async fn relays_may_stop_crash_and_freeze_and_all_is_conserved_second_seed() {
    short_campaign(seed_or(2), After::Mark).await;
}

#[tokio::test]
async fn what_is_deleted_once_published_is_conserved_all_the_same() {
    short_campaign(seed_or(3), After::Delete).await;
}

async fn short_campaign(seed: u64, after: After) {
    let settings: &[_] = match after {
        After::Mark => &[],
        After::Delete => &[("relay.after_publish", "delete")],
    };
    let outbox = Outbox::create().await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let mut dice = Dice::new(seed);
    let workload = Workload::start(outbox.url(), &dice);
    let mut fleet = Fleet::new(&outbox, &receiver, settings);
    for _ in 0..STEPS {
        step(&mut fleet, &mut dice).await;
    }
    let conclusion = conclude(workload, fleet, after).await;
    tell(seed, &conclusion);
    checker::assert_conserved(&conclusion.history);
    assert_eq!(conclusion.unexplained, 0, "duplicates without a cause");
}

/// What a campaign has come to.
pub(super) struct Conclusion {
    pub(super) history: History,
    pub(super) tolls: Vec<Toll>,
    /// Duplicates that nothing that was done explains.
    pub(super) unexplained: usize,
}

/// Ends the writing, has one relay drain what is left, and gathers what is to be judged.
pub(super) async fn conclude(workload: Workload, mut fleet: Fleet<'_>, after: After) -> Conclusion {
    let ledger = workload.stop().await;
    fleet.drain(DRAIN_WITHIN).await;
    let bounds = fleet.incidents.iter().map(|done| done.kind.bound_rows());
    let (outbox, receiver) = (fleet.outbox, fleet.receiver);
    let history = observe::history(outbox, receiver, ledger, after, bounds.collect()).await;
    let arrivals = observe::arrivals(outbox, receiver, fleet.begun).await;
    let (tolls, unexplained) = toll::tolls(&arrivals, &fleet.incidents);
    Conclusion {
        history,
        tolls,
        unexplained,
    }
}

/// Does one thing to one relay, and lets records pass.
pub(super) async fn step(fleet: &mut Fleet<'_>, dice: &mut Dice) {
    let place = dice.below(fleet.slots.len());
    match (&fleet.slots[place], dice.below(100)) {
        (Slot::Empty, _) => fleet.start(place),
        (Slot::Running { .. }, 0..35) => fleet.terminate(place).await,
        (Slot::Running { .. }, 35..70) => fleet.kill(place).await,
        (Slot::Running { .. }, _) => fleet.freeze(place).await,
        (Slot::Frozen { .. }, 0..80) => fleet.thaw(place).await,
        (Slot::Frozen { .. }, _) => fleet.kill(place).await,
    }
    let records = 200 + dice.below(1_000);
    if fleet.running() == 0 {
        let empty = fleet
            .slots
            .iter()
            .position(|slot| matches!(slot, Slot::Empty));
        match empty {
            Some(place) => fleet.start(place),
            None => fleet.thaw(place).await,
        }
    }
    fleet.progress(records).await;
}

/// Prints what a campaign came to: what each thing that was done has cost.
pub(super) fn tell(seed: u64, conclusion: &Conclusion) {
    let history = &conclusion.history;
    let each = conclusion.tolls.iter().map(|toll| {
        let recovery_ms = toll.recovery.map(|time| time.as_millis());
        format!("{} {} {recovery_ms:?} ms", toll.what, toll.duplicates)
    });
    note(&format!(
        "SEED={seed}: {} committed, {} rolled back, {} records, {} duplicates ({}), {} unexplained",
        history.committed.len(),
        history.rolled_back.len(),
        history.delivered.len(),
        checker::duplicates(&history.delivered),
        each.collect::<Vec<_>>().join(", "),
        conclusion.unexplained,
    ));
}
