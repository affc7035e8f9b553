//! `status` and `migrate` on a real database: what they say, what it costs, and how they end.

use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::status::{COUNTED_MAX, Status};
use serde_json::Value;

use crate::support::{Database, Outbox, Postgres, RelayProcess, SOON, eventually};

/// What `status --json` says.
async fn status(outbox: &Outbox) -> Value {
    let mut verb = outbox.verb(&["status", "--json"], &[]);
    assert_eq!(verb.wait_exit(SOON).await, 0, "{:?}", verb.stderr());
    serde_json::from_str(&verb.stdout().join("\n")).expect("it prints one JSON object")
}

async fn sql(outbox: &Outbox, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(&outbox.pool)
        .await
        .expect("the statement is right");
}

#[tokio::test]
async fn status_tells_what_waits_and_since_when_before_any_relay() {
    let outbox = Outbox::create().await;
    let empty = status(&outbox).await;
    assert_eq!(empty["backlog"], 0);
    assert_eq!(empty["oldest_unpublished_seconds"], Value::Null);
    assert_eq!(empty["dead"], 0);
    assert_eq!(empty["lanes"].as_array().unwrap().len(), 16);
    assert_eq!(empty["lanes"][3]["lane"], 3);
    assert_eq!(empty["lanes"][3]["owner"], Value::Null);
    assert_eq!(empty["relays"], serde_json::json!([]));

    outbox.write_many(50, 10).await;
    sql(
        &outbox,
        "UPDATE outbox SET created_at = created_at - interval '1 hour' WHERE seq = 18;
         UPDATE outbox SET published_at = now(), created_at = '2020-01-01' WHERE seq <= 10;
         UPDATE outbox SET dead_state = 'dead', dead_at = now(), created_at = '2020-01-01'
             WHERE seq = 11;
         UPDATE outbox SET dead_state = 'discarded', dead_at = now() WHERE seq = 15;
         UPDATE outbox SET dead_state = 'blocked' WHERE seq = 16;
         UPDATE outbox SET dead_state = 'dead_letter_pending' WHERE seq = 17;
         UPDATE outbox SET available_at = now() - interval '2 hours' WHERE seq = 12;
         UPDATE outbox SET available_at = now() + interval '1 hour' WHERE seq IN (13, 14)",
    )
    .await;
    sql(&outbox, "VACUUM ANALYZE outbox").await;
    let told = status(&outbox).await;
    assert_eq!(
        told["backlog"],
        50 - 10 - 2 - 2,
        "due rows, delayed and blocked ones too"
    );
    assert_eq!(told["backlog_exact"], true);
    assert_eq!(told["delayed"], 2);
    assert_eq!(told["blocked"], 2);
    assert_eq!(told["blocked_exact"], true);
    assert_eq!(told["dead"], 1, "nobody asks for what was discarded");
    let published = told["published_estimate"].as_i64().unwrap();
    assert!((10..=11).contains(&published), "{published}");
    let oldest = told["oldest_unpublished_seconds"].as_f64().unwrap();
    assert!(
        (3_600.0..3_700.0).contains(&oldest),
        "neither published nor dead rows wait, and a delayed one was not late before it existed: \
         {oldest}"
    );
}

#[tokio::test]
async fn status_names_the_relays_and_who_holds_which_lane() {
    let outbox = Outbox::create().await;
    let mut relay = outbox.relay(&[("relay.name", "shop-1")]);
    let told = eventually("the relay holds every lane", SOON, async || {
        let told = status(&outbox).await;
        let lanes = told["lanes"].as_array().unwrap();
        let all = lanes
            .iter()
            .all(|lane| lane["owner"] == "shop-1" && lane["held"] == true);
        if all { Ok(told) } else { Err(told.to_string()) }
    })
    .await;
    assert!(
        told["lanes"][0]["expires_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let relays = told["relays"].as_array().unwrap();
    assert_eq!(relays.len(), 1);
    assert_eq!(relays[0]["name"], "shop-1");
    assert_eq!(relays[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(relays[0]["alive"], true);
    assert_eq!(relays[0]["starting"], false);
    assert_eq!(told["circuits"], serde_json::json!([]));
    eventually("a heartbeat says that it delivers", SOON, async || {
        let told = status(&outbox).await;
        let ready = told["relays"][0]["ready"] == true;
        if ready { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
    let mut people = outbox.verb(&["status"], &[]);
    assert_eq!(people.wait_exit(SOON).await, 0);
    let text = people.stdout().join("\n");
    assert!(text.contains("lanes      16 of 16 held"), "{text}");
    assert!(text.contains("relay      shop-1  16 lanes"), "{text}");
    assert!(!text.contains("wrong"), "{text}");

    relay.terminate();
    assert_eq!(relay.wait_exit(SOON).await, 0);
    let mut people = outbox.verb(&["status"], &[]);
    assert_eq!(people.wait_exit(SOON).await, 0);
    let text = people.stdout().join("\n");
    assert!(text.contains("wrong: no relay runs"), "{text}");
}

#[tokio::test]
async fn status_walks_no_published_row_however_wrong_the_statistics_are() {
    let outbox = Outbox::create().await;
    sql(&outbox, "ALTER TABLE outbox SET (autovacuum_enabled = off)").await;
    outbox.write_many(1_000, 10).await;
    // Statistics by which every row waits and is dead, for a table in which almost none does.
    sql(
        &outbox,
        "UPDATE outbox SET dead_state = 'dead', dead_at = now() WHERE seq <= 500; ANALYZE outbox;
         TRUNCATE outbox;
         INSERT INTO outbox (aggregate_type, aggregate_id, event_type, published_at)
         SELECT 'order', (n % 1000)::text, 'OrderPlaced', now()
         FROM generate_series(1, 300000) AS n",
    )
    .await;
    outbox.write_many(20, 10).await;
    for fresh in [false, true] {
        if fresh {
            sql(&outbox, "VACUUM ANALYZE outbox").await;
        }
        for (statement, plan) in plans(&outbox).await {
            let seen = format!("fresh {fresh}: {statement}\n{plan}");
            assert!(!plan.contains("outbox_pkey"), "{seen}");
            assert!(plan.contains("Index"), "{seen}");
            let buffers: u64 = plan
                .lines()
                .next()
                .and_then(|total| total.parse().ok())
                .expect("the plan begins with its buffers");
            assert!(buffers < 200, "{buffers} pages: {seen}");
        }
    }
    let told = status(&outbox).await;
    assert_eq!(told["backlog"], 20);
    let published = told["published_estimate"].as_i64().unwrap();
    assert!((290_000..310_000).contains(&published), "{published}");
}

/// The statements that walk the outbox and their plans as they ran, each after a line with the
/// pages that it touched, in a session as `status` has it.
async fn plans(outbox: &Outbox) -> Vec<(String, String)> {
    let mut connection = outbox.pool.acquire().await.expect("a session is free");
    sqlx::raw_sql(
        "SET search_path = pg_catalog; SET jit = off; SET enable_seqscan = off;
         SET enable_bitmapscan = off; SET enable_sort = off; SET enable_hashjoin = off;
         SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan",
    )
    .execute(&mut *connection)
    .await
    .expect("the settings exist");
    let mut plans = Vec::new();
    for statement in Status::statements(&Names::new("public", "outbox")) {
        let limit = (COUNTED_MAX + 1).to_string();
        let explain = format!(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}",
            statement.replace("$1", &limit)
        );
        let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .fetch_one(&mut *connection)
            .await
            .expect("the statement is explained");
        let pages = |kind: &str| plan[0]["Plan"][kind].as_u64().expect("a plan has buffers");
        let buffers = pages("Shared Hit Blocks") + pages("Shared Read Blocks");
        plans.push((statement, format!("{buffers}\n{plan:#}")));
    }
    plans
}

#[tokio::test]
async fn a_large_backlog_is_estimated_and_says_so() {
    let outbox = Outbox::create().await;
    outbox.write_many(150_000, 1_000).await;
    sql(&outbox, "VACUUM ANALYZE outbox").await;
    let told = status(&outbox).await;
    assert_eq!(told["backlog_exact"], false);
    let backlog = told["backlog"].as_i64().unwrap();
    assert!((145_000..155_000).contains(&backlog), "{backlog}");
    assert!(told["published_estimate"].as_i64().unwrap() < 5_000);
}

#[tokio::test]
async fn status_needs_no_more_rights_than_a_relay() {
    let outbox = Outbox::create().await;
    let role = &format!("relay_{}", outbox.topic);
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "CREATE ROLE \"{role}\" LOGIN PASSWORD 'x'"
    )))
    .execute(&outbox.pool)
    .await
    .unwrap();
    let url = outbox.url_as(role, "x");
    let mut denied = outbox.verb(&["status"], &[("database.url", &url)]);
    assert_eq!(denied.wait_exit(SOON).await, 69);
    assert!(denied.stderr().join("\n").contains("--grant-relay"));
    outbox.migrate(&["--grant-relay", role]).await;
    let mut allowed = outbox.verb(&["status"], &[("database.url", &url)]);
    assert_eq!(allowed.wait_exit(SOON).await, 0, "{:?}", allowed.stderr());
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""
    )))
    .execute(&outbox.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn without_a_database_or_its_tables_status_ends_with_69() {
    let database = Database::create(Postgres::shared().await).await;
    let mut empty = RelayProcess::start(&["status"], &[("database.url", database.url())]);
    assert_eq!(empty.wait_exit(SOON).await, 69);
    assert!(empty.stdout().is_empty());
    assert!(
        empty
            .stderr()
            .join("\n")
            .contains("run `outbox-relay migrate`")
    );
    for verb in ["status", "migrate"] {
        let mut away = RelayProcess::start(
            &[verb],
            &[(
                "database.url",
                "postgres://postgres:canary@127.0.0.1:1/shop",
            )],
        );
        assert_eq!(away.wait_exit(SOON).await, 69, "{verb}");
        let told = [away.stdout(), away.stderr()].concat().join("\n");
        assert!(told.contains("no connection to the database"), "{told}");
        assert!(!told.contains("canary"));
    }
}
