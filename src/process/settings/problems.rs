//! What is wrong with settings: every problem with the path of its key and what would be right.
//!
//! Owns the list. Does not know how a problem was found. Invariant: no problem holds the value of
//! a key that may be secret.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The key, for example `relay.order`, or the file that could not be read.
    pub path: String,
    /// What is wrong and what would be right.
    pub text: String,
}

/// All problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub(super) fn add(&mut self, path: &str, text: impl Into<String>) {
        self.0.push(Problem {
            path: path.to_owned(),
            text: text.into(),
        });
    }

    /// Whether a key is already at fault, so that what depends on it cannot be judged.
    pub(super) fn name(&self, path: &str) -> bool {
        self.0.iter().any(|problem| problem.path == path)
    }

    /// All of them as one error, or nothing.
    pub(super) fn into_result(mut self) -> Result<(), SettingsError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        self.0.dedup();
        Err(SettingsError { problems: self.0 })
    }
}

/// Settings that were refused, with all that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    /// Sorted by path; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    /// One line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these settings cannot be used:")?;
        for Problem { path, text } in &self.problems {
            write!(f, "\n  {path}: {text}")?;
        }
        Ok(())
    }
}
