//! The results file: one JSON object a line, written as soon as it is known.
//!
//! Owns the form of a line. Knows not what a figure means.
//!
//! Invariant: a line that was written is never changed; of two about the same, the later holds.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figures::Figures;

/// What one round of one cell has shown, or why it has not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// What was measured: `drain`.
    pub(crate) cell: String,
    /// Who: `ours`.
    pub(crate) contender: String,
    /// What differs from the base case: `delete`; empty if nothing.
    pub(crate) variant: String,
    /// Which round, from 1.
    pub(crate) round: u32,
    /// When, by the wall clock (RFC 3339).
    pub(crate) at: String,
    /// What was found.
    #[serde(default)]
    pub(crate) figures: Figures,
    /// All that the cell was given.
    #[serde(default)]
    pub(crate) settings: Value,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
}

/// The file and what it holds.
pub(crate) struct Results {
    path: PathBuf,
    lines: Vec<Line>,
}

impl Results {
    /// Opens a file; one that is not there is empty. The last line may be half a one: the run
    /// before was ended in the middle of it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let folder = path.parent().context("the file is in a folder")?;
        fs::create_dir_all(folder)?;
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.with_context(|| path.display().to_string())?,
        };
        let lines: Vec<Line> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let results = Self {
            path: path.to_owned(),
            lines,
        };
        if results.lines.len() < text.lines().count() {
            results.rewrite()?;
        }
        Ok(results)
    }

    /// Forgets all.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        self.lines.clear();
        self.rewrite()
    }

    /// All lines, oldest first.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Appends a line, on the disc too.
    pub(crate) fn append(&mut self, line: Line) -> Result<()> {
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = File::options().create(true).append(true).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        self.lines.push(line);
        Ok(())
    }

    fn rewrite(&self) -> Result<()> {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        fs::write(&self.path, text)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(round: u32) -> Line {
        let mut figures = Figures::default();
        figures.set("rows_per_s", 1.5);
        Line {
            cell: "drain".to_owned(),
            contender: "ours".to_owned(),
            variant: String::new(),
            round,
            at: "2026-01-02T03:04:05Z".to_owned(),
            figures,
            settings: Value::Null,
            skipped: None,
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_the_others_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/results.jsonl");
        let mut results = Results::open(&path).expect("an empty file");
        results.append(line(1)).expect("a line");
        let half = serde_json::to_string(&line(2)).expect("a line")[..20].to_owned();
        let whole = fs::read_to_string(&path).expect("the file");
        fs::write(&path, whole + &half).expect("the file");

        let mut again = Results::open(&path).expect("the file");
        again.append(line(3)).expect("a line");
        let read = Results::open(&path).expect("the file");
        assert_eq!(read.lines(), [line(1), line(3)]);
    }
}
