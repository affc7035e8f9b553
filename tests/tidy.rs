//! The house rules that a compiler does not know, held over the sources themselves.
//!
//! Owns the rules; how code is told from comments is in `lexer`. The rules are functions of paths
//! and texts, so that each is proved to find a planted fault (`planted`).

mod lexer;
mod planted;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lexer::{Text, calls, identifiers, names_below, split};

/// What the rules look at, below the repository's root.
const FOLDERS: [&str; 8] = [
    ".ci",
    "benches",
    "config",
    "examples",
    "migrations",
    "scripts",
    "src",
    "tests",
];
/// The floor of each module; one names only floors below its own.
const FLOORS: [(&str, u8); 16] = [
    ("event", 0),
    ("record", 0),
    ("outcome", 0),
    ("readiness", 0),
    ("decide", 1),
    ("process", 2),
    ("outbox", 3),
    ("kafka", 3),
    ("http", 3),
    ("registry", 3),
    ("objects", 3),
    ("relay", 4),
    ("dev", 4),
    ("command", 5),
    ("lib", 6),
    ("main", 6),
];
/// Up to this floor the code is pure.
const PURE: u8 = 1;
/// Crates that touch the world.
const WORLDLY_CRATES: [&str; 10] = [
    "axum",
    "config",
    "metrics",
    "object_store",
    "rdkafka",
    "rustix",
    "sqlx",
    "tokio",
    "tracing",
    "ureq",
];
/// Parts of the standard library that touch the world.
const WORLDLY_PARTS: [&str; 6] = ["env", "fs", "io", "net", "process", "thread"];
/// Words that touch the world, or wait for it.
const WORLDLY_WORDS: [&str; 4] = ["Instant", "SystemTime", "async", "await"];
/// Words that say nothing about what a file holds.
const EMPTY_WORDS: [&str; 8] = [
    "common", "engine", "helper", "helpers", "manager", "managers", "util", "utils",
];
/// Notes to oneself.
const NOTES: [&str; 3] = ["FIXME", "TODO", "XXX"];
/// What waits for the tests, and what makes a wire slow.
const MAY_SLEEP: [&str; 2] = ["tests/support/eventually.rs", "tests/support/proxy.rs"];
const LINES_MAX: usize = 400;
/// Files that hold figures and no text.
const DATA: [&str; 2] = ["csv", "jsonl"];

/// A file: its path below the root, with slashes, and its text.
struct Source {
    path: String,
    text: String,
}

/// Everything that is wrong.
fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = migration_faults(sources);
    for Source { path, text } in sources {
        let mut found = name_faults(path);
        found.extend(size_faults(text));
        if ending(path) == Some("rs") {
            let text = split(text);
            found.extend(opening_faults(&text));
            found.extend(note_faults(&text));
            found.extend(floor_faults(path, &text));
            found.extend(purity_faults(path, &text));
            found.extend(receipt_faults(path, &text));
            found.extend(sleep_faults(path, &text));
        }
        faults.extend(found.into_iter().map(|fault| format!("{path}: {fault}")));
    }
    faults
}

fn ending(path: &str) -> Option<&str> {
    Path::new(path).extension()?.to_str()
}

fn name_faults(path: &str) -> Vec<String> {
    path.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| EMPTY_WORDS.contains(&word.to_lowercase().as_str()))
        .map(|word| format!("`{word}` in a name says nothing about what is inside"))
        .collect()
}

fn size_faults(text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{lines} lines, more than {LINES_MAX}"))
}

fn opening_faults(text: &Text) -> Option<String> {
    let opens = text.first_comment.starts_with("//!");
    (!opens).then(|| "does not open with what it owns (`//!`)".to_owned())
}

fn note_faults(text: &Text) -> Vec<String> {
    NOTES
        .iter()
        .filter(|note| text.comments.contains(**note))
        .map(|note| format!("a {note} is left"))
        .collect()
}

/// The module a file of the product belongs to: its folder below `src`, or its own name.
fn module_of(path: &str) -> Option<&str> {
    let path = path.strip_prefix("src/")?;
    let (module, _) = path.split_once(['/', '.'])?;
    Some(module)
}

fn floor_of(module: &str) -> Option<u8> {
    let (_, floor) = FLOORS.iter().find(|(name, _)| *name == module)?;
    Some(*floor)
}

fn floor_faults(path: &str, text: &Text) -> Vec<String> {
    let Some(module) = module_of(path) else {
        return Vec::new();
    };
    let Some(floor) = floor_of(module) else {
        return vec![format!("module `{module}` stands on no floor")];
    };
    let mut faults = Vec::new();
    if text.code.contains("super::super") {
        faults.push("`super::super` hides which module is named".to_owned());
    }
    for named in names_below(&text.code, "crate") {
        match floor_of(&named) {
            _ if named == module || module == "lib" => {}
            None => faults.push(format!("names `{named}`, which stands on no floor")),
            Some(other) if other < floor => {}
            Some(other) => faults.push(format!(
                "stands on floor {floor} and names `{named}` of floor {other}"
            )),
        }
    }
    faults
}

fn purity_faults(path: &str, text: &Text) -> Vec<String> {
    let pure = module_of(path)
        .and_then(floor_of)
        .is_some_and(|floor| floor <= PURE);
    if !pure {
        return Vec::new();
    }
    let crates = WORLDLY_CRATES.iter().filter(|name| {
        text.code.contains(&format!("use {name};")) || !names_below(&text.code, name).is_empty()
    });
    let of_std = names_below(&text.code, "std");
    let parts = WORLDLY_PARTS.iter().filter(|part| of_std.contains(**part));
    let held: BTreeSet<&str> = identifiers(&text.code).collect();
    let words = WORLDLY_WORDS.iter().filter(|word| held.contains(**word));
    crates
        .chain(parts)
        .chain(words)
        .map(|name| format!("pure code names `{name}`"))
        .collect()
}

/// Without a receipt nothing is marked; so receipts are made where delivery reports arrive.
fn receipt_faults(path: &str, text: &Text) -> Option<String> {
    let is_product = path.starts_with("src/") && !path.contains("/tests");
    if !is_product || module_of(path) == Some("kafka") {
        return None;
    }
    let product = text.code.split("#[cfg(test)]\nmod ").next()?;
    product
        .contains("::from_delivery_report")
        .then(|| "makes a receipt, which only `kafka` may".to_owned())
}

fn sleep_faults(path: &str, text: &Text) -> Option<String> {
    let watched = path.starts_with("tests/") && !MAY_SLEEP.contains(&path);
    let sleeps = ["sleep", "sleep_until"]
        .iter()
        .any(|name| calls(&text.code, name));
    (watched && sleeps).then(|| "sleeps; wait for a condition with `eventually`".to_owned())
}

/// Migrations are numbered from 1 without a gap: `0001_outbox.sql`.
fn migration_faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut numbers: Vec<usize> = Vec::new();
    for Source { path, .. } in sources {
        let Some(name) = path.strip_prefix("migrations/") else {
            continue;
        };
        match name.split_once('_').map(|(number, _)| number.parse()) {
            Some(Ok(number)) if ending(name) == Some("sql") => numbers.push(number),
            _ => faults.push(format!("{path}: not named like 0001_what_it_does.sql")),
        }
    }
    numbers.sort_unstable();
    let expected: Vec<usize> = (1..=numbers.len()).collect();
    if numbers != expected {
        faults.push(format!("migrations: numbered {numbers:?}"));
    }
    faults
}

/// Reads every text file below a folder.
fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder stays while it is read").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if !path
            .extension()
            .is_some_and(|ending| DATA.iter().any(|data| ending == *data))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path
                .strip_prefix(root)
                .expect("it was found below the root");
            let path = path.to_str().expect("our names are ASCII").to_owned();
            sources.push(Source { path, text });
        }
    }
}

#[test]
fn the_sources_keep_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in FOLDERS {
        collect(root, &root.join(folder), &mut sources);
    }
    for known in ["src/decide/mod.rs", "tests/tidy.rs", "scripts/install"] {
        assert!(sources.iter().any(|source| source.path == known), "{known}");
    }
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
