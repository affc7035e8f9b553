//! The steps that make a table the relay's, as SQL.
//!
//! Owns what each step says and their order. Runs nothing.
//!
//! Invariants:
//! - one step alone locks writers out, for as long as it takes to change the catalogue; all others go on
//!   beside them;
//! - a row has a number and a lane, or neither: one without is no row of the relay's;
//! - a relay finds its tables, and begins, only after the last step.

use chrono::{DateTime, SecondsFormat, Utc};

use super::Existing;
use crate::outbox::migration;
use crate::outbox::names::{Names, literal};

const CUT: &str = include_str!("cut.sql");
const NUMBER: &str = include_str!("number.sql");
/// So many rows are numbered by one statement: it takes a fraction of a second.
const ROWS: u32 = 5_000;
/// Rows are numbered in transactions that see one state of the table: one in which somebody changed a row
/// meanwhile is tried again, for that row would get its number behind later ones.
pub(super) const ISOLATION: &str = "default_transaction_isolation";
/// The lane of the ordering key, as the table of our own making computes it (`0001_outbox.sql`).
const LANE: &str = "(('x' || left(encode(sha256(replace(
        length({type})::text || ':' || {type} || {id},
        chr(92), chr(92) || chr(92))::bytea), 'hex'), 4))::bit(16)::integer % {lanes})::smallint";

/// What is wanted of an adoption.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// How many lanes; without it as many as a new outbox has, or those that were settled before.
    pub lanes: Option<u16>,
    /// Rows as young as this wait; without it all count as published.
    pub since: Option<DateTime<Utc>>,
    /// How long a statement waits for others that hold the table, in milliseconds.
    pub lock_timeout_ms: u32,
}

impl Wish {
    fn lanes(self) -> u16 {
        self.lanes.unwrap_or(migration::LANES_DEFAULT)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The one that shuts writers out: a whole transaction.
    Cut(String),
    /// An index by its name, and what builds it beside all others.
    Index(String, String),
    /// A statement that is repeated until it finds no more rows.
    Number(String),
    /// An index that is needed no more.
    Drop(String),
    /// What a relay waits for: a whole transaction.
    Beside(String),
}

/// All steps for a table.
pub(super) fn steps(names: &Names, table: &Existing, wish: Wish) -> Vec<Step> {
    let mut steps = vec![Step::Cut(cut(names, table, wish))];
    let index = |name: &str, unique: &str, on: &str| {
        let sql =
            format!("CREATE{unique} INDEX CONCURRENTLY IF NOT EXISTS {name} ON {{outbox}} {on}");
        Step::Index(names.render(name), names.render(&sql))
    };
    if let Some(waits) = waits(table, wish, "") {
        let on = format!("({}) WHERE {waits}", order(table, "").join(", "));
        steps.push(index("{adopting}", "", &on));
        steps.push(Step::Number(number(names, table, wish)));
    }
    let waiting = "published_at IS NULL AND dead_at IS NULL AND lane IS NOT NULL";
    steps.push(index(
        "{seq_index}",
        " UNIQUE",
        "(seq) WHERE seq IS NOT NULL",
    ));
    match &table.available_at {
        None => {
            let on = format!("(lane, seq) WHERE {waiting}");
            steps.push(index("{unpublished}", "", &on));
        }
        Some(column) => {
            let on = format!("(lane, seq) WHERE {waiting} AND {column} IS NULL");
            steps.push(index("{unpublished}", "", &on));
            let on = format!("(lane, {column}, seq) WHERE {waiting} AND {column} IS NOT NULL");
            steps.push(index("{delayed}", "", &on));
        }
    }
    let failed = "(dead_state, seq) WHERE dead_state IS NOT NULL AND published_at IS NULL";
    steps.push(index("{dead}", "", failed));
    if wish.since.is_some() {
        let sql = "DROP INDEX CONCURRENTLY IF EXISTS {schema}.{adopting}";
        steps.push(Step::Drop(names.render(sql)));
    }
    steps.push(Step::Beside(beside(names, wish)));
    steps
}

/// The steps as a script for `psql`, outside of any transaction.
pub(super) fn script(steps: &[Step], lock_timeout_ms: u32) -> String {
    let parts = steps.iter().map(|step| match step {
        Step::Cut(sql) | Step::Beside(sql) => sql.clone(),
        Step::Index(_, sql) | Step::Drop(sql) => {
            format!("SET lock_timeout = 0;\n{sql};\nSET lock_timeout = {lock_timeout_ms};\n")
        }
        Step::Number(sql) => format!(
            "-- The rows that wait, oldest first, in portions of their own transactions.\n\
             SET {ISOLATION} = 'repeatable read';\nDO $adopt$\nDECLARE\n    rows_done bigint;\nBEGIN\n    LOOP\n\
             {sql} INTO rows_done;\n        COMMIT;\n        EXIT WHEN rows_done = 0;\n    END LOOP;\n\
             END\n$adopt$;\nRESET {ISOLATION};\n"
        ),
    });
    let begin = format!("SET lock_timeout = {lock_timeout_ms};\n");
    std::iter::once(begin)
        .chain(parts)
        .collect::<Vec<_>>()
        .join("\n")
}

fn cut(names: &Names, table: &Existing, wish: Wish) -> String {
    let (published_at, unmarked) = if table.has_mark {
        ("", "")
    } else {
        (
            "    -- Rows that are there count as published now, and new ones do not.\n    \
             ADD COLUMN published_at timestamptz DEFAULT now(),\n",
            "ALTER TABLE {outbox} ALTER COLUMN published_at DROP DEFAULT;\n",
        )
    };
    let sql = CUT
        .replace("{published_at}", published_at)
        .replace("{unmarked}", unmarked)
        .replace("{lock_timeout}", &wish.lock_timeout_ms.to_string())
        .replace("{lanes}", &wish.lanes().to_string())
        .replace("{since}", &wish.since.map_or("NULL".to_owned(), time))
        .replace("{new_lane}", &lane(names, "NEW", wish.lanes()));
    names.render(&sql)
}

fn number(names: &Names, table: &Existing, wish: Wish) -> String {
    let columns: Vec<String> = order(table, "o.")
        .into_iter()
        .zip(SORTED)
        .map(|(column, name)| format!("{column} AS {name}"))
        .collect();
    let sorted: Vec<String> = SORTED
        .iter()
        .take(columns.len())
        .map(|name| format!("n.{name}"))
        .collect();
    let sql = NUMBER
        .replace("{order_columns}", &columns.join(", "))
        .replace("{o.waits}", &waits(table, wish, "o.").unwrap_or_default())
        .replace(
            "{o.order}",
            &format!("{}, o.ctid", order(table, "o.").join(", ")),
        )
        .replace("{n.order}", &format!("{}, n.place", sorted.join(", ")))
        .replace("{rows}", &ROWS.to_string())
        .replace("{o.lane}", &lane(names, "o", wish.lanes()));
    names.render(&sql)
}

/// What the columns of the order are called while rows are numbered.
const SORTED: [&str; 2] = ["first", "second"];

/// In which order rows were written, as far as a table tells: by their time, then by an id that counts.
/// What is left is where they stand, which for rows of one transaction is the order of their writing.
fn order(table: &Existing, row: &str) -> Vec<String> {
    [&table.created_at, &table.counting_id]
        .into_iter()
        .flatten()
        .map(|column| format!("{row}{column}"))
        .collect()
}

/// Which rows wait that have no number; none where no row does.
pub(super) fn waits(table: &Existing, wish: Wish, row: &str) -> Option<String> {
    Some(format!(
        "{row}seq IS NULL AND {}",
        younger(table, wish.since?, row)?
    ))
}

/// Which rows are as young as a time.
pub(super) fn younger(table: &Existing, since: DateTime<Utc>, row: &str) -> Option<String> {
    let column = table.created_at.as_ref()?;
    let since = time(since);
    Some(match &table.zone {
        None => format!("{row}{column} >= {since}"),
        Some(zone) => format!("{row}{column} >= ({since} AT TIME ZONE {})", literal(zone)),
    })
}

fn time(time: DateTime<Utc>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{}::timestamptz", literal(&text))
}

fn lane(names: &Names, row: &str, lanes: u16) -> String {
    let part = |name: &str| format!("{{{row}.{name}}}");
    let sql = LANE
        .replace("{type}", &part("aggregate_type"))
        .replace("{id}", &part("aggregate_id"))
        .replace("{lanes}", &lanes.to_string());
    names.render_row(row, &sql)
}

fn beside(names: &Names, wish: Wish) -> String {
    let sql = format!(
        "BEGIN;\n{}\nUPDATE {{adoption}} SET done_at = now();\nCOMMIT;\n",
        migration::beside(wish.lanes())
    );
    names.render(&sql)
}
