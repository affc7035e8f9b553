//! Reading the pages: their blocks of code, the statements in these, and what is quoted.
//!
//! Owns as much of Markdown and of the languages in it as the pages use.

use std::collections::BTreeSet;

use config::{Config, File, FileFormat, Value, ValueKind};

/// A page of the repository.
pub(crate) fn page(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The section with ready settings, each of which is a relay's whole.
pub(crate) const CONVENTIONS: &str = "## Five conventions\n";

/// A section of a page, up to the next one of its kind.
pub(crate) fn section(page: &str, title: &str) -> String {
    let (_, behind) = page.split_once(title).expect("the page has the section");
    behind.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The blocks of code in a language.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// What stands in backticks, outside of blocks.
pub(super) fn quoted(page: &str) -> Vec<String> {
    let outside: String = page.split("```").step_by(2).collect();
    let pieces = outside.split('`').skip(1).step_by(2);
    pieces.map(str::to_owned).collect()
}

/// The statements in a block of another language, with numbered parameters. Texts side by side
/// (Python, and Java with a plus) are one.
pub(super) fn statements(block: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut rest = block;
    while let Some(start) = rest.find(['"', '`']) {
        let quote = &rest[start..=start];
        let (between, from_quote) = rest.split_at(start);
        let (text, after) = from_quote[1..]
            .split_once(quote)
            .unwrap_or((from_quote, ""));
        let joined = matches!(between.trim(), "" | "+");
        match texts.last_mut() {
            Some(last) if joined => last.push_str(text),
            _ => texts.push(text.to_owned()),
        }
        rest = after;
    }
    texts
        .iter()
        .map(|text| numbered(text))
        .filter(|text| text.starts_with("INSERT") || text.starts_with("UPDATE"))
        .collect()
}

/// A statement with `$1` for the `?` of Java and the `%s` of Python.
fn numbered(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut statement = String::new();
    for (index, part) in text.replace("%s", "?").split('?').enumerate() {
        if index > 0 {
            statement.push('$');
            statement.push_str(&index.to_string());
        }
        statement.push_str(part);
    }
    statement
}

/// Every key of `config/default.toml`.
pub(super) fn keys() -> BTreeSet<String> {
    let text = page("config/default.toml");
    let default = Config::builder()
        .add_source(File::from_str(&text, FileFormat::Toml))
        .build()
        .expect("the default is TOML");
    let tables = default
        .try_deserialize::<config::Map<String, Value>>()
        .expect("the default is a table");
    let mut keys = BTreeSet::new();
    for (section, value) in tables {
        let ValueKind::Table(table) = value.kind else {
            continue;
        };
        keys.extend(table.keys().map(|key| format!("{section}.{key}")));
    }
    keys
}
