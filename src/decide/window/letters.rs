//! Rows that failed for good: what becomes of each, and the way of its dead letter.
//!
//! Owns the verdict's consequences: a burial, a blocked aggregate, a dead letter and what its own
//! report means. Knows neither the form of a dead letter nor how a burial is written.
//!
//! Invariants:
//! - its aggregate goes on only when it is written in the outbox that the row is set aside, and
//!   with a dead letter only once Kafka has confirmed that;
//! - a dead letter that cannot be, or is itself refused for good, leaves the row to the table.

use std::sync::Arc;

use super::aside::Wait;
use super::queue::{Row, Sentence};
use super::{Burial, Candidate, Stage, Window};
use crate::decide::backoff;
use crate::decide::dead::OnDead;
use crate::decide::order::Order;
use crate::event::{EventRef, Judged, Lane};
use crate::outcome::{Class, DeadState, Failure, Judgement, Receipt};

impl Window {
    /// Rows to declare dead or blocked now; each is offered once.
    pub fn take_burials(&mut self) -> Vec<Burial> {
        std::mem::take(&mut self.burials)
    }

    /// The burial could not be written: it is offered again.
    pub fn bury_again(&mut self, burial: Burial) {
        self.burials.push(burial);
    }

    /// A row that is out of its queue's parked and flying ones failed for good.
    pub(super) fn condemn(
        &mut self,
        queue_id: usize,
        mut row: Box<Row>,
        why: &Failure,
        now_ms: u64,
    ) {
        let judgement = Judgement {
            class: why.class,
            error: why.to_string(),
            attempts: row.attempts,
            first_failed_ms: row.first_failed_ms.unwrap_or(now_ms),
        };
        let topic = self.letter_topic(&row);
        match (row.on_dead, topic) {
            (OnDead::Block, _) => self.bury(queue_id, row.at, DeadState::Blocked, judgement),
            (OnDead::DeadLetter, Some(topic)) => {
                row.sentence = Some(Box::new(Sentence {
                    judgement,
                    letter_topic: topic,
                    is_written: false,
                }));
                row.alone = true;
                row.due_ms = now_ms;
                self.wait_as_letter(queue_id, row, now_ms);
            }
            (OnDead::DeadLetter | OnDead::Table, _) => {
                self.bury(queue_id, row.at, DeadState::Dead, judgement);
            }
        }
    }

    /// Where the dead letter of a row goes; none where there can be none.
    fn letter_topic(&self, row: &Row) -> Option<Arc<str>> {
        let record = row.content.as_ref().ok()?;
        self.policy.letter_topic.of(&record.topic)
    }

    /// Has a row's state written; nothing of its queue flies meanwhile.
    pub(super) fn bury(
        &mut self,
        queue_id: usize,
        at: EventRef,
        state: DeadState,
        judgement: Judgement,
    ) {
        let queue = &mut self.queues[queue_id];
        queue.bury();
        let (lane, topic) = (queue.lane, Arc::clone(&queue.topic));
        let Some(epoch) = self.lanes.get(&lane).map(|book| book.epoch) else {
            return;
        };
        if let Some(open) = self.open.get_mut(&at) {
            open.stage = Stage::Burying(state, None);
        }
        self.burials.push(Burial {
            at,
            lane,
            epoch,
            topic,
            state,
            judgement,
        });
    }

    /// A row's state is written in the outbox, or is not ours to write any more.
    pub fn buried(&mut self, at: EventRef, now_ms: u64) {
        let Some(open) = self.open.get_mut(&at) else {
            return;
        };
        let queue_id = open.queue;
        let Stage::Burying(state, row) = std::mem::replace(&mut open.stage, Stage::Confirmed)
        else {
            debug_assert!(false, "only what is being buried was");
            return;
        };
        let queue = &mut self.queues[queue_id];
        queue.buried();
        let lane = queue.lane;
        if self.lanes.get(&lane).is_none_or(super::LaneBook::is_lost) {
            self.close(at, now_ms);
            return;
        }
        match (state, row) {
            (DeadState::DeadLetterPending, Some(mut row)) => {
                if let Some(sentence) = &mut row.sentence {
                    sentence.is_written = true;
                }
                self.wait_as_letter(queue_id, row, now_ms);
            }
            (DeadState::Blocked | DeadState::DeadLetterPending, _) => {
                self.settled.insert(at, self.reader.ticket);
                self.set_aside(queue_id, at, Wait::Operator, now_ms);
            }
            (DeadState::DeadLettered | DeadState::Dead, _) => {
                self.settled.insert(at, self.reader.ticket);
                self.list(queue_id, now_ms);
                self.close(at, now_ms);
            }
        }
    }

    /// Parks a row until its dead letter flies, or leaves it to the outbox where another one is
    /// the probe of its dead letter's topic.
    fn wait_as_letter(&mut self, queue_id: usize, mut row: Box<Row>, now_ms: u64) {
        let (at, lane) = (row.at, self.queues[queue_id].lane);
        if self.lanes.get(&lane).is_none_or(super::LaneBook::is_lost) {
            self.close(at, now_ms);
            return;
        }
        let Some(sentence) = &row.sentence else {
            return;
        };
        let topic = Arc::clone(&sentence.letter_topic);
        let probed = self.circuits.get(&topic).map(|circuit| circuit.turn_of(at));
        match probed {
            Some(None) if sentence.is_written => {
                self.pass_over(lane, &topic, at.seq, now_ms);
                self.set_aside(queue_id, at, Wait::Letter(topic), now_ms);
                return;
            }
            Some(Some(due_ms)) => row.due_ms = due_ms,
            Some(None) | None => {}
        }
        self.park_again(queue_id, row, now_ms);
    }

    /// Puts a held row back at its place in its queue.
    pub(super) fn park_again(&mut self, queue_id: usize, row: Box<Row>, now_ms: u64) {
        if let Some(open) = self.open.get_mut(&row.at) {
            open.stage = Stage::Parked;
        }
        let lane = self.queues[queue_id].lane;
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.settle_one();
        }
        self.queues[queue_id].park(row);
        self.list(queue_id, now_ms);
    }

    /// Leaves a row that is written to have failed, and in order all that waits behind it, to the
    /// outbox.
    fn set_aside(&mut self, queue_id: usize, at: EventRef, wait: Wait, now_ms: u64) {
        let queue = &self.queues[queue_id];
        if queue.order == Order::None {
            self.list(queue_id, now_ms);
            self.close(at, now_ms);
            return;
        }
        let (lane, topic) = (queue.lane, Arc::clone(&queue.topic));
        let key = Arc::clone(&self.keys[queue.key].name);
        for row in self.unpark(queue_id) {
            self.wait_aside(lane, &wait, row.at, now_ms);
            self.close(row.at, now_ms);
        }
        self.asides.set(&key, lane, &topic, wait);
        self.close(at, now_ms);
    }

    /// A row is left to the outbox with its aggregate. It need not stand behind the one that failed:
    /// delayed rows have an order of their own.
    fn wait_aside(&mut self, lane: Lane, wait: &Wait, at: EventRef, now_ms: u64) {
        match wait {
            Wait::Letter(letter_topic) => self.pass_over(lane, letter_topic, at.seq, now_ms),
            Wait::Operator => {}
        }
    }

    /// Takes in what a page shows of a row that failed for good before: true if it has to wait in
    /// the outbox.
    pub(super) fn is_set_aside(&mut self, lane: Lane, row: &Candidate, now_ms: u64) -> bool {
        let topic = Arc::clone(&row.topic);
        let waits_for_others = row.order != Order::None;
        let others = self.asides.wait(&row.key, &topic);
        if let Some(wait) = others.filter(|_| waits_for_others).cloned() {
            self.wait_aside(lane, &wait, row.at, now_ms);
            return true;
        }
        let Some(judged) = &row.judged else {
            return false;
        };
        let wait = if judged.is_blocked {
            Wait::Operator
        } else {
            let letter_topic = self.policy.letter_topic.of(&topic);
            let circuit = letter_topic.filter(|letter| {
                let circuit = self.circuits.get(letter);
                circuit.is_some_and(|circuit| circuit.turn_of(row.at).is_none())
            });
            let Some(letter_topic) = circuit else {
                return false;
            };
            self.pass_over(lane, &letter_topic, row.at.seq, now_ms);
            Wait::Letter(letter_topic)
        };
        if waits_for_others {
            self.asides.set(&row.key, lane, &topic, wait);
        }
        true
    }

    /// What a row read from the outbox carries of an earlier verdict: it goes on as a dead letter.
    pub(super) fn resume(&self, row: &mut Row, judged: Judged, now_ms: u64) {
        let first_failed_ms = now_ms.saturating_sub(judged.failed_ago_ms);
        row.attempts = judged.attempts;
        row.first_failed_ms = Some(first_failed_ms);
        if row.on_dead != OnDead::DeadLetter {
            return;
        }
        row.alone = true;
        row.sentence = self.letter_topic(row).map(|letter_topic| {
            Box::new(Sentence {
                judgement: Judgement {
                    class: Class::named(&judged.class).unwrap_or(Class::Record),
                    error: judged.error,
                    attempts: judged.attempts,
                    first_failed_ms,
                },
                letter_topic,
                is_written: true,
            })
        });
    }

    /// Kafka has a dead letter: its row is set aside for good.
    pub(super) fn letter_confirmed(&mut self, queue_id: usize, row: Row, _proof: Receipt) {
        self.queues[queue_id].land();
        let Some(sentence) = row.sentence else {
            return;
        };
        self.prove(&sentence.letter_topic);
        self.bury(
            queue_id,
            row.at,
            DeadState::DeadLettered,
            sentence.judgement,
        );
    }

    /// Kafka did not take a dead letter: it is tried again, or the table alone keeps the row.
    pub(super) fn letter_failed(
        &mut self,
        queue_id: usize,
        mut row: Box<Row>,
        failure: &Failure,
        now_ms: u64,
    ) {
        self.queues[queue_id].land();
        let Some(sentence) = &row.sentence else {
            return;
        };
        let (mut judgement, is_written) = (sentence.judgement.clone(), sentence.is_written);
        let topic = Arc::clone(&sentence.letter_topic);
        match failure.class {
            Class::Record => {
                judgement.error = format!("{}; its dead letter: {failure}", judgement.error);
                self.bury(queue_id, row.at, DeadState::Dead, judgement);
            }
            Class::Topic => {
                self.trip(&topic, row.at, failure, now_ms);
                if is_written {
                    self.wait_as_letter(queue_id, row, now_ms);
                } else {
                    let (at, state) = (row.at, DeadState::DeadLetterPending);
                    self.bury(queue_id, at, state, judgement);
                    if let Some(open) = self.open.get_mut(&at) {
                        open.stage = Stage::Burying(state, Some(row));
                    }
                }
            }
            Class::Cluster
            | Class::Transient
            | Class::ProducerDead
            | Class::Registry
            | Class::BackPressure => {
                row.failures += 1;
                row.due_ms = now_ms + self.retry_ms(&row);
                self.wait_as_letter(queue_id, row, now_ms);
            }
        }
    }

    /// How long a row waits after its last failure.
    pub(super) fn retry_ms(&self, row: &Row) -> u64 {
        let seed = row.at.id.as_u64_pair().1;
        let policy = &self.policy;
        backoff::delay_ms(
            row.failures,
            seed,
            policy.backoff_min_ms,
            policy.backoff_max_ms,
        )
    }
}
