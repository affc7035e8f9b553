//! Adoption: a table that was there before becomes the relay's, while services go on writing to it.
//!
//! Owns what is looked at before. What each step says is in `steps`, how they are run in `apply`.
//!
//! Invariants:
//! - it may end at any point, by a crash too, and be begun again: a step that was done is not done twice,
//!   and two adoptions of one table take turns;
//! - nobody waits for it longer than the lock time-out: what does not get its lock gives way, and tries
//!   again later;
//! - rows that were there count as published, but for those that a time says wait and that nobody has
//!   marked; these are numbered by when they were written, below every row that was written since.

mod apply;
mod steps;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

pub use self::apply::take_turn;
pub use self::steps::Wish;
use self::steps::{script, steps, waits, younger};
use super::columns::{Catalogue, Columns, DELIVERY, catalogue, check_zone};
use super::error::OutboxError;
use super::names::{Names, quoted};
use super::session::{Session, column};
use crate::process::settings::Database;

/// `adoption_table`: locks nothing; the catalogue alone.
const TABLE: &str = "
/* adoption_table */
SELECT c.relkind = 'r' AND NOT c.relispartition AND NOT EXISTS (
        SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhparent, i.inhrelid)),
    greatest(c.reltuples, 0)::bigint, to_regclass({adoption_text}) IS NOT NULL,
    to_regclass({migrations_text}) IS NOT NULL
FROM pg_class AS c WHERE c.oid = {outbox_text}::regclass
";

/// `adoption`: locks nothing; one row.
const ADOPTION: &str = "
/* adoption */
SELECT a.lanes, a.since, a.done_at IS NOT NULL FROM {adoption} AS a
";

/// `adoption_waiting`: locks nothing; reads the whole table, for those who want to know before.
const WAITING: &str = "
/* adoption_waiting */
SELECT {o.aggregate_type}, count(*) FROM {outbox} AS o WHERE {waits}
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100
";

/// What the relay calls its own, besides `published_at` and what tells of a delivery.
const OWN: [&str; 2] = ["seq", "lane"];

/// Why a table cannot be adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// It is no table that can be, or not in this way.
    #[error("{0}")]
    Refused(String),
    /// Others held it all the time.
    #[error("others hold {0} all the time: end long transactions on it, then do the same again")]
    Held(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] OutboxError),
}

/// What a table has that decides how it is adopted; names in quotes.
#[derive(Debug)]
struct Existing {
    created_at: Option<String>,
    /// The zone of a `created_at` that tells none.
    zone: Option<String>,
    /// The id, where it counts.
    counting_id: Option<String>,
    available_at: Option<String>,
    /// Whether its rows say themselves that they are published.
    has_mark: bool,
}

/// How one table is adopted.
#[derive(Debug)]
pub struct Adoption {
    names: Names,
    table: Existing,
    wish: Wish,
    rows: i64,
    is_begun: bool,
    is_done: bool,
}

impl Adoption {
    /// Looks at a table. What an adoption that was begun has settled stands.
    pub async fn look(
        session: &mut Session,
        settings: &Database,
        wish: Wish,
    ) -> Result<Self, AdoptionError> {
        let names = Names::new(&settings.schema, &settings.table);
        let (is_plain, rows, is_begun, is_migrated) = table(session, &names).await?;
        let outbox = names.outbox();
        let refused = |text: &str| Err(AdoptionError::Refused(format!("{outbox} {text}")));
        if !is_plain {
            return refused(
                "is no ordinary table: views, partitioned tables and tables with children cannot be \
                 adopted",
            );
        }
        if is_migrated && !is_begun {
            return refused("was made by `migrate`: it is the relay's already");
        }
        let found = catalogue(session, &names).await?;
        let columns = Columns::of(settings, &found).map_err(OutboxError::Columns)?;
        check_zone(session, settings).await?;
        let mut adoption = Self {
            table: existing(settings, &found),
            names: names.with(columns),
            wish,
            rows,
            is_begun,
            is_done: false,
        };
        if is_begun {
            adoption.go_on(session).await?;
        } else {
            check_free(&found, &outbox)?;
        }
        if adoption.wish.since.is_some() && adoption.table.created_at.is_none() {
            return Err(AdoptionError::Refused(
                "--since needs database.columns.created_at: nothing else tells when a row was \
                 written"
                    .to_owned(),
            ));
        }
        Ok(adoption)
    }

    /// Takes over what was settled when the adoption was begun.
    async fn go_on(&mut self, session: &mut Session) -> Result<(), AdoptionError> {
        let statement = self.names.render(ADOPTION);
        let (lanes, since, is_done): (i16, Option<DateTime<Utc>>, bool) = session
            .run(async |connection| {
                let row = sqlx::query(AssertSqlSafe(statement))
                    .fetch_one(connection)
                    .await?;
                Ok((column(&row, 0)?, column(&row, 1)?, column(&row, 2)?))
            })
            .await?;
        if let Some(asked) = self.wish.lanes
            && i32::from(asked) != i32::from(lanes)
        {
            return Err(AdoptionError::Refused(format!(
                "the adoption was begun with {lanes} lanes, not {asked}: leave --lanes out"
            )));
        }
        if self.wish.since.is_some_and(|wanted| Some(wanted) != since) {
            let begun = since.map_or("without --since".to_owned(), |since| {
                format!("with --since {}", since.to_rfc3339())
            });
            return Err(AdoptionError::Refused(format!(
                "the adoption was begun {begun}, and that stands: leave --since out"
            )));
        }
        self.wish.lanes = Some(lanes.unsigned_abs());
        self.wish.since = since;
        self.is_done = is_done;
        Ok(())
    }

    /// Whether there is nothing left to do.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The names of the table.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// About how many rows the table has, by the last vacuum.
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// As from when rows wait, if some do.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        self.wish.since
    }

    /// The SQL of all steps, for `psql`.
    pub fn script(&self) -> String {
        let steps = steps(&self.names, &self.table, self.wish);
        script(&steps, self.wish.lock_timeout_ms)
    }

    /// How many rows wait, by their aggregates' type, the most first.
    pub async fn waiting(&self, session: &mut Session) -> Result<Vec<(String, i64)>, OutboxError> {
        let Some(waits) = self.waits() else {
            return Ok(Vec::new());
        };
        let statement = self.names.render(&WAITING.replace("{waits}", &waits));
        session
            .run(async |connection| {
                let rows = sqlx::query(AssertSqlSafe(statement))
                    .fetch_all(connection)
                    .await?;
                rows.iter()
                    .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
                    .collect()
            })
            .await
    }

    /// Which rows wait now.
    fn waits(&self) -> Option<String> {
        let adopted = "o.published_at = (SELECT a.begun_at FROM {adoption} AS a)";
        if self.is_begun {
            let waits = waits(&self.table, self.wish, "o.")?;
            return Some(format!("{waits} AND (o.published_at IS NULL OR {adopted})"));
        }
        let younger = younger(&self.table, self.wish.since?, "o.")?;
        Some(if self.table.has_mark {
            format!("{younger} AND o.published_at IS NULL")
        } else {
            younger
        })
    }
}

/// Whether it is a table by itself, about how many rows it has, whether its adoption was begun, and whether
/// `migrate` knows it.
async fn table(
    session: &mut Session,
    names: &Names,
) -> Result<(bool, i64, bool, bool), AdoptionError> {
    let statement = names.render(TABLE);
    let looked = session
        .run(async |connection| {
            let row = sqlx::query(AssertSqlSafe(statement))
                .fetch_one(connection)
                .await?;
            Ok((
                column(&row, 0)?,
                column(&row, 1)?,
                column(&row, 2)?,
                column(&row, 3)?,
            ))
        })
        .await;
    looked.map_err(|error| match error.code() {
        // undefined_table, invalid_schema_name
        Some("42P01" | "3F000") => AdoptionError::Refused(format!(
            "there is no table {}: `migrate` without --adopt makes one",
            names.outbox()
        )),
        _ => error.into(),
    })
}

fn existing(settings: &Database, found: &Catalogue) -> Existing {
    let theirs = |name: &str| {
        let theirs = settings.columns.get(name)?;
        Some((quoted(theirs), found.get(theirs)?.kind.as_str()))
    };
    let created_at = theirs("created_at");
    let is_zoned = created_at
        .as_ref()
        .is_none_or(|(_, kind)| *kind == "timestamptz");
    let counts = |(_, kind): &(String, &str)| kind.starts_with("int");
    Existing {
        created_at: created_at.map(|(name, _)| name),
        zone: (!is_zoned).then(|| settings.created_at_zone.clone()),
        counting_id: theirs("id").filter(counts).map(|(name, _)| name),
        available_at: theirs("available_at").map(|(name, _)| name),
        has_mark: found.contains_key("published_at"),
    }
}

/// Whether the names that the relay needs are free.
fn check_free(found: &Catalogue, outbox: &str) -> Result<(), AdoptionError> {
    let mut own = OWN.iter().chain(&DELIVERY);
    if let Some(taken) = own.find(|name| found.contains_key(**name)) {
        return Err(AdoptionError::Refused(format!(
            "{outbox} has a column {taken} already, which the relay needs for itself: rename it"
        )));
    }
    let fits = |kind: &str| ["timestamptz", "timestamp"].contains(&kind);
    match found.get("published_at") {
        Some(mark) if mark.is_required || !fits(&mark.kind) => {
            Err(AdoptionError::Refused(format!(
                "{outbox}.published_at must be timestamptz or timestamp and may be NULL, to be the \
                 relay's mark: rename it, or change it"
            )))
        }
        Some(_) | None => Ok(()),
    }
}
