//! The clock by which leases are kept.
//!
//! Owns its reading, and the time for people beside it. The clock only ever rises, no one can set it, and it goes on while the machine is
//! suspended, when the database's clock goes on too: `Instant` would stand still then
//! (`CLOCK_MONOTONIC`; `clock_gettime(2)`), and a lease that had run out would look alive.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine was started.
pub fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    positive(now.tv_sec) * 1000 + positive(now.tv_nsec) / 1_000_000
}

/// How long it is until then; nothing if that has been. Counted in nanoseconds: who rests by whole
/// milliseconds rests for half of one too long.
pub fn until(boot_ms: u64) -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let since_start =
        Duration::from_secs(positive(now.tv_sec)) + Duration::from_nanos(positive(now.tv_nsec));
    Duration::from_millis(boot_ms).saturating_sub(since_start)
}

/// What the time is for people. It may be set, so nothing is decided by it.
pub fn wall() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn positive(part: i64) -> u64 {
    u64::try_from(part).expect("a machine was started before it runs this")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::Command;

    use super::*;
    use crate::process::child;

    const DAY_MS: u64 = 86_400_000;
    /// Runs a program as after a suspension of a day: by `CLOCK_BOOTTIME` it is a day later, by
    /// `CLOCK_MONOTONIC` it is not (`time_namespaces(7)`).
    const SLEPT_A_DAY: [&str; 5] = [
        "unshare",
        "--user",
        "--map-root-user",
        "--time",
        "--boottime=86400",
    ];

    #[test]
    fn it_counts_milliseconds_since_the_machine_was_started() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = Duration::from_millis(boot_ms()).as_secs_f64();
        assert!((now - seconds).abs() < 10.0, "{now} against {seconds}");
    }

    #[test]
    fn what_is_left_until_a_time_is_told_and_never_falls_below_nothing() {
        let then_ms = boot_ms() + 5_000;
        let left = until(then_ms);
        assert!(left <= Duration::from_secs(5), "{left:?}");
        assert!(left > Duration::from_secs(1), "{left:?}");
        assert_eq!(until(boot_ms()), Duration::ZERO);
        assert_eq!(until(0), Duration::ZERO);
    }

    #[test]
    fn it_never_falls() {
        let readings: Vec<u64> = (0..1000).map(|_| boot_ms()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn in_a_child_the_time_is_told() {
        if child::is_child() {
            child::say(&format!("it is {} ms", boot_ms()));
        }
    }

    #[test]
    fn it_counts_the_time_that_the_machine_was_suspended() {
        let [program, arguments @ ..] = SLEPT_A_DAY;
        let trying = Command::new(program).args(arguments).arg("true").status();
        if !trying.is_ok_and(|status| status.success()) {
            child::say("SKIPPED: this machine lets nobody have a time namespace");
            return;
        }
        let before_ms = boot_ms();
        let test = "process::clock::tests::in_a_child_the_time_is_told";
        let (mut process, mut stderr) = child::start_by(&SLEPT_A_DAY, test);
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert!(process.wait().unwrap().success(), "{said}");
        let told = said.lines().find_map(|line| {
            let (_, told) = line.split_once("it is ")?;
            told.strip_suffix(" ms")?.parse().ok()
        });
        let told_ms: u64 = told.unwrap_or_else(|| panic!("{said}"));
        assert!(told_ms >= before_ms + DAY_MS, "{before_ms} and {told_ms}");
    }
}
