//! Which server a relay's sessions are with.
//!
//! Owns the question, and the memory of the last server that any session of the relay has met. Does
//! not know who else may be with another: two relays on two primaries never hear of each other.
//!
//! Invariants:
//! - a session that is with another server than the last one met is given up before its next
//!   statement: rows read from one server and marked on another would be read again for ever;
//! - once a later timeline was met, an earlier one is not gone back to. Who promotes a standby
//!   begins a new timeline, so a former primary that still takes writes is known by its own.

use std::sync::{Mutex, PoisonError};

use sqlx::PgConnection;
use sqlx::Row;

/// `server`: locks nothing, reads no table. A promoted standby tells its new timeline at once by the
/// log's file, and by its control file only after a checkpoint.
const SERVER: &str = "
/* server */
SELECT s.system_identifier, pg_postmaster_start_time()::text,
    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)
FROM pg_control_system() AS s
";

/// One run of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// The same for a primary and all that were ever copied from it.
    system: i64,
    /// Rises with each promotion; eight hexadecimal digits.
    timeline: String,
    /// When it was started.
    started: String,
}

impl Server {
    /// Asks who answers; nobody, where the server does not tell (some that are run by others have
    /// no log of their own).
    pub(super) async fn ask(connection: &mut PgConnection) -> Result<Option<Self>, sqlx::Error> {
        let answer = sqlx::query(SERVER).fetch_one(connection).await;
        match answer {
            Ok(row) => Ok(Some(Self {
                system: row.try_get(0)?,
                started: row.try_get(1)?,
                timeline: row.try_get(2)?,
            })),
            Err(sqlx::Error::Database(error)) => {
                tracing::debug!(%error, "the server does not tell its timeline");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is the same server, perhaps started anew.
    fn continues(&self, last: &Self) -> bool {
        self.system == last.system && self.timeline == last.timeline
    }

    /// Whether another took its place.
    fn is_former_of(&self, last: &Self) -> bool {
        self.system == last.system && self.timeline < last.timeline
    }
}

/// The last server met, for all sessions of one relay.
#[derive(Debug, Default)]
pub(super) struct Lineage(Mutex<Option<Server>>);

impl Lineage {
    /// Takes note of a server; false if it is one whose place another has taken.
    pub(super) fn meet(&self, server: &Server) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|last| server.is_former_of(last)) {
            return false;
        }
        if last.as_ref().is_some_and(|last| !server.continues(last)) {
            tracing::warn!(
                timeline = server.timeline,
                "the database is another server now: all sessions follow"
            );
        }
        *last = Some(server.clone());
        true
    }

    /// Whether no other server was met since.
    pub(super) fn ends_with(&self, server: &Server) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_none_or(|last| last == server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(system: i64, timeline: &str, started: &str) -> Server {
        Server {
            system,
            timeline: timeline.to_owned(),
            started: started.to_owned(),
        }
    }

    #[test]
    fn the_last_server_met_is_followed_unless_another_took_its_place() {
        let lineage = Lineage::default();
        let first = server(1, "00000009", "a");
        let heir = server(1, "0000000A", "b");
        assert!(lineage.ends_with(&first));
        assert!(lineage.meet(&first) && lineage.ends_with(&first));
        assert!(lineage.meet(&heir) && lineage.ends_with(&heir));
        assert!(!lineage.ends_with(&first));
        assert!(!lineage.meet(&first) && lineage.ends_with(&heir));

        let restarted = server(1, "0000000A", "c");
        assert!(lineage.meet(&restarted) && !lineage.ends_with(&heir));
        let unrelated = server(2, "00000001", "d");
        assert!(lineage.meet(&unrelated) && !lineage.ends_with(&restarted));
    }
}
