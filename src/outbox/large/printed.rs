//! A large payload in pieces, for those who carry it out of the database.
//!
//! Owns a table of one session, which holds the payload as it is printed, and goes with the session.
//!
//! Invariants:
//! - a payload is printed once, however many pieces it has, and no transaction is open between two;
//! - what a session holds is of one payload, the last one that was asked for.

use super::{Measured, Payloads, measure};
use crate::event::EventRef;
use crate::outbox::error::OutboxError;
use crate::outbox::session::{Session, column};

/// `make_printed`: locks nothing that others see. The table is not logged, and not compressed: a piece is
/// read without the rest. The server says nothing of a table that was not there.
const MAKE: &str = "
/* make_printed */
SET client_min_messages = warning;
DROP TABLE IF EXISTS pg_temp.outbox_relay_printed;
CREATE TEMPORARY TABLE outbox_relay_printed (payload bytea NOT NULL);
ALTER TABLE pg_temp.outbox_relay_printed ALTER payload SET STORAGE EXTERNAL;
";

/// `print_payload`: locks nothing; reads one row by its primary key, and only one that is to be published.
pub(super) const PRINT: &str = "
/* print_payload */
WITH printed AS (
    INSERT INTO pg_temp.outbox_relay_printed (payload)
    SELECT {payload_as_bytes} FROM {outbox} AS o
    WHERE o.seq = $1 AND {o.id} = $2 AND {o.payload} IS NOT NULL
        AND o.published_at IS NULL AND o.dead_at IS NULL
    RETURNING payload
)
SELECT $1, octet_length(p.payload)::bigint, encode(sha256(p.payload), 'hex') FROM printed AS p
";

/// `read_piece`: locks nothing; the one row of the session's own table.
const PIECE: &str = "
/* read_piece */
SELECT substr(payload, $1, $2) FROM pg_temp.outbox_relay_printed
";

/// `drop_printed`: locks nothing that others see.
const DROP: &str = "
/* drop_printed */
DROP TABLE IF EXISTS pg_temp.outbox_relay_printed
";

impl Payloads {
    /// Prints a payload where this session can read it in pieces; none if its row is gone, or is not to be
    /// published any more.
    pub async fn print(
        &self,
        session: &mut Session,
        at: EventRef,
    ) -> Result<Option<Measured>, OutboxError> {
        session.run_script(MAKE.to_owned()).await?;
        measure(session, &self.print, at).await
    }

    /// A piece of what this session has printed last, from a byte on.
    pub async fn piece(
        &self,
        session: &mut Session,
        from: i32,
        bytes: i32,
    ) -> Result<Vec<u8>, OutboxError> {
        session
            .run(async |connection| {
                let row = sqlx::query(PIECE)
                    .bind(from + 1)
                    .bind(bytes)
                    .fetch_one(connection)
                    .await?;
                column(&row, 0)
            })
            .await
    }

    /// Forgets what this session has printed.
    pub async fn forget(&self, session: &mut Session) -> Result<(), OutboxError> {
        session.run_script(DROP.to_owned()).await
    }
}
