//! The database is put back to a copy of its files, under a relay that remembers more.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use uuid::Uuid;

use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::{Kafka, Outbox, Postgres, Receiver, SOON};

/// Copies a folder, over another if that is there.
const COPY: &str = r#"rm -rf "$1" && cp -a "$0" "$1""#;

fn copy(from: &Path, to: &Path) {
    let copying = Command::new("sh")
        .args(["-c", COPY])
        .args([from, to])
        .status();
    assert!(copying.expect("a shell is there").success());
}

/// Writes events; their numbers by their ids.
async fn write(outbox: &Outbox, events: i32) -> HashMap<Uuid, i64> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', (n % 50)::text, 'OrderPlaced', '{}'
         FROM generate_series(1, $1) AS n RETURNING id, seq",
    )
    .bind(events)
    .fetch_all(&outbox.pool)
    .await
    .expect("events are written");
    rows.into_iter().collect()
}

/// The copy is of the same server and timeline, so that nothing but its rows tells that it is older.
#[tokio::test]
async fn a_database_restored_from_a_backup_skips_no_event_whose_number_was_used_before() {
    let mut postgres = Postgres::private(&[]).await;
    let outbox = Outbox::create_on(&postgres, Kafka::shared().await).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let files: String = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&outbox.pool)
        .await
        .expect("the server answers");
    let files = Path::new(&files);
    let backup = files.with_file_name("backup");
    let mut relay = named_relay(&outbox, "only", &[]);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    let kept = write(&outbox, 300).await;
    outbox.drained(SOON).await;
    // In the backup these wait.
    relay.freeze();
    let waiting = write(&outbox, 200).await;
    postgres.stop_fast().await;
    copy(files, &backup);
    postgres.start().await;
    relay.thaw();
    outbox.drained(SOON).await;
    let lost = write(&outbox, 300).await;
    outbox.drained(SOON).await;

    postgres.stop_fast().await;
    copy(&backup, files);
    postgres.start().await;
    let new = write(&outbox, 400).await;
    outbox.drained(SOON).await;

    let numbers: HashSet<i64> = lost.values().copied().collect();
    let again = new.values().filter(|seq| numbers.contains(seq)).count();
    assert!(again > 100, "only {again} numbers are used again");
    let mut seen: Vec<Uuid> = receiver
        .read_to_end(SOON)
        .await
        .iter()
        .filter_map(|record| record.header("ce_id")?.parse().ok())
        .collect();
    let written = [&kept, &waiting, &lost, &new];
    let mut wanted: Vec<Uuid> = written
        .into_iter()
        .flat_map(HashMap::keys)
        .copied()
        .collect();
    let twice = seen.len() - wanted.len();
    assert!(twice <= waiting.len(), "{twice} events twice");
    seen.sort_unstable();
    seen.dedup();
    wanted.sort_unstable();
    assert_eq!(seen, wanted, "each event");
    assert_eq!(outbox.count("dead_at IS NOT NULL OR attempts > 0").await, 0);
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
}
