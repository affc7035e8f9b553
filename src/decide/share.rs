//! How many lanes each relay should hold.
//!
//! Owns the arithmetic of even shares. Knows neither leases nor time.
//!
//! Invariants:
//! - over all relays that share, the shares add up to the number of lanes and differ by at most
//!   one, and every relay that sees the same relays computes the same split: nothing ping-pongs;
//! - a relay that does not deliver has a share only where none delivers.

use uuid::Uuid;

/// A live relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The token that owns its leases.
    pub token: Uuid,
    /// Whether it says that it delivers to Kafka.
    pub delivers: bool,
}

/// How many of `lanes` the relay `me` should hold, given every live relay (in any order).
///
/// The odd lanes go to the relays with the lowest tokens. A relay that is not among the live ones
/// yet has no share.
pub fn fair_share(lanes: usize, live: &[Peer], me: Uuid) -> usize {
    let any_delivers = live.iter().any(|peer| peer.delivers);
    let mut sharing: Vec<Uuid> = live
        .iter()
        .filter(|peer| peer.delivers || !any_delivers)
        .map(|peer| peer.token)
        .collect();
    sharing.sort_unstable();
    sharing.binary_search(&me).map_or(0, |rank| {
        let odd = usize::from(rank < lanes % sharing.len());
        lanes / sharing.len() + odd
    })
}

/// Whether the relay `me` does not deliver while another does.
pub fn yields(live: &[Peer], me: Uuid) -> bool {
    let delivers = |own: bool| {
        live.iter()
            .any(|peer| (peer.token == me) == own && peer.delivers)
    };
    !delivers(true) && delivers(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer((token, delivers): (u128, bool)) -> Peer {
        Peer {
            token: Uuid::from_u128(token),
            delivers,
        }
    }

    proptest! {
        #[test]
        fn shares_are_even_and_add_up_over_those_that_deliver(
            lanes in 1_usize..=256,
            relays in proptest::collection::btree_map(any::<u128>(), any::<bool>(), 1..20),
        ) {
            let live: Vec<Peer> = relays.into_iter().map(peer).collect();
            let any_delivers = live.iter().any(|peer| peer.delivers);
            let share = |peer: &Peer| fair_share(lanes, &live, peer.token);
            prop_assert_eq!(live.iter().map(share).sum::<usize>(), lanes);
            let (sharing, idle): (Vec<_>, Vec<_>) =
                live.iter().partition(|peer| peer.delivers || !any_delivers);
            prop_assert!(idle.into_iter().all(|peer| share(peer) == 0));
            let most = sharing.iter().map(|peer| share(peer)).max();
            let least = sharing.iter().map(|peer| share(peer)).min();
            prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
        }

        #[test]
        fn who_yields_has_no_share_and_another_has(
            relays in proptest::collection::btree_map(any::<u128>(), any::<bool>(), 1..20),
        ) {
            let live: Vec<Peer> = relays.into_iter().map(peer).collect();
            for peer in &live {
                let share = fair_share(256, &live, peer.token);
                prop_assert_eq!(yields(&live, peer.token), share == 0);
            }
        }
    }

    #[test]
    fn a_relay_that_is_not_counted_yet_has_no_share() {
        let me = Uuid::from_u128(1);
        assert_eq!(fair_share(16, &[], me), 0);
        assert_eq!(fair_share(16, &[peer((2, true))], me), 0);
        assert_eq!(fair_share(16, &[peer((2, false))], me), 0);
    }
}
