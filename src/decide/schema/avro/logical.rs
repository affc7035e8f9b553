//! What stands in JSON as text, and is something else in Avro: bytes, decimals, UUIDs, times.
//!
//! Owns how each is written. Knows no schema but the measures that it is given.
//!
//! Invariant: what cannot be said exactly is refused, but for digits of a second that a unit has no
//! room for, which are cut off.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use uuid::Uuid;

use crate::decide::decimal::{Decimal, Measure};
use crate::decide::schema::fault::Fault;

/// Whose texts are read: bytes are written otherwise in a schema's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// Bytes are base64, or `\x` and hexadecimal digits, as `PostgreSQL` writes them.
    OfPayload,
    /// Bytes are the code points of a text (Avro's specification, "Complex Types").
    OfDefault,
}

/// What a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// A kind of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// Days since 1970.
    Date,
    /// Since midnight.
    OfDay(Unit),
    /// A point in time; a text that tells no zone is in UTC.
    Stamp(Unit),
    /// What a clock showed, in no zone.
    Local(Unit),
}

impl Time {
    /// Whether it takes 32 bits.
    pub(super) fn is_int(self) -> bool {
        matches!(self, Self::Date | Self::OfDay(Unit::Milliseconds))
    }

    /// The number that JSON gives, or says as text.
    pub(super) fn count(self, json: &str) -> Result<i64, Fault> {
        let text = json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let (number, what) = match (self, text) {
            (Self::Date, Some(text)) => (date(text), "a date such as 2026-03-04"),
            (Self::OfDay(unit), Some(text)) => (time_of_day(text, unit), "a time such as 05:06:07"),
            (Self::Stamp(unit), Some(text)) => {
                (timestamp(text, unit), "a time such as 2026-03-04T05:06:07Z")
            }
            (Self::Local(unit), Some(text)) => {
                let time = naive(text).and_then(|time| counted(time.and_utc(), unit));
                (time, "a time without a zone such as 2026-03-04T05:06:07")
            }
            (_, None) => (json.parse().ok(), "a time as text"),
        };
        number.ok_or_else(|| Fault::new(format!("expected a whole number, or {what}")))
    }
}

pub(super) fn bytes(text: &str, texts: Texts) -> Result<Vec<u8>, Fault> {
    let bytes = match (texts, text.strip_prefix("\\x")) {
        (Texts::OfDefault, _) => text
            .chars()
            .map(|letter| u8::try_from(letter).ok())
            .collect(),
        (Texts::OfPayload, Some(digits)) => of_hexadecimal(digits),
        (Texts::OfPayload, None) => STANDARD.decode(text).ok(),
    };
    bytes.ok_or_else(|| Fault::new("expected bytes in base64, or in hexadecimal after \\x"))
}

fn of_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes().chunks(2).map(|pair| {
        let [high, low] = pair else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        u8::try_from(16 * digit(*high)? + digit(*low)?).ok()
    });
    digits.collect()
}

pub(super) fn fixed(text: &str, size: usize, texts: Texts) -> Result<Vec<u8>, Fault> {
    let bytes = bytes(text, texts)?;
    if bytes.len() != size {
        return Err(Fault::new(format!("expected {size} bytes")));
    }
    Ok(bytes)
}

pub(super) fn uuid(text: &str) -> Result<Uuid, Fault> {
    Uuid::parse_str(text).map_err(|_| Fault::new("expected a UUID"))
}

/// The unscaled number in two's complement, the highest byte first; filled up to a size.
pub(super) fn decimal(text: &str, measure: Measure, size: Option<usize>) -> Result<Vec<u8>, Fault> {
    let decimal = Decimal::read(text, measure).map_err(Fault::new)?;
    let Some(size) = size else {
        return Ok(decimal.bytes());
    };
    let bytes = decimal.fixed_bytes(size);
    bytes.ok_or_else(|| Fault::new(format!("more than {size} bytes can hold")))
}

fn date(text: &str) -> Option<i64> {
    let date: NaiveDate = text.parse().ok()?;
    Some(date.signed_duration_since(NaiveDate::default()).num_days())
}

fn time_of_day(text: &str, unit: Unit) -> Option<i64> {
    let time: NaiveTime = text.parse().ok()?;
    let seconds = i64::from(time.num_seconds_from_midnight());
    let nanoseconds = i64::from(time.nanosecond());
    Some(match unit {
        Unit::Milliseconds => seconds * 1_000 + nanoseconds / 1_000_000,
        Unit::Microseconds => seconds * 1_000_000 + nanoseconds / 1_000,
        Unit::Nanoseconds => seconds * 1_000_000_000 + nanoseconds,
    })
}

fn timestamp(text: &str, unit: Unit) -> Option<i64> {
    let zoned = DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    let time = zoned
        .ok()
        .or_else(|| naive(text).map(|time| time.and_utc()))?;
    counted(time, unit)
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
}

fn counted(time: DateTime<Utc>, unit: Unit) -> Option<i64> {
    match unit {
        Unit::Milliseconds => Some(time.timestamp_millis()),
        Unit::Microseconds => Some(time.timestamp_micros()),
        Unit::Nanoseconds => time.timestamp_nanos_opt(),
    }
}
