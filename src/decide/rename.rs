//! Topics that a regular expression makes of another text.
//!
//! Owns the rule of Kafka Connect's `RegexRouter` (Kafka's documentation, "Connect transforms"): a text that
//! the expression matches as a whole has its first match replaced, any other stays as it is. The replacement is
//! written as Java has it: `$1`, `${name}`, and a backslash before what stands for itself. Does not know where
//! the text comes from.
//!
//! Invariant: a rule that was read is total.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Captures, Regex};
use serde::Deserialize;

/// A rule as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RenameSpec {
    /// The expression.
    pub regex: String,
    /// What takes the place of its match.
    pub to: String,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rename {
    /// Matches whole texts alone.
    whole: Regex,
    first: Regex,
    to: Vec<Piece>,
}

/// A piece of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

impl RenameSpec {
    /// Reads the rule; the error is its key, and what is wrong.
    pub fn read(&self) -> Result<Rename, (&'static str, String)> {
        for (key, text) in [("regex", &self.regex), ("to", &self.to)] {
            if text.is_empty() {
                return Err((key, "is needed: a rename has both regex and to".to_owned()));
            }
        }
        let compile = |text: &str| {
            Regex::new(text).map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ").to_owned();
                ("regex", format!("not a regular expression: {reason}"))
            })
        };
        let first = compile(&self.regex)?;
        let whole = compile(&format!(r"\A(?:{})\z", self.regex))?;
        let to = pieces(&self.to, &first).map_err(|reason| ("to", reason))?;
        Ok(Rename { whole, first, to })
    }
}

impl Rename {
    /// The name that becomes of a text.
    pub fn apply(&self, text: &str) -> String {
        if !self.whole.is_match(text) {
            return text.to_owned();
        }
        let replaced = self.first.replace(text, |captures: &Captures<'_>| {
            let pieces = self.to.iter().map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Group(group) => captures.get(*group).map_or("", |found| found.as_str()),
            });
            pieces.collect::<String>()
        });
        replaced.into_owned()
    }
}

/// Reads a replacement for the groups of an expression.
fn pieces(text: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut own = String::new();
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => own.push(rest.next().ok_or("ends with a backslash")?),
            '$' => {
                pieces.push(Piece::Text(std::mem::take(&mut own)));
                pieces.push(Piece::Group(group(&mut rest, regex)?));
            }
            _ => own.push(letter),
        }
    }
    pieces.push(Piece::Text(own));
    Ok(pieces)
}

/// Reads the group behind a `$`: a name in braces, or as many digits as make a group that there is.
fn group(rest: &mut Peekable<Chars<'_>>, regex: &Regex) -> Result<usize, String> {
    if rest.next_if_eq(&'{').is_some() {
        let name: String = rest.by_ref().take_while(|letter| *letter != '}').collect();
        let found = regex.capture_names().position(|known| known == Some(&name));
        return found.ok_or_else(|| format!("the expression has no group named {name:?}"));
    }
    let digit = |letter: &char| letter.is_ascii_digit();
    let first = rest.next_if(digit).and_then(|letter| letter.to_digit(10));
    let first = first.ok_or("`$` stands before a group: `$1`, `${name}`; `\\$` is a dollar")?;
    let mut number = usize::try_from(first).unwrap_or(usize::MAX);
    if number >= regex.captures_len() {
        return Err(format!("the expression has no group {number}"));
    }
    while let Some(next) = rest.peek().and_then(|letter| letter.to_digit(10)) {
        let longer = number * 10 + usize::try_from(next).unwrap_or(usize::MAX);
        if longer >= regex.captures_len() {
            break;
        }
        number = longer;
        rest.next();
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(regex: &str, to: &str, text: &str) -> String {
        let spec = RenameSpec {
            regex: regex.to_owned(),
            to: to.to_owned(),
        };
        spec.read().unwrap().apply(text)
    }

    #[test]
    fn a_text_that_matches_as_a_whole_has_its_first_match_replaced() {
        assert_eq!(renamed("(.*)_(.*)", "$2-$1", "order_eu"), "eu-order");
        assert_eq!(renamed("(?<x>.*)", "a.${x}.b", "order"), "a.order.b");
        assert_eq!(renamed("(.*)_(.*)", "$2-$1", "order"), "order", "no match");
        assert_eq!(renamed("rd", "x", "order"), "order", "a part is no match");
        assert_eq!(
            renamed("(?<x>.*)", "a.${x}", "a\nb"),
            "a\nb",
            "`.` ends at a line"
        );
        assert_eq!(
            renamed("(.*?)", "x$1", "order"),
            "xorder",
            "the first match is empty"
        );
        assert_eq!(
            renamed("(a)?b", "<$1>", "b"),
            "<>",
            "a group without a match"
        );
    }

    #[test]
    fn a_replacement_is_read_as_java_reads_it() {
        assert_eq!(renamed("(.*)", "$1abc", "o"), "oabc");
        assert_eq!(renamed("(.*)", "$12", "o"), "o2", "there is no group 12");
        assert_eq!(renamed("(.*)", r"\$1\\$0", "o"), r"$1\o");
        assert_eq!(
            renamed("pre(.*)", "$1", "preo$x"),
            "o$x",
            "what was matched is text"
        );
    }

    #[test]
    fn a_rule_that_cannot_be_is_told_with_its_key() {
        for (regex, to, key) in [
            ("", "x", "regex"),
            ("x", "", "to"),
            ("(", "x", "regex"),
            ("(?=x)", "x", "regex"),
            (".*", "$1", "to"),
            (".*", "${x}", "to"),
            (".*", "$", "to"),
            (".*", "\\", "to"),
        ] {
            let spec = RenameSpec {
                regex: regex.to_owned(),
                to: to.to_owned(),
            };
            let (found, reason) = spec.read().unwrap_err();
            assert_eq!(found, key, "{reason}");
            assert!(!reason.contains('\n'), "{reason}");
        }
    }
}
