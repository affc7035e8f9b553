//! The loop: poll, publish, mark.
//!
//! Owns the window and carries out what it says: asks go to the reader, records to the publisher,
//! confirmed rows to the markers, the dead and the drained lanes to the keeper. Decides nothing
//! about a row, and waits for nobody: all answers come back as news or landings.
//!
//! Invariants:
//! - the clock is read anew for every few hand-overs, so that a frozen process hands over little
//!   of a lane that it may have lost meanwhile;
//! - after a stop is asked for, nothing is handed over, and what was is marked and released, as
//!   long as the grace lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::health::{Doing, Health};
use super::letter::Outgoing;
use super::meter::Meter;
use super::news::{Errand, News};
use super::notice::{log_burial, log_notice};
use super::timing::{MarkTimer, PollTimer, Timing};
use crate::decide::window::{Ask, Notice, Window};
use crate::event::{EventRef, Lane};
use crate::kafka::publish::{Landing, Publish};
use crate::outcome::Class;
use crate::process::clock;
use crate::process::shutdown::Shutdown;

/// A page brings at most this many rows (measured: more gains nothing).
const PAGE_ROWS: usize = 1_000;
/// A batch of marks has at most this many rows.
const MARKS_MAX: usize = 5_000;
/// Records handed over between two looks at the clock.
const CLOCK_EVERY: usize = 64;
/// Landings taken in at once.
const LANDINGS_MAX: usize = 4_096;
/// This many remembered marks, and the keeper is asked for a commit that makes them durable.
const REMEMBERED_MAX: usize = 50_000;
/// The loop turns at least this often, in milliseconds.
const TURN_MS: u64 = 100;

/// Those who work for the loop.
#[derive(Debug)]
pub(super) struct Hands<P> {
    pub(super) publisher: Outgoing<P>,
    pub(super) landings: mpsc::UnboundedReceiver<Landing>,
    pub(super) news: mpsc::Receiver<News>,
    pub(super) reader: mpsc::Sender<Ask>,
    pub(super) markers: Vec<mpsc::Sender<Vec<EventRef>>>,
    pub(super) keeper: mpsc::UnboundedSender<Errand>,
    pub(super) marks_committed: Arc<AtomicU64>,
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything handed over was marked, and every lane released.
    Drained,
    /// The grace ran out first: what was in flight may be sent again by the next owner.
    OutOfGrace {
        /// Rows handed over and not marked.
        unmarked: usize,
    },
}

/// The loop and all that it knows.
#[derive(Debug)]
pub(super) struct Flow<P> {
    window: Window,
    hands: Hands<P>,
    poll: PollTimer,
    marks: Vec<MarkTimer>,
    health: Health,
    meter: Meter,
    grace_ms: u64,
    /// When the grace ends, in boot milliseconds, once a stop was asked for.
    stop_by_ms: Option<u64>,
    /// No lane will be claimed any more.
    retired: bool,
    lingering: Vec<Lane>,
    synced_at: u64,
    handed_over: u64,
}

impl<P: Publish> Flow<P> {
    pub(super) fn new(
        window: Window,
        hands: Hands<P>,
        timing: Timing,
        health: Health,
        meter: Meter,
    ) -> Self {
        let markers = hands.markers.len();
        Self {
            window,
            hands,
            poll: PollTimer::new(timing),
            marks: vec![MarkTimer::default(); markers],
            health,
            meter,
            grace_ms: timing.grace_ms,
            stop_by_ms: None,
            retired: false,
            lingering: Vec::new(),
            synced_at: 0,
            handed_over: 0,
        }
    }

    /// Polls, publishes and marks until a stop is asked for and all has landed.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Ended {
        let mut landings = Vec::with_capacity(LANDINGS_MAX);
        loop {
            let now_ms = clock::boot_ms();
            let wake_ms = self.carry_out(now_ms);
            if let Some(ended) = self.ended(now_ms) {
                return ended;
            }
            tokio::select! {
                _ = self.hands.landings.recv_many(&mut landings, LANDINGS_MAX) => {
                    self.take_in_landings(&mut landings);
                }
                Some(news) = self.hands.news.recv() => self.take_in(news, clock::boot_ms()),
                () = shutdown.wait(), if self.stop_by_ms.is_none() => self.stop(clock::boot_ms()),
                () = tokio::time::sleep(clock::until(wake_ms)) => {}
            }
        }
    }

    /// Does all that the window says; returns when to look again.
    fn carry_out(&mut self, now_ms: u64) -> u64 {
        // The database works on a page and on marks while records are handed over.
        let poll_ms = self.ask(now_ms);
        let mark_ms = self.mark(now_ms);
        self.hand_over();
        self.bury();
        self.give_back();
        if self.health.observe(&self.window, now_ms) {
            self.meter.observe(&self.window);
        }
        let due_ms = self.window.due_ms();
        [mark_ms, poll_ms, due_ms, self.stop_by_ms]
            .into_iter()
            .flatten()
            .fold(now_ms + TURN_MS, u64::min)
    }

    fn hand_over(&mut self) {
        let mut now_ms = clock::boot_ms();
        for count in 1_usize.. {
            if count.is_multiple_of(CLOCK_EVERY) {
                now_ms = clock::boot_ms();
            }
            let Some(next) = self.window.next(now_ms) else {
                break;
            };
            self.handed_over += 1;
            let flight = self.meter.flight(&next, self.handed_over);
            let refused = self.hands.publisher.publish(flight, &next, now_ms);
            if let Err(failure) = refused {
                self.meter.failed(flight.topic, failure.class);
                let is_full = failure.class == Class::BackPressure;
                self.window.report(flight.at, Err(failure), now_ms);
                if is_full {
                    break;
                }
            }
        }
    }

    fn bury(&mut self) {
        for burial in self.window.take_burials() {
            let class = burial.judgement.class;
            if burial.state.is_final() {
                self.meter.dead(&burial.topic, class);
            }
            log_burial(&burial);
            self.errand(Errand::Bury(burial));
        }
        for notice in self.window.take_notices() {
            match &notice {
                Notice::Opened(topic, _) => self.meter.circuit(topic, true),
                Notice::Closed(topic) => self.meter.circuit(topic, false),
            }
            log_notice(&notice);
        }
    }

    /// Releases drained lanes, and tells of lost ones that are settled.
    fn give_back(&mut self) {
        for (lane, epoch) in self.window.take_drained() {
            self.errand(Errand::Release(lane, epoch));
        }
        if self.lingering.is_empty() {
            return;
        }
        let lingering = self.window.lingering();
        for lane in std::mem::take(&mut self.lingering) {
            if lingering.contains(&lane) {
                self.lingering.push(lane);
            } else {
                self.errand(Errand::Settled(lane));
            }
        }
    }

    /// Starts batches of marks; returns when the next one is due.
    fn mark(&mut self, now_ms: u64) -> Option<u64> {
        let mut next_ms = None;
        for (marker, timer) in self.marks.iter_mut().enumerate() {
            let waiting = self.window.unmarked(marker);
            if waiting == 0 || timer.is_busy() {
                continue;
            }
            let due_ms = timer.due_ms(waiting >= MARKS_MAX);
            if due_ms > now_ms && self.stop_by_ms.is_none() {
                next_ms = Some(next_ms.map_or(due_ms, |next: u64| next.min(due_ms)));
            } else if let Some(batch) = self.window.take_marks(marker, MARKS_MAX) {
                timer.begin(now_ms);
                let sent = self.hands.markers[marker].try_send(batch.to_vec());
                debug_assert!(sent.is_ok(), "a marker is given one batch at a time");
            }
        }
        next_ms
    }

    /// Asks the outbox; returns when the next poll is due.
    fn ask(&mut self, now_ms: u64) -> Option<u64> {
        if self.stop_by_ms.is_some() || !self.poll.may_ask(now_ms) {
            return None;
        }
        let poll_ms = self.poll.due_ms(now_ms);
        if let Some(ask) = self.window.next_ask(poll_ms <= now_ms, PAGE_ROWS, now_ms) {
            // Only a poll of the lanes moves the next one: looks at writers come more often than
            // an idle relay polls.
            if ask.is_poll() {
                self.poll.begin(now_ms);
            }
            let sent = self.hands.reader.try_send(ask);
            debug_assert!(sent.is_ok(), "the reader is given one ask at a time");
        }
        (poll_ms > now_ms).then_some(poll_ms)
    }

    fn take_in_landings(&mut self, landings: &mut Vec<Landing>) {
        let now_ms = clock::boot_ms();
        for (flight, report) in landings.drain(..) {
            self.health.landed(&report, now_ms);
            self.meter.landed(&flight, &report, now_ms);
            self.window.report(flight.at, report, now_ms);
        }
    }

    fn take_in(&mut self, news: News, now_ms: u64) {
        match news {
            News::Sighted(sighting) => self.window.sighted(sighting),
            News::Drawn(last_drawn) => {
                self.health.answered(Doing::Reading);
                self.window.drawn(last_drawn);
                self.poll.answered(0, now_ms);
            }
            News::DelayedTold(has_delayed) => self.window.delayed_told(has_delayed),
            News::Page(page) => {
                self.health.answered(Doing::Reading);
                let rows = self.window.admit(page, now_ms);
                self.poll.answered(rows, now_ms);
            }
            News::ReadFailed(error) => {
                self.poll.failed(now_ms);
                self.health.refused(Doing::Reading, &error, now_ms);
                self.window.void_reading(now_ms);
            }
            News::Carried(at, content) => {
                self.health.carried();
                self.window.fill(at, content, now_ms);
            }
            News::Marked { marker, rows } => {
                self.marks[marker].end();
                self.window.marked(marker, now_ms);
                self.note_marks(rows);
            }
            News::MarkFailed { marker, error } => {
                self.marks[marker].fail(now_ms);
                self.health.refused(Doing::Marking, &error, now_ms);
                self.window.mark_failed(marker);
            }
            News::Claimed { .. }
            | News::Renewed { .. }
            | News::Surplus(_)
            | News::Lost(_)
            | News::Released(_)
            | News::Retired
            | News::Buried(_)
            | News::Kept
            | News::Failed(..) => self.take_in_keeping(news, now_ms),
        }
    }

    fn take_in_keeping(&mut self, news: News, now_ms: u64) {
        match news {
            News::Claimed {
                lease,
                fly_until_ms,
            } => {
                let lane = lease.lane;
                tracing::info!(%lane, epoch = lease.epoch.0, "lane claimed");
                self.window.acquire(lease, fly_until_ms, now_ms);
                if self.stop_by_ms.is_some() {
                    self.window.drain(lane);
                }
            }
            News::Renewed {
                lanes,
                fly_until_ms,
                marks_committed,
                session,
                database_ahead_ms,
            } => {
                self.meter.compared(database_ahead_ms);
                for lease in lanes {
                    self.window
                        .renew(lease.lane, lease.epoch, fly_until_ms, now_ms);
                    self.window.note_rereads(lease.lane, lease.rereads);
                }
                self.window.synced(marks_committed, session);
            }
            News::Surplus(lane) => self.window.drain(lane),
            News::Lost(lane) => {
                tracing::warn!(%lane, "lane lost: its lease ran out");
                self.window.lose(lane, now_ms);
                self.lingering.push(lane);
            }
            News::Released(lane) => {
                tracing::info!(%lane, "lane released");
                self.window.released(lane, now_ms);
            }
            News::Retired => self.retired = true,
            News::Buried(at) => self.window.buried(at, now_ms),
            News::Kept => self.health.answered(Doing::Keeping),
            News::Failed(doing, why) => self.health.failed(doing, why, now_ms),
            News::Sighted(_)
            | News::Drawn(_)
            | News::DelayedTold(_)
            | News::Page(_)
            | News::ReadFailed(_)
            | News::Carried(..)
            | News::Marked { .. }
            | News::MarkFailed { .. } => {}
        }
    }

    /// Counts durable marks, and asks for a commit that makes many of them durable.
    fn note_marks(&mut self, rows: u64) {
        let committed = self.window.marks_committed();
        self.hands
            .marks_committed
            .store(committed, Ordering::Release);
        self.health.marked(rows);
        let since = committed - self.synced_at;
        let many = u64::try_from(REMEMBERED_MAX).unwrap_or(u64::MAX);
        if self.window.census().remembered > REMEMBERED_MAX && since > many {
            self.synced_at = committed;
            self.errand(Errand::Sync);
        }
    }

    fn stop(&mut self, now_ms: u64) {
        let unmarked = self.window.census().unmarked;
        tracing::info!(
            unmarked,
            "stopping: what was handed over lands and is marked"
        );
        self.stop_by_ms = Some(now_ms + self.grace_ms);
        self.health.stopping();
        self.window.drain_all();
        self.errand(Errand::Retire);
    }

    fn ended(&self, now_ms: u64) -> Option<Ended> {
        let stop_by_ms = self.stop_by_ms?;
        // A claim may be under way when a stop is asked for.
        if self.retired && self.window.is_still() && self.window.held().is_empty() {
            return Some(Ended::Drained);
        }
        (now_ms >= stop_by_ms).then(|| Ended::OutOfGrace {
            unmarked: self.window.census().unmarked,
        })
    }

    /// A keeper that is gone has panicked, and the process with it.
    fn errand(&self, errand: Errand) {
        if self.hands.keeper.send(errand).is_err() {
            tracing::debug!("the keeper is gone");
        }
    }
}
