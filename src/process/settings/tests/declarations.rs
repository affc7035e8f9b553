//! Declared topics: what is read of them, and what is refused.

use super::*;
use crate::process::settings::declarations::BOUNDS;

fn declared(toml: &str) -> Vec<Declaration> {
    load(toml, &[URL]).unwrap().topics.declare
}

#[test]
fn every_key_of_a_declaration_has_an_effect() {
    let all = declared(
        "[[topics.declare]]
         name = '*.dlq'
         [[topics.declare]]
         name = 'orders'
         partitions = 6
         replication_factor = 3
         config = { 'retention.ms' = 604800000, cleanup.policy = 'compact', preallocate = false,
             'min.cleanable.dirty.ratio' = 0.5 }",
    );
    assert_eq!(all.len(), 2);
    let bare = Declaration {
        name: "*.dlq".to_owned(),
        ..Declaration::default()
    };
    assert_eq!(all[0], bare);
    assert_eq!(all[1].name, "orders");
    assert_eq!(all[1].partitions, Some(6));
    assert_eq!(all[1].replication_factor, Some(3));
    let config: Vec<_> = all[1]
        .config
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let expected = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.5"),
        ("preallocate", "false"),
        ("retention.ms", "604800000"),
    ];
    assert_eq!(config, expected);
    assert_eq!(declared(""), []);
}

#[test]
fn what_is_wrong_with_declarations_is_told_with_the_place() {
    let toml = "
        [[topics.declare]]
        partitons = 6
        retention = '7d'
        [[topics.declare]]
        name = 'a b'
        partitions = '6'
        replication_factor = 0
        config = { 'retention.ms' = [1], 'min.insync.replicas' = 2 }
        [[topics.declare]]
        name = 'orders'
        replication_factor = 2
        config = { 'min.insync.replicas' = 3 }
    ";
    let error = load(toml, &[URL]).unwrap_err();
    let expected = [
        ("topics.declare[0].name", "is missing"),
        ("topics.declare[0].partitons", "did you mean partitions?"),
        ("topics.declare[0].retention", "stand in config"),
        ("topics.declare[1].config.retention.ms", "found a list"),
        ("topics.declare[1].name", "a character other than"),
        (
            "topics.declare[1].partitions",
            "expected an integer, found text",
        ),
        (
            "topics.declare[1].replication_factor",
            "expected 1 to 100, found 0",
        ),
        (
            "topics.declare[2].config.min.insync.replicas",
            "at most replication_factor 2",
        ),
    ];
    let found: Vec<_> = error.problems.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(found, expected.map(|(path, _)| path), "{error}");
    for (problem, (path, text)) in error.problems.iter().zip(expected) {
        assert!(problem.text.contains(text), "{path}: {}", problem.text);
    }
}

#[test]
fn a_declaration_that_could_never_count_is_refused() {
    let path = "topics.declare[1].name";
    for (first, second) in [("orders", "orders"), ("order*", "orders"), ("*", "*.dlq")] {
        let toml =
            format!("[[topics.declare]]\nname = '{first}'\n[[topics.declare]]\nname = '{second}'");
        assert_eq!(refused(&toml, &[URL]), [path], "{first} {second}");
    }
    let ordered = "[[topics.declare]]\nname = '*.dlq'\n[[topics.declare]]\nname = '*'";
    assert_eq!(declared(ordered).len(), 2);
    let internal = "[[topics.declare]]\nname = '__consumer_offsets'";
    assert_eq!(refused(internal, &[URL]), ["topics.declare[0].name"]);
}

#[test]
fn numbers_are_held_to_the_bounds_that_the_default_file_tells() {
    let text = include_str!("../../../../config/default.toml");
    for (key, low, high) in BOUNDS {
        assert!(text.contains(&format!("# {low} to {high}; left out")));
        for (number, is_right) in [
            (low, true),
            (high, true),
            (low - 1, false),
            (high + 1, false),
        ] {
            let toml = format!("[[topics.declare]]\nname = 'a'\n{key} = {number}");
            assert_eq!(load(&toml, &[URL]).is_ok(), is_right, "{key} = {number}");
        }
    }
}

#[test]
fn only_tables_declare_topics() {
    let path = "topics.declare";
    assert_eq!(refused("topics.declare = 'orders'", &[URL]), [path]);
    let list = [format!("{path}[0]")];
    assert_eq!(refused("topics.declare = ['orders']", &[URL]), list);
    assert_eq!(refused("", &[URL, ("TOPICS__DECLARE", "orders")]), [path]);
    let one = "[topics.declare]\nname = 'orders'";
    let error = load(one, &[URL]).unwrap_err();
    assert!(error.to_string().contains("[[topics.declare]]"), "{error}");
}
