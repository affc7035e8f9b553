//! Which name a series gets where names come from rows.
//!
//! Owns the bound: the first so many names have a place of their own, all others share one. Knows
//! no series.
//!
//! Invariants:
//! - whatever names come, there are at most `max` places and one more;
//! - a name that has a place keeps it.

use foldhash::{HashMap, HashMapExt};

/// What the names without a place of their own are called together.
pub const OTHER: &str = "other";
/// A longer name has no place of its own, in bytes; no topic's name is longer.
const NAME_BYTES_MAX: usize = 249;

/// The names that have been seen.
#[derive(Debug)]
pub struct Labels {
    max: usize,
    places: HashMap<Box<str>, usize>,
}

impl Labels {
    /// No names yet, and at most `max` of them.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            places: HashMap::with_capacity(max),
        }
    }

    /// The place of a name: a new one has the number of places that there were, and `max` is that
    /// of all the others.
    pub fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let place = self.places.len();
        if place == self.max || name.len() > NAME_BYTES_MAX {
            return self.max;
        }
        self.places.insert(name.into(), place);
        place
    }

    /// What a place is called, given a name that has it.
    pub fn label<'a>(&self, place: usize, name: &'a str) -> &'a str {
        if place == self.max { OTHER } else { name }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_of_any_length_is_no_label() {
        let mut labels = Labels::new(3);
        let long = "x".repeat(250);
        let place = labels.place(&long);
        assert_eq!(labels.label(place, &long), OTHER);
        assert_eq!(labels.place("short"), 0, "it took no place");
    }

    proptest! {
        #[test]
        fn names_keep_their_places_and_the_places_are_few(
            names in prop::collection::vec("[a-f]{0,2}", 0..200),
            max in 1_usize..20,
        ) {
            let mut labels = Labels::new(max);
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            for name in names {
                let place = labels.place(&name);
                prop_assert!(place <= max);
                prop_assert_eq!(*seen.entry(name.clone()).or_insert(place), place);
                let own = labels.label(place, &name) == name;
                prop_assert_eq!(own, place < max);
            }
            let own: BTreeSet<usize> = seen.values().copied().filter(|&place| place < max).collect();
            prop_assert_eq!(own.len(), seen.len().min(max), "the first names have their own");
        }
    }
}
