//! The page of failures: its tables are those by which the relay judges.

use std::collections::BTreeSet;

use outbox_relay::decide::{sqlstate, verdict};

const PAGE: &str = include_str!("../docs/failures.md");
const HEADING: &str = "| Code | | Means | What you do | Judged by |\n|---|---|---|---|---|\n";

/// A row of a table, and the table that it belongs to.
struct Row {
    table: String,
    text: String,
}

fn rows() -> Vec<Row> {
    let kafka = verdict::table().map(|v| Row {
        table: format!("kafka {}", v.class),
        text: row([&v.code.to_string(), v.name, v.means, v.cure, v.source]),
    });
    let postgresql = sqlstate::table().map(|v| Row {
        table: format!("postgresql {}", v.class),
        text: row([
            &format!("{:x<5}", v.code),
            v.name,
            v.means,
            v.cure,
            v.source,
        ]),
    });
    kafka.chain(postgresql).collect()
}

fn row([code, name, means, cure, source]: [&str; 5]) -> String {
    let cure = cure.strip_prefix("none: ").unwrap_or(cure);
    format!("| `{code}` | {name} | {means} | {cure} | {source} |\n")
}

/// The page with its tables made anew.
fn remade(page: &str) -> String {
    let mut parts = page.split("<!-- ");
    let mut remade = vec![parts.next().unwrap_or_default().to_owned()];
    for part in parts {
        let (mark, rest) = part.split_once(" -->\n").expect("a mark ends its line");
        remade.push(format!("<!-- {mark} -->\n"));
        remade.push(match mark {
            "end" => rest.to_owned(),
            table => format!("\n{HEADING}{}\n", rows_of(table)),
        });
    }
    remade.concat()
}

fn rows_of(table: &str) -> String {
    let own = rows().into_iter().filter(|row| row.table == table);
    own.map(|row| row.text).collect()
}

#[test]
fn the_tables_of_the_page_are_those_by_which_the_relay_judges() {
    let remade = remade(PAGE);
    assert!(
        remade == PAGE,
        "docs/failures.md should read:\n\n{remade}\n\n(until here)"
    );
}

#[test]
fn each_class_has_a_section_with_what_you_see_and_do() {
    let tables: BTreeSet<String> = rows().into_iter().map(|row| row.table).collect();
    for table in tables {
        assert!(PAGE.contains(&format!("<!-- {table} -->")), "{table}");
        let (_, class) = table.split_once(' ').expect("a table has a class");
        let section = PAGE
            .split("\n### ")
            .find(|section| section.starts_with(&format!("{class}\n")))
            .unwrap_or_else(|| panic!("no section {class}"));
        for part in ["**You see**", "**The relay**", "**You** "] {
            assert!(section.contains(part), "{class}: {part}");
        }
    }
}
