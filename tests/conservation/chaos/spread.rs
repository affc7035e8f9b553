//! How numbers are spread: the least, the middle, the ninth of ten, and the most.
//!
//! Owns the arithmetic. Knows nothing of what is counted.

/// The spread of some values, each of which is one that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread<T> {
    pub(super) count: usize,
    pub(super) min: T,
    pub(super) median: T,
    pub(super) p90: T,
    pub(super) max: T,
}

impl<T: Ord + Copy> Spread<T> {
    /// The spread of these values; nothing where there are none.
    pub(super) fn of(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        let (&min, &max) = (values.first()?, values.last()?);
        // The smallest value that so many of a hundred do not exceed (the nearest rank).
        let rank = |percent: usize| values[(values.len() * percent).div_ceil(100) - 1];
        Some(Self {
            count: values.len(),
            min,
            median: rank(50),
            p90: rank(90),
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let spread = |count, min, median, p90, max| {
            Some(Spread {
                count,
                min,
                median,
                p90,
                max,
            })
        };
        assert_eq!(Spread::<usize>::of([]), None);
        assert_eq!(Spread::of([7]), spread(1, 7, 7, 7, 7));
        assert_eq!(Spread::of([9, 1]), spread(2, 1, 1, 9, 9));
        assert_eq!(Spread::of((1..=10).rev()), spread(10, 1, 5, 9, 10));
        assert_eq!(Spread::of(1..=11), spread(11, 1, 6, 10, 11));
    }

    proptest! {
        #[test]
        fn so_many_of_a_hundred_do_not_exceed_a_rank(
            values in proptest::collection::vec(0..1_000_u32, 1..200),
        ) {
            let spread = Spread::of(values.iter().copied()).expect("there are values");
            for (percent, rank) in [(50, spread.median), (90, spread.p90)] {
                let within = values.iter().filter(|value| **value <= rank).count();
                let below = values.iter().filter(|value| **value < rank).count();
                prop_assert!(within * 100 >= values.len() * percent);
                prop_assert!(below * 100 < values.len() * percent);
            }
        }
    }
}
