//! The built program as a shell sees it: exit codes, and what goes to stdout and what to stderr.

use std::net::SocketAddr;
use std::process::{Command, Output};

use outbox_relay::http;
use outbox_relay::process::metrics::Metrics;
use outbox_relay::readiness::Readiness;
use tokio::net::TcpListener;
use tokio::sync::watch;

const URL: (&str, &str) = (
    "OUTBOX_RELAY__DATABASE__URL",
    "postgres://u:canary@localhost/shop",
);

/// Runs the program with these arguments and no other environment than this.
fn run(arguments: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
        .args(arguments)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .expect("the program was built for this test");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// Runs `health` against an address.
async fn health_of(address: SocketAddr) -> (Option<i32>, String, String) {
    let listen = address.to_string();
    let asked = move || run(&["health"], &[URL, ("OUTBOX_RELAY__HTTP__LISTEN", &listen)]);
    tokio::task::spawn_blocking(asked)
        .await
        .expect("it does not panic")
}

#[test]
fn help_and_version_are_results() {
    for arguments in [
        vec!["--help"],
        vec!["help"],
        vec!["health", "--help"],
        vec!["-h"],
    ] {
        let (code, stdout, stderr) = run(&arguments, &[]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(stdout.contains("Usage: outbox-relay"), "{stdout}");
    }
    let (code, stdout, stderr) = run(&["--version"], &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(env!("CARGO_PKG_VERSION")) && stdout.contains("librdkafka 2."));
}

#[test]
fn every_verb_shows_an_example() {
    let (_, help, _) = run(&["--help"], &[]);
    let verbs = help
        .split("Verbs:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    let names = verbs
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    for name in [
        "run", "migrate", "check", "route", "status", "dead", "health",
    ] {
        assert!(names.contains(&name), "{help}");
    }
    for name in names {
        let (_, help, _) = run(&[name, "--help"], &[]);
        assert!(
            help.contains(&format!("Example:\n  outbox-relay {name}")),
            "{help}"
        );
    }
}

#[test]
fn wrong_usage_ends_with_64_and_leaves_stdout_alone() {
    for arguments in [
        vec![],
        vec!["bogus"],
        vec!["health", "--bogus"],
        vec!["completions"],
    ] {
        let (code, stdout, stderr) = run(&arguments, &[URL]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{arguments:?}");
        assert!(stderr.contains("Usage: outbox-relay"), "{stderr}");
    }
}

#[test]
fn wrong_settings_end_with_64_and_are_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    std::fs::write(&file, "[relay]\nordr = 'strict'").unwrap();
    let file = file.display().to_string();
    let level = ("OUTBOX_RELAY__LOG__LEVEL", "loud");
    for (arguments, config) in [
        (vec!["health", "--config", &file], ("UNUSED", "")),
        (vec!["--config", &file, "health"], ("UNUSED", "")),
        (vec!["health"], ("OUTBOX_RELAY_CONFIG", file.as_str())),
    ] {
        let (code, stdout, stderr) = run(&arguments, &[URL, level, config]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
        assert!(
            stderr.contains("relay.ordr: no such key; did you mean relay.order?"),
            "{stderr}"
        );
        assert!(stderr.contains("log.level: expected error"), "{stderr}");
        assert!(!stderr.contains("canary"));
    }
}

#[test]
fn no_verb_begins_with_wrong_settings() {
    let level = ("OUTBOX_RELAY__LOG__LEVEL", "loud");
    for verb in ["run", "migrate", "check", "status", "health"] {
        let (code, stdout, stderr) = run(&[verb], &[URL, level]);
        assert_eq!((code, stdout.as_str()), (Some(64), ""), "{verb}: {stderr}");
        let (code, _, stderr) = run(&[verb], &[]);
        assert_eq!(code, Some(64), "{verb}");
        assert!(stderr.contains("database.url"), "{stderr}");
    }
}

#[tokio::test]
async fn run_does_not_begin_on_a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let begun = move || run(&["run"], &[URL, ("OUTBOX_RELAY__HTTP__LISTEN", &listen)]);
    let (code, stdout, stderr) = tokio::task::spawn_blocking(begun).await.unwrap();
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    assert!(stderr.contains("http.listen"), "{stderr}");
    assert!(!stderr.contains("canary"), "{stderr}");
}

#[test]
fn completions_know_the_verbs() {
    let (code, stdout, stderr) = run(&["completions", "bash"], &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("complete -F") && stdout.contains("health"));
}

#[tokio::test]
async fn health_tells_a_relay_from_nothing() {
    let (_tell, told) = watch::channel(Readiness::default());
    let server = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.address();
    let serving = tokio::spawn(server.serve(told, Metrics::new("1")));
    let (code, stdout, stderr) = health_of(address).await;
    assert_eq!(
        (code, stdout),
        (Some(0), format!("alive at {address}\n")),
        "{stderr}"
    );

    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    let (code, stdout, stderr) = health_of(address).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no relay at"), "{stderr}");
}

#[tokio::test]
async fn health_does_not_wait_for_a_relay_that_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (code, _, stderr) = health_of(silent.local_addr().unwrap()).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("in 2 s"), "{stderr}");
}

/// It is said to the allocator when it is built (`.cargo/config.toml`), for the image too.
#[test]
fn freed_memory_goes_back_to_the_system_within_a_second() {
    let (code, _, stderr) = run(&["--version"], &[("MALLOC_CONF", "stats_print:true")]);
    assert_eq!(code, Some(0));
    for said in ["opt.dirty_decay_ms: 1000 ", "opt.muzzy_decay_ms: 0 "] {
        assert!(stderr.contains(said), "{stderr}");
    }
}
