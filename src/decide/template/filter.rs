//! What filters make of a value.
//!
//! Owns the list, which is frozen: a filter keeps for ever what it does, because topics and keys rest on
//! it. Does not know where a value came from.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use heck::{ToKebabCase as _, ToSnakeCase as _};

use super::Value;

/// What can be made of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Upper,
    /// Words in lower case with `-` between them.
    Kebab,
    /// Words in lower case with `_` between them.
    Snake,
    /// An English plural, of a regular noun.
    Plural,
    /// The time to the minute, hour or day, in UTC.
    Minute,
    Hour,
    Day,
    /// The first, the middle and the last part of `<domain>.<entity>.<action>`.
    Domain,
    Entity,
    Action,
}

/// Every filter by its name.
pub(super) const FILTERS: [(&str, Filter); 11] = [
    ("lower", Filter::Lower),
    ("upper", Filter::Upper),
    ("kebab", Filter::Kebab),
    ("snake", Filter::Snake),
    ("plural", Filter::Plural),
    ("minute", Filter::Minute),
    ("hour", Filter::Hour),
    ("day", Filter::Day),
    ("domain", Filter::Domain),
    ("entity", Filter::Entity),
    ("action", Filter::Action),
];

impl Filter {
    /// Whether it is for times and not for texts; either way it makes a text.
    pub(super) fn takes_time(self) -> bool {
        self.time_format().is_some()
    }

    /// Makes another text of a value, or says what is wrong with it.
    pub(super) fn apply(self, value: Value<'_>) -> Result<Value<'_>, &'static str> {
        let text = match value {
            Value::Time(time) => self.of_time(time).into(),
            Value::Text(text) => self.of_text(text)?,
        };
        Ok(Value::Text(text))
    }

    /// ISO 8601, cut.
    fn time_format(self) -> Option<&'static str> {
        match self {
            Self::Minute => Some("%Y-%m-%dT%H:%MZ"),
            Self::Hour => Some("%Y-%m-%dT%HZ"),
            Self::Day => Some("%Y-%m-%d"),
            Self::Lower
            | Self::Upper
            | Self::Kebab
            | Self::Snake
            | Self::Plural
            | Self::Domain
            | Self::Entity
            | Self::Action => None,
        }
    }

    fn of_time(self, time: DateTime<Utc>) -> String {
        let format = self.time_format().unwrap_or("%+");
        time.format(format).to_string()
    }

    fn of_text(self, text: Cow<'_, str>) -> Result<Cow<'_, str>, &'static str> {
        Ok(match self {
            Self::Lower => text.to_lowercase().into(),
            Self::Upper => text.to_uppercase().into(),
            Self::Kebab => text.to_kebab_case().into(),
            Self::Snake => text.to_snake_case().into(),
            Self::Plural => plural(&text).into(),
            Self::Domain => part(&text, |(domain, _, _)| Some(domain))?,
            Self::Entity => part(&text, |(_, entity, _)| entity)?,
            Self::Action => part(&text, |(_, _, action)| Some(action))?,
            Self::Minute | Self::Hour | Self::Day => text,
        })
    }
}

/// `s`, or `es` behind a hiss, or `ies` for a `y` behind a consonant.
fn plural(word: &str) -> String {
    let ends = |endings: &[&str]| {
        let lower = word.to_ascii_lowercase();
        endings.iter().any(|ending| lower.ends_with(ending))
    };
    if ends(&["s", "x", "z", "ch", "sh"]) {
        return format!("{word}es");
    }
    let behind_vowel = ends(&["ay", "ey", "iy", "oy", "uy"]);
    match word.strip_suffix(['y', 'Y']) {
        Some(stem) if !stem.is_empty() && !behind_vowel => format!("{stem}ies"),
        Some(_) | None => format!("{word}s"),
    }
}

/// The parts of a dotted text: the first, what is between, and the last.
type Parts<'t> = (&'t str, Option<&'t str>, &'t str);

/// One of the parts.
fn part<'t>(
    text: &str,
    choose: impl FnOnce(Parts<'_>) -> Option<&str>,
) -> Result<Cow<'t, str>, &'static str> {
    let (domain, rest) = text.split_once('.').ok_or("has no dot to be split at")?;
    let (entity, action) = match rest.rsplit_once('.') {
        Some((entity, action)) => (Some(entity), action),
        None => (None, rest),
    };
    let part = choose((domain, entity, action)).ok_or("has no middle between two dots")?;
    if part.is_empty() {
        return Err("has nothing beside one of its dots");
    }
    Ok(Cow::Owned(part.to_owned()))
}
