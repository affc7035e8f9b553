//! Dice: the same numbers from the same seed, so that a schedule can be had again.
//!
//! Owns the seed and how it is told. Knows nothing of what is decided by it.

use crate::support::variable;

/// A source of numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice of the same seed, one for each name.
    pub(super) fn branch(&self, name: u64) -> Self {
        let mut dice = Self(self.0 ^ name.wrapping_mul(0xd605_bbb5_8c8a_bc03));
        dice.next();
        Self(dice.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and not including, `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("an index fits");
        usize::try_from(self.next() % end).expect("it is smaller than an index")
    }

    /// Whether it happens that happens in so many of a hundred cases.
    pub(super) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }
}

/// The seed that `SEED` names, else this one.
pub(super) fn seed_or(given: u64) -> u64 {
    variable("SEED").map_or(given, |seed| seed.parse().expect("SEED is a whole number"))
}
