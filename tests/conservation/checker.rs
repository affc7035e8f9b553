//! The judge: compares what writers committed with what Kafka holds and what the outbox shows.
//!
//! Owns the faults that a history can have. Pure: knows no server, no clock and no relay.
//!
//! Invariant: what is not told to it as committed must not be in Kafka.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use uuid::Uuid;

/// One event as its writer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) seq: i64,
    pub(super) id: Uuid,
    pub(super) aggregate: String,
}

/// One record as Kafka holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) id: Uuid,
    /// The aggregate that its record key names.
    pub(super) aggregate: String,
}

/// What the outbox shows of a row in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Published; where published rows are deleted, a committed row that is gone is one.
    Marked,
    Waiting,
    Dead,
}

/// All that is known of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    pub(super) committed: Vec<Written>,
    /// Events whose transaction was rolled back; they make a fault's text better, no more.
    pub(super) rolled_back: HashSet<Uuid>,
    /// What Kafka holds; records of one partition by their offsets.
    pub(super) delivered: Vec<Delivered>,
    /// What became of the rows.
    pub(super) shown: HashMap<Uuid, Shown>,
    /// The window of each relay that was killed, or that was frozen beyond its lease, in rows.
    pub(super) windows_lost: Vec<usize>,
}

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Committed, and not in Kafka.
    Lost { seq: i64 },
    /// A first delivery that came after that of a later event of its aggregate.
    Overtaken {
        aggregate: String,
        seq: i64,
        by: i64,
    },
    /// More duplicates than the windows that were lost can explain.
    Duplicates { found: usize, allowed: usize },
    /// In Kafka, though its transaction was rolled back, or nobody wrote it.
    Phantom { id: Uuid, rolled_back: bool },
    /// Under another aggregate's key.
    WrongKey { seq: i64 },
    /// Marked, and not in Kafka.
    FalselyMarked { seq: i64 },
    /// Still waiting when the run was over.
    Unmarked { seq: i64 },
    /// Declared dead, though nothing was wrong with it.
    Dead { seq: i64 },
}

/// Everything that is wrong with a history; nothing, if all was conserved.
pub(super) fn judge(history: &History) -> Vec<Fault> {
    let mut faults = foreign(history);
    faults.extend(missing(history));
    faults.extend(overtaken(history));
    faults.extend(repeated(history));
    faults.sort_unstable();
    faults
}

/// How many records Kafka holds beyond one for each event.
pub(super) fn duplicates(delivered: &[Delivered]) -> usize {
    let distinct: HashSet<Uuid> = delivered.iter().map(|record| record.id).collect();
    delivered.len() - distinct.len()
}

/// Records that should not be there, or not so.
fn foreign(history: &History) -> Vec<Fault> {
    let written: HashMap<Uuid, &Written> = by_id(history);
    let mut faults = Vec::new();
    for Delivered { id, aggregate } in &history.delivered {
        match written.get(id) {
            None => faults.push(Fault::Phantom {
                id: *id,
                rolled_back: history.rolled_back.contains(id),
            }),
            Some(event) if event.aggregate != *aggregate => {
                faults.push(Fault::WrongKey { seq: event.seq });
            }
            Some(_) => {}
        }
    }
    faults
}

/// Events that did not arrive, and marks that say what is not so.
fn missing(history: &History) -> Vec<Fault> {
    let held: HashSet<Uuid> = history.delivered.iter().map(|record| record.id).collect();
    let mut faults = Vec::new();
    for &Written { seq, id, .. } in &history.committed {
        let is_held = held.contains(&id);
        if !is_held {
            faults.push(Fault::Lost { seq });
        }
        match history.shown.get(&id) {
            Some(Shown::Marked) if !is_held => faults.push(Fault::FalselyMarked { seq }),
            Some(Shown::Marked) => {}
            Some(Shown::Dead) => faults.push(Fault::Dead { seq }),
            Some(Shown::Waiting) | None => faults.push(Fault::Unmarked { seq }),
        }
    }
    faults
}

/// First deliveries of an aggregate that did not come by rising `seq`.
fn overtaken(history: &History) -> Vec<Fault> {
    let written = by_id(history);
    let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut faults = Vec::new();
    for record in &history.delivered {
        let Some(event) = written.get(&record.id) else {
            continue;
        };
        if !seen.insert(record.id) {
            continue;
        }
        let by = highest.entry(&event.aggregate).or_insert(event.seq);
        if *by > event.seq {
            faults.push(Fault::Overtaken {
                aggregate: event.aggregate.clone(),
                seq: event.seq,
                by: *by,
            });
        }
        *by = event.seq.max(*by);
    }
    faults
}

fn repeated(history: &History) -> Option<Fault> {
    let found = duplicates(&history.delivered);
    let allowed = history.windows_lost.iter().sum();
    (found > allowed).then_some(Fault::Duplicates { found, allowed })
}

fn by_id(history: &History) -> HashMap<Uuid, &Written> {
    let pairs = history.committed.iter().map(|event| (event.id, event));
    pairs.collect()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { seq } => write!(f, "{seq} is not in Kafka"),
            Self::Overtaken { aggregate, seq, by } => {
                write!(f, "{seq} of {aggregate} came after {by}")
            }
            Self::Duplicates { found, allowed } => {
                write!(f, "{found} duplicates, {allowed} explained")
            }
            Self::Phantom { id, rolled_back } => {
                write!(f, "{id} was never committed (rolled back: {rolled_back})")
            }
            Self::WrongKey { seq } => write!(f, "{seq} has another aggregate's key"),
            Self::FalselyMarked { seq } => write!(f, "{seq} is marked and not in Kafka"),
            Self::Unmarked { seq } => write!(f, "{seq} is not marked"),
            Self::Dead { seq } => write!(f, "{seq} is dead"),
        }
    }
}

/// Panics with the faults of a history, if it has any.
pub(super) fn assert_conserved(history: &History) {
    const SHOWN: usize = 20;
    let faults = judge(history);
    let shown: Vec<String> = faults.iter().take(SHOWN).map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} faults among {} events and {} records:\n{}",
        faults.len(),
        history.committed.len(),
        history.delivered.len(),
        shown.join("\n")
    );
}
