//! What the README and the pages under `docs` tell is true: their SQL runs, their settings exist,
//! their exit codes are those of `--help`.

pub(crate) mod pages;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use sqlx::{Acquire, AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};

use self::pages::{CONVENTIONS, blocks, keys, page, quoted, section, statements};
use crate::support::{Kafka, Outbox, Receiver, SOON, eventually};

const PAGES: [&str; 12] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/chaos.md",
    "docs/existing-tables.md",
    "docs/failures.md",
    "docs/faults.md",
    "docs/large-payloads.md",
    "docs/metrics.md",
    "docs/writers.md",
    "docs/operations.md",
    "docs/routes.md",
    "docs/schema-registry.md",
];

/// An outbox beside a table of orders, as a service has it.
async fn shop() -> Outbox {
    let outbox = Outbox::create().await;
    let orders = "CREATE TABLE orders (id bigint PRIMARY KEY, status text);
        INSERT INTO orders VALUES (42, 'new')";
    outbox
        .pool
        .execute(orders)
        .await
        .expect("the orders are made");
    outbox
}

/// Runs every block of SQL of a page, in their order.
async fn run_sql_of(outbox: &Outbox, name: &str) {
    let blocks = blocks(&page(name), "sql");
    assert!(!blocks.is_empty(), "{name}");
    let mut connection = outbox.pool.acquire().await.expect("a session is free");
    for block in blocks {
        sqlx::raw_sql(AssertSqlSafe(block.clone()))
            .execute(&mut *connection)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}:\n{block}"));
    }
}

#[tokio::test]
async fn the_sql_of_the_pages_writes_what_it_says() {
    let outbox = shop().await;
    run_sql_of(&outbox, "README.md").await;
    assert_eq!(outbox.count("event_type = 'order.placed'").await, 2);
    run_sql_of(&outbox, "docs/writers.md").await;
    assert_eq!(outbox.count("true").await, 8);
    let headers = "headers->>'tenant' = 'acme'";
    assert_eq!(outbox.count(headers).await, 2);

    sqlx::raw_sql(
        "UPDATE outbox SET dead_state = 'dead', dead_at = now();
         INSERT INTO outbox (aggregate_type, aggregate_id, event_type, published_at, created_at)
         VALUES ('order', '1', 'old', now() - interval '8 days', now() - interval '9 days')",
    )
    .execute(&outbox.pool)
    .await
    .unwrap();
    run_sql_of(&outbox, "docs/operations.md").await;
    assert_eq!(outbox.count("event_type = 'old'").await, 0, "pruned");
    assert_eq!(outbox.count("dead_at IS NOT NULL").await, 8, "and no other");
}

#[tokio::test]
async fn the_statements_in_other_languages_fit_the_tables() {
    let outbox = shop().await;
    let mut connection = outbox.pool.acquire().await.unwrap();
    for language in ["rust", "python", "go", "java", "ts"] {
        let blocks = blocks(&page("README.md"), language);
        assert_eq!(blocks.len(), 1, "{language}");
        let statements = statements(&blocks[0]);
        let inserts = statements
            .iter()
            .filter(|sql| sql.starts_with("INSERT INTO outbox"));
        assert_eq!(inserts.count(), 1, "{language}: {statements:?}");
        for statement in statements {
            (&mut *connection)
                .prepare(AssertSqlSafe(statement.clone()).into_sql_str())
                .await
                .unwrap_or_else(|error| panic!("{language}: {error}: {statement}"));
        }
    }
}

/// Starts an insert that has to wait for another's transaction.
fn begin_second(database_url: String, statement: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut second = PgConnection::connect(&database_url)
            .await
            .expect("the database answers");
        sqlx::query(statement)
            .execute(&mut second)
            .await
            .expect("the event is written");
    })
}

async fn waits_for_a_turn(outbox: &Outbox) {
    eventually("a writer waits for its turn", SOON, async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .fetch_one(&outbox.pool)
        .await
        .expect("the locks are to be seen");
        (waiting == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn with_the_trigger_writers_that_lock_nothing_take_turns() {
    let outbox = shop().await;
    let trigger = blocks(&page("docs/writers.md"), "sql")
        .into_iter()
        .find(|block| block.contains("CREATE TRIGGER"))
        .expect("the page shows the trigger");
    outbox.pool.execute(AssertSqlSafe(trigger)).await.unwrap();
    let url = outbox.url().to_owned();
    let insert = "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
        VALUES ('order', '42', 'second')";
    let publish = "SELECT outbox_publish('order', '42', 'third', '{}')";
    for (statement, late) in [(insert, "second"), (publish, "third")] {
        let mut connection = outbox.pool.acquire().await.unwrap();
        let mut first = connection.begin().await.unwrap();
        let early = "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
            VALUES ('order', '42', 'early')";
        first.execute(early).await.unwrap();
        let other = "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
            VALUES ('order', '43', 'free')";
        outbox.pool.execute(other).await.unwrap();
        let second = begin_second(url.clone(), statement);
        waits_for_a_turn(&outbox).await;
        first.execute(early).await.unwrap();
        first.commit().await.unwrap();
        second.await.unwrap();
        let behind = format!(
            "event_type = '{late}' AND seq > (SELECT max(seq) FROM outbox WHERE event_type = 'early')"
        );
        assert_eq!(
            outbox.count(&behind).await,
            1,
            "its number was drawn after the lock, not before it"
        );
    }
}

#[tokio::test]
async fn what_is_set_back_is_published_again_within_two_minutes() {
    let outbox = shop().await;
    outbox.write("1", "{}").await;
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, headers)
         VALUES ('order', '2', 'Bad', '[]')",
    )
    .execute(&outbox.pool)
    .await
    .unwrap();
    let _relay = outbox.relay(&[]);
    eventually("one published, one dead", SOON, async || {
        let (published, dead) = (
            outbox.count("published_at IS NOT NULL").await,
            outbox.count("dead_at IS NOT NULL").await,
        );
        ((published, dead) == (1, 1)).then_some(())
    })
    .await;
    sqlx::raw_sql(
        "UPDATE outbox SET headers = NULL, dead_state = NULL, dead_at = NULL, dead_class = NULL,
             last_error = NULL, first_failed_at = NULL, attempts = 0
         WHERE dead_at IS NOT NULL AND published_at IS NULL AND seq = 2;
         UPDATE outbox SET published_at = NULL WHERE seq = 1",
    )
    .execute(&outbox.pool)
    .await
    .unwrap();
    outbox.drained(Duration::from_mins(3)).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 3);
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let existing = keys();
    assert!(existing.contains("relay.window_rows"));
    let sections: BTreeSet<&str> = existing
        .iter()
        .filter_map(|key| key.split_once('.').map(|(section, _)| section))
        .collect();
    let mut named = 0;
    for name in PAGES {
        for text in quoted(&page(name)) {
            let key = text.split(' ').next().unwrap();
            let is_key = key
                .split_once('.')
                .is_some_and(|(section, _)| sections.contains(section));
            if is_key && key != "relay.toml" {
                named += 1;
                assert!(existing.contains(key), "{name} names {key}");
            }
            if let Some(variable) = key.strip_prefix("OUTBOX_RELAY__") {
                let key = variable.to_lowercase().replace("__", ".");
                let is_form = key == "section.key";
                assert!(
                    is_form || existing.contains(&key),
                    "{name} names {variable}"
                );
            }
        }
    }
    assert!(named > 10, "the pages name settings");
}

#[test]
fn the_settings_of_the_readme_are_enough_for_a_relay() {
    let readme = page("README.md");
    let conventions = section(&readme, CONVENTIONS);
    let blocks = blocks(&readme.replace(&conventions, ""), "toml");
    assert_eq!(blocks.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relay.toml");
    std::fs::write(&file, blocks.concat()).unwrap();
    let settings = outbox_relay::process::settings::Settings::load(Some(&file), std::iter::empty());
    let settings = settings.unwrap();
    let warnings = outbox_relay::process::settings::warnings(&settings);
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn the_readme_knows_the_exit_codes_and_the_verbs_of_the_help() {
    let help = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let told = help.split("Exit codes:").nth(1).unwrap();
    let told = told.split("`outbox-relay VERB").next().unwrap();
    let numbers = |text: &str| -> BTreeSet<u8> {
        text.split(|letter: char| !letter.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect()
    };
    let readme = page("README.md");
    let table = readme.split("| Exit code |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    let codes: BTreeSet<u8> = table
        .lines()
        .filter_map(|row| row.strip_prefix("| "))
        .flat_map(|row| numbers(row.split('|').next().unwrap()))
        .collect();
    assert_eq!(codes, numbers(told));
    let verbs = help.split("Verbs:\n").nth(1).unwrap();
    let verbs = verbs.split("\n\n").next().unwrap().lines();
    for verb in verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        assert!(
            verb == "help" || verb == "dev" || readme.contains(verb),
            "{verb}"
        );
    }
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in PAGES {
        let folder = root.join(name).parent().unwrap().to_owned();
        let text = page(name);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
            let link = link.split('#').next().unwrap();
            assert!(folder.join(link).exists(), "{name} links to {link}");
        }
    }
}
