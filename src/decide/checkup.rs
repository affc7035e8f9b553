//! What the findings of a check-up mean: fine, doubtful, or wrong, each with its cure.
//!
//! Owns the judgements. Looks at nothing itself and does not know where a number came from.
//!
//! Invariant: what is not fine has a cure, beside its text or in it.

pub mod others;
pub mod topics;

/// The oldest server that is served, as `server_version_num` writes it.
const VERSION_MIN: i32 = 130_000;
/// Clocks that differ by less are as good as equal, in milliseconds.
const CLOCK_MAX_MS: i64 = 2_000;

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Fine,
    /// A relay runs, and somebody may be surprised.
    Doubtful,
    /// A relay does not run, or not rightly.
    Wrong,
    /// It did not answer, so nothing is known.
    Away,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word.
    pub about: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// What was seen.
    pub text: String,
    /// What to do about it, where the text does not say it.
    pub cure: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn fine(about: &'static str, text: impl Into<String>) -> Self {
        Self::of(about, Grade::Fine, (text.into(), None))
    }

    /// Somebody may be surprised.
    pub fn doubtful(about: &'static str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::of(about, Grade::Doubtful, (text.into(), Some(cure.into())))
    }

    /// This must be mended.
    pub fn wrong(about: &'static str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::of(about, Grade::Wrong, (text.into(), Some(cure.into())))
    }

    /// It did not answer.
    pub fn away(about: &'static str, text: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::of(about, Grade::Away, (text.into(), Some(cure.into())))
    }

    /// A sentence that tells its cure itself.
    pub fn told(about: &'static str, grade: Grade, sentence: impl Into<String>) -> Self {
        Self::of(about, grade, (sentence.into(), None))
    }

    fn of(about: &'static str, grade: Grade, (text, cure): (String, Option<String>)) -> Self {
        Self {
            about,
            grade,
            text,
            cure,
        }
    }
}

/// Whether a server is new enough, and takes writes.
pub fn server(version_num: i32, version: &str, read_only: bool) -> Finding {
    if version_num < VERSION_MIN {
        Finding::wrong(
            "database",
            format!("PostgreSQL {version} is too old"),
            "use PostgreSQL 13 or newer",
        )
    } else if read_only {
        Finding::wrong(
            "database",
            format!("PostgreSQL {version} takes no writes: a standby, or a read-only session"),
            "let database.url lead to the primary (target_session_attrs is not understood)",
        )
    } else {
        Finding::fine("database", format!("PostgreSQL {version}, takes writes"))
    }
}

/// Whether the database's clock agrees with this machine's: `ahead_ms` by so much it is ahead,
/// known to within `unsure_ms`.
pub fn clock(ahead_ms: i64, unsure_ms: i64) -> Finding {
    let seen = format!("the database's clock differs by {ahead_ms} ms (± {unsure_ms})");
    if ahead_ms.abs() - unsure_ms <= CLOCK_MAX_MS {
        Finding::fine("clock", seen)
    } else {
        Finding::doubtful(
            "clock",
            seen,
            "set both by NTP: leases do not suffer, but records carry the database's time, and \
             logs this machine's",
        )
    }
}

/// Whether numbers are drawn one by one, upwards, by the database alone.
pub fn sequence(generated_always: bool, cache: i64, increment: i64) -> Finding {
    if !generated_always {
        Finding::wrong(
            "sequence",
            "seq is not GENERATED ALWAYS AS IDENTITY: writers could choose numbers",
            "ALTER the column: SET GENERATED ALWAYS",
        )
    } else if cache != 1 || increment < 1 {
        Finding::wrong(
            "sequence",
            format!("the sequence has CACHE {cache}, INCREMENT {increment}: numbers jump about"),
            "ALTER the column: SET CACHE 1, SET INCREMENT 1",
        )
    } else {
        Finding::fine("sequence", "numbers come from the database alone, CACHE 1")
    }
}

/// Whether a role may do what a relay does; the missing rights are told as `SELECT ON "t"`.
pub fn rights(role: &str, missing: &[String]) -> Finding {
    if missing.is_empty() {
        return Finding::fine("rights", format!("{role} may do all that a relay does"));
    }
    let grants: Vec<String> = missing
        .iter()
        .map(|right| format!("GRANT {right} TO {role};"))
        .collect();
    Finding::wrong(
        "rights",
        format!("{role} lacks {}", missing.join(", ")),
        format!(
            "`outbox-relay migrate --grant-relay ROLE` as the owner, or: {}",
            grants.join(" ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_a_standby_and_a_caching_sequence_are_wrong() {
        assert_eq!(server(129_999, "12.22", false).grade, Grade::Wrong);
        assert_eq!(server(130_000, "13.0", false).grade, Grade::Fine);
        assert_eq!(server(170_002, "17.2", true).grade, Grade::Wrong);
        assert_eq!(sequence(true, 1, 1).grade, Grade::Fine);
        assert_eq!(sequence(true, 20, 1).grade, Grade::Wrong);
        assert_eq!(sequence(true, 1, -1).grade, Grade::Wrong);
        assert_eq!(sequence(false, 1, 1).grade, Grade::Wrong);
    }

    #[test]
    fn clocks_are_judged_no_finer_than_they_were_read() {
        assert_eq!(clock(-2_000, 0).grade, Grade::Fine);
        assert_eq!(clock(-2_001, 0).grade, Grade::Doubtful);
        assert_eq!(clock(2_500, 600).grade, Grade::Fine);
        assert_eq!(clock(i64::MAX, 0).grade, Grade::Doubtful);
    }

    #[test]
    fn a_missing_right_is_told_as_the_grant_that_mends_it() {
        assert_eq!(rights("\"r\"", &[]).grade, Grade::Fine);
        let found = rights("\"r\"", &["SELECT ON \"o\"".to_owned()]);
        assert_eq!(found.grade, Grade::Wrong);
        assert!(
            found
                .cure
                .unwrap()
                .ends_with("GRANT SELECT ON \"o\" TO \"r\";")
        );
    }
}
