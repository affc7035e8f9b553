//! Campaigns: relays come, go, crash and freeze at random under load; nothing is lost by it.
//!
//! Owns the schedule, which follows from a printed seed: `SEED=` has it again. The short campaigns
//! run with every test; `make soak` runs campaigns with faults of both servers until its time is
//! up.

use std::time::Duration;

use super::checker::{self, Delivered, History};
use super::dice::{Dice, seed_or};
use super::fleet::{Fleet, Loss, Slot};
use super::observe::{self, After};
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
    conclude(seed, workload, fleet, after).await;
}

/// Ends the writing, has one relay drain what is left, and judges.
pub(super) async fn conclude(seed: u64, workload: Workload, mut fleet: Fleet<'_>, after: After) {
    let ledger = workload.stop().await;
    fleet.drain(DRAIN_WITHIN).await;
    let windows_lost = fleet.losses.iter().map(|loss| loss.rows).collect();
    let (outbox, receiver) = (fleet.outbox, fleet.receiver);
    let history = observe::history(outbox, receiver, ledger, after, windows_lost).await;
    tell(seed, &history, &fleet.losses);
    checker::assert_conserved(&history);
}

/// Does one thing to one relay, and lets records pass.
pub(super) async fn step(fleet: &mut Fleet<'_>, dice: &mut Dice) {
    let place = dice.below(fleet.slots.len());
    match (&fleet.slots[place], dice.below(100)) {
        (Slot::Empty, _) => fleet.start(place),
        (Slot::Running { .. }, 0..35) => fleet.terminate(place).await,
        (Slot::Running { .. }, 35..70) => fleet.kill(place).await,
        (Slot::Running { .. }, _) => fleet.freeze(place),
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

/// Prints what a campaign came to: how many duplicates followed each loss.
#[expect(clippy::print_stderr, reason = "a campaign tells its seed")]
fn tell(seed: u64, history: &History, losses: &[Loss]) {
    let found = duplicates_after(&history.delivered, losses);
    let each = losses.iter().zip(found);
    let each: Vec<String> = each
        .map(|(loss, found)| format!("{} {found}", loss.what))
        .collect();
    eprintln!(
        "SEED={seed}: {} committed, {} rolled back, {} records, {} duplicates ({})",
        history.committed.len(),
        history.rolled_back.len(),
        history.delivered.len(),
        checker::duplicates(&history.delivered),
        each.join(", ")
    );
}

/// How many duplicates came after each loss and before the next.
fn duplicates_after(delivered: &[Delivered], losses: &[Loss]) -> Vec<usize> {
    let mut found = vec![0; losses.len()];
    let mut seen = std::collections::HashSet::new();
    for (place, record) in delivered.iter().enumerate() {
        if seen.insert(record.id) {
            continue;
        }
        let after = losses.iter().rposition(|loss| loss.records <= place);
        if let Some(loss) = after {
            found[loss] += 1;
        }
    }
    found
}
