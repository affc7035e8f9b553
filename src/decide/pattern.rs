//! Which texts are meant: a glob, or a regular expression between slashes.
//!
//! Owns how both are written and what matches. Does not know whose texts they are.

use regex::Regex;

/// A choice of texts.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// `*` stands for anything; all of a text must match.
    Glob(String),
    /// Any part of a text may match.
    Regex(Regex),
}

impl Pattern {
    /// Reads `order*` or `/^Order(Created|Paid)$/`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Ok(Self(Kind::Glob(text.to_owned())));
        };
        let expression = rest
            .strip_suffix('/')
            .ok_or("a regular expression begins with / and ends with /")?;
        Regex::new(expression)
            .map(|regex| Self(Kind::Regex(regex)))
            .map_err(|error| {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                format!("not a regular expression: {reason}")
            })
    }

    /// Whether a text is meant.
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Kind::Glob(pattern) => glob(pattern, text),
            Kind::Regex(regex) => regex.is_match(text),
        }
    }

    /// Whether every text is meant, as far as it shows.
    pub fn is_any(&self) -> bool {
        matches!(&self.0, Kind::Glob(pattern) if pattern == "*")
    }
}

/// Whether a glob matches all of a text: its first and last parts at the ends, the others in
/// order between them, each as early as can be.
pub fn glob(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(place) = rest.find(part) else {
            return false;
        };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_means_whole_texts_and_an_expression_any_part_of_them() {
        let means = |pattern: &str, text: &str| Pattern::parse(pattern).unwrap().matches(text);
        assert!(means("order", "order") && !means("order", "orders") && !means("order", "Order"));
        assert!(means("order*", "orders") && means("*", "") && !means("", "x"));
        assert!(means("shop.*.v1", "shop.order.v1") && !means("shop.*.v1", "shopXorder.v1"));
        assert!(means("/rder/", "orders") && !means("/^rder/", "orders"));
        assert!(means("/^Order(Created|Paid)$/", "OrderPaid"));
        assert!(!means("/^Order(Created|Paid)$/", "OrderPaidTwice"));
        assert!(means(r"/(?i)^\w+Ä$/", "xä"), "letters beyond ASCII count");
        assert!(means("//", "anything") && Pattern::parse("*").unwrap().is_any());
    }

    #[test]
    fn a_wrong_expression_is_told_in_one_line() {
        for (pattern, reason) in [
            ("/(/", "unclosed group"),
            ("/x", "ends with /"),
            ("/", "ends with /"),
            (r"/(a)\1/", "backreferences are not supported"),
        ] {
            let told = Pattern::parse(pattern).unwrap_err();
            assert!(told.contains(reason) && !told.contains('\n'), "{told}");
        }
    }
}
