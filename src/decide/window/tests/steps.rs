//! What happens in the model between reading and marking: flights, reports, marks and faults.

use super::rows::{ModelRow, RowState, failure, lane_of, topic_of};
use super::world::{LANES, Marking, World};
use crate::decide::order::Order;
use crate::decide::window::*;
use crate::outcome::{Class, DeadState, Receipt};

impl World {
    pub(super) fn hand_over(&mut self) {
        while let Some(flight) = self.window.next(self.now_ms) {
            assert!(self.held.contains(&flight.lane), "only held lanes fly");
            let (at, alone) = (flight.at, flight.alone);
            assert!(!self.confirmed.contains(&at), "what is confirmed stays so");
            assert!(!self.letters.contains(&at), "a dead letter is sent once");
            if flight.letter.is_some() {
                assert!(alone, "the answer is about the dead letter alone");
                self.letters_flying.push(at);
                self.assert_first(at);
                continue;
            }
            self.assert_first(at);
            if alone {
                self.flew_alone.insert(at);
            }
            let row = self.row(at);
            let broken = self.broken.contains(&(row.key, row.order));
            assert!(
                row.order == Order::None || !broken,
                "nothing flies between a failure and the last report"
            );
            self.flying.push(at);
        }
    }

    /// In strict order every earlier row of its key is out of the way, but for rows for later.
    fn assert_first(&self, at: EventRef) {
        let ModelRow { key, order, .. } = *self.row(at);
        if self.row(at).available_ms.is_some() || order != Order::Strict {
            return;
        }
        let waits = |state| matches!(state, RowState::Waiting | RowState::Judged { .. });
        let before = self.rows.iter().find(|row| {
            (row.key, row.order) == (key, order)
                && row.available_ms.is_none()
                && row.at.seq < at.seq
                && waits(row.state)
                && !self.log.contains(&row.at)
                && !self.letters.contains(&row.at)
        });
        if let Some(before) = before {
            panic!("{} overtakes {}", at.seq, before.at.seq);
        }
    }

    /// Dead letters arrive, or are refused while their topic is away.
    fn report_letters(&mut self) {
        for at in std::mem::take(&mut self.letters_flying) {
            let report = if self.away && !self.dice.one_in(8) {
                Err(failure(self.answer))
            } else {
                self.letters_sent.insert(at);
                if self.held.contains(&lane_of(self.row(at).key)) {
                    self.letters.insert(at);
                }
                Ok(Receipt::from_delivery_report(0, 0))
            };
            self.window.report(at, report, self.now_ms);
        }
    }

    /// An operator lets a blocked row be tried again, mended, or gives it up.
    pub(super) fn decide(&mut self) {
        let blocked = RowState::Judged { is_blocked: true };
        let retried = self.dice.one_in(2);
        if let Some(row) = self.rows.iter_mut().find(|row| row.state == blocked) {
            row.state = if retried {
                RowState::Waiting
            } else {
                RowState::Dead
            };
            row.poison &= !retried;
            let lane = lane_of(row.key);
            let rereads = self.rereads.entry(lane).or_insert(0);
            *rereads += 1;
            self.window.note_rereads(lane, *rereads);
        }
    }

    pub(super) fn report(&mut self) {
        self.report_letters();
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
                _ if away => Err(failure(self.answer)),
                (true, _) => Err(failure(Class::Record)),
                (_, true) => Err(failure(Class::Transient)),
                _ => Ok(Receipt::from_delivery_report(0, 0)),
            };
            let queue_of = |at| (self.row(at).key, self.row(at).order);
            let key = queue_of(at);
            let flies = self.flying.iter().any(|&other| queue_of(other) == key);
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
            let state = match burial.state {
                DeadState::Blocked => RowState::Judged { is_blocked: true },
                DeadState::DeadLetterPending => RowState::Judged { is_blocked: false },
                DeadState::DeadLettered => {
                    let sent = self.letters_sent.contains(&burial.at);
                    assert!(sent, "Kafka has its letter");
                    RowState::Dead
                }
                DeadState::Dead => RowState::Dead,
            };
            let stands =
                self.held.contains(&burial.lane) && self.epochs[&burial.lane] == burial.epoch.0;
            if stands && self.row(burial.at).state != RowState::Dead {
                self.row_mut(burial.at).state = state;
            }
            self.window.buried(burial.at, self.now_ms);
        }
    }

    /// A lost lane, a lost session, a crash of the database, or a synchronous commit.
    pub(super) fn disturb(&mut self) {
        match self.dice.roll(12) {
            0 => {
                let lane = Lane(i16::try_from(self.dice.roll(2)).expect("lanes are few"));
                if self.held.remove(&lane) {
                    // What was not written is sent again by the next owner.
                    let rows = &self.rows;
                    self.letters
                        .retain(|at| rows[index_of(*at)].state == RowState::Dead);
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

fn index_of(at: EventRef) -> usize {
    usize::try_from(at.seq).expect("seq is positive") - 1
}
