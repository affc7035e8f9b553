//! The keeper of leases: claims this relay's share of the lanes, renews them, gives them back,
//! and writes what must be written under a lease.
//!
//! Owns the keeping session. Does not know what a lane holds: it releases one only when the loop
//! says that nothing of it is unreported or unmarked.
//!
//! Invariants:
//! - the deadline that it tells is counted from before the request, by the boot-time clock;
//! - lanes are given up to others that deliver only where this relay has not, and they have, for
//!   long enough that all know of an outage which is everybody's;
//! - a lost lane is claimed again only after the loop has said that it is settled;
//! - an errand that failed is tried again until it is done or its lane is lost.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::health::Doing;
use super::news::{Errand, News};
use super::timing::Terms;
use crate::decide::backoff;
use crate::decide::share::{Peer, fair_share, yields};
use crate::decide::window::Burial;
use crate::event::{Epoch, Lane, Lease};
use crate::outbox::error::OutboxError;
use crate::outbox::leases::{Leases, Renewal, View};
use crate::outbox::session::Session;
use crate::process::clock;
use crate::process::metrics::Metrics;
use crate::readiness::Readiness;

/// The lanes are looked at this often: a free one is taken within it.
const LOOK_MS: u64 = 200;
/// Who holds all of them looks this often: none can become free, and only a relay that has just come
/// would be given some.
const LOOK_HOLDING_ALL: Duration = Duration::from_secs(1);
/// The first retry of the database waits about this long, in milliseconds.
const RETRY_MIN_MS: u64 = 100;
/// A retry of the database waits at most this long, in milliseconds.
const RETRY_MAX_MS: u64 = 2_000;
/// A relay that does not deliver gives its lanes up when others have said for so many renewals that
/// they do: in an outage that is everybody's, all have said otherwise by then.
const YIELD_RENEWALS: u32 = 2;

/// So many rows that failed for good are written in one statement.
const BURIALS_MAX: usize = 200;

/// What ties the keeper to the other tasks.
#[derive(Debug)]
pub(super) struct Ties {
    pub(super) news: mpsc::Sender<News>,
    /// How many marks have committed; the loop counts.
    pub(super) marks_committed: Arc<AtomicU64>,
    /// Whether this relay delivers; the probe tells, and other relays hear it with each heartbeat.
    pub(super) delivers: watch::Receiver<bool>,
    /// What this relay says of itself; it goes with each heartbeat.
    pub(super) readiness: watch::Receiver<Readiness>,
    pub(super) metrics: Metrics,
}

/// Keeps the leases for the loop.
#[derive(Debug)]
pub(super) struct Keeper {
    session: Session,
    leases: Leases,
    terms: Terms,
    ties: Ties,
    /// Since when others deliver and this relay does not.
    yields_since: Option<Instant>,
    held: BTreeMap<Lane, Epoch>,
    /// Held, but on their way to other relays.
    leaving: BTreeSet<Lane>,
    /// Lost, and not settled yet.
    unsettled: HashSet<Lane>,
    releases: BTreeMap<Lane, Epoch>,
    burials: Vec<Burial>,
    retiring: bool,
    renew_at: Instant,
    /// How many lanes there are, once a look has told.
    lanes: Option<usize>,
    looked_at: Instant,
    /// How many tries have failed since the last that did not.
    failures: u32,
    not_before: Instant,
}

/// The loop is gone.
struct Alone;

impl Keeper {
    pub(super) fn new(session: Session, leases: Leases, terms: Terms, ties: Ties) -> Self {
        Self {
            session,
            leases,
            terms,
            ties,
            yields_since: None,
            held: BTreeMap::new(),
            leaving: BTreeSet::new(),
            unsettled: HashSet::new(),
            releases: BTreeMap::new(),
            burials: Vec::new(),
            retiring: false,
            renew_at: Instant::now(),
            lanes: None,
            looked_at: Instant::now(),
            failures: 0,
            not_before: Instant::now(),
        }
    }

    /// Keeps leases until the loop has no more errands, then leaves the other relays.
    pub(super) async fn run(mut self, mut errands: mpsc::UnboundedReceiver<Errand>) {
        let mut looks = tokio::time::interval(Duration::from_millis(LOOK_MS));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                errand = errands.recv() => match errand {
                    Some(errand) => {
                        let retires = matches!(errand, Errand::Retire);
                        self.note(errand);
                        if retires && self.tell(News::Retired).await.is_err() {
                            break;
                        }
                    }
                    None => break,
                },
                _ = looks.tick() => {}
            }
            if Instant::now() < self.not_before {
                continue;
            }
            match self.tend().await {
                Ok(Ok(())) => {
                    let failures = std::mem::take(&mut self.failures);
                    if failures > 0 && self.tell(News::Kept).await.is_err() {
                        break;
                    }
                }
                Ok(Err(error)) => {
                    let failed = News::Failed(Doing::Keeping, error.with_cure());
                    if self.tell(failed).await.is_err() {
                        break;
                    }
                    self.pause();
                }
                Err(Alone) => break,
            }
        }
        if let Err(error) = self.leases.leave(&mut self.session).await {
            tracing::debug!(%error, "the heartbeat is left to expire");
        }
        self.session.close().await;
    }

    /// The next try waits, ever longer, but never for so long that leases would run out of it.
    fn pause(&mut self) {
        self.failures += 1;
        let most_ms = self.terms.renew_ms.clamp(RETRY_MIN_MS, RETRY_MAX_MS);
        let (_, seed) = self.leases.token().as_u64_pair();
        let pause_ms = backoff::delay_ms(self.failures, seed, RETRY_MIN_MS, most_ms);
        self.not_before = Instant::now() + Duration::from_millis(pause_ms);
    }

    fn note(&mut self, errand: Errand) {
        match errand {
            Errand::Release(lane, epoch) => {
                self.releases.insert(lane, epoch);
            }
            Errand::Bury(burial) => self.burials.push(burial),
            Errand::Settled(lane) => {
                self.unsettled.remove(&lane);
            }
            Errand::Sync => self.renew_at = Instant::now(),
            Errand::Retire => self.retiring = true,
        }
    }

    /// Does all that is due. The outer error says that the loop is gone, the inner one that the
    /// database failed.
    async fn tend(&mut self) -> Result<Result<(), OutboxError>, Alone> {
        for step in 0..4 {
            let news = match step {
                0 => self.renew().await,
                1 => self.bury().await,
                2 => self.release().await,
                _ => self.balance().await,
            };
            match news {
                Ok(news) => {
                    for news in news {
                        self.tell(news).await?;
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    async fn tell(&self, news: News) -> Result<(), Alone> {
        self.ties.news.send(news).await.map_err(|_closed| Alone)
    }

    async fn renew(&mut self) -> Result<Vec<News>, OutboxError> {
        let changed = self.ties.delivers.has_changed().unwrap_or(false);
        if Instant::now() < self.renew_at && !changed {
            return Ok(Vec::new());
        }
        let delivers = *self.ties.delivers.borrow_and_update();
        let asked_ms = clock::boot_ms();
        let marks_committed = self.ties.marks_committed.load(Ordering::Acquire);
        let readiness = self.ties.readiness.borrow().clone();
        let Renewal {
            lanes: renewed,
            database_ahead_ms,
        } = self
            .leases
            .renew(&mut self.session, delivers, &readiness)
            .await?;
        self.renew_at = Instant::now() + Duration::from_millis(self.terms.renew_ms);
        let fly_until_ms = self.terms.fly_until_ms(asked_ms);
        let mut news = self.drop_lost(&renewed);
        news.extend(self.adopt(&renewed, fly_until_ms));
        news.push(News::Renewed {
            lanes: renewed,
            fly_until_ms,
            marks_committed,
            database_ahead_ms,
            session: self.session.connects(),
        });
        Ok(news)
    }

    /// Lanes that are held no more, or under another epoch.
    fn drop_lost(&mut self, renewed: &[Lease]) -> Vec<News> {
        let stands = |lane, epoch| {
            let mut renewed = renewed.iter();
            renewed.any(|held| held.lane == lane && held.epoch == epoch)
        };
        let lost: Vec<Lane> = self
            .held
            .iter()
            .filter(|&(&lane, &epoch)| !stands(lane, epoch))
            .map(|(&lane, _)| lane)
            .collect();
        for lane in &lost {
            self.held.remove(lane);
            self.leaving.remove(lane);
            self.releases.remove(lane);
            self.burials.retain(|burial| burial.lane != *lane);
            self.unsettled.insert(*lane);
        }
        lost.into_iter().map(News::Lost).collect()
    }

    /// Lanes that are held without knowing it: the answer to their claim was lost.
    fn adopt(&mut self, renewed: &[Lease], fly_until_ms: u64) -> Vec<News> {
        let mut news = Vec::new();
        for &lease in renewed {
            let lane = lease.lane;
            if self.unsettled.contains(&lane) || self.held.contains_key(&lane) {
                continue;
            }
            self.held.insert(lane, lease.epoch);
            news.push(News::Claimed {
                lease,
                fly_until_ms,
            });
        }
        news
    }

    async fn bury(&mut self) -> Result<Vec<News>, OutboxError> {
        let mut news = Vec::new();
        // No longer than until the next renewal: however many rows fail, the leases stand.
        while !self.burials.is_empty() && Instant::now() < self.renew_at {
            let batch = &self.burials[..self.burials.len().min(BURIALS_MAX)];
            let now_ms = clock::boot_ms();
            if let Err(error) = self.leases.bury(&mut self.session, batch, now_ms).await {
                return self.partly(news, error).await;
            }
            let written = self.burials.drain(..batch.len());
            news.extend(written.map(|burial| News::Buried(burial.at)));
        }
        Ok(news)
    }

    async fn release(&mut self) -> Result<Vec<News>, OutboxError> {
        let mut news = Vec::new();
        while let Some((lane, epoch)) = self.releases.pop_first() {
            match self.leases.release(&mut self.session, lane, epoch).await {
                Ok(_written) => {
                    self.held.remove(&lane);
                    self.leaving.remove(&lane);
                    news.push(News::Released(lane));
                }
                Err(error) => {
                    self.releases.insert(lane, epoch);
                    return self.partly(news, error).await;
                }
            }
        }
        Ok(news)
    }

    /// Tells what was done before an error, then the error.
    async fn partly(&self, news: Vec<News>, error: OutboxError) -> Result<Vec<News>, OutboxError> {
        for news in news {
            if self.tell(news).await.is_err() {
                break;
            }
        }
        Err(error)
    }

    /// Claims what is missing of this relay's share, or offers what is too much.
    async fn balance(&mut self) -> Result<Vec<News>, OutboxError> {
        let holds_all = self.lanes == Some(self.held.len());
        if self.retiring || holds_all && self.looked_at.elapsed() < LOOK_HOLDING_ALL {
            return Ok(Vec::new());
        }
        let view = self.leases.view(&mut self.session).await?;
        (self.lanes, self.looked_at) = (Some(view.lanes), Instant::now());
        let Some(share) = self.share(&view) else {
            return Ok(Vec::new());
        };
        let mine = self.held.len() - self.leaving.len();
        if mine > share {
            return Ok(self.offer(mine - share));
        }
        let want = (share - mine).min(view.free);
        if want == 0 {
            return Ok(Vec::new());
        }
        let excluded: Vec<Lane> = self
            .unsettled
            .iter()
            .chain(self.held.keys())
            .copied()
            .collect();
        let asked_ms = clock::boot_ms();
        let claimed = self
            .leases
            .claim(&mut self.session, want, &excluded)
            .await?;
        self.ties.metrics.taken_over(claimed.taken_over);
        Ok(self.adopt(&claimed.lanes, self.terms.fly_until_ms(asked_ms)))
    }

    /// How many lanes this relay should hold; none while it is still open whether it yields.
    fn share(&mut self, view: &View) -> Option<usize> {
        let me = self.leases.token();
        let delivers = *self.ties.delivers.borrow();
        let peers: Vec<Peer> = view
            .relays
            .iter()
            .map(|peer| Peer {
                // What this relay knows of itself is newer than what it has told.
                delivers: if peer.token == me {
                    delivers
                } else {
                    peer.delivers
                },
                ..*peer
            })
            .collect();
        self.yields_since =
            yields(&peers, me).then(|| self.yields_since.unwrap_or_else(Instant::now));
        let patience = Duration::from_millis(self.terms.renew_ms) * YIELD_RENEWALS;
        let open = self
            .yields_since
            .is_some_and(|since| since.elapsed() < patience);
        (!open).then(|| fair_share(view.lanes, &peers, me))
    }

    fn offer(&mut self, surplus: usize) -> Vec<News> {
        let offered: Vec<Lane> = self
            .held
            .keys()
            .rev()
            .filter(|lane| !self.leaving.contains(lane))
            .take(surplus)
            .copied()
            .collect();
        self.leaving.extend(&offered);
        offered.into_iter().map(News::Surplus).collect()
    }
}
