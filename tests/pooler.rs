//! `PgBouncer` before the database: in session mode all works, in any other nothing is begun.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgPool, Row};
use tokio::task::JoinSet;

use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, PgBouncer, Postgres, Probes, Receiver, SOON, throughout};

/// How long a refused relay is watched for what it must not do.
const A_WHILE: Duration = Duration::from_secs(2);
const CURE: &str = "pool_mode = session";

/// What the server processes of the pool were left with: their settings and prepared statements.
async fn traces(outbox: &Outbox, pooler: &PgBouncer) -> Vec<String> {
    let url = outbox.url_through(pooler.address());
    let options: PgConnectOptions = url.parse().expect("it is a URL");
    let pool = PgPool::connect_with(options.extra_float_digits(None))
        .await
        .expect("the pooler answers");
    let statement = "SELECT nullif(concat_ws(' ',
            nullif(current_setting('search_path'), '\"$user\", public'),
            nullif(current_setting('lock_timeout'), '0'),
            (SELECT string_agg(name, ' ') FROM pg_prepared_statements)), '')";
    let mut traces = Vec::new();
    // The pool lends whichever is free: it is asked many times.
    for _ in 0..20 {
        let row = pool.fetch_one(sqlx::raw_sql(statement)).await;
        let found: Option<String> = row.expect("the pooler answers").get(0);
        traces.extend(found);
    }
    traces
}

/// Other clients of the pool, who take and return its server processes all the time.
fn others(url: &str, count: usize) -> JoinSet<()> {
    let mut others = JoinSet::new();
    for _ in 0..count {
        let options: PgConnectOptions = url.parse().expect("it is a URL");
        others.spawn(async move {
            let connecting = options.extra_float_digits(None).connect().await;
            let mut connection = connecting.expect("the pooler answers");
            loop {
                let statement = sqlx::raw_sql("SELECT pg_sleep(0.001)");
                connection.execute(statement).await.expect("it answers");
            }
        });
    }
    others
}

#[tokio::test]
async fn a_pooler_that_lends_sessions_for_a_transaction_is_refused_before_anything_leaks() {
    let outbox = Outbox::create().await;
    for (mode, size) in [("transaction", 1), ("transaction", 8), ("statement", 4)] {
        let pooler = PgBouncer::before(&outbox, mode, size).await;
        let url = outbox.url_through(pooler.address());
        let _others = others(&url, size - 1);
        let probes = Probes::new();
        let mut relay = outbox.relay(&[
            ("database.url", url.as_str()),
            ("http.listen", &probes.listen),
        ]);
        let answer = probes.wait_for(CURE, SOON).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        relay.logs(CURE, SOON).await;
        throughout("it begins nothing", A_WHILE, async || {
            if !relay.runs() {
                return Err("it ended".to_owned());
            }
            match traces(&outbox, &pooler).await {
                left if left.is_empty() => Ok(()),
                left => Err(left.join("; ")),
            }
        })
        .await;
        relay.terminate();
        assert_eq!(relay.wait_exit(SOON).await, 0, "{mode}");

        let mut check = outbox.verb(&["check"], &[("database.url", url.as_str())]);
        assert_eq!(check.wait_exit(SOON).await, 1, "{mode}");
        let lines = check.stdout();
        let told = lines
            .iter()
            .any(|line| line.starts_with("FAIL database") && line.contains(CURE));
        assert!(told, "{lines:#?}");
    }
}

#[tokio::test]
async fn a_pooler_that_lends_sessions_for_good_is_as_good_as_none() {
    let outbox = Outbox::create_on(Postgres::shared().await, Kafka::shared().await).await;
    let pooler = PgBouncer::before(&outbox, "session", 20).await;
    let url = outbox.url_through(pooler.address());
    let through = [("database.url", url.as_str())];
    let mut first = named_relay(&outbox, "first", &through);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    let _second = named_relay(&outbox, "second", &through);
    wait_for_shares(&outbox, &[("first", 8), ("second", 8)], SOON).await;
    outbox.write_many(2_000, 300).await;
    outbox.drained(SOON).await;
    first.terminate();
    assert_eq!(first.wait_exit(SOON).await, 0);
    wait_for_shares(&outbox, &[("second", 16)], SOON).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    assert_once_in_order(&receiver.read_to_end(SOON).await, 2_000);
    let mut check = outbox.verb(&["check"], &through);
    assert_eq!(check.wait_exit(SOON).await, 0, "{:?}", check.stdout());
}
