//! Least privilege: each role does its work with the grants that `migrate` gives, and no more.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::lanes::{LONG_LEASES, named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Database, Kafka, Outbox, Postgres, Receiver, SOON, eventually};

/// The roles, of which only the migrator owns anything: the schema.
const ROLES: &str = "
CREATE ROLE migrator LOGIN NOSUPERUSER;
CREATE ROLE writer LOGIN NOSUPERUSER;
CREATE ROLE relay LOGIN NOSUPERUSER;
CREATE ROLE operator LOGIN NOSUPERUSER;
CREATE ROLE consumer LOGIN NOSUPERUSER;
CREATE ROLE stranger LOGIN NOSUPERUSER;
ALTER SCHEMA public OWNER TO migrator;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
";

/// An outbox that the migrator made, who then granted the others their rights.
async fn granted(postgres: &Postgres) -> Outbox {
    let outbox = Outbox::adopt(Database::create(postgres).await, Kafka::shared().await).await;
    outbox.execute(ROLES).await;
    let url = outbox.url_as("migrator", "x");
    let grants = [
        "migrate",
        "--grant-writer",
        "writer",
        "--grant-relay",
        "relay",
        "--grant-operator",
        "operator",
        "--grant-consumer",
        "consumer",
    ];
    for arguments in [&grants[..], &["migrate"]] {
        let mut migrate = outbox.verb(arguments, &[("database.url", &url)]);
        let code = migrate.wait_exit(SOON).await;
        assert_eq!(code, 0, "{:?}", migrate.stderr());
    }
    outbox
}

async fn connect(outbox: &Outbox, role: &str) -> PgConnection {
    let url = outbox.url_as(role, "x");
    PgConnection::connect(&url)
        .await
        .expect("the role may log in")
}

/// Panics unless the role lacks the right.
async fn assert_refused(role: &mut PgConnection, sql: &str) {
    let error = role.execute(AssertSqlSafe(sql)).await.expect_err(sql);
    let code = error.as_database_error().and_then(|error| {
        let code = error.code()?;
        Some(code.into_owned())
    });
    // insufficient_privilege
    assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
}

#[tokio::test]
async fn a_writer_may_write_events_and_nothing_else() {
    let postgres = Postgres::private(&[]).await;
    let outbox = granted(&postgres).await;
    let mut writer = connect(&outbox, "writer").await;
    for allowed in [
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         VALUES ('order', '1', 'OrderPlaced', '{}')",
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, headers,
             topic, partition_key, available_at, created_at)
         VALUES (gen_random_uuid(), 'order', '1', 'OrderPlaced', '{}', '{}', 't', 'k', now(),
             now())",
        "SELECT outbox_publish('order', '1', 'OrderPlaced', '{}')",
        "SELECT outbox_publish('order', '1', 'OrderPlaced', '{}', '{\"a\": 1}')",
    ] {
        writer
            .execute(allowed)
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    assert_eq!(outbox.count("true").await, 4);
    for refused in [
        "SELECT count(*) FROM outbox",
        "UPDATE outbox SET payload = NULL",
        "DELETE FROM outbox",
        "TRUNCATE outbox",
        "DROP TABLE outbox",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, published_at)
         VALUES ('order', '1', 'OrderPlaced', now())",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, attempts)
         VALUES ('order', '1', 'OrderPlaced', 1)",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, dead_at)
         VALUES ('order', '1', 'OrderPlaced', now())",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, dead_state)
         VALUES ('order', '1', 'OrderPlaced', 'blocked')",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, first_failed_at)
         VALUES ('order', '1', 'OrderPlaced', now())",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
         VALUES ('order', '1', 'OrderPlaced') RETURNING payload",
        "SELECT nextval('outbox_seq_seq')",
        "SELECT * FROM outbox_relay_lanes",
        "UPDATE outbox_relay_lanes SET token = NULL",
        "DELETE FROM outbox_relay_relays",
        "UPDATE outbox_relay_identity SET kafka_cluster_id = NULL",
        "SELECT * FROM outbox_relay_migrations",
        "SELECT * FROM outbox_relay_audit",
        "CREATE TABLE mine (n integer)",
    ] {
        assert_refused(&mut writer, refused).await;
    }
    let mut stranger = connect(&outbox, "stranger").await;
    let publish = "SELECT public.outbox_publish('order', '1', 'OrderPlaced', '{}')";
    assert_refused(&mut stranger, publish).await;
}

#[tokio::test]
async fn a_relay_does_all_its_work_with_its_grants_and_may_do_no_more() {
    let postgres = Postgres::private(&[]).await;
    let outbox = granted(&postgres).await;
    let url = outbox.url_as("relay", "x");
    let own = [
        ("database.url", url.as_str()),
        ("large_payload.action", "claim_check"),
        ("large_payload.over_bytes", "1024"),
    ];
    let as_relay = [&LONG_LEASES[..], &own].concat();
    let mut relay = named_relay(&outbox, "marking", &as_relay);
    wait_for_shares(&outbox, &[("marking", 16)], SOON).await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic)
             VALUES ('order', 'hopeless', 'OrderPlaced', 'no topic')",
        )
        .await;
    outbox.write_many(500, 100).await;
    outbox.drained(SOON).await;
    assert_eq!(outbox.count("dead_at IS NOT NULL").await, 1);
    assert_eq!(outbox.count("published_at IS NOT NULL").await, 500);
    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    wait_for_shares(&outbox, &[], SOON).await;

    let deleting = [&as_relay[..], &[("relay.after_publish", "delete")]].concat();
    let _relay = named_relay(&outbox, "deleting", &deleting);
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             SELECT 'order', n::text, 'OrderPaid', jsonb_build_object('n', 1000)
             FROM generate_series(0, 99) AS n",
        )
        .await;
    eventually("published rows are deleted", SOON, async || {
        match outbox.count("event_type = 'OrderPaid'").await {
            0 => Ok(()),
            left => Err(left.to_string()),
        }
    })
    .await;
    assert_eq!(
        outbox.count("true").await,
        501,
        "what was marked, and the dead"
    );
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 600);

    let mut relay = connect(&outbox, "relay").await;
    for refused in [
        "UPDATE outbox_payload SET payload = ''",
        "TRUNCATE outbox_payload",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
         VALUES ('order', '1', 'OrderPlaced')",
        "SELECT outbox_publish('order', '1', 'OrderPlaced', '{}')",
        "UPDATE outbox SET payload = NULL",
        "UPDATE outbox SET aggregate_id = ''",
        "TRUNCATE outbox",
        "DROP TABLE outbox",
        "SELECT nextval('outbox_seq_seq')",
        "INSERT INTO outbox_relay_lanes (lane) VALUES (99)",
        "DELETE FROM outbox_relay_lanes",
        "UPDATE outbox_relay_identity SET lanes = 1",
        "INSERT INTO outbox_relay_migrations (version, name) VALUES (9, 'x')",
        "INSERT INTO outbox_relay_audit (action, seq, event_id)
         SELECT 'retry', 1, gen_random_uuid()",
        "CREATE TABLE mine (n integer)",
    ] {
        assert_refused(&mut relay, refused).await;
    }
}

#[tokio::test]
async fn an_operator_may_look_and_decide_about_dead_events_under_its_own_name() {
    let postgres = Postgres::private(&[]).await;
    let outbox = granted(&postgres).await;
    outbox.write("1", "{}").await;
    let mut operator = connect(&outbox, "operator").await;
    for allowed in [
        "SELECT payload FROM outbox",
        "UPDATE outbox SET attempts = 0, next_attempt_at = NULL, last_error = NULL,
             first_failed_at = NULL, dead_state = 'discarded', dead_at = now(), dead_class = NULL",
        "UPDATE outbox_relay_lanes SET rereads = rereads + 1 WHERE lane = 3",
        "INSERT INTO outbox_relay_audit (action, seq, event_id, reason)
         SELECT 'discard', seq, id, 'a test' FROM outbox",
        "SELECT * FROM outbox_relay_relays, outbox_relay_identity, outbox_relay_migrations",
    ] {
        operator
            .execute(allowed)
            .await
            .unwrap_or_else(|error| panic!("{allowed}: {error}"));
    }
    let who: String = sqlx::query_scalar("SELECT who FROM outbox_relay_audit")
        .fetch_one(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(who, "operator");
    for refused in [
        "INSERT INTO outbox_relay_audit (action, seq, event_id, who)
         VALUES ('retry', 1, gen_random_uuid(), 'somebody')",
        "INSERT INTO outbox_relay_audit (action, seq, event_id, at)
         VALUES ('retry', 1, gen_random_uuid(), '2000-01-01')",
        "UPDATE outbox_relay_audit SET reason = NULL",
        "DELETE FROM outbox_relay_audit",
        "UPDATE outbox SET published_at = now()",
        "UPDATE outbox SET payload = NULL",
        "DELETE FROM outbox",
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
         VALUES ('order', '1', 'OrderPlaced')",
        "SELECT outbox_publish('order', '1', 'OrderPlaced', '{}')",
        "UPDATE outbox_relay_lanes SET token = NULL",
        "DELETE FROM outbox_relay_relays",
        "CREATE TABLE mine (n integer)",
    ] {
        assert_refused(&mut operator, refused).await;
    }
}

#[tokio::test]
async fn a_relay_stores_and_removes_large_payloads_and_a_consumer_may_fetch_them_alone() {
    let postgres = Postgres::private(&[]).await;
    let outbox = granted(&postgres).await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
             VALUES ('order', '1', 'Large', to_jsonb(repeat('x', 5000)));
             INSERT INTO outbox_payload (event_id, seq, payload, size_bytes, sha256, kept_since)
             VALUES (gen_random_uuid(), 0, '', 0, '', now() - interval '1 year')",
        )
        .await;
    let url = outbox.url_as("relay", "x");
    let claims = [
        ("database.url", url.as_str()),
        ("large_payload.action", "claim_check"),
        ("large_payload.over_bytes", "1024"),
    ];
    let relay = named_relay(&outbox, "storing", &[&LONG_LEASES[..], &claims].concat());
    outbox.drained(SOON).await;
    relay.logs("kept long enough", SOON).await;
    let mut consumer = connect(&outbox, "consumer").await;
    let payload: Vec<u8> = sqlx::query_scalar("SELECT payload FROM public.outbox_payload")
        .fetch_one(&mut consumer)
        .await
        .expect("it may");
    assert_eq!(payload.len(), 5_002);
    for refused in [
        "SELECT * FROM public.outbox",
        "SELECT seq FROM public.outbox_payload",
        "DELETE FROM public.outbox_payload",
        "UPDATE public.outbox_payload SET kept_since = now()",
        "SELECT * FROM public.outbox_relay_relays",
    ] {
        assert_refused(&mut consumer, refused).await;
    }
}

#[tokio::test]
async fn a_relay_without_grants_waits_and_says_which_it_needs() {
    let postgres = Postgres::private(&[]).await;
    let outbox = granted(&postgres).await;
    let url = outbox.url_as("stranger", "x");
    let mut relay = outbox.relay(&[("database.url", &url)]);
    relay.logs("--grant-relay", SOON).await;
    assert!(relay.runs());
}
