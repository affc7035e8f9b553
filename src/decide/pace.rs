//! How often to look for new rows.
//!
//! Owns the pace: quick while rows come, slower the longer none came. Knows no clock.
//!
//! Invariant: the answer never falls below `poll_ms` and never exceeds the larger of the two.

/// The share of the silence so far that the next wait may add to it: a row that ends the silence
/// waits for at most this part of the time it had already not been there.
const SHARE_OF_SILENCE: u64 = 20;

/// How long to wait before the next poll, in milliseconds, when the last row was seen
/// `since_last_row_ms` ago: `poll_ms` while rows come, stretching to `idle_ms`.
pub fn interval_ms(since_last_row_ms: u64, poll_ms: u64, idle_ms: u64) -> u64 {
    (since_last_row_ms / SHARE_OF_SILENCE).clamp(poll_ms, idle_ms.max(poll_ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::interval_ms;

    #[test]
    fn the_pace_is_quick_while_rows_come_and_stretches_when_none_do() {
        assert_eq!(interval_ms(0, 2, 50), 2);
        assert_eq!(interval_ms(40, 2, 50), 2);
        assert_eq!(interval_ms(200, 2, 50), 10);
        assert_eq!(interval_ms(1_000, 2, 50), 50);
        assert_eq!(interval_ms(u64::MAX, 2, 50), 50);
    }

    #[test]
    fn an_idle_interval_below_the_poll_interval_gives_way() {
        assert_eq!(interval_ms(10_000, 5, 1), 5);
    }

    proptest! {
        #[test]
        fn the_interval_stays_within_its_bounds(since: u64, poll_ms: u64, idle_ms: u64) {
            let interval = interval_ms(since, poll_ms, idle_ms);
            prop_assert!(interval >= poll_ms);
            prop_assert!(interval <= idle_ms.max(poll_ms));
        }

        #[test]
        fn a_longer_silence_never_quickens_the_pace(
            since: u64, more: u64, poll_ms: u64, idle_ms: u64,
        ) {
            prop_assert!(
                interval_ms(since.saturating_add(more), poll_ms, idle_ms)
                    >= interval_ms(since, poll_ms, idle_ms)
            );
        }
    }
}
