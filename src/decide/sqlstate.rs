//! What a `PostgreSQL` error asks of the relay.
//!
//! Owns the one table from SQLSTATE codes to what follows, with meaning, cure and source. Knows no
//! driver: codes are text, as in `PostgreSQL`'s documentation, appendix A, "Error Codes".
//!
//! Invariants: total, and a code that is not in the table is tried again with back-off, so that an
//! error which nobody has judged neither stops the relay for good nor makes it spin.

use std::fmt;

/// What follows from a database error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseClass {
    /// The session is lost or spoilt: close it and try again at once on a new one.
    Reconnect,
    /// It passes by itself: try again, ever more slowly.
    BackOff,
    /// It lasts until an operator acts: stay alive, say so, look again slowly.
    Operator,
    /// The statement or a row's data is at fault: the same again will fail again.
    Defect,
}

impl fmt::Display for DatabaseClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconnect => "reconnect",
            Self::BackOff => "back_off",
            Self::Operator => "operator",
            Self::Defect => "defect",
        })
    }
}

/// What the relay holds of one SQLSTATE, or of all that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The code; two characters stand for all of its class that are not named themselves.
    pub code: &'static str,
    /// The condition's name.
    pub name: &'static str,
    /// What follows from it.
    pub class: DatabaseClass,
    /// What it means here.
    pub means: &'static str,
    /// What an operator does about it.
    pub cure: &'static str,
    /// Where the verdict comes from.
    pub source: &'static str,
}

/// Nobody needs to act.
const PASSES: &str = "none: it passes by itself";
const ANEW: &str = "none: the relay connects anew";
const MIGRATE: &str = "run `outbox-relay migrate`";
const RESTORE: &str = "give the table back the form that `outbox-relay migrate --print` shows";
const GRANT: &str = "run `outbox-relay migrate --grant-relay ROLE`";
const DIRECT: &str = "connect directly, or with session pooling";
const LOG_IN: &str = "correct the role and its password in `database.url`, and `pg_hba.conf`";
const REPORT: &str = "report it: the relay is wrong";

const APPENDIX: &str = "PostgreSQL, appendix A";
const SEEN: &str = "seen on a server";

type Row = (
    &'static str,
    &'static str,
    DatabaseClass,
    &'static str,
    &'static str,
    &'static str,
);

/// Every code that was judged.
#[rustfmt::skip]
const TABLE: [Row; 36] = [
    ("08", "connection_exception", DatabaseClass::Reconnect, "the connection is lost", ANEW, APPENDIX),
    ("0A000", "feature_not_supported", DatabaseClass::Reconnect, "a cached plan does not fit the table any more, after a migration",
        ANEW, "seen on a server: cached plan must not change result type"),
    ("25006", "read_only_sql_transaction", DatabaseClass::Reconnect, "the server is a standby now; its name may lead to its heir",
        "if it lasts: let `database.url` lead to the primary", SEEN),
    ("25P03", "idle_in_transaction_session_timeout", DatabaseClass::Reconnect, "the server closed the session", ANEW, SEEN),
    ("25P04", "transaction_timeout", DatabaseClass::Reconnect, "the server closed the session", ANEW, APPENDIX),
    ("26000", "invalid_sql_statement_name", DatabaseClass::Reconnect, "a pooler gave the session to somebody else", DIRECT, SEEN),
    ("57P01", "admin_shutdown", DatabaseClass::Reconnect, "the session or the server was ended", ANEW, SEEN),
    ("57P02", "crash_shutdown", DatabaseClass::Reconnect, "another session crashed the server", ANEW, APPENDIX),
    ("57P05", "idle_session_timeout", DatabaseClass::Reconnect, "the server closed the session", ANEW, APPENDIX),

    ("40001", "serialization_failure", DatabaseClass::BackOff, "it met another transaction", PASSES, SEEN),
    ("40P01", "deadlock_detected", DatabaseClass::BackOff, "it met another transaction", PASSES, SEEN),
    ("53", "insufficient_resources", DatabaseClass::BackOff, "the server is short of something", PASSES, APPENDIX),
    ("53100", "disk_full", DatabaseClass::BackOff, "the server's disc is full; marks wait, and so does publishing",
        "give the server room", APPENDIX),
    ("53200", "out_of_memory", DatabaseClass::BackOff, "the server is short of memory", PASSES, APPENDIX),
    ("53300", "too_many_connections", DatabaseClass::BackOff, "no session is left for the relay",
        "if it lasts: raise `max_connections`, or the role's CONNECTION LIMIT", SEEN),
    ("55P03", "lock_not_available", DatabaseClass::BackOff, "somebody holds a lock on the table: DDL, or VACUUM FULL",
        "if it lasts: end the session that holds the lock", SEEN),
    ("57014", "query_canceled", DatabaseClass::BackOff, "a statement took longer than `database.statement_timeout_ms`",
        "if it lasts: look at the server's load, and that the outbox's indexes are there", SEEN),
    ("57P03", "cannot_connect_now", DatabaseClass::BackOff, "the server is starting", PASSES, SEEN),
    ("58", "system_error", DatabaseClass::BackOff, "the server's input or output failed", "look at the server's log", APPENDIX),

    ("08P01", "protocol_violation", DatabaseClass::Operator, "a pooler does not know what the relay sends", DIRECT, "seen on PgBouncer"),
    ("28", "invalid_authorization_specification", DatabaseClass::Operator, "the server does not let the role in", LOG_IN, SEEN),
    ("28P01", "invalid_password", DatabaseClass::Operator, "the password is wrong", LOG_IN, SEEN),
    ("3D000", "invalid_catalog_name", DatabaseClass::Operator, "no such database", "correct the database in `database.url`", SEEN),
    ("3F000", "invalid_schema_name", DatabaseClass::Operator, "no such schema", MIGRATE, SEEN),
    ("42", "syntax_error_or_access_rule_violation", DatabaseClass::Operator, "the table is not as the relay made it", RESTORE, APPENDIX),
    ("42501", "insufficient_privilege", DatabaseClass::Operator, "the role lacks a right", GRANT, SEEN),
    ("42703", "undefined_column", DatabaseClass::Operator, "a column is missing", RESTORE, SEEN),
    ("42804", "datatype_mismatch", DatabaseClass::Operator, "a column is of another type", RESTORE, SEEN),
    ("42883", "undefined_function", DatabaseClass::Operator, "a column is of another type, or a function is missing", RESTORE, SEEN),
    ("42P01", "undefined_table", DatabaseClass::Operator, "a table is missing", MIGRATE, SEEN),
    ("42P05", "duplicate_prepared_statement", DatabaseClass::Operator, "a pooler shares the session", DIRECT, SEEN),
    ("57P04", "database_dropped", DatabaseClass::Operator, "the database was dropped", "make it anew, or correct `database.url`", APPENDIX),

    ("22", "data_exception", DatabaseClass::Defect, "a value of a row is not what its type says", REPORT, APPENDIX),
    ("22P03", "invalid_binary_representation", DatabaseClass::Defect, "a parameter was bound to another client's statement", DIRECT, SEEN),
    ("23", "integrity_constraint_violation", DatabaseClass::Defect, "a constraint forbids what the relay writes",
        "remove the constraint from the relay's own columns", APPENDIX),
    ("25P02", "in_failed_sql_transaction", DatabaseClass::Defect, "a statement was sent where the one before had failed", REPORT, SEEN),
];

/// The class of an SQLSTATE code.
pub fn sqlstate(code: &str) -> DatabaseClass {
    of(code).map_or(DatabaseClass::BackOff, |verdict| verdict.class)
}

/// What an operator does about an SQLSTATE, where anybody has to do anything.
pub fn cure(code: &str) -> Option<&'static str> {
    of(code)
        .map(|verdict| verdict.cure)
        .filter(|cure| !cure.starts_with("none:"))
}

/// Every code that was judged, class by class.
pub fn table() -> impl Iterator<Item = Verdict> {
    TABLE.into_iter().map(verdict)
}

/// The row of a code, or else that of its first two characters: its class.
fn of(code: &str) -> Option<Verdict> {
    let row_of = |code| TABLE.iter().find(|row| row.0 == code);
    let row = row_of(code).or_else(|| row_of(code.get(..2)?))?;
    Some(verdict(*row))
}

fn verdict((code, name, class, means, cure, source): Row) -> Verdict {
    Verdict {
        code,
        name,
        class,
        means,
        cure,
        source,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DatabaseClass, cure, sqlstate, table};

    /// The classes as they were agreed on, apart from the table.
    const AGREED: [(DatabaseClass, &[&str]); 4] = [
        (
            DatabaseClass::Reconnect,
            &[
                "57P01", "57P02", "57P05", "25P03", "25P04", "25006", "08000", "08001", "08003",
                "08006", "0A000", "26000",
            ],
        ),
        (
            DatabaseClass::BackOff,
            &[
                "40001", "40P01", "55P03", "57014", "57P03", "53100", "53200", "53300", "58030",
            ],
        ),
        (
            DatabaseClass::Operator,
            &[
                "28000", "28P01", "3D000", "3F000", "42501", "42P01", "42703", "42883", "42P05",
                "08P01", "57P04",
            ],
        ),
        (
            DatabaseClass::Defect,
            &[
                "22001", "22P02", "22021", "22P03", "23505", "23502", "25P02",
            ],
        ),
    ];

    #[test]
    fn each_known_code_has_its_class() {
        for (class, codes) in AGREED {
            for code in codes {
                assert_eq!(sqlstate(code), class, "code {code}");
            }
        }
    }

    #[test]
    fn a_row_of_the_table_says_what_its_code_is_judged_by() {
        for verdict in table() {
            assert_eq!(sqlstate(verdict.code), verdict.class, "{verdict:?}");
            let same = table().filter(|other| other.code == verdict.code);
            assert_eq!(same.count(), 1, "{verdict:?}");
        }
    }

    #[test]
    fn what_lasts_until_an_operator_acts_comes_with_a_cure() {
        for verdict in table() {
            let lasts = verdict.class == DatabaseClass::Operator;
            assert!(!lasts || cure(verdict.code).is_some(), "{verdict:?}");
        }
        assert_eq!(cure("57P01"), None, "the relay connects anew");
        assert_eq!(cure("P0001"), None, "nobody has judged it");
    }

    #[test]
    fn a_code_nobody_has_judged_backs_off() {
        for code in [
            "", "P", "P0001", "XX000", "XX001", "25000", "57000", "ä", "日本", "😀",
        ] {
            assert_eq!(sqlstate(code), DatabaseClass::BackOff, "code {code:?}");
        }
    }

    proptest! {
        #[test]
        fn the_table_is_total(code: String) {
            let _class: DatabaseClass = sqlstate(&code);
        }
    }
}
