//! The report: `docs/performance.md` and its charts, made from the results.
//!
//! Owns where they are written. Everything that is told comes from the results file and the notes.
//!
//! ```text
//! summary   medians over rounds          goals     what shall be reached, and whether it is
//! notes     why something is not         names     what contenders are called
//! page  sections  table                  charts  draw
//! ```

mod charts;
mod draw;
#[cfg(test)]
mod fixture;
mod goals;
mod names;
mod notes;
mod page;
mod sections;
mod summary;
mod table;

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::results::Line;
use notes::Notes;
use summary::Summary;

/// Where the notes are, below the repository's root.
const NOTES: &str = "benches/results/notes.toml";
const PAGE: &str = "docs/performance.md";
const CHARTS: &str = "docs/performance";

/// Writes the report below the repository's root, about all cells of these titles.
pub(crate) fn write(root: &Path, lines: &[Line], titles: &[String]) -> Result<()> {
    let summary = Summary::of(lines);
    let missing: Vec<&str> = titles
        .iter()
        .map(String::as_str)
        .filter(|title| !summary.tells_of(title))
        .collect();
    let goals = goals::goals();
    let keys: Vec<&str> = goals.iter().map(|goal| goal.key).collect();
    let notes = Notes::parse(&read(&root.join(NOTES))?, &keys)?;
    let charts = charts::charts(&summary)?;
    let folder = root.join(CHARTS);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for chart in &charts {
        put(&folder.join(chart.file), &chart.svg)?;
    }
    let page = page::page(&summary, &notes, &charts, &missing);
    put(&root.join(PAGE), &page)
}

/// A file's text; none where there is no file.
fn read(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| path.display().to_string()),
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
