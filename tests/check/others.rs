//! Others who take rows of the outbox: `check` tells of them, and of nobody who is not there.

use super::{check, complaint, sql};
use crate::support::{Outbox, SOON, eventually};

const WRITE_AND_DELETE: &str = "
    INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload) VALUES ('a', '1', 'x', '{}');
    DELETE FROM outbox";

#[tokio::test]
async fn writers_that_delete_their_rows_are_told() {
    let outbox = Outbox::create().await;
    sql(&outbox, WRITE_AND_DELETE).await;
    eventually("the statistics tell it", SOON, async || {
        let deleted: i64 = sqlx::query_scalar(
            "SELECT n_tup_del FROM pg_stat_user_tables WHERE relid = 'outbox'::regclass",
        )
        .fetch_one(&outbox.pool)
        .await
        .expect("statistics can be read");
        (deleted > 0).then_some(())
    })
    .await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 0, "it is a doubt: {lines:#?}");
    let told = complaint(&lines, "others");
    assert!(told.contains("remove-after-insert"), "{told}");
    let (_, lines) = check(&outbox, &[("relay.after_publish", "delete")]).await;
    let about = |line: &String| line[5..].starts_with("others");
    assert!(
        !lines.iter().any(about),
        "the relay itself deletes: {lines:#?}"
    );
}

#[tokio::test]
async fn a_publication_of_the_outbox_is_told() {
    let outbox = Outbox::create().await;
    let inserts = "CREATE PUBLICATION inserts FOR TABLE outbox WITH (publish = 'insert')";
    sql(&outbox, inserts).await;
    sql(&outbox, "CREATE PUBLICATION dbz_publication FOR ALL TABLES").await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 0, "it is a doubt: {lines:#?}");
    let told = complaint(&lines, "others");
    assert!(told.contains("published by dbz_publication —"), "{told}");
}
