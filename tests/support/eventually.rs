//! Waiting for a condition: the one place where a test may let time pass.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long anything may take on a busy machine that has no promise of its own.
pub(crate) const SOON: Duration = Duration::from_mins(2);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What one look at the world can say: found, or not yet, and then perhaps what it saw instead.
pub(crate) trait Answer {
    /// What is waited for.
    type Found;

    /// Splits into what was found, or what was seen instead.
    fn found(self) -> Result<Self::Found, String>;
}

impl<T> Answer for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Answer for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

/// Looks again and again until something is found; panics with what it last saw once the time is
/// up. A look that hangs counts as one that found nothing.
pub(crate) async fn eventually<A: Answer>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> A,
) -> A::Found {
    let deadline = Instant::now() + within;
    let mut seen = "nothing, the first look did not return".to_owned();
    while let Ok(answer) = timeout_at(deadline, look()).await {
        match answer.found() {
            Ok(found) => return found,
            Err(instead) => seen = instead,
        }
        if Instant::now() >= deadline {
            break;
        }
        sleep(PAUSE).await;
    }
    panic!("not within {within:?}: {what}; last seen: {seen}");
}

/// Looks again and again for a time; panics at the first look that finds something wrong.
pub(crate) async fn throughout(
    what: &str,
    time: Duration,
    mut look: impl AsyncFnMut() -> Result<(), String>,
) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Err(seen) = look().await {
            panic!("not throughout {time:?}: {what}; seen: {seen}");
        }
        sleep(PAUSE).await;
    }
}
