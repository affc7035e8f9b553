//! Tells a Rust file's code from its comments and strings, and finds names in code.
//!
//! Owns as much of the language as the house rules need, and no more.
//!
//! Invariant: what stands in a comment or a string is not in `code`.

use std::collections::BTreeSet;

/// A Rust file, taken apart.
#[derive(Default)]
pub(super) struct Text {
    /// The code, with every comment and the inside of every string left out.
    pub(super) code: String,
    /// The comments, one a line.
    pub(super) comments: String,
    /// What the file opens with, where that is a comment.
    pub(super) first_comment: String,
}

/// Takes a Rust file apart.
pub(super) fn split(text: &str) -> Text {
    let mut parts = Text::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = next(rest);
        let (token, after) = rest.split_at(length);
        match kind {
            Kind::Comment => {
                if parts.code.is_empty() && parts.comments.is_empty() {
                    token.clone_into(&mut parts.first_comment);
                }
                parts.comments.push_str(token);
                parts.comments.push('\n');
            }
            Kind::Literal => parts.code.push_str("\"\""),
            Kind::Code => parts.code.push_str(token),
        }
        rest = after;
    }
    parts
}

enum Kind {
    Comment,
    Literal,
    Code,
}

/// The kind and length of what a text begins with.
fn next(text: &str) -> (Kind, usize) {
    if text.starts_with("//") {
        return (Kind::Comment, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (Kind::Comment, block_comment(text));
    }
    if let Some(inside) = text.strip_prefix('"') {
        return (Kind::Literal, 1 + quoted(inside, '"'));
    }
    if let Some(length) = raw_string(text) {
        return (Kind::Literal, length);
    }
    if let Some(length) = character(text) {
        return (Kind::Literal, length);
    }
    let word = text.find(|letter| !in_word(letter)).unwrap_or(text.len());
    let one = text.chars().next().map_or(0, char::len_utf8);
    (Kind::Code, word.max(one))
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
        } else {
            at += 1;
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length up to and with the closing quote, escapes stepped over.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = text.len() - inside.len();
    let length = inside.find(&end).map(|at| opening + at + end.len());
    Some(length.unwrap_or(text.len()))
}

/// The length of a character, if the text begins with one and not with a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let mut letters = inside.chars();
    let first = letters.next()?;
    let closed = letters.next() == Some('\'');
    (first == '\\' || closed).then(|| 1 + quoted(inside, '\''))
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The identifiers and keywords of code.
pub(super) fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter| !in_word(letter))
        .filter(|word| !word.is_empty())
}

/// Whether code calls a function of that name.
pub(super) fn calls(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}("))
        .any(|(at, _)| !code[..at].ends_with(in_word))
}

/// The names that code gives directly below a root: `x` and `y` in `root::x::z` and in
/// `root::{x::z, y}`.
pub(super) fn names_below(code: &str, root: &str) -> BTreeSet<String> {
    let path = format!("{root}::");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&path) {
        let before = &code[..at];
        if before.ends_with(in_word) || before.ends_with("::") {
            continue;
        }
        let after = code[at + path.len()..].trim_start();
        match after.strip_prefix('{') {
            Some(group) => names.extend(first_names(group)),
            None => names.extend(first_word(after)),
        }
    }
    names
}

/// The first word of each entry of a group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut begins = true;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && in_word(letter) => {
                names.extend(first_word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word = text.split(|letter| !in_word(letter)).next()?;
    (!word.is_empty()).then(|| word.to_owned())
}
