//! `dev` as a newcomer runs it: what it prints, what it checks, and that nothing of it is left.

use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Outbox, RelayProcess, SOON, eventually};

/// Starts the verb.
fn dev(arguments: &[&str]) -> RelayProcess {
    RelayProcess::start(&[&["dev"], arguments].concat(), &[])
}

/// Waits for a line on stdout.
async fn line(dev: &RelayProcess, what: &str, fits: impl Fn(&str) -> bool) -> String {
    eventually(what, SOON, async || {
        let lines = dev.stdout();
        let found = lines.iter().find(|line| fits(line)).cloned();
        found.ok_or_else(|| format!("{lines:#?}\n{:#?}", dev.stderr()))
    })
    .await
}

/// The folder of its database.
async fn folder(dev: &RelayProcess) -> PathBuf {
    let line = line(dev, "the folder", |line| line.starts_with("PostgreSQL")).await;
    let (_, folder) = line.split_once(" in ").expect("the line names the folder");
    PathBuf::from(folder)
}

/// The line that opens a session with its database.
async fn psql_line(dev: &RelayProcess) -> String {
    let line = line(dev, "the psql line", |line| {
        line.trim().starts_with("psql ")
    })
    .await;
    line.trim().to_owned()
}

/// Runs the line as a newcomer does, in a shell, and one statement in it.
async fn psql(line: &str, statement: &str) -> Output {
    let script = format!("{line} -v ON_ERROR_STOP=1 -tAc \"$0\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, statement]);
    tokio::task::spawn_blocking(move || command.output().expect("a shell is there"))
        .await
        .expect("it does not panic")
}

/// Waits for a record with these words on its line.
async fn arrival(dev: &RelayProcess, words: &[&str]) -> String {
    line(dev, &format!("an arrival with {words:?}"), |line| {
        let found: Vec<_> = line.split_whitespace().collect();
        line.ends_with(" ms") && words.iter().all(|word| found.contains(word))
    })
    .await
}

/// The number that a line of the summary begins with.
fn number(lines: &[String], name: &str) -> usize {
    let line = lines.iter().rfind(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {lines:#?}"));
    let number = line[name.len()..].split_whitespace().next();
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {line:?}"))
}

#[tokio::test]
async fn a_run_ends_by_itself_with_a_summary_that_agrees_with_what_it_printed() {
    let mut dev = dev(&["--for", "3s"]);
    let folder = folder(&dev).await;
    assert!(folder.is_dir());
    assert_eq!(dev.wait_exit(SOON).await, 0, "{:#?}", dev.stdout());
    let lines = dev.stdout();
    let arrived = lines
        .iter()
        .filter(|line| line.contains("-events "))
        .count();
    let arrived = arrived - lines.iter().filter(|line| line.contains("kcat")).count();
    assert!(arrived > 0, "{lines:#?}");
    for name in ["committed", "published", "marked"] {
        assert_eq!(number(&lines, name), arrived, "{name}: {lines:#?}");
    }
    assert_eq!(lines.iter().filter(|line| line.ends_with(" ok")).count(), 4);
    assert!(
        lines.iter().any(|line| line.contains("kept in")),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains('\u{1b}')));
    assert!(!folder.exists(), "its folder is left");
}

#[tokio::test]
async fn without_a_writer_the_psql_line_works_and_topics_come_into_being() {
    let mut dev = dev(&["--no-writer"]);
    let line = psql_line(&dev).await;
    let insert = "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
        VALUES ('order', 'A-1', 'OrderPlaced', '{}'), ('invoice', 'B-2', 'InvoiceSent', '{}')";
    let answer = psql(&line, insert).await;
    assert!(answer.status.success(), "{answer:?}");
    arrival(&dev, &["order-events", "A-1", "OrderPlaced"]).await;
    arrival(&dev, &["invoice-events", "B-2", "InvoiceSent"]).await;

    let stranger = line.replace("postgres:", "postgres:wrong");
    assert!(!psql(&stranger, "SELECT 1").await.status.success());

    dev.interrupt();
    assert_eq!(dev.wait_exit(SOON).await, 0);
    assert_eq!(number(&dev.stdout(), "others'"), 2);
}

#[tokio::test]
async fn a_kill_leaves_neither_a_server_nor_a_folder() {
    let mut dev = dev(&["--no-writer"]);
    let (folder, line) = (folder(&dev).await, psql_line(&dev).await);
    assert!(psql(&line, "SELECT 1").await.status.success());
    dev.kill();
    dev.wait_exit(SOON).await;
    eventually("the end of the server", SOON, async || {
        let answer = psql(&line, "SELECT 1").await;
        (!answer.status.success()).then_some(())
    })
    .await;
    eventually("the end of the folder", SOON, async || {
        (!folder.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_by_itself_ends_the_run_with_its_log() {
    let mut dev = dev(&["--no-writer"]);
    let folder = folder(&dev).await;
    let pid_file = std::fs::read_to_string(folder.join("rows/postmaster.pid")).unwrap();
    let pid = Pid::from_raw(pid_file.lines().next().unwrap().parse().unwrap()).unwrap();
    kill_process(pid, Signal::QUIT).unwrap();
    assert_eq!(dev.wait_exit(SOON).await, 69);
    let told = dev.stderr().join("\n");
    assert!(told.contains("postgres failed"), "{told}");
    assert!(
        told.contains("received immediate shutdown request"),
        "{told}"
    );
    assert!(!folder.exists(), "its folder is left");
}

#[tokio::test]
async fn a_kept_folder_stays() {
    let mut dev = dev(&["--for", "10ms", "--keep"]);
    assert_eq!(dev.wait_exit(SOON).await, 0);
    let folder = folder(&dev).await;
    assert!(folder.join("rows/PG_VERSION").exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_sample_service_alone_writes_to_the_outbox_of_the_settings() {
    let outbox = Outbox::create().await;
    let mut writer = outbox.verb(&["dev", "--writer-only"], &[]);
    eventually("a few events", SOON, async || {
        (outbox.count("true").await >= 5).then_some(())
    })
    .await;
    writer.terminate();
    assert_eq!(writer.wait_exit(SOON).await, 0);
    let lines = writer.stdout();
    let committed = i64::try_from(number(&lines, "committed")).unwrap();
    assert_eq!(outbox.count("true").await, committed);
    assert_eq!(
        outbox.count("aggregate_type IN ('order', 'stock')").await,
        committed
    );
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM sample_shop.orders")
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(outbox.count("event_type = 'OrderPlaced'").await, orders);
}

#[tokio::test]
async fn a_writer_and_no_writer_at_once_is_wrong_usage() {
    let mut dev = dev(&["--no-writer", "--writer-only"]);
    assert_eq!(dev.wait_exit(SOON).await, 64);
}
