//! What happens in the model between reading and marking: flights, reports, marks and faults.

use super::world::{LANES, Marking, RowState, World, failure, topic_of};
use crate::decide::window::*;
use crate::outcome::{Class, Receipt};

impl World {
    pub(super) fn hand_over(&mut self) {
        while let Some(flight) = self.window.next(self.now_ms) {
            assert!(self.held.contains(&flight.lane), "only held lanes fly");
            let (at, alone) = (flight.at, flight.alone);
            assert!(!self.confirmed.contains(&at), "what is confirmed stays so");
            if alone {
                self.flew_alone.insert(at);
            }
            let broken = self.broken.contains(&self.row(at).key);
            assert!(
                self.order == Order::None || !broken,
                "nothing flies between a failure and the last report"
            );
            self.flying.push(at);
        }
    }

    pub(super) fn report(&mut self) {
        while !self.flying.is_empty() && !self.dice.one_in(4) {
            let choices = u64::try_from(self.flying.len()).expect("flights are few");
            let pick = usize::try_from(self.dice.roll(choices)).expect("flights are few");
            let at = self.flying.swap_remove(pick);
            let poison = self.row(at).poison;
            let away = self.away && topic_of(self.row(at).key) == "away";
            let fails = away || self.faults && self.dice.one_in(5);
            let written = !poison && !away && (!fails || self.dice.one_in(2));
            if written {
                self.log.push(at);
            }
            let report = match (poison, fails) {
                (true, _) => Err(failure(Class::Record)),
                (_, true) => Err(failure(Class::Transient)),
                _ => Ok(Receipt::from_delivery_report(0, 0)),
            };
            let key = self.row(at).key;
            let flies = self.flying.iter().any(|&other| self.row(other).key == key);
            if !flies {
                self.broken.remove(&key);
            } else if report.is_err() {
                self.broken.insert(key);
            }
            if report.is_ok() {
                self.confirmed.insert(at);
            }
            self.window.report(at, report, self.now_ms);
        }
    }

    /// Moves the marking session a step on: asked, executed, delivered (or its answer lost).
    pub(super) fn mark(&mut self) {
        self.marking = match self.marking.take() {
            None => {
                let batch = self.window.take_marks(0, 5).map(<[EventRef]>::to_vec);
                batch.map(Marking::Asked)
            }
            Some(Marking::Asked(batch)) => {
                for at in batch {
                    assert!(self.log.contains(&at), "only what Kafka holds is marked");
                    let row = self.row_mut(at);
                    if row.state == RowState::Waiting {
                        row.state = RowState::Published { durable: false };
                    }
                }
                let lost = self.faults && self.dice.one_in(6);
                Some(if lost {
                    Marking::AnswerLost
                } else {
                    Marking::Done
                })
            }
            Some(Marking::AnswerLost) => {
                self.window.mark_failed(0);
                None
            }
            Some(Marking::Done) => {
                self.window.marked(0, self.now_ms);
                None
            }
        };
    }

    pub(super) fn bury(&mut self) {
        for burial in self.window.take_burials() {
            assert!(self.row(burial.at).poison, "only the guilty are buried");
            assert!(self.flew_alone.contains(&burial.at), "after flying alone");
            if self.dice.one_in(3) {
                self.window.bury_again(burial);
                continue;
            }
            self.row_mut(burial.at).state = RowState::Dead;
            self.window.buried(burial.at, self.now_ms);
        }
    }

    /// A lost lane, a lost session, a crash of the database, or a synchronous commit.
    pub(super) fn disturb(&mut self) {
        match self.dice.roll(12) {
            0 => {
                let lane = Lane(i16::try_from(self.dice.roll(2)).expect("lanes are few"));
                if self.held.remove(&lane) {
                    self.window.lose(lane, self.now_ms);
                }
            }
            1 => {
                self.statement = None;
                self.window.void_reading(self.now_ms);
            }
            2 => self.crash_database(),
            3..=6 => (0..LANES).for_each(|lane| self.acquire(Lane(lane))),
            _ => {
                let committed = self.window.marks_committed();
                for row in &mut self.rows {
                    if let RowState::Published { durable } = &mut row.state {
                        *durable = true;
                    }
                }
                self.window.synced(committed, self.keep_session);
            }
        }
    }

    pub(super) fn crash_database(&mut self) {
        self.statement = None;
        self.keep_session += 1;
        // An answer that is on its way is heard, though the crash takes the mark back.
        match self.marking.take() {
            Some(Marking::Done) if self.dice.one_in(2) => self.marking = Some(Marking::Done),
            Some(_) => self.window.mark_failed(0),
            None => {}
        }
        for (_, rows) in std::mem::take(&mut self.writers) {
            for index in rows {
                self.rows[index].state = RowState::RolledBack;
            }
        }
        for row in &mut self.rows {
            if row.state == (RowState::Published { durable: false }) {
                row.state = RowState::Waiting;
            }
        }
        self.window.void_reading(self.now_ms);
    }
}
