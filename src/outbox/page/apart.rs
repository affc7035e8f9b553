//! Reading row by row, where a page as a whole cannot be read.
//!
//! Owns the statement for one row, and the judgement that a row's own data is what the database
//! cannot print. One such row must not keep all others of its page from being read for ever.
//!
//! Invariants:
//! - which rows a page has and how it ends is one statement still; only contents come apart;
//! - a row is judged by what the database says of its data, never by a time that ran out.

use sqlx::AssertSqlSafe;

use super::{EventRange, Fetched, Pages};
use crate::decide::reading::PageEnd;
use crate::decide::window::Read;
use crate::event::{EventRef, Payload};
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::{Session, column};
use crate::outcome::Defect;

/// `read_row`: locks nothing; by primary key. A number of few bytes may print as 131,072 digits
/// (`PostgreSQL`, numeric types), so numbers of more than [`LONG_DIGITS`] are counted before anything is
/// printed: `$4` of them are too many for any record.
const READ_ROW: &str = "
/* read_row */
SELECT CASE WHEN r.bytes <= $3 THEN r.payload END, CASE WHEN r.bytes <= $3 THEN r.headers END,
    n.long, coalesce(r.bytes <= $3, true)
FROM {outbox} AS o
CROSS JOIN LATERAL (
    SELECT count(*) >= $4 AS long FROM (
        {long_payload}
        UNION ALL
        {long_headers}) AS l
) AS n
CROSS JOIN LATERAL (
    SELECT t.payload, t.headers, greatest(octet_length(t.payload), octet_length(t.headers)) AS bytes
    FROM (SELECT CASE WHEN NOT n.long THEN {printed_payload} END AS payload,
            CASE WHEN NOT n.long THEN {o.headers}::text END AS headers OFFSET 0) AS t OFFSET 0
) AS r
WHERE o.seq = $1 AND {o.id} = $2
";

/// What makes a number a long one.
const LONG_DIGITS: u64 = 1_000;

/// Numbers that print as more than [`LONG_DIGITS`].
const LONG_NUMBER: &str = r#"'$.** ? (@.type() == "number" && (@ > 1e1000
            || @ < -1e1000 || (@ < 1e-1000 && @ > -1e-1000 && @ != 0)))'"#;

/// Renders the statement.
pub(super) fn row(names: &Names) -> String {
    let columns = names.columns();
    let statement = READ_ROW
        .replace(
            "{long_payload}",
            &columns.payload.long_numbers("{o.payload}"),
        )
        .replace(
            "{long_headers}",
            &columns.headers.long_numbers("{o.headers}"),
        )
        .replace("{printed_payload}", &columns.payload.printed("{o.payload}"))
        .replace("{long_number}", LONG_NUMBER);
    names.render(&statement)
}

/// Payload and headers of a row.
struct Contents {
    payload: Option<Payload>,
    headers: Option<String>,
    /// Their numbers alone would fill any record.
    long: bool,
    /// They take no more than a record can.
    fits: bool,
}

impl Pages {
    /// Reads one page row by row. What cannot be printed is unfit.
    pub async fn read_apart(
        &self,
        session: &mut Session,
        read: &Read,
    ) -> Result<Vec<EventRange>, OutboxError> {
        let mut ranges = self.page(session, read, false).await?;
        let mut bytes = 0;
        for range in &mut ranges {
            if bytes > read.bytes_max {
                range.events.clear();
                range.end = PageEnd::CutAtStart;
            }
            for index in 0..range.events.len() {
                let fetched = &mut range.events[index];
                self.fill(session, fetched).await?;
                let event = &fetched.event;
                let last = event.at.seq;
                let payload = event.payload.as_ref().map(|payload| payload.bytes().len());
                let headers = event.headers.as_ref().map(String::len);
                bytes += payload.unwrap_or(0) + headers.unwrap_or(0);
                if bytes > read.bytes_max && index + 1 < range.events.len() {
                    range.events.truncate(index + 1);
                    range.end = PageEnd::CutAfter(last);
                    break;
                }
            }
        }
        Ok(ranges)
    }

    /// Fetches a row's contents, or finds it unfit.
    async fn fill(&self, session: &mut Session, fetched: &mut Fetched) -> Result<(), OutboxError> {
        if fetched.unfit.is_some() {
            return Ok(());
        }
        match self.contents(session, fetched.event.at).await {
            Ok(Contents {
                long: false,
                fits: true,
                payload,
                headers,
            }) => {
                fetched.event.payload = payload;
                fetched.event.headers = headers;
            }
            Ok(Contents { long, .. }) => {
                fetched.is_large = !long;
                fetched.unfit = Some(Defect::new("the row prints as too much for any record"));
            }
            Err(error) => match error.code() {
                Some(code) if is_of_data(code) => {
                    let reason = format!("the database cannot print the row (SQLSTATE {code})");
                    fetched.unfit = Some(Defect::new(reason));
                }
                Some(_) | None => return Err(error),
            },
        }
        Ok(())
    }

    async fn contents(&self, session: &mut Session, at: EventRef) -> Result<Contents, OutboxError> {
        let row = session
            .run(async |connection| {
                sqlx::query(AssertSqlSafe(self.row.as_str()))
                    .bind(at.seq)
                    .bind(at.id)
                    .bind(self.sent_bytes_max)
                    .bind(i64::try_from(self.record_bytes_max / LONG_DIGITS).unwrap_or(i64::MAX))
                    .fetch_one(connection)
                    .await
            })
            .await?;
        Ok(Contents {
            payload: self.payload.read(&row, 0)?,
            headers: column(&row, 1)?,
            long: column(&row, 2)?,
            fits: column(&row, 3)?,
        })
    }
}

/// Whether a page may have failed because of what one of its rows holds.
pub fn may_be_a_rows(error: &OutboxError) -> bool {
    match error.code() {
        // out_of_memory, query_canceled: printing may have taken too much of either.
        Some("53200" | "57014") => true,
        Some(code) => is_of_data(code),
        None => matches!(error, OutboxError::Deadline(_)),
    }
}

/// Whether a statement failed by the data alone: data exceptions, program limits exceeded, and
/// internal errors, such as data that are corrupted.
pub fn is_of_data(code: &str) -> bool {
    ["22", "54", "XX"]
        .iter()
        .any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> OutboxError {
        OutboxError::Refused {
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn a_page_is_read_apart_only_where_a_row_may_be_at_fault() {
        for code in ["54000", "22P05", "XX001", "57014", "53200"] {
            assert!(may_be_a_rows(&refused(code)), "{code}");
        }
        assert!(may_be_a_rows(&OutboxError::Deadline(1)));
        for code in ["42P01", "57P01", "40001", "53300", "25006", ""] {
            assert!(!may_be_a_rows(&refused(code)), "{code}");
        }
        assert!(!may_be_a_rows(&OutboxError::Lost(String::new())));
    }
}
