//! Chaos: campaign after campaign and step after step, with everything that can be struck, and a
//! report of it.
//!
//! Owns the time and the report's file. `CHAOS_MINUTES` says how long, `SEED` with what to begin (a
//! random number otherwise; each campaign has the next one), `CHAOS_REPORT` where the report goes.
//!
//! Invariant: whatever ends a run, the report of what was done before is written.

mod machine;
mod page;
mod report;
mod spread;
mod world;

use std::any::Any;
use std::fmt;
use std::fs;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use self::report::{Campaign, Report, Sums};
use self::world::World;
use super::campaign;
use super::checker;
use super::dice::seed_or;
use super::faults::steps::Cell;
use super::site::note;
use crate::support::variable;

/// How many steps are struck between two campaigns.
const CELLS_AT_ONCE: usize = 6;

/// How long a run has taken, and how long it still may.
struct Clock {
    begun: Instant,
    ends: Instant,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.ends.saturating_duration_since(Instant::now());
        write!(f, "{} s left", left.as_secs())
    }
}

/// A run.
struct Run {
    clock: Clock,
    path: PathBuf,
    report: Report,
}

#[tokio::test]
#[ignore = "takes as long as CHAOS_MINUTES says: `make chaos`"]
async fn chaos_loses_reorders_and_invents_nothing() {
    let mut world = World::start().await;
    let mut run = Run::new(&world).await;
    let mut cells = Cell::all().into_iter().cycle();
    for seed in run.report.first_seed.. {
        if run.goes_on() {
            run.campaign(&mut world, seed).await;
        }
        for cell in cells.by_ref().take(CELLS_AT_ONCE) {
            let is_due = run.report.of_cell(cell).0 == 0;
            if run.report.failure.is_none() && (is_due || run.goes_on()) {
                run.strike(&world, cell).await;
            }
        }
        let all_struck = run.report.struck.len() >= Cell::all().len();
        if run.report.failure.is_some() || (all_struck && !run.goes_on()) {
            break;
        }
    }
    note(&format!("the report is in {}", run.path.display()));
    let failure = run.report.failure.unwrap_or_default();
    assert!(failure.is_empty(), "{failure}");
}

impl Run {
    async fn new(world: &World) -> Self {
        let minutes = variable("CHAOS_MINUTES").map_or(60, |minutes| {
            minutes.parse().expect("CHAOS_MINUTES is a whole number")
        });
        let path = variable("CHAOS_REPORT").unwrap_or_else(|| "target/chaos.md".to_owned());
        let begun = Instant::now();
        Self {
            clock: Clock {
                begun,
                ends: begun + Duration::from_secs(60 * minutes),
            },
            path: PathBuf::from(path),
            report: Report {
                facts: machine::facts(&world.postgres).await,
                minutes,
                first_seed: seed_or(Uuid::new_v4().as_u64_pair().0 % 1_000_000),
                ..Report::default()
            },
        }
    }

    /// Whether there is time left, and nothing was found wrong.
    fn goes_on(&self) -> bool {
        self.report.failure.is_none() && Instant::now() < self.clock.ends
    }

    async fn campaign(&mut self, world: &mut World, seed: u64) {
        let begun = Instant::now();
        match caught(world.campaign(seed, &self.clock)).await {
            Ok(done) => {
                campaign::tell(seed, &done);
                let faults = checker::judge(&done.history);
                let sums = Sums::of(&done.history, done.tolls);
                self.fail(
                    &format!("SEED={seed}"),
                    sums.failure(&faults, done.unexplained),
                );
                let took = begun.elapsed();
                self.report.campaigns.push(Campaign { seed, took, sums });
            }
            Err(panic) => self.fail(&format!("SEED={seed}"), Some(panic)),
        }
        self.write();
    }

    async fn strike(&mut self, world: &World, cell: Cell) {
        let number = self.report.struck.len() + 1;
        note(&format!("step {number}: {cell:?}; {}", self.clock));
        let place = format!("{cell:?}");
        match caught(world.strike(cell)).await {
            Ok(struck) => {
                let faults = checker::judge(&struck.history);
                let sums = Sums::of(&struck.history, vec![struck.toll]);
                self.fail(&place, sums.failure(&faults, 0));
                self.report.struck.push((cell, sums));
            }
            Err(panic) => self.fail(&place, Some(panic)),
        }
        self.write();
    }

    fn fail(&mut self, place: &str, failure: Option<String>) {
        if let Some(failure) = failure {
            self.report.failure = Some(format!("{place}: {failure}"));
        }
    }

    /// Writes the report of what was done so far.
    fn write(&mut self) {
        self.report.took = self.clock.begun.elapsed();
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).expect("the report's folder can be made");
        }
        fs::write(&self.path, page::page(&self.report)).expect("the report can be written");
    }
}

/// What a future comes to, or the text of its panic.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(text_of(panic.as_ref()))),
        }
    })
    .await
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

#[tokio::test]
async fn a_panic_is_caught_with_its_text_and_what_was_held_is_dropped() {
    struct Held<'a>(&'a std::cell::Cell<bool>);
    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = std::cell::Cell::new(false);
    let lost = caught(async {
        let _held = Held(&dropped);
        tokio::task::yield_now().await;
        assert_eq!(1, 2, "not conserved");
    });
    let text = lost.await.unwrap_err();
    assert!(text.contains("not conserved"), "{text}");
    assert!(dropped.get());
    assert_eq!(caught(async { 7 }).await, Ok(7));
}
