//! Aggregates set aside: their rows to one topic wait in the outbox behind one that failed for good.
//!
//! Owns who waits, and for what: an operator's decision, or a dead letter whose own topic takes
//! nothing. Holds no row: what waits costs the window nothing, and the poll nothing once it was
//! passed.
//!
//! Invariants:
//! - while an aggregate is aside none of its later rows to that topic is taken in;
//! - it comes back only when its lane is read again from the row that it waits behind, or from
//!   further back, with no older statement under way.

use std::sync::Arc;

use foldhash::HashMap;

use super::Window;
use crate::event::{Lane, OrderingKey};

/// What an aggregate waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wait {
    /// An operator decides what becomes of the row.
    Operator,
    /// The topic of its dead letter takes records again.
    Letter(Arc<str>),
}

#[derive(Debug)]
struct Aside {
    lane: Lane,
    topic: Arc<str>,
    wait: Wait,
}

/// Who waits in the outbox.
#[derive(Debug, Default)]
pub(super) struct Asides(HashMap<OrderingKey, Vec<Aside>>);

impl Asides {
    /// What the rows of a key to a topic wait for, if they do.
    pub(super) fn wait(&self, key: &OrderingKey, topic: &str) -> Option<&Wait> {
        if self.0.is_empty() {
            return None;
        }
        let mut asides = self.0.get(key)?.iter();
        let aside = asides.find(|aside| &*aside.topic == topic)?;
        Some(&aside.wait)
    }

    /// Sets the rows of a key to a topic aside, unless they are.
    pub(super) fn set(&mut self, key: &OrderingKey, lane: Lane, topic: &Arc<str>, wait: Wait) {
        if self.wait(key, topic).is_none() {
            self.0.entry(key.clone()).or_default().push(Aside {
                lane,
                topic: Arc::clone(topic),
                wait,
            });
        }
    }

    /// Nobody waits for dead letters to this topic any more.
    pub(super) fn end_waits_for(&mut self, letter_topic: &Arc<str>) {
        self.keep(|aside| aside.wait != Wait::Letter(Arc::clone(letter_topic)));
    }

    /// Nobody of this lane waits any more.
    pub(super) fn end_lane(&mut self, lane: Lane) {
        self.keep(|aside| aside.lane != lane);
    }

    /// Whether a lane has somebody who waits.
    pub(super) fn waits_in(&self, lane: Lane) -> bool {
        self.0.values().flatten().any(|aside| aside.lane == lane)
    }

    fn keep(&mut self, stays: impl Fn(&Aside) -> bool) {
        self.0.retain(|_, asides| {
            asides.retain(&stays);
            !asides.is_empty()
        });
    }
}

impl Window {
    /// Sends the lanes about which operators decided back to their start.
    pub(super) fn reread_lanes(&mut self, now_ms: u64) {
        let lanes: Vec<Lane> = self
            .lanes
            .iter_mut()
            .filter_map(|(&lane, book)| std::mem::take(&mut book.reread).then_some(lane))
            .collect();
        for lane in lanes {
            self.asides.end_lane(lane);
            self.rewind(lane, now_ms);
            if let Some(book) = self.lanes.get_mut(&lane) {
                book.restart();
            }
        }
    }
}
