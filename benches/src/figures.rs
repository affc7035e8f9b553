//! Figures: what one measurement says, by name; the unit stands in the name.
//!
//! Owns percentiles and the one conversion from counts. Knows not what is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Figures by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Figures(pub(crate) BTreeMap<String, f64>);

impl Figures {
    /// Takes a figure in, rounded to what can be told apart.
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), rounded(value));
    }

    /// Takes others in, under their names after a prefix.
    pub(crate) fn extend(&mut self, prefix: &str, others: Self) {
        for (name, value) in others.0 {
            self.0.insert(format!("{prefix}{name}"), value);
        }
    }

    /// A figure by its name.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Takes in how these times are distributed, in the unit that `name` ends with.
    pub(crate) fn set_spread(&mut self, unit: &str, values: Vec<f64>) {
        let sorted = sorted(values);
        for (name, percent) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
            if let Some(value) = percentile(&sorted, percent) {
                self.set(&format!("{name}_{unit}"), value);
            }
        }
    }
}

/// Values in order.
pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest of sorted values that so many of a hundred do not pass (the nearest rank).
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// A count as a figure.
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "figures for people"
)]
pub(crate) fn f64_of<T: TryInto<i64>>(count: T) -> f64 {
    count.try_into().unwrap_or(i64::MAX) as f64
}

/// So many in such a time, a second.
pub(crate) fn rate(count: i64, took: Duration) -> f64 {
    f64_of(count) / took.as_secs_f64().max(1e-6)
}

/// Three decimals below a hundred, none above.
fn rounded(value: f64) -> f64 {
    if value.abs() < 100.0 {
        (value * 1_000.0).round() / 1_000.0
    } else {
        value.round()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let values = sorted((1..=200).rev().map(f64::from).collect());
        let of = |percent| percentile(&values, percent);
        assert_eq!(
            (of(50), of(99), of(100)),
            (Some(100.0), Some(198.0), Some(200.0))
        );
        assert_eq!(percentile(&[7.0], 50), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn figures_are_rounded_to_what_can_be_told_apart() {
        let mut figures = Figures::default();
        figures.set("p50_ms", 2.345_678);
        figures.set("rows_per_s", 108_765.4);
        assert_eq!(figures.get("p50_ms"), Some(2.346));
        assert_eq!(figures.get("rows_per_s"), Some(108_765.0));
    }
}
