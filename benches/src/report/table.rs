//! Tables in Markdown, and numbers as people read them.
//!
//! Owns the form. Knows not what a number means.

use super::summary::Spread;

/// What stands where there is no figure.
pub(crate) const NOT_MEASURED: &str = "not measured";

/// A table; its first column holds names, the others figures.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn push(
        &mut self,
        name: impl Into<String>,
        figures: impl IntoIterator<Item = String>,
    ) {
        let mut row = vec![name.into()];
        row.extend(figures);
        self.rows.push(row);
    }

    /// The table, or that there is none.
    pub(crate) fn markdown(&self) -> String {
        if self.rows.is_empty() {
            return "Not measured.\n".to_owned();
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---:"; self.head.len() - 1].join(" | ");
        let head = [line(&self.head), format!("| :--- | {rule} |\n")];
        let rows = self.rows.iter().map(|row| line(row));
        head.into_iter().chain(rows).collect::<Vec<_>>().concat()
    }
}

/// A number with as many digits as can be told apart: `1.23`, `12.3`, `123`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if value.fract() == 0.0 || size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    grouped(&format!("{value:.decimals$}"))
}

/// The same without zeros at its end, for round numbers.
pub(crate) fn short(value: f64) -> String {
    let digits = number(value);
    if digits.contains('.') {
        let digits = digits.trim_end_matches('0');
        return digits.trim_end_matches('.').to_owned();
    }
    digits
}

/// Commas between thousands.
fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (sign, whole) = whole
        .strip_prefix('-')
        .map_or(("", whole), |whole| ("-", whole));
    let mut text = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A figure: its median, and its smallest and largest where it was measured more than once.
pub(crate) fn figure(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return NOT_MEASURED.to_owned();
    };
    let [median, min, max] = [spread.median, spread.min, spread.max].map(number);
    if min == max {
        median
    } else {
        format!("{median} ({min}–{max})")
    }
}

/// How many times as much.
pub(crate) fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || NOT_MEASURED.to_owned(),
        |ratio| format!("{} ×", number(ratio)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_digits_as_can_be_told_apart() {
        let shown = [
            0.0,
            0.123,
            1.234,
            9.999,
            12.34,
            99.96,
            123.4,
            1_234_567.8,
            -1_234.0,
        ]
        .map(number);
        let expected = [
            "0",
            "0.12",
            "1.23",
            "10.0",
            "12.3",
            "100",
            "123",
            "1,234,568",
            "-1,234",
        ];
        assert_eq!(shown, expected);
        let short = [0.5, 1.5, 2.0, 100.0, 20_000.0].map(short);
        assert_eq!(short, ["0.5", "1.5", "2", "100", "20,000"]);
    }

    #[test]
    fn a_figure_shows_its_spread_and_a_missing_one_is_said_to_be_missing() {
        let spread = |median, min, max| {
            Some(Spread {
                median,
                min,
                max,
                rounds: 3,
            })
        };
        assert_eq!(figure(spread(2.0, 1.0, 3.0)), "2 (1–3)");
        assert_eq!(figure(spread(2.0, 2.0, 2.0)), "2");
        assert_eq!(figure(None), "not measured");
        assert_eq!(times(None), "not measured");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let mut table = Table::new(&["who", "rows/s"]);
        assert_eq!(table.markdown(), "Not measured.\n");
        table.push("ours", ["1".to_owned()]);
        assert_eq!(
            table.markdown(),
            "| who | rows/s |\n| :--- | ---: |\n| ours | 1 |\n"
        );
    }
}
