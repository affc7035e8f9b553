//! Which tables can be served and how their columns are read, without a database.

use super::*;
use crate::decide::order::AfterPublish;
use crate::outbox::backlog::Backlog;
use crate::outbox::dead::{DeadEvents, Decisions};
use crate::outbox::mark::Marks;
use crate::outbox::page::Pages;
use crate::outbox::status::Status;
use crate::process::settings::Settings;

/// The settings of a database with these names for columns.
fn settings(columns: &[(&str, &str)]) -> Database {
    let url = ("DATABASE__URL".to_owned(), "postgres://nowhere".to_owned());
    let named = columns.iter().map(|(ours, theirs)| {
        let name = format!("DATABASE__COLUMNS__{}", ours.to_uppercase());
        (name, (*theirs).to_owned())
    });
    let env = named.chain([url]);
    let env = env.map(|(name, value)| (format!("OUTBOX_RELAY__{name}"), value));
    Settings::load(None, env)
        .expect("the settings can be")
        .database
}

/// A catalogue: names and types; a `?` after a type says that it may be NULL.
fn table(columns: &[(&str, &str)]) -> Catalogue {
    columns
        .iter()
        .map(|(name, kind)| {
            let found = Found {
                kind: kind.trim_end_matches('?').to_owned(),
                is_required: !kind.ends_with('?'),
            };
            ((*name).to_owned(), found)
        })
        .collect()
}

fn read(settings: &Database, found: &Catalogue) -> BTreeMap<&'static str, String> {
    let columns = Columns::of(settings, found).expect("it can be served");
    columns.of_row("o").collect()
}

const OURS: [(&str, &str); 11] = [
    ("id", "uuid"),
    ("aggregate_type", "text"),
    ("aggregate_id", "text"),
    ("event_type", "text"),
    ("payload", "jsonb?"),
    ("headers", "jsonb?"),
    ("topic", "text?"),
    ("partition_key", "text?"),
    ("available_at", "timestamptz?"),
    ("created_at", "timestamptz"),
    ("published_at", "timestamptz?"),
];
const DEBEZIUM: [(&str, &str); 9] = [
    ("aggregate_type", "aggregatetype"),
    ("aggregate_id", "aggregateid"),
    ("event_type", "type"),
    ("created_at", ""),
    ("headers", ""),
    ("topic", ""),
    ("partition_key", ""),
    ("available_at", ""),
    ("id", "id"),
];

#[test]
fn a_table_of_our_own_is_read_without_any_cast() {
    let columns = read(&settings(&[]), &table(&OURS));
    for (name, _) in OURS {
        assert_eq!(columns[name].replace('"', ""), format!("o.{name}"));
    }
    assert_eq!(columns["own_id"], "NULL::text");
    assert_eq!(columns["now"], "now()");
}

#[test]
fn columns_of_another_name_and_type_are_read_under_ours_and_absent_ones_as_nothing() {
    let found = table(&[
        ("id", "uuid"),
        ("aggregatetype", "varchar"),
        ("aggregateid", "int8?"),
        ("type", "varchar?"),
        ("payload", "bytea"),
    ]);
    let columns = read(&settings(&DEBEZIUM), &found);
    for (name, expected) in [
        ("aggregate_type", "o.\"aggregatetype\"::text"),
        (
            "aggregate_id",
            "coalesce(o.\"aggregateid\"::text, ''::text)",
        ),
        ("event_type", "coalesce(o.\"type\"::text, ''::text)"),
        ("payload", "o.\"payload\""),
        ("headers", "NULL::jsonb"),
        ("topic", "NULL::text"),
        ("available_at", "NULL::timestamptz"),
        ("created_at", "now()"),
    ] {
        assert_eq!(columns[name], expected, "{name}");
    }
}

#[test]
fn all_that_cannot_be_served_is_told_at_once_by_its_key_with_the_cure() {
    let found = table(&[
        ("id", "bytea"),
        ("aggregate_type", "jsonb"),
        ("event_type", "text"),
        ("payload", "xml"),
        ("headers", "hstore"),
        ("available_at", "timestamp"),
        ("created_at", "int8"),
        ("topic", "text"),
    ]);
    let wanted = settings(&[("aggregate_id", ""), ("topic", "a\"b")]);
    let problems = Columns::of(&wanted, &found).expect_err("it cannot be served");
    let keys: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem.split(": ").next()?.rsplit('.').next())
        .collect();
    let expected = [
        "id",
        "aggregate_type",
        "aggregate_id",
        "topic",
        "partition_key",
        "payload",
        "headers",
        "created_at",
        "available_at",
    ];
    assert_eq!(keys, expected, "{problems:?}");
    assert!(problems[0].contains("its type is bytea, and only uuid"));
    assert!(problems[3].contains("public.outbox has no column \"a\\\"b\""));
}

#[test]
fn an_id_that_is_no_uuid_is_told_by_its_text() {
    let mut found = table(&OURS);
    found.insert(
        "id".to_owned(),
        Found {
            kind: "int8".to_owned(),
            is_required: true,
        },
    );
    let columns = read(&settings(&[]), &found);
    assert_eq!(columns["own_id"], "coalesce(o.\"id\"::text, '')");
    assert!(columns["id"].ends_with("::uuid"), "{}", columns["id"]);
}

#[test]
fn a_name_of_a_column_can_end_no_quotation() {
    let mut found = table(&OURS);
    let text = found["topic"].clone();
    found.insert("to\"pic".to_owned(), text);
    let columns = read(&settings(&[("topic", "to\"pic")]), &found);
    assert_eq!(columns["topic"], "o.\"to\"\"pic\"");
}

#[test]
fn no_statement_keeps_a_placeholder_whatever_the_table() {
    let theirs = table(&[
        ("id", "int8"),
        ("aggregatetype", "varchar"),
        ("aggregateid", "int8?"),
        ("type", "varchar?"),
        ("payload", "bytea"),
        ("published_at", "timestamp?"),
    ]);
    for columns in [
        Columns::ours(),
        Columns::of(&settings(&DEBEZIUM), &theirs).expect("it can be served"),
    ] {
        let names = Names::new("public", "outbox").with(columns);
        let nobody = uuid::Uuid::nil();
        let pages = Pages::new(&names, nobody, 1_000);
        let mut statements: Vec<String> = Status::statements(&names).into();
        let backlog = Backlog::new(&names, nobody);
        let marks =
            [AfterPublish::Mark, AfterPublish::Delete].map(|after| Marks::new(&names, after));
        let (events, decisions) = (DeadEvents::new(&names), Decisions::new(&names));
        let others = [backlog.statement()]
            .into_iter()
            .chain(marks.iter().map(Marks::statement))
            .chain(pages.statements().map(|(_, statement)| statement))
            .chain(events.statements().map(|(_, statement)| statement))
            .chain(decisions.statements().map(|(_, statement)| statement));
        statements.extend(others.map(str::to_owned));
        for statement in statements {
            let mut braces = statement.match_indices('{');
            let all_arrays = braces.all(|(at, _)| statement[..at].ends_with('\''));
            assert!(all_arrays, "{statement}");
        }
    }
}
