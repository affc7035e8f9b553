//! Settings: whatever a file and the environment hold, they are taken or every fault in them is told,
//! and no secret with it.
#![no_main]

use std::fs;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use outbox_relay::process::settings::Settings;

/// Part of a password that nothing may show.
const CANARY: &str = "hush-canary-hush";

/// What an operator can write.
#[derive(Debug, Arbitrary)]
struct Layers {
    file: Option<String>,
    variables: Vec<(String, String)>,
    has_url: bool,
}

fuzz_target!(|layers: Layers| {
    let path = std::env::temp_dir().join(format!("outbox-relay-fuzz-{}.toml", std::process::id()));
    let path = layers.file.map(|text| {
        fs::write(&path, text).expect("the folder for temporary files takes one");
        path
    });
    let url = layers.has_url.then(|| {
        let url = format!("postgres://relay:{CANARY}@localhost/shop");
        ("OUTBOX_RELAY__DATABASE__URL".to_owned(), url)
    });
    let variables = layers
        .variables
        .into_iter()
        .map(|(name, value)| (format!("OUTBOX_RELAY__{name}"), value));
    let shown = match Settings::load(path.as_deref(), url.into_iter().chain(variables)) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!shown.contains(CANARY), "a secret is shown");
});
