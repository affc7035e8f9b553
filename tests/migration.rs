//! `migrate` on a real database: the tables it makes, by itself or through psql, and its lanes.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Database, Kafka, Outbox, Postgres, RelayProcess, SOON};

/// Runs `migrate` on a database; returns the exit code and all that it said.
async fn migrate(database: &Database, arguments: &[&str]) -> (i32, String) {
    let arguments = [&["migrate"], arguments].concat();
    let mut verb = RelayProcess::start(&arguments, &[("database.url", database.url())]);
    let code = verb.wait_exit(SOON).await;
    (code, [verb.stdout(), verb.stderr()].concat().join("\n"))
}

/// The number of lanes that the database remembers and the number that there are.
async fn lanes(database: &Database) -> (i16, i64) {
    let mut connection = database.connect().await;
    sqlx::query_as(
        "SELECT lanes, (SELECT count(*) FROM outbox_relay_lanes) FROM outbox_relay_identity",
    )
    .fetch_one(&mut connection)
    .await
    .expect("the outbox was migrated")
}

#[tokio::test]
async fn the_number_of_lanes_is_fixed_when_the_outbox_is_created() {
    let database = Database::create(Postgres::shared().await).await;
    let (code, said) = migrate(&database, &["--lanes", "5"]).await;
    assert_eq!(code, 0, "{said}");
    for arguments in [&["--lanes", "5"][..], &[]] {
        let (code, said) = migrate(&database, arguments).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("already"), "{said}");
    }
    let (code, said) = migrate(&database, &["--lanes", "16"]).await;
    assert_eq!(code, 1);
    assert!(said.contains("has 5 lanes, not 16"), "{said}");
    assert_eq!(lanes(&database).await, (5, 5));
    for wrong in ["0", "257", "x"] {
        assert_eq!(migrate(&database, &["--lanes", wrong]).await.0, 64);
    }
}

#[tokio::test]
async fn sixteen_lanes_are_made_where_nobody_says_a_number() {
    let database = Database::create(Postgres::shared().await).await;
    assert_eq!(migrate(&database, &[]).await.0, 0);
    assert_eq!(lanes(&database).await, (16, 16));
}

/// As an earlier release made it: its rows, lanes and rights are those of now.
#[tokio::test]
async fn an_outbox_of_an_earlier_version_is_refused_by_name_and_brought_up_to_date() {
    let outbox = Outbox::create().await;
    outbox.write("1", "{}").await;
    outbox
        .execute("DROP TABLE outbox_payload; DELETE FROM outbox_relay_migrations WHERE version = 2")
        .await;
    let mut relay = outbox.relay(&[]);
    assert_eq!(relay.wait_exit(SOON).await, 64);
    let said = relay.stderr().join(" ");
    assert!(
        said.contains("version 1, this relay knows version 2"),
        "{said}"
    );
    let mut migrate = outbox.verb(&["migrate"], &[]);
    assert_eq!(migrate.wait_exit(SOON).await, 0);
    assert!(migrate.stdout().join(" ").contains("is at version 2 now"));
    let _relay = outbox.relay(&[]);
    outbox.drained(SOON).await;
}

#[tokio::test]
async fn a_row_is_dead_in_one_of_the_known_states_and_in_no_other() {
    let outbox = Outbox::create().await;
    outbox.write("1", "{}").await;
    for (state, dead_at) in [
        ("NULL", "NULL"),
        ("'blocked'", "NULL"),
        ("'dead_letter_pending'", "NULL"),
        ("'dead_lettered'", "now()"),
        ("'dead'", "now()"),
        ("'discarded'", "now()"),
    ] {
        let set = |dead_at| format!("UPDATE outbox SET dead_state = {state}, dead_at = {dead_at}");
        outbox.execute(&set(dead_at)).await;
        let other = if dead_at == "NULL" { "now()" } else { "NULL" };
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(set(other)))
            .execute(&outbox.pool)
            .await;
        assert!(refused.is_err(), "{state} with {other}");
    }
    let unknown = "UPDATE outbox SET dead_state = 'gone', dead_at = now()";
    assert!(sqlx::raw_sql(unknown).execute(&outbox.pool).await.is_err());
}

#[tokio::test]
async fn what_is_printed_makes_through_psql_an_outbox_that_a_relay_serves() {
    let database = Database::create(Postgres::shared().await).await;
    let mut print = RelayProcess::start(&["migrate", "--print", "--lanes", "3"], &[]);
    assert_eq!(print.wait_exit(SOON).await, 0);
    psql(database.url(), &print.stdout().join("\n"));
    assert_eq!(lanes(&database).await, (3, 3));
    let (code, said) = migrate(&database, &[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("already"), "{said}");

    let outbox = Outbox::adopt(database, Kafka::shared().await).await;
    let _relay = outbox.relay(&[]);
    outbox.write("1", "{}").await;
    outbox.drained(SOON).await;
}

/// Runs SQL as a team's own tool does.
pub(crate) fn psql(url: &str, sql: &str) {
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql is on this machine");
    let mut stdin = psql.stdin.take().expect("it was piped");
    stdin.write_all(sql.as_bytes()).expect("psql reads");
    drop(stdin);
    let ended = psql.wait_with_output().expect("psql ends");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{errors}");
}
