//! Tells the benchmark where the relay's program is built, which is beside its own, and by which
//! compiler. A path by this name is what cargo gives to the tests of the relay.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    // Cargo gives target/<profile>/build/<package>/out.
    let programs = out.ancestors().nth(3).unwrap_or(Path::new("."));
    let relay = programs.join("outbox-relay");
    tell(&format!(
        "rustc-env=CARGO_BIN_EXE_outbox-relay={}",
        relay.display()
    ));
    let version = Command::new(variable("RUSTC")).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    tell(&format!(
        "rustc-env=RUSTC_VERSION={}",
        version.unwrap_or_default().trim()
    ));
    tell("rerun-if-changed=build.rs");
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script by its environment"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn tell(line: &str) {
    println!("cargo::{line}");
}
