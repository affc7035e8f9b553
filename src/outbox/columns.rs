//! The columns of an outbox as they are: what each is called there, of which type it is, and how the
//! statements read it.
//!
//! Owns the judgement whether a table's columns can be served. Knows no statement but the one that asks
//! the catalogue.
//!
//! Invariants:
//! - statements read every column of an event under our type, whatever its own, and one that is not
//!   there as a constant;
//! - what cannot be served is refused whole, each column by the key of its setting, before any event
//!   is read;
//! - a table of our own making is read as it stands: no cast costs its events anything.

mod form;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

pub(super) use self::form::Form;
use super::error::OutboxError;
use super::names::{Names, literal, quoted};
use super::session::{Session, column};
use crate::process::settings::Database;

/// `columns`: locks nothing; the catalogue alone. A domain counts as what it is made of.
const CATALOGUE: &str = "
/* columns */
SELECT a.attname::text, CASE WHEN b.typtype = 'e' THEN 'enum'
        WHEN b.typnamespace = 'pg_catalog'::regnamespace THEN b.typname::text
        ELSE format_type(b.oid, NULL) END,
    a.attnotnull
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
JOIN pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = {outbox_text}::regclass AND a.attnum > 0 AND NOT a.attisdropped
";

/// `zone`: locks nothing, reads no table.
const ZONE: &str = "/* zone */ SELECT timezone($1, now())";

/// What stands for the row in an expression.
const ROW: &str = "{row}";
/// Types that are text, or tell it.
const TEXTS: [&str; 9] = [
    "text", "varchar", "bpchar", "name", "enum", "uuid", "int2", "int4", "int8",
];
/// Types of an id that is no UUID.
const IDS: [&str; 6] = ["text", "varchar", "bpchar", "int2", "int4", "int8"];
/// The columns that hold text, and what one that is not there, or is NULL, counts as.
const TEXT_COLUMNS: [(&str, Option<&str>); 5] = [
    ("aggregate_type", Some("")),
    ("aggregate_id", Some("")),
    ("event_type", Some("")),
    ("topic", None),
    ("partition_key", None),
];

/// The relay's own columns that tell of attempts, and of what became of a row.
pub(super) const DELIVERY: [&str; 7] = [
    "attempts",
    "next_attempt_at",
    "last_error",
    "first_failed_at",
    "dead_state",
    "dead_at",
    "dead_class",
];

/// A column as the catalogue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: String,
    pub(super) is_required: bool,
}

/// The columns of a table by their names.
pub(super) type Catalogue = BTreeMap<String, Found>;

/// How the statements read the columns of one outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Our names, each with an expression of the row.
    expressions: BTreeMap<&'static str, String>,
    /// How the payload is kept.
    pub(super) payload: Form,
    /// How the headers are kept.
    pub(super) headers: Form,
}

impl Columns {
    /// Those of a table of our own making.
    pub(super) fn ours() -> Self {
        let mut expressions: BTreeMap<&'static str, String> = [
            "id",
            "aggregate_type",
            "aggregate_id",
            "event_type",
            "payload",
            "headers",
            "topic",
            "partition_key",
            "available_at",
            "created_at",
            "published_at",
        ]
        .map(|name| (name, format!("{ROW}.{name}")))
        .into();
        expressions.insert("own_id", "NULL::text".to_owned());
        expressions.insert("now", "now()".to_owned());
        Self {
            expressions,
            payload: Form::Jsonb,
            headers: Form::Jsonb,
        }
    }

    /// Those of a table, by the names that the settings give them; else all that is wrong.
    pub(super) fn of(settings: &Database, found: &Catalogue) -> Result<Self, Vec<String>> {
        let mut reading = Reading {
            settings,
            found,
            columns: Self::ours(),
            problems: Vec::new(),
        };
        reading.id();
        for (name, default) in TEXT_COLUMNS {
            reading.text(name, default);
        }
        reading.columns.payload = reading.form("payload", &Form::PAYLOADS);
        reading.columns.headers = reading.form("headers", &Form::HEADERS);
        reading.created_at();
        reading.available_at();
        reading.published_at();
        if reading.problems.is_empty() {
            Ok(reading.columns)
        } else {
            Err(reading.problems)
        }
    }

    /// What stands for each column of the row of this name.
    pub(super) fn of_row(&self, row: &str) -> impl Iterator<Item = (&'static str, String)> {
        let row = row.to_owned();
        self.expressions
            .iter()
            .map(move |(name, expression)| (*name, expression.replace(ROW, &row)))
    }
}

/// Names by the settings, with the columns as the database has them now.
pub async fn look(session: &mut Session, settings: &Database) -> Result<Names, OutboxError> {
    let names = Names::new(&settings.schema, &settings.table);
    let found = catalogue(session, &names).await?;
    let columns = Columns::of(settings, &found).map_err(OutboxError::Columns)?;
    check_zone(session, settings).await?;
    Ok(names.with(columns))
}

/// The columns of the outbox.
pub(super) async fn catalogue(
    session: &mut Session,
    names: &Names,
) -> Result<Catalogue, OutboxError> {
    let statement = names.render(CATALOGUE);
    session
        .run(async |connection| {
            let rows = sqlx::query(AssertSqlSafe(statement))
                .fetch_all(connection)
                .await?;
            rows.iter().map(found).collect()
        })
        .await
}

fn found(row: &PgRow) -> Result<(String, Found), sqlx::Error> {
    let found = Found {
        kind: column(row, 1)?,
        is_required: column(row, 2)?,
    };
    Ok((column(row, 0)?, found))
}

/// Whether the server knows the zone. A row could not tell it from a fault of its own.
pub(super) async fn check_zone(
    session: &mut Session,
    settings: &Database,
) -> Result<(), OutboxError> {
    let zone = settings.created_at_zone.clone();
    let known = session
        .run(async |connection| {
            sqlx::query(ZONE)
                .bind(zone)
                .execute(connection)
                .await
                .map(drop)
        })
        .await;
    match known {
        // invalid_parameter_value
        Err(error) if error.code() == Some("22023") => Err(OutboxError::Columns(vec![format!(
            "database.created_at_zone: the server knows no time zone {:?}",
            settings.created_at_zone
        )])),
        known => known,
    }
}

/// Columns that are being read from a catalogue.
struct Reading<'a> {
    settings: &'a Database,
    found: &'a Catalogue,
    columns: Columns,
    problems: Vec<String>,
}

impl<'a> Reading<'a> {
    /// A column: what it is called there, and what it is. None where there is none, or it is away.
    fn find(&mut self, name: &str) -> Option<(String, &'a Found)> {
        let theirs = self.settings.columns.get(name).map_or(name, String::as_str);
        if theirs.is_empty() {
            return None;
        }
        let Some(found) = self.found.get(theirs) else {
            let Database { schema, table, .. } = self.settings;
            self.problem(
                name,
                &format!(
                    "{schema}.{table} has no column {theirs:?}: give the name that it has there, \
                     or \"\" if there is none"
                ),
            );
            return None;
        };
        Some((format!("{ROW}.{}", quoted(theirs)), found))
    }

    fn problem(&mut self, name: &str, text: &str) {
        self.problems
            .push(format!("database.columns.{name}: {text}"));
    }

    fn refuse(&mut self, name: &str, found: &Found, served: &str) {
        let text = format!(
            "its type is {}, and only {served} can be served: convert it in a column of its own, \
             and name that here",
            found.kind
        );
        self.problem(name, &text);
    }

    fn set(&mut self, name: &'static str, expression: String) {
        self.columns.expressions.insert(name, expression);
    }

    /// Whether the settings say that there is none, where there must be one.
    fn lacks(&mut self, name: &str) {
        if self
            .settings
            .columns
            .get(name)
            .is_some_and(String::is_empty)
        {
            self.problem(name, "there must be one");
        }
    }

    /// The id. One that is no UUID is told by its text, and named by a UUID made of that.
    fn id(&mut self) {
        self.lacks("id");
        let Some((column, found)) = self.find("id") else {
            return;
        };
        if found.kind == "uuid" && found.is_required {
            self.set("id", column);
        } else if found.kind == "uuid" {
            let nobody = "'00000000-0000-0000-0000-000000000000'::uuid";
            self.set("id", format!("coalesce({column}, {nobody})"));
        } else if IDS.contains(&found.kind.as_str()) {
            let text = format!("coalesce({column}::text, '')");
            let made = format!("left(encode(sha256(convert_to({text}, 'UTF8')), 'hex'), 32)::uuid");
            self.set("id", made);
            self.set("own_id", text);
        } else {
            self.refuse("id", found, "uuid, text, varchar, char and integers");
        }
    }

    fn text(&mut self, name: &'static str, default: Option<&str>) {
        if name == "aggregate_id" {
            self.lacks(name);
        }
        let absent = default.map_or_else(
            || "NULL::text".to_owned(),
            |text| format!("{}::text", literal(text)),
        );
        let Some((column, found)) = self.find(name) else {
            self.set(name, absent);
            return;
        };
        if !TEXTS.contains(&found.kind.as_str()) {
            self.refuse(name, found, "text, varchar, char, enums, uuid and integers");
            return;
        }
        let text = if found.kind == "text" {
            column
        } else {
            format!("{column}::text")
        };
        let is_whole = found.is_required || default.is_none();
        self.set(
            name,
            if is_whole {
                text
            } else {
                format!("coalesce({text}, {absent})")
            },
        );
    }

    /// A column of contents, in one of these forms.
    fn form(&mut self, name: &'static str, forms: &[(&str, Form)]) -> Form {
        if name == "payload" {
            self.lacks(name);
        }
        let Some((column, found)) = self.find(name) else {
            self.set(name, "NULL::jsonb".to_owned());
            return Form::Jsonb;
        };
        let Some((kind, form)) = forms.iter().find(|(kind, _)| *kind == found.kind) else {
            let served: Vec<&str> = forms.iter().map(|(kind, _)| *kind).collect();
            self.refuse(name, found, &served.join(", "));
            return Form::Jsonb;
        };
        let is_cast = *form == Form::Text && *kind != "text";
        self.set(
            name,
            if is_cast {
                format!("{column}::text")
            } else {
                column
            },
        );
        *form
    }

    /// When an event was written. A time beyond what a record can carry is NULL, so that no conversion
    /// fails for it; one that is not told is now.
    fn created_at(&mut self) {
        let name = "created_at";
        let Some((column, found)) = self.find(name) else {
            self.set(name, "now()".to_owned());
            return;
        };
        match (found.kind.as_str(), found.is_required) {
            ("timestamptz", true) => self.set(name, column),
            ("timestamptz", false) => self.set(name, format!("coalesce({column}, now())")),
            ("timestamp", _) => {
                let zone = literal(&self.settings.created_at_zone);
                let time = format!(
                    "CASE WHEN {column} IS NULL THEN now() \
                     WHEN {column} >= '0001-01-03' AND {column} < '9999-12-30' \
                     THEN {column} AT TIME ZONE {zone} END"
                );
                self.set(name, format!("({time})"));
            }
            _ => self.refuse(name, found, "timestamptz and timestamp"),
        }
    }

    fn available_at(&mut self) {
        let name = "available_at";
        match self.find(name) {
            None => self.set(name, "NULL::timestamptz".to_owned()),
            Some((column, found)) if found.kind == "timestamptz" => self.set(name, column),
            Some((_, found)) => self.refuse(name, found, "timestamptz"),
        }
    }

    /// The relay's own mark, which a table may have had before.
    fn published_at(&mut self) {
        let kind = self.found.get("published_at").map(|found| &found.kind);
        if kind.is_some_and(|kind| kind == "timestamp") {
            let zone = literal(&self.settings.created_at_zone);
            let mark = format!("({ROW}.published_at AT TIME ZONE {zone})");
            self.set("published_at", mark);
            self.set("now", format!("(now() AT TIME ZONE {zone})"));
        }
    }
}
