//! Plants a fault for each house rule, and sees it found.

use super::{LINES_MAX, Source, WORLDLY_CRATES, faults};

/// The faults of files that are given as path and text.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    faults(&sources)
}

/// A file with one fault, which the text names.
#[track_caller]
fn one(path: &str, body: &str, fault: &str) {
    let faults = found(&[(path, &format!("//! Owns.\n{body}"))]);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(fault), "{faults:?}");
    assert!(faults[0].starts_with(path), "{faults:?}");
}

/// A file without fault.
#[track_caller]
fn none(path: &str, body: &str) {
    let faults = found(&[(path, &format!("//! Owns.\n{body}"))]);
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_module_names_only_lower_floors() {
    none("src/outbox/poll.rs", "use crate::{decide::window, event};");
    none("src/outbox/poll.rs", "use crate::outbox::lanes;");
    one(
        "src/decide/route.rs",
        "use crate::outbox::Lane;",
        "`outbox`",
    );
    one(
        "src/decide/route.rs",
        "fn f() { crate::kafka::send() }",
        "`kafka`",
    );
    let grouped = "use crate::{event::{Event, Lane}, relay};";
    one("src/process/clock.rs", grouped, "`relay`");
    one("src/event.rs", "use crate::decide;", "`decide`");
    one(
        "src/relay.rs",
        "pub(in crate::command) fn f() {}",
        "`command`",
    );
}

#[test]
fn the_worlds_outside_do_not_name_each_other() {
    one("src/outbox/mark.rs", "use crate::kafka::Codes;", "`kafka`");
    one("src/kafka/mod.rs", "use crate::http;", "`http`");
    one("src/record.rs", "use crate::event::Event;", "`event`");
}

#[test]
fn no_module_hides_from_the_floors() {
    one("src/gadget.rs", "", "no floor");
    one("src/relay/mod.rs", "use crate::Gadget;", "no floor");
    one("src/decide/a.rs", "use super::super::kafka;", "hides");
    none("src/main.rs", "use outbox_relay::command;");
}

#[test]
fn comments_and_strings_name_nothing() {
    none(
        "src/decide/a.rs",
        "/// See [`crate::kafka`].\n// tokio::spawn\n",
    );
    none(
        "src/decide/a.rs",
        r#"const A: &str = "crate::kafka \" tokio::x";"#,
    );
    none(
        "src/decide/a.rs",
        r##"const A: &str = r#"" crate::kafka "#;"##,
    );
    none("src/decide/a.rs", "/* crate::kafka /* deep */ async */");
}

#[test]
fn code_after_a_quote_is_still_read() {
    one(
        "src/decide/a.rs",
        "const Q: char = '\"'; use crate::kafka;",
        "`kafka`",
    );
    one(
        "src/decide/a.rs",
        r"const Q: char = '\''; use crate::kafka;",
        "`kafka`",
    );
    one(
        "src/decide/a.rs",
        "fn f<'a>(_: &'a u8) { crate::kafka::x() }",
        "`kafka`",
    );
}

#[test]
fn decisions_and_nouns_touch_no_world() {
    none("src/decide/a.rs", "fn f(config: &u8) { config.clone(); }");
    none("src/decide/a.rs", "fn await_marks() {}");
    none(
        "src/kafka/a.rs",
        "use rdkafka::ClientConfig; async fn f() {}",
    );
    for name in WORLDLY_CRATES {
        one("src/decide/a.rs", &format!("use {name}::x;"), name);
        one("src/event.rs", &format!("use {name};"), name);
    }
    one("src/decide/a.rs", "use std::fs;", "`fs`");
    one("src/decide/a.rs", "use std::{fmt, net::IpAddr};", "`net`");
    one("src/decide/a.rs", "use std::time::Instant;", "`Instant`");
    one("src/outcome.rs", "async fn f() {}", "`async`");
}

#[test]
fn receipts_are_made_where_reports_arrive() {
    let made = "fn f() { Receipt::from_delivery_report(0, 0); }";
    none("src/kafka/producer.rs", made);
    none("src/decide/window/tests.rs", made);
    none(
        "src/decide/a.rs",
        &format!("#[cfg(test)]\nmod tests {{ {made} }}"),
    );
    one("src/relay/mod.rs", made, "receipt");
    one(
        "src/relay/mod.rs",
        &format!("#[cfg(test)]\nuse x;\n{made}"),
        "receipt",
    );
}

#[test]
fn tests_do_not_sleep() {
    let sleeps = "async fn f() { sleep(PAUSE).await }";
    none("tests/support/eventually.rs", sleeps);
    one("tests/lanes.rs", sleeps, "sleeps");
    one(
        "tests/lanes.rs",
        "fn f() { thread::sleep(PAUSE) }",
        "sleeps",
    );
    none("tests/lanes.rs", "fn f() { asleep(1) }");
}

#[test]
fn files_are_short_named_and_opened_well() {
    assert!(found(&[("scripts/x", &"x\n".repeat(LINES_MAX))]).is_empty());
    assert_eq!(
        found(&[("scripts/x", &"x\n".repeat(LINES_MAX + 1))]).len(),
        1
    );
    one("src/kafka/lane_manager.rs", "", "`manager`");
    one("tests/common/mod.rs", "", "`common`");
    one("src/relay/a.rs", "// TODO: later", "is left");
    assert_eq!(
        found(&[("src/relay/a.rs", "use std::fmt;\n//! Late.")]).len(),
        1
    );
}

#[test]
fn migrations_are_numbered_without_gap() {
    let good = [
        ("migrations/0001_outbox.sql", ""),
        ("migrations/0002_lanes.sql", ""),
    ];
    assert!(found(&good).is_empty());
    assert_eq!(found(&good[1..]).len(), 1);
    let twice = [good[0], ("migrations/0001_lanes.sql", "")];
    assert_eq!(found(&twice).len(), 1);
    assert_eq!(found(&[("migrations/outbox.sql", "")]).len(), 1);
}
