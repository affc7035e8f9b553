//! What a `PostgreSQL` error asks of the relay.
//!
//! Owns the one table from SQLSTATE codes to what follows. Knows no driver: codes are text, as in
//! `PostgreSQL`'s documentation, appendix A, "Error Codes".
//!
//! Invariants: total, and a code that is not named here is tried again with back-off, so that an
//! error which nobody has judged neither stops the relay for good nor makes it spin.

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

/// The class of an SQLSTATE code.
pub fn sqlstate(code: &str) -> DatabaseClass {
    exact(code)
        .or_else(|| by_class(code))
        .unwrap_or(DatabaseClass::BackOff)
}

/// Codes that differ from the rest of their class, or whose class says nothing.
fn exact(code: &str) -> Option<DatabaseClass> {
    Some(match code {
        // feature_not_supported: here "cached plan must not change result type", after a migration.
        "0A000"
        // invalid_sql_statement_name: a pooler gave the session to somebody else.
        | "26000"
        // read_only_sql_transaction: the server is a standby now, the name may lead to its heir.
        | "25006"
        // idle_in_transaction_session_timeout, transaction_timeout: the server closed the session.
        | "25P03" | "25P04"
        // admin_shutdown, crash_shutdown, idle_session_timeout
        | "57P01" | "57P02" | "57P05" => DatabaseClass::Reconnect,
        // serialization_failure, deadlock_detected
        "40001" | "40P01"
        // lock_not_available, query_canceled (statement_timeout), cannot_connect_now
        | "55P03" | "57014" | "57P03" => DatabaseClass::BackOff,
        // protocol_violation: PgBouncer answers so to a setting it does not know.
        "08P01"
        // duplicate_prepared_statement: a pooler shares the session.
        | "42P05"
        // invalid_catalog_name, invalid_schema_name, database_dropped
        | "3D000" | "3F000" | "57P04" => DatabaseClass::Operator,
        // in_failed_sql_transaction: a statement was sent where the one before had failed.
        "25P02" => DatabaseClass::Defect,
        _ => return None,
    })
}

/// The first two characters of a code are its class.
fn by_class(code: &str) -> Option<DatabaseClass> {
    Some(match code.get(..2)? {
        // connection exception
        "08" => DatabaseClass::Reconnect,
        // insufficient resources (connections, memory, disk), system error (input and output)
        "53" | "58" => DatabaseClass::BackOff,
        // invalid authorization, syntax error or access rule violation: privileges, tables and
        // columns that are not as the settings say
        "28" | "42" => DatabaseClass::Operator,
        // data exception, integrity constraint violation
        "22" | "23" => DatabaseClass::Defect,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DatabaseClass, sqlstate};

    const TABLE: [(DatabaseClass, &[&str]); 4] = [
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
        for (class, codes) in TABLE {
            for code in codes {
                assert_eq!(sqlstate(code), class, "code {code}");
            }
        }
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
