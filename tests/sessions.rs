//! A session with the database keeps no connection that something is half-way on.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use outbox_relay::outbox::session::{Access, Purpose, Session};
use sqlx::{Executor, PgConnection};

use crate::support::{Database, Postgres};

const ADD: &str = "UPDATE public.counter SET n = n + 1";

async fn begin_and_add(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute("BEGIN").await?;
    connection.execute(ADD).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Lets work be woken so many times and drops it, unless it was done before.
async fn drop_after<T>(wakes: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut woken = 0;
    poll_fn(|context| {
        if woken == wakes {
            return Poll::Ready(None);
        }
        woken += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// A transaction is dropped half-way, at whichever point; the next statement must neither join it
/// nor be taken for committed when it is not.
#[tokio::test]
async fn what_is_dropped_half_way_costs_its_connection_and_no_later_statement() {
    let database = Database::create(Postgres::shared().await).await;
    let mut judge = database.connect().await;
    let make = "CREATE TABLE counter (n integer); INSERT INTO counter VALUES (0)";
    judge.execute(sqlx::raw_sql(make)).await.unwrap();
    let access = Access::new(database.url(), "session", 10_000).unwrap();
    let mut session = Session::new(&access, Purpose::Keep);
    let mut dropped = 0;
    let mut wakes = 0;
    // Where the server answers before it is asked whether it has, there is no half-way.
    while dropped <= 30 && wakes < 2_000 {
        let set = "UPDATE public.counter SET n = -1";
        session.run(async |c| c.execute(set).await).await.unwrap();
        let now: i32 = sqlx::query_scalar("SELECT n FROM counter")
            .fetch_one(&mut judge)
            .await
            .unwrap();
        assert_eq!(now, -1, "wakes {wakes}: what was acknowledged is committed");
        let work = session.run(async |c| begin_and_add(c).await);
        if drop_after(wakes % 4, work).await.is_none() {
            dropped += 1;
            assert_eq!(session.is_connected(), wakes % 4 == 0, "wakes {wakes}");
        }
        wakes += 1;
    }
    println!("{dropped} dropped");
    assert!(dropped > 30, "only {dropped} were dropped half-way");
}
