//! JSON as a Java program prints it.
//!
//! Owns the spelling of texts and numbers, which consumers that compare bytes see. Knows no schema.
//!
//! Invariant: what is written is one JSON value.

use std::fmt::Write as _;

/// Up to this exponent of ten, and from the lower one, Java writes a double without an exponent.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -3..7;

/// Writes a text as Jackson does: what UTF-8 needs four bytes for is escaped, as two halves.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..' ' | '\u{10000}'.. => {
                for half in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{half:04X}").expect("a String takes what memory holds");
                }
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// A finite number as Java's `Double.toString` spells it: the fewest digits that tell it from its
/// neighbours, and at least one behind the point.
pub(super) fn double(number: f64) -> String {
    let shortest = format!("{number:e}");
    let spelled = if shortest.contains('.') {
        shortest
    } else {
        format!("{number:.1e}")
    };
    let (digits, exponent) = spelled
        .split_once('e')
        .expect("this form of a finite number has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    if !PLAIN_EXPONENTS.contains(&exponent) {
        return format!("{digits}E{exponent}");
    }
    let plain = format!("{number}");
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_where_jackson_escapes_it() {
        let mut out = String::new();
        quote("é€ \u{1f}\u{8}\n\"\\/<'\u{7f}\u{2028}\u{1f600}", &mut out);
        assert_eq!(
            out,
            "\"é€ \\u001F\\b\\n\\\"\\\\/<'\u{7f}\u{2028}\\uD83D\\uDE00\""
        );
    }

    /// The right-hand sides are what `Double.toString` of Java 21 prints.
    #[test]
    fn a_double_is_spelled_as_java_spells_it() {
        for (number, spelled) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (9.5, "9.5"),
            (100.0, "100.0"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (-1.25e-10, "-1.25E-10"),
            (2e23, "2.0E23"),
            (1.797_693_134_862_315_7e308, "1.7976931348623157E308"),
            (f64::from_bits(1), "4.9E-324"),
        ] {
            assert_eq!(double(number), spelled);
        }
    }
}
