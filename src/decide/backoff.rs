//! How long to wait before the next attempt.
//!
//! Owns the curve: exponential, jittered, bounded. Knows neither what is attempted nor the time.
//!
//! Invariant: the answer depends on the arguments alone, and lies between the two bounds.

use std::hash::{DefaultHasher, Hash, Hasher};

/// How long to wait after the `attempt`th failure in a row (the first is 1), in milliseconds.
///
/// The ceiling doubles with every attempt from `min_ms` to `max_ms`, and the answer lies in its
/// upper half, so that those who failed together do not return together. `jitter_seed` tells them
/// apart: the same seed and attempt always wait equally long. A `min_ms` above `max_ms` gives way.
pub fn delay_ms(attempt: u32, jitter_seed: u64, min_ms: u64, max_ms: u64) -> u64 {
    let min_ms = min_ms.min(max_ms);
    let doubled_ms = 1_u64
        .checked_shl(attempt)
        .map_or(max_ms, |factor| min_ms.saturating_mul(factor));
    let ceiling_ms = doubled_ms.clamp(min_ms, max_ms);
    let floor_ms = (ceiling_ms / 2).max(min_ms);
    let spread_ms = ceiling_ms - floor_ms;
    match spread_ms.checked_add(1) {
        Some(choices) => floor_ms + chance(attempt, jitter_seed) % choices,
        None => chance(attempt, jitter_seed),
    }
}

/// A number that looks random and is not.
fn chance(attempt: u32, jitter_seed: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (attempt, jitter_seed).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::delay_ms;

    #[test]
    fn the_ceiling_doubles_until_it_meets_the_bound() {
        let longest_ms = |attempt| {
            (0..2_000)
                .map(|seed| delay_ms(attempt, seed, 100, 5_000))
                .max()
                .unwrap()
        };
        let seen: Vec<u64> = (0..9).map(longest_ms).collect();
        for (attempt, (seen_ms, ceiling_ms)) in seen
            .iter()
            .zip([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
            .enumerate()
        {
            assert!(
                *seen_ms <= ceiling_ms && *seen_ms * 100 >= ceiling_ms * 98,
                "attempt {attempt} waits up to {seen_ms} ms, not {ceiling_ms} ms"
            );
        }
    }

    #[test]
    fn neighbours_that_failed_together_return_apart() {
        let mut delays: Vec<u64> = (0..100)
            .map(|seed| delay_ms(8, seed, 100, 60_000))
            .collect();
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 90, "only {} different delays", delays.len());
    }

    proptest! {
        #[test]
        fn the_delay_stays_within_its_bounds(
            attempt: u32, seed: u64, min_ms: u64, max_ms: u64,
        ) {
            let delay = delay_ms(attempt, seed, min_ms, max_ms);
            prop_assert!(delay >= min_ms.min(max_ms));
            prop_assert!(delay <= max_ms);
        }

        #[test]
        fn the_same_arguments_wait_equally_long(
            attempt in 0_u32..80, seed: u64, min_ms in 0_u64..10_000, max_ms in 0_u64..1_000_000,
        ) {
            prop_assert_eq!(
                delay_ms(attempt, seed, min_ms, max_ms),
                delay_ms(attempt, seed, min_ms, max_ms)
            );
        }

        #[test]
        fn a_later_attempt_never_waits_less_than_half_of_an_earlier_ceiling(
            attempt in 0_u32..40, seed: u64, min_ms in 1_u64..1_000, max_ms in 1_000_u64..100_000,
        ) {
            let earlier_ms = delay_ms(attempt, seed, min_ms, max_ms);
            let later_ms = delay_ms(attempt + 1, seed, min_ms, max_ms);
            prop_assert!(later_ms >= earlier_ms / 2);
        }
    }
}
