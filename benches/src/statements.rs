//! What the relay's statements cost the server, by the server's own count (`pg_stat_statements`).
//!
//! Owns the question. Knows the statements by the names that they carry.

use anyhow::Result;
use sqlx::PgPool;

use crate::figures::{Figures, f64_of};

/// The relay's statements that a row costs: reading pages, and marks.
const NAMES: [(&str, &str); 3] = [
    ("poll", "read_page"),
    ("mark", "mark"),
    ("delete", "delete"),
];

/// What one statement has cost since the database was made.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) calls: i64,
    pub(crate) ms: f64,
    pub(crate) pages: i64,
}

impl Cost {
    /// What was spent since an earlier look.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            calls: self.calls - earlier.calls,
            ms: self.ms - earlier.ms,
            pages: self.pages - earlier.pages,
        }
    }

    /// Milliseconds a call; `None` where there was none.
    pub(crate) fn mean_ms(self) -> Option<f64> {
        (self.calls > 0).then(|| self.ms / f64_of(self.calls))
    }

    /// Pages of memory touched a call.
    pub(crate) fn mean_pages(self) -> Option<f64> {
        (self.calls > 0).then(|| f64_of(self.pages) / f64_of(self.calls))
    }
}

/// What a statement, by its name, has cost in this database so far.
pub(crate) async fn cost(pool: &PgPool, name: &str) -> Result<Cost> {
    let (calls, ms, pages) = sqlx::query_as(
        "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(total_exec_time), 0),
             coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint
         FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
         WHERE d.datname = current_database() AND s.query LIKE '%/* ' || $1 || ' */%'",
    )
    .bind(name)
    .fetch_one(pool)
    .await?;
    Ok(Cost { calls, ms, pages })
}

/// Begins to count anew.
pub(crate) async fn reset(pool: &PgPool) -> Result<()> {
    let reset = "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database
        WHERE datname = current_database()";
    sqlx::query(reset).execute(pool).await?;
    Ok(())
}

/// What reading and marking have cost so far, as figures.
pub(crate) async fn figures(pool: &PgPool) -> Result<Figures> {
    let mut figures = Figures::default();
    for (short, name) in NAMES {
        let cost = cost(pool, name).await?;
        if let (Some(ms), Some(pages)) = (cost.mean_ms(), cost.mean_pages()) {
            figures.set(&format!("{short}_ms"), ms);
            figures.set(&format!("{short}_pages"), pages);
            figures.set(&format!("{short}_calls"), f64_of(cost.calls));
        }
    }
    Ok(figures)
}
