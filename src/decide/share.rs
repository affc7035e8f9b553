//! How many lanes each relay should hold.
//!
//! Owns the arithmetic of even shares. Knows neither leases nor time.
//!
//! Invariant: over all live relays the shares add up to the number of lanes and differ by at most
//! one, and every relay that sees the same relays computes the same split: nothing ping-pongs.

use uuid::Uuid;

/// How many of `lanes` the relay `me` should hold, given every live relay (in any order).
///
/// The odd lanes go to the relays with the lowest tokens. A relay that is not among the live ones
/// yet has no share.
pub fn fair_share(lanes: usize, live: &[Uuid], me: Uuid) -> usize {
    if !live.contains(&me) {
        return 0;
    }
    let rank = live.iter().filter(|&&relay| relay < me).count();
    let odd = usize::from(rank < lanes % live.len());
    lanes / live.len() + odd
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_even_and_add_up(lanes in 1_usize..=256, tokens in proptest::collection::btree_set(any::<u128>(), 1..20)) {
            let live: Vec<Uuid> = tokens.into_iter().map(Uuid::from_u128).collect();
            let shares: Vec<usize> = live.iter().map(|&me| fair_share(lanes, &live, me)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), lanes);
            let most = shares.iter().max().copied().unwrap_or(0);
            let least = shares.iter().min().copied().unwrap_or(0);
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn a_relay_that_is_not_counted_yet_has_no_share() {
        assert_eq!(fair_share(16, &[], Uuid::from_u128(1)), 0);
        assert_eq!(fair_share(16, &[Uuid::from_u128(2)], Uuid::from_u128(1)), 0);
    }
}
