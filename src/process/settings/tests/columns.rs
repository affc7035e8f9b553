//! What the columns of the outbox are called, from every layer.

use super::*;
use crate::process::settings::layers;

#[test]
fn every_column_may_have_another_name_in_a_file_or_in_the_environment() {
    let default = load("", &[URL]).unwrap().database.columns;
    let (schema, _) = layers::default();
    let names = schema
        .paths()
        .filter_map(|path| path.strip_prefix("database.columns."));
    for name in names {
        assert_eq!(default[name], name);
        let toml = format!("[database.columns]\n{name} = 'Theirs'");
        let variable = format!("DATABASE__COLUMNS__{}", name.to_uppercase());
        for settings in [load(&toml, &[URL]), with(&variable, "Theirs")] {
            let columns = settings.unwrap().database.columns;
            let changed = columns.iter().filter(|(name, theirs)| name != theirs);
            let changed: Vec<_> = changed.map(|(name, theirs)| (&**name, &**theirs)).collect();
            assert_eq!(changed, [(name, "Theirs")]);
        }
    }
}

#[test]
fn the_environment_wins_column_by_column() {
    let toml = "[database]\ncolumns = { headers = '', topic = 'a' }";
    let columns = load(toml, &[URL, ("DATABASE__COLUMNS__TOPIC", "b")])
        .unwrap()
        .database
        .columns;
    assert_eq!((&*columns["headers"], &*columns["topic"]), ("", "b"));
}

#[test]
fn a_column_that_does_not_exist_and_a_name_that_cannot_be_are_refused_by_their_path() {
    let long = "x".repeat(64);
    let toml = format!("[database.columns]\nagregate_id = 'a'\ntopic = 1\nheaders = '{long}'");
    let error = load(&toml, &[URL, ("DATABASE__COLUMNS__SEQ", "n")]).unwrap_err();
    let problems: Vec<_> = error
        .problems
        .iter()
        .map(|problem| (problem.path.as_str(), problem.text.as_str()))
        .collect();
    for (path, text) in [
        (
            "database.columns.agregate_id",
            "did you mean database.columns.aggregate_id?",
        ),
        ("database.columns.headers", "expected up to 63 bytes"),
        ("database.columns.seq", "(in the environment)"),
        (
            "database.columns.topic",
            "expected text in quotes, found an integer",
        ),
    ] {
        let found = problems.iter().find(|(at, _)| *at == path);
        assert!(
            found.is_some_and(|(_, told)| told.contains(text)),
            "{path}: {error}"
        );
    }
    assert_eq!(problems.len(), 4, "{error}");
    assert_eq!(
        refused("database.columns = 'id'", &[URL]),
        ["database.columns"]
    );
}
