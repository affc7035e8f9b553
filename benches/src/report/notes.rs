//! Notes: what people say of a goal that is not reached, kept in `benches/results/notes.toml`.
//!
//! Owns the file's form: a sentence for the key of a goal.
//!
//! Invariant: a note about a goal that there is not is refused.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

/// A sentence for each goal that needs one.
#[derive(Debug, Default)]
pub(crate) struct Notes(BTreeMap<String, String>);

impl Notes {
    /// Reads them; the keys are those of the goals.
    pub(crate) fn parse(text: &str, keys: &[&str]) -> Result<Self> {
        let notes: BTreeMap<String, String> = toml::from_str(text).context("the notes")?;
        for key in notes.keys() {
            ensure!(
                keys.contains(&key.as_str()),
                "the notes name no goal with {key:?}"
            );
        }
        Ok(Self(notes))
    }

    /// What is said of a goal.
    pub(crate) fn of(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|note| note.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_by_its_goal_and_one_about_no_goal_is_refused() {
        let notes = Notes::parse("idle = \"The clock ticks.\"\n", &["idle"]).unwrap();
        assert_eq!(notes.of("idle"), Some("The clock ticks."));
        assert_eq!(notes.of("drain"), None);
        assert!(Notes::parse("ilde = \"?\"\n", &["idle"]).is_err());
    }
}
