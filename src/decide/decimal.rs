//! Decimals as texts, and as the whole numbers and bytes that formats make of them.
//!
//! Owns the reading, and the spelling of Java. Knows no format.
//!
//! Invariant: a decimal is exact, or refused.

use num_bigint::{BigInt, Sign};

/// How many digits a decimal has, and how many of them stand behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// All of them.
    pub precision: usize,
    /// Those behind the point.
    pub scale: usize,
}

/// A number without its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    unscaled: BigInt,
    scale: usize,
}

impl Decimal {
    /// Reads a text such as `12.50`.
    ///
    /// # Errors
    /// What is wrong with it, without a digit of it.
    pub fn read(text: &str, Measure { precision, scale }: Measure) -> Result<Self, String> {
        let wrong = || "expected a decimal such as 12.50, without an exponent".to_owned();
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut all = whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !all.all(|digit| digit.is_ascii_digit()) {
            return Err(wrong());
        }
        let kept = fraction.trim_end_matches('0');
        if kept.len() > scale {
            return Err(format!("more than {scale} digits behind the point"));
        }
        let digits = format!("{whole}{kept:0<scale$}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > precision {
            return Err(format!("more than {precision} digits"));
        }
        let unscaled = match digits {
            "" => BigInt::ZERO,
            digits => format!("{sign}{digits}").parse().map_err(|_| wrong())?,
        };
        Ok(Self { unscaled, scale })
    }

    /// The number without its point in two's complement, the highest byte first, in as few bytes as can
    /// be.
    pub fn bytes(&self) -> Vec<u8> {
        self.unscaled.to_signed_bytes_be()
    }

    /// The same filled up to a size; none where that is too small.
    pub fn fixed_bytes(&self, size: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes();
        let room = size.checked_sub(bytes.len())?;
        let is_negative = self.unscaled.sign() == Sign::Minus;
        let sign = if is_negative { 0xff } else { 0 };
        Some([vec![sign; room], bytes].concat())
    }

    /// The text that Java's `BigDecimal.toString` makes of it: a number that begins more than six
    /// places behind the point has an exponent.
    pub fn spelled(&self) -> String {
        let sign = if self.unscaled.sign() == Sign::Minus {
            "-"
        } else {
            ""
        };
        let digits = self.unscaled.magnitude().to_string();
        let scale = self.scale;
        if scale > digits.len() + 5 {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return format!("{sign}{first}{point}{rest}E-{}", scale + 1 - digits.len());
        }
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right-hand sides are what `BigDecimal.toString` of Java 17 prints.
    #[test]
    fn a_decimal_is_spelled_as_java_spells_it() {
        for (text, scale, spelled) in [
            ("12.5", 2, "12.50"),
            ("-12.5", 2, "-12.50"),
            ("7", 0, "7"),
            ("0", 2, "0.00"),
            ("-0.00", 2, "0.00"),
            ("0.000001", 6, "0.000001"),
            ("0.0000001", 7, "1E-7"),
            ("-0.00000012", 8, "-1.2E-7"),
            ("0", 6, "0.000000"),
            ("0", 7, "0E-7"),
            ("100", 7, "100.0000000"),
        ] {
            let measure = Measure {
                precision: 38,
                scale,
            };
            assert_eq!(Decimal::read(text, measure).unwrap().spelled(), spelled);
        }
    }

    #[test]
    fn bytes_are_as_few_as_can_be_or_as_many_as_are_asked_for() {
        let measure = Measure {
            precision: 5,
            scale: 2,
        };
        let bytes = |text: &str| Decimal::read(text, measure).unwrap();
        assert_eq!(bytes("12.5").bytes(), [4, 0xe2]);
        assert_eq!(bytes("-0.01").bytes(), [0xff]);
        assert_eq!(bytes("0").bytes(), [0]);
        assert_eq!(bytes("-0.01").fixed_bytes(3), Some(vec![0xff; 3]));
        assert_eq!(bytes("12.5").fixed_bytes(1), None);
    }

    #[test]
    fn what_is_no_decimal_or_does_not_fit_is_refused_without_being_shown() {
        let measure = Measure {
            precision: 4,
            scale: 2,
        };
        for text in ["", "-", ".5", "1e2", "1.2.3", "NaN", "٣", "100", "0.001"] {
            let told = Decimal::read(text, measure).unwrap_err();
            assert!(
                text.is_empty() || !told.contains(&format!(" {text} ")),
                "{told}"
            );
        }
        assert!(Decimal::read("099.990", measure).is_ok());
    }
}
