//! The clock by which leases are kept.
//!
//! Owns its reading, and the time for people beside it. The clock only ever rises, no one can set it, and it goes on while the machine is
//! suspended, when the database's clock goes on too: `Instant` would stand still then
//! (`CLOCK_MONOTONIC`; `clock_gettime(2)`), and a lease that had run out would look alive.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since the machine was started.
pub fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    positive(now.tv_sec) * 1000 + positive(now.tv_nsec) / 1_000_000
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
    use super::*;

    #[test]
    fn it_counts_milliseconds_since_the_machine_was_started() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let now = std::time::Duration::from_millis(boot_ms()).as_secs_f64();
        assert!((now - seconds).abs() < 10.0, "{now} against {seconds}");
    }

    #[test]
    fn it_never_falls() {
        let readings: Vec<u64> = (0..1000).map(|_| boot_ms()).collect();
        assert!(readings.is_sorted());
    }
}
