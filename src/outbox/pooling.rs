//! Whether a session has its server process to itself.
//!
//! Owns the statements that find it out. Judges nothing.
//!
//! Invariants:
//! - what is asked leaves no trace on any server process: no setting, no prepared statement;
//! - a pool that lends server processes for a transaction or a statement is seen unless other
//!   clients of the same pool hide it in each of several rounds. A pool that lends them for a
//!   session is as good as none.

use sqlx::Executor;
use sqlx::postgres::{PgConnection, PgRow};

use super::session::column;

/// `backend`: locks nothing, reads nothing.
const BACKEND: &str = "/* backend */ SELECT pg_backend_pid()";
/// Other clients may take and return server processes meanwhile: it is tried this often.
const ROUNDS: usize = 3;

/// Whether these two sessions were served by the same server process while both were open, or one
/// of them by two.
pub(super) async fn is_shared(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    for _ in 0..ROUNDS {
        if overlap(first, second).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The second session keeps a server process busy by a transaction: perhaps that which the first
/// has just had; and perhaps the first gets another now.
async fn overlap(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let before = backend(first).await?;
    match plainly(second, "BEGIN").await {
        // protocol_violation: PgBouncer's answer where it lends server processes for a statement.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("08P01") => {
            return Ok(true);
        }
        begun => begun?,
    }
    let other = backend(second).await?;
    // Where the pool has one server process alone, the first would wait for it.
    let shared = other == before || backend(first).await? != before;
    plainly(second, "ROLLBACK").await?;
    Ok(shared)
}

async fn backend(session: &mut PgConnection) -> Result<i32, sqlx::Error> {
    let row: PgRow = session.fetch_one(sqlx::raw_sql(BACKEND)).await?;
    column(&row, 0)
}

/// Runs a statement by the simple protocol, which prepares nothing.
async fn plainly(session: &mut PgConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    session.execute(sqlx::raw_sql(statement)).await?;
    Ok(())
}
