//! How files of settings are written.
//!
//! Owns both forms, JSON and Java's properties, and which keys stand for a connector's. Does not know what any
//! of them means.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Given, Host, ImportError, Options};

/// What begins the keys of Quarkus' extension.
const QUARKUS: &str = "quarkus.debezium-outbox.";
/// What begins the keys of Debezium Server.
const SERVER: &str = "debezium.";
/// What stands for what there, in order.
const SERVER_KEYS: [(&str, &str); 3] = [
    ("debezium.source.", ""),
    ("debezium.sink.kafka.producer.", "producer.override."),
    (SERVER, ""),
];

/// Reads a file.
pub(super) fn read(file: &str) -> Result<Options, ImportError> {
    let pairs = if file.trim_start().starts_with('{') {
        of_json(file)?
    } else {
        of_properties(file)?
    };
    let has = |prefix: &str| pairs.keys().any(|key| key.starts_with(prefix));
    let host = if has("debezium.source.") || has("debezium.sink.") {
        Host::Server
    } else if has(QUARKUS) {
        Host::Quarkus
    } else {
        Host::Connect
    };
    let values = pairs.into_iter().filter_map(|(key, value)| {
        let own = own_key(&key, host)?;
        let is_used = false;
        Some((
            own,
            Given {
                key,
                value,
                is_used,
            },
        ))
    });
    Ok(Options {
        host,
        values: values.collect(),
    })
}

/// A key as a connector has it; none where it is another program's.
fn own_key(key: &str, host: Host) -> Option<String> {
    match host {
        Host::Connect => Some(key.to_owned()),
        Host::Quarkus => key.strip_prefix(QUARKUS).map(ToOwned::to_owned),
        Host::Server => SERVER_KEYS.iter().find_map(|(theirs, own)| {
            let rest = key.strip_prefix(theirs)?;
            Some(format!("{own}{rest}"))
        }),
    }
}

/// `{"name": …, "config": {…}}`, or what is in `config` alone.
fn of_json(file: &str) -> Result<BTreeMap<String, String>, ImportError> {
    let unreadable = |line| ImportError::Unreadable { line };
    // The parser's own reason may quote a value.
    let whole: Value = serde_json::from_str(file).map_err(|error| unreadable(error.line()))?;
    let config = whole.get("config").unwrap_or(&whole);
    let pairs = config.as_object().ok_or_else(|| unreadable(1))?;
    let text = |value: &Value| {
        let own = value.as_str().map(ToOwned::to_owned);
        own.unwrap_or_else(|| value.to_string())
    };
    let pairs = pairs.iter().map(|(key, value)| (key.clone(), text(value)));
    Ok(pairs.collect())
}

/// Java's properties: a pair a line, `#` or `!` before a comment, a backslash before a line that goes on.
fn of_properties(file: &str) -> Result<BTreeMap<String, String>, ImportError> {
    let mut pairs = BTreeMap::new();
    let mut lines = file.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&line) {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        let (key, value) = pair(&line).ok_or(ImportError::Unreadable { line: number + 1 })?;
        pairs.insert(key, value);
    }
    Ok(pairs)
}

/// Whether an odd number of backslashes ends a line.
fn goes_on(line: &str) -> bool {
    let before = line.trim_end_matches('\\');
    (line.len() - before.len()) % 2 == 1
}

/// Splits a line at its first `=`, `:` or space that no backslash is before.
fn pair(line: &str) -> Option<(String, String)> {
    let mut is_escaped = false;
    let end = line.find(|letter: char| {
        let is_end = !is_escaped && (matches!(letter, '=' | ':') || letter.is_whitespace());
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    })?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Some((unescaped(key), unescaped(value.trim())))
}

/// A text without its backslashes.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = letters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                plain.push(
                    code.and_then(char::from_u32)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}
