//! Servers without room on their discs: nothing is lost, and all goes on once there is room.
//!
//! Only root can have a disc to fill; for everybody else these tests say that they did nothing.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};

use super::WINDOW_ROWS;
use crate::conservation::site::{Site, note};
use crate::support::{Disc, Kafka, Outbox, Postgres, SOON, eventually, throughout};

/// How long a relay is watched that must not do something.
const A_WHILE: Duration = Duration::from_secs(3);
const NEW_FILE: &str =
    "SELECT pg_logical_emit_message(false, '', repeat('x', 1000000)), pg_switch_wal()";

fn shown(folder: &Path) -> &str {
    folder.to_str().expect("our paths are ASCII")
}

/// Rows wait whose marks have no room: they are published once, and no more than the window.
#[tokio::test]
async fn marks_without_room_stop_publishing_and_nothing_is_sent_again() {
    let Some(disc) = Disc::mount(48) else { return };
    let postgres = Postgres::private(&[("autovacuum", "off")]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    let place = disc.folder("rows");
    outbox
        .execute(&format!(
            "CREATE TABLESPACE small LOCATION '{}'",
            shown(&place)
        ))
        .await;
    outbox
        .execute("ALTER TABLE outbox SET TABLESPACE small")
        .await;
    let settings = [("relay.window_rows", "1000")];
    let site = Site::start(outbox, Kafka::shared().await, &settings).await;
    site.watched.relay.freeze();
    site.backlog_grows(2 * WINDOW_ROWS).await;
    disc.fill();
    let seen = site.receiver.count();
    site.watched.relay.thaw();
    site.watched.is_not_ready("(SQLSTATE 53100)").await;
    site.watched.is_not_ready("give the server room").await;
    throughout("no more than the window flies", A_WHILE, async || {
        let records = site.receiver.count();
        // What lies in gaps of old pages is marked all the same.
        let marked = site.outbox.count("published_at IS NOT NULL").await;
        let unmarked = records.saturating_sub(usize::try_from(marked).expect("a count"));
        (unmarked <= WINDOW_ROWS)
            .then_some(())
            .ok_or(format!("{records} records, {marked} marked"))
    })
    .await;
    note(&format!("{} without room", site.receiver.count() - seen));
    disc.empty();
    site.is_back("the disc").await;
    site.end(Vec::new()).await;
    drop(postgres);
}

/// Where its log has no room the server crashes, and comes back only when there is some.
#[tokio::test]
async fn a_server_that_dies_of_a_full_disc_is_waited_for_and_nothing_is_lost() {
    let Some(disc) = Disc::mount(160) else { return };
    let mut postgres =
        Postgres::private(&[("min_wal_size", "32MB"), ("max_wal_size", "32MB")]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    let folder: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    postgres.stop_fast().await;
    move_to(&disc, &Path::new(&folder).join("pg_wal"));
    postgres.start().await;
    let settings = [("relay.window_rows", "1000")];
    let site = Site::start(outbox, Kafka::shared().await, &settings).await;
    disc.fill();
    eventually("the server dies", SOON, async || {
        match PgConnection::connect(site.outbox.url()).await {
            Err(sqlx::Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(mut session) => {
                // Each time a new file of the log is needed.
                let written = session.execute(sqlx::raw_sql(NEW_FILE)).await;
                Err(format!("{written:?}"))
            }
        }
    })
    .await;
    site.watched.is_not_ready("database: ").await;
    disc.empty();
    postgres.stop_immediate().await;
    postgres.start().await;
    site.is_back("the log's disc").await;
    site.end(Vec::new()).await;
}

/// Moves a folder of a server that does not run.
fn move_to(disc: &Disc, folder: &Path) {
    let place = disc.folder("log");
    let moving = Command::new("sh")
        .args([
            "-c",
            r#"cp -a "$0"/. "$1" && rm -r "$0" && ln -s "$1" "$0""#,
        ])
        .args([folder, &place])
        .status()
        .expect("a shell is there");
    assert!(moving.success(), "{moving}");
}

/// A broker whose only disc is full ends itself.
#[tokio::test]
async fn a_broker_whose_disc_is_full_is_waited_for_and_nothing_is_lost() {
    let Some(disc) = Disc::mount(64) else { return };
    let place = disc.folder("broker").join("records");
    let mut kafka = Kafka::private(&[("log.dirs", shown(&place))]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let site = Site::start(outbox, &kafka, &[("relay.window_rows", "1000")]).await;
    disc.fill();
    site.watched.is_not_ready("kafka: ").await;
    site.backlog_grows(2 * WINDOW_ROWS).await;
    disc.empty();
    kafka.kill().await;
    kafka.start().await;
    site.is_back("the broker's disc").await;
    site.end(vec![WINDOW_ROWS]).await;
}
