//! Lines of results for the tests of the report.

use serde_json::Value;

use crate::figures::Figures;
use crate::results::Line;

/// A round of a cell by its title.
pub(super) fn line(title: &str, round: u32, values: &[(&str, f64)]) -> Line {
    let mut parts = title.splitn(3, '/').map(str::to_owned);
    let mut figures = Figures::default();
    for (name, value) in values {
        figures.set(name, *value);
    }
    Line {
        cell: parts.next().unwrap_or_default(),
        contender: parts.next().unwrap_or_default(),
        variant: parts.next().unwrap_or_default(),
        round,
        at: "2026-01-02T03:04:05Z".to_owned(),
        figures,
        settings: Value::Null,
        skipped: None,
    }
}

/// A cell whose contender could not run.
pub(super) fn skipped(title: &str, reason: &str) -> Line {
    Line {
        skipped: Some(reason.to_owned()),
        ..line(title, 0, &[])
    }
}
