//! The page of faults: all 96 are on it, and every test that it names exists.

use std::path::Path;

const PAGE: &str = include_str!("../docs/faults.md");

/// The faults by their letters: how many of each there are.
const FAULTS: [(&str, usize); 8] = [
    ("P", 18),
    ("D", 24),
    ("K", 28),
    ("N", 5),
    ("T", 3),
    ("X", 10),
    ("C", 4),
    ("O", 4),
];

/// A row of the page: the fault, and the tests that cover it.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let rows = PAGE.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
        let [fault, _, _, tests] = cells[..] else {
            return None;
        };
        let tests = tests.strip_suffix(" |")?;
        let named = named(tests).unwrap_or_else(|| panic!("{line}"));
        Some((fault, named))
    });
    rows.filter(|(fault, _)| !fault.is_empty()).collect()
}

/// The tests that a cell names: none where there is none so far, else those that cover the fault, or
/// those that show why it cannot arise.
fn named(tests: &str) -> Option<Vec<&str>> {
    let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
    let words: String = tests.split('`').step_by(2).collect();
    let words = words.replace("<br>", "");
    let is_told = match words.as_str() {
        "not yet" => named.is_empty(),
        "" => !named.is_empty(),
        reason => reason.starts_with("does not arise") && !named.is_empty(),
    };
    is_told.then_some(named)
}

/// Whether a test of this name exists: the path of its module, and its function.
fn exists(name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else {
        return false;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = module.replace("::", "/");
    // Tests stand in a file of their own, or inline in `mod tests`.
    let inline = path.strip_suffix("/tests").unwrap_or(&path);
    let files = [
        format!("tests/{path}.rs"),
        format!("tests/{path}/mod.rs"),
        format!("src/{path}.rs"),
        format!("src/{path}/mod.rs"),
        format!("src/{inline}.rs"),
        format!("src/{inline}/mod.rs"),
    ];
    files.iter().any(|file| {
        std::fs::read_to_string(root.join(file)).is_ok_and(|text| is_test(&text, function))
    })
}

/// Whether a file has this function, with the mark of a test in one of the lines before it.
fn is_test(text: &str, function: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {function}(")) else {
        return false;
    };
    let mut above = before.lines().rev().take(4);
    above.any(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
}

#[test]
fn every_fault_is_on_the_page_once() {
    let told: Vec<&str> = rows().into_iter().map(|(fault, _)| fault).collect();
    let all: Vec<String> = FAULTS
        .iter()
        .flat_map(|&(letter, count)| (1..=count).map(move |n| format!("{letter}{n}")))
        .collect();
    assert_eq!(told, all);
    assert_eq!(all.len(), 96);
}

#[test]
fn every_test_that_the_page_names_exists() {
    let missing: Vec<&str> = rows()
        .into_iter()
        .flat_map(|(_, tests)| tests)
        .filter(|test| !exists(test))
        .collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn a_name_that_is_no_test_is_found_out() {
    let known = "lanes::no_transaction_is_open_while_records_fly";
    assert!(exists(known));
    for wrong in [
        "lanes::no_such_test",
        "lanes::held",
        "plans::no_transaction_is_open_while_records_fly",
        "no_transaction_is_open_while_records_fly",
    ] {
        assert!(!exists(wrong), "{wrong}");
    }
}

#[test]
fn a_fault_is_tested_or_shown_not_to_arise_or_owned_up_to() {
    assert_eq!(named("not yet"), Some(vec![]));
    assert_eq!(named("`a::b`<br>`c::d`"), Some(vec!["a::b", "c::d"]));
    let shown = "does not arise without transactions: `a::b`";
    assert_eq!(named(shown), Some(vec!["a::b"]));
    for wrong in [
        "",
        "not yet `a::b`",
        "does not arise",
        "rarely `a::b`",
        "a::b",
    ] {
        assert_eq!(named(wrong), None, "{wrong}");
    }
}
