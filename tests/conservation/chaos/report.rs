//! The report of a run: what was done, what it came to, and how to have it again.
//!
//! Owns the sums. Pure: knows no server and no clock; `page` writes it down.

use std::time::Duration;

use crate::conservation::checker::{self, Fault, History};
use crate::conservation::faults::steps::Cell;
use crate::conservation::toll::Toll;

/// What was found wrong, by what it breaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) losses: usize,
    pub(super) inversions: usize,
    pub(super) phantoms: usize,
    pub(super) false_marks: usize,
    pub(super) other: usize,
}

impl Wrong {
    fn count(faults: &[Fault]) -> Self {
        let mut wrong = Self::default();
        for fault in faults {
            *match fault {
                Fault::Lost { .. } => &mut wrong.losses,
                Fault::Overtaken { .. } => &mut wrong.inversions,
                Fault::Phantom { .. } => &mut wrong.phantoms,
                Fault::FalselyMarked { .. } => &mut wrong.false_marks,
                Fault::Duplicates { .. }
                | Fault::WrongKey { .. }
                | Fault::Unmarked { .. }
                | Fault::Dead { .. } => &mut wrong.other,
            } += 1;
        }
        wrong
    }

    fn add(&mut self, other: Self) {
        self.losses += other.losses;
        self.inversions += other.inversions;
        self.phantoms += other.phantoms;
        self.false_marks += other.false_marks;
        self.other += other.other;
    }
}

/// What a part of the run wrote, published, and cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    pub(super) committed: usize,
    pub(super) rolled_back: usize,
    pub(super) records: usize,
    pub(super) duplicates: usize,
    pub(super) wrong: Wrong,
    pub(super) tolls: Vec<Toll>,
}

impl Sums {
    pub(super) fn of(history: &History, tolls: Vec<Toll>) -> Self {
        Self {
            committed: history.committed.len(),
            rolled_back: history.rolled_back.len(),
            records: history.delivered.len(),
            duplicates: checker::duplicates(&history.delivered),
            wrong: Wrong::count(&checker::judge(history)),
            tolls,
        }
    }

    fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.rolled_back += other.rolled_back;
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.wrong.add(other.wrong);
        self.tolls.extend_from_slice(&other.tolls);
    }

    /// What must not be, in words: what the judge found, costs beyond their bounds, and
    /// duplicates that nothing explains.
    pub(super) fn failure(&self, faults: &[Fault], unexplained: usize) -> Option<String> {
        const SHOWN: usize = 20;
        let mut found: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let beyond = self.tolls.iter().filter(|t| t.duplicates > t.bound_rows);
        found.extend(beyond.map(|toll| {
            let Toll {
                what,
                bound_rows,
                duplicates,
                ..
            } = toll;
            format!("{what}: {duplicates} duplicates, {bound_rows} allowed")
        }));
        if unexplained > 0 {
            found.push(format!("{unexplained} duplicates without a cause"));
        }
        let count = found.len();
        found.truncate(SHOWN);
        (count > 0).then(|| format!("{count} faults:\n{}", found.join("\n")))
    }
}

/// One campaign.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    pub(super) seed: u64,
    pub(super) took: Duration,
    pub(super) sums: Sums,
}

/// All of a run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// On what it was made, each fact with its name.
    pub(super) facts: Vec<(&'static str, String)>,
    /// How long it was to take, in minutes, and how long it took.
    pub(super) minutes: u64,
    pub(super) took: Duration,
    pub(super) first_seed: u64,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) struck: Vec<(Cell, Sums)>,
    /// Where it ended, and with what, if that is not the end of its time.
    pub(super) failure: Option<String>,
}

impl Report {
    /// The sums of everything.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        let campaigns = self.campaigns.iter().map(|campaign| &campaign.sums);
        for part in campaigns.chain(self.struck.iter().map(|(_, sums)| sums)) {
            sums.add(part);
        }
        sums
    }

    /// What steps were struck so far, this one among them, and the most duplicates of it.
    pub(super) fn of_cell(&self, cell: Cell) -> (usize, usize) {
        let struck = self.struck.iter().filter(|(other, _)| *other == cell);
        let duplicates: Vec<usize> = struck.map(|(_, sums)| sums.duplicates).collect();
        let most = duplicates.iter().copied().max();
        (duplicates.len(), most.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const FAULTS: [Fault; 5] = [
        Fault::Lost { seq: 1 },
        Fault::Lost { seq: 2 },
        Fault::FalselyMarked { seq: 2 },
        Fault::Phantom {
            id: Uuid::nil(),
            rolled_back: true,
        },
        Fault::Dead { seq: 4 },
    ];

    fn toll(duplicates: usize) -> Toll {
        Toll {
            what: "relay killed",
            bound_rows: 10,
            duplicates,
            recovery: None,
            is_alone: true,
        }
    }

    fn sums(committed: usize, duplicates: usize) -> Sums {
        Sums {
            committed,
            duplicates,
            wrong: Wrong::count(&FAULTS),
            tolls: vec![toll(duplicates)],
            ..Sums::default()
        }
    }

    #[test]
    fn faults_are_counted_by_what_they_break() {
        let expected = Wrong {
            losses: 2,
            inversions: 0,
            phantoms: 1,
            false_marks: 1,
            other: 1,
        };
        assert_eq!(Wrong::count(&FAULTS), expected);
    }

    #[test]
    fn what_is_wrong_is_told_and_nothing_where_nothing_is() {
        assert_eq!(sums(1, 10).failure(&[], 0), None);
        let told = |duplicates, faults: &[Fault], unexplained| {
            let failure = sums(1, duplicates).failure(faults, unexplained);
            failure.expect("something is wrong")
        };
        assert!(told(10, &FAULTS, 0).starts_with("5 faults:\n1 is not in Kafka\n"));
        assert!(told(11, &[], 0).contains("relay killed: 11 duplicates, 10 allowed"));
        assert!(told(0, &[], 2).contains("2 duplicates without a cause"));
    }

    #[test]
    fn campaigns_and_steps_add_up() {
        let cell = Cell::all()[7];
        let mut report = Report::default();
        for (seed, committed) in [(1, 30), (2, 12)] {
            let (took, sums) = (Duration::ZERO, sums(committed, 3));
            report.campaigns.push(Campaign { seed, took, sums });
        }
        report.struck = vec![(cell, sums(5, 4)), (cell, sums(5, 9))];
        let all = report.sums();
        assert_eq!((all.committed, all.duplicates), (52, 19));
        assert_eq!((all.wrong.losses, all.tolls.len()), (8, 4));
        assert_eq!(report.of_cell(cell), (2, 9));
        assert_eq!(report.of_cell(Cell::all()[8]), (0, 0));
    }
}
