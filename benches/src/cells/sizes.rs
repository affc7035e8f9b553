//! What is shipped: the size of the program and of its image, and that both keep to a budget.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::figures::{Figures, f64_of};

/// The program that was built beside this one.
const PROGRAM: &str = env!("CARGO_BIN_EXE_outbox-relay");
/// As the Dockerfile's comment names it.
const IMAGE: &str = "outbox-relay";
/// Neither shall grow unnoticed.
const PROGRAM_BYTES_MAX: u64 = 28 << 20;
const IMAGE_BYTES_MAX: u64 = 56 << 20;

/// Looks at both; an image that was not built, or cannot be, is left out.
pub(crate) fn measure() -> Result<Figures> {
    let mut figures = Figures::default();
    let program = fs::metadata(Path::new(PROGRAM)).context(PROGRAM)?.len();
    figures.set("program_mib", mib(program));
    let image = image_bytes();
    if let Some(image) = image {
        figures.set("image_mib", mib(image));
    }
    figures.set("program_mib_max", mib(PROGRAM_BYTES_MAX));
    figures.set("image_mib_max", mib(IMAGE_BYTES_MAX));
    ensure!(
        program <= PROGRAM_BYTES_MAX && image.is_none_or(|image| image <= IMAGE_BYTES_MAX),
        "over the budget: {figures:?}"
    );
    Ok(figures)
}

fn image_bytes() -> Option<u64> {
    let inspect = ["image", "inspect", "--format", "{{.Size}}", IMAGE];
    let output = Command::new("docker").args(inspect).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn mib(bytes: u64) -> f64 {
    f64_of(bytes) / f64_of(1 << 20)
}
