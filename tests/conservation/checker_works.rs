//! Proves that the judge finds what is planted, and nothing where nothing is.

use proptest::prelude::*;
use uuid::Uuid;

use super::checker::{Delivered, Fault, History, Shown, Written, judge};

fn id(seq: i64) -> Uuid {
    Uuid::from_u128(u128::from(seq.unsigned_abs()))
}

/// A history of these aggregates' events, numbered from 1, each delivered once and marked.
fn clean(aggregates: &[usize]) -> History {
    let mut history = History::default();
    for (seq, aggregate) in (1..).zip(aggregates) {
        let aggregate = format!("a{aggregate}");
        history.committed.push(Written {
            seq,
            id: id(seq),
            aggregate: aggregate.clone(),
        });
        history.delivered.push(Delivered {
            id: id(seq),
            aggregate,
        });
        history.shown.insert(id(seq), Shown::Marked);
    }
    history
}

/// Three aggregates, whose turns come again and again.
fn sample() -> History {
    clean(&[0, 1, 2, 0, 1, 2, 0, 1, 2])
}

fn without(history: &mut History, seq: i64) {
    history.delivered.retain(|record| record.id != id(seq));
}

#[test]
fn a_clean_history_passes() {
    assert_eq!(judge(&sample()), []);
    assert_eq!(judge(&History::default()), []);
}

#[test]
fn a_loss_is_found() {
    let mut history = sample();
    without(&mut history, 5);
    history.shown.insert(id(5), Shown::Waiting);
    assert_eq!(
        judge(&history),
        [Fault::Lost { seq: 5 }, Fault::Unmarked { seq: 5 }]
    );
}

#[test]
fn a_false_mark_is_found_beside_the_loss() {
    let mut history = sample();
    without(&mut history, 5);
    assert_eq!(
        judge(&history),
        [Fault::Lost { seq: 5 }, Fault::FalselyMarked { seq: 5 }]
    );
}

#[test]
fn a_swap_within_an_aggregate_is_found() {
    let mut history = sample();
    history.delivered.swap(1, 4);
    assert_eq!(
        judge(&history),
        [Fault::Overtaken {
            aggregate: "a1".to_owned(),
            seq: 2,
            by: 5
        }]
    );
}

#[test]
fn a_swap_between_aggregates_is_none() {
    let mut history = sample();
    history.delivered.swap(1, 2);
    assert_eq!(judge(&history), []);
}

#[test]
fn an_event_that_overtook_is_found_though_it_was_delivered_again_in_its_place() {
    let mut history = sample();
    let early = history.delivered[4].clone();
    history.delivered.insert(0, early);
    history.windows_lost.push(1);
    assert_eq!(judge(&history).len(), 1, "the first delivery counts");
}

#[test]
fn a_duplicate_is_found_and_a_lost_window_explains_it() {
    let mut history = sample();
    history.delivered.push(history.delivered[8].clone());
    history.delivered.push(history.delivered[0].clone());
    let found = |allowed| Fault::Duplicates { found: 2, allowed };
    assert_eq!(judge(&history), [found(0)]);
    history.windows_lost.push(1);
    assert_eq!(judge(&history), [found(1)]);
    history.windows_lost.push(1);
    assert_eq!(judge(&history), []);
}

#[test]
fn a_phantom_is_found_whether_it_was_rolled_back_or_never_written() {
    for rolled_back in [true, false] {
        let mut history = sample();
        history.delivered.push(Delivered {
            id: id(99),
            aggregate: "a0".to_owned(),
        });
        if rolled_back {
            history.rolled_back.insert(id(99));
        }
        let id = id(99);
        assert_eq!(judge(&history), [Fault::Phantom { id, rolled_back }]);
    }
}

#[test]
fn a_wrong_key_a_forgotten_mark_and_a_needless_death_are_found() {
    let mut history = sample();
    history.delivered[0].aggregate = "a9".to_owned();
    history.shown.insert(id(2), Shown::Waiting);
    history.shown.remove(&id(3));
    history.shown.insert(id(4), Shown::Dead);
    assert_eq!(
        judge(&history),
        [
            Fault::WrongKey { seq: 1 },
            Fault::Unmarked { seq: 2 },
            Fault::Unmarked { seq: 3 },
            Fault::Dead { seq: 4 }
        ]
    );
}

/// Moves records to random places, but for those of one aggregate among each other.
fn interleave(history: &mut History, ranks: &[u16]) {
    let mut latest = std::collections::HashMap::new();
    let mut ranked: Vec<(u32, Delivered)> = Vec::new();
    for (record, rank) in history.delivered.drain(..).zip(ranks) {
        let rank_so_far = latest.entry(record.aggregate.clone()).or_insert(0_u32);
        *rank_so_far += u32::from(*rank);
        ranked.push((*rank_so_far, record));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    history.delivered = ranked.into_iter().map(|(_, record)| record).collect();
}

proptest! {
    #[test]
    fn a_benign_history_passes(
        events in proptest::collection::vec((0..9_usize, any::<u16>(), any::<u16>()), 1..200),
        lost_window in 0..40_usize,
        rolled_back in 0..20_u128,
    ) {
        let aggregates: Vec<usize> = events.iter().map(|event| event.0).collect();
        let ranks: Vec<u16> = events.iter().map(|event| event.1).collect();
        let mut history = clean(&aggregates);
        history.rolled_back = (0..rolled_back).map(|n| Uuid::from_u128(n + (1 << 90))).collect();
        interleave(&mut history, &ranks);
        history.windows_lost.push(lost_window);
        for again in events.iter().map(|event| usize::from(event.2)).take(lost_window) {
            let first = again % history.delivered.len();
            let copy = history.delivered[first].clone();
            let place = first + 1 + again % (history.delivered.len() - first);
            history.delivered.insert(place, copy);
        }
        prop_assert_eq!(judge(&history), []);
    }
}
