//! Two primaries at once: a standby was promoted while its primary lived on, and both take writes.
//!
//! No lease holds in two databases, so that two relays, one on each, both own every lane. What holds
//! is shown here. To have one writer a lane, whoever promotes has to shut the old primary out first.

use sqlx::PgPool;

use crate::conservation::checker::{self, Delivered, History, Shown, Written};
use crate::conservation::observe::delivered;
use crate::conservation::site::note;
use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::{
    Kafka, Outbox, Postgres, Probes, Proxy, Receiver, RelayProcess, SOON, eventually,
};

/// Events that both have and neither has seen marked.
const COMMON: i32 = 1_000;
const UNMARKED: &str = "SELECT count(*) FROM outbox WHERE published_at IS NULL";
/// The sessions of relays.
const SESSIONS: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'outbox-relay %'";

/// Waits until a server counts so many.
async fn counts(pool: &PgPool, sql: &'static str, wanted: i64) {
    eventually(&format!("{wanted} of {sql}"), SOON, async || {
        let count = sqlx::query_scalar(sql).fetch_one(pool).await;
        let count: i64 = count.map_err(|error| error.to_string())?;
        (count == wanted).then_some(()).ok_or(count.to_string())
    })
    .await;
}

/// Writes to a server, each key's numbers rising.
async fn write(pool: &PgPool, events: i32) {
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
         SELECT 'order', (n % 200)::text, 'OrderPlaced', '{}' FROM generate_series(1, $1) AS n",
    )
    .bind(events)
    .execute(pool)
    .await
    .expect("events are written");
}

/// A primary and its heir, which was promoted and knows all that the primary had so far.
struct Split {
    // Dropped before its server.
    outbox: Outbox,
    heir: PgPool,
    standby: Postgres,
    primary: Postgres,
}

impl Split {
    /// A primary with a relay through a proxy, and a standby that follows.
    async fn before() -> (Self, Proxy, Receiver, RelayProcess, Probes) {
        let primary = Postgres::private(&[]).await;
        let outbox = Outbox::create_on(&primary, Kafka::shared().await).await;
        let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
        let standby = primary.standby().await;
        let heir =
            PgPool::connect_lazy(&outbox.url_through(&standby.address())).expect("the URL is one");
        // A role with no more rights than a relay needs is told its server's timeline too.
        outbox.execute("CREATE ROLE relay LOGIN NOSUPERUSER").await;
        outbox.migrate(&["--grant-relay", "relay"]).await;
        let proxy = Proxy::before(outbox.server()).await;
        let url = outbox.url_as("relay", "x");
        let url = url.replacen(outbox.server(), proxy.address(), 1);
        let probes = Probes::new();
        let settings = [
            ("database.url", url.as_str()),
            ("http.listen", &probes.listen),
        ];
        let relay = named_relay(&outbox, "first", &settings);
        wait_for_shares(&outbox, &[("first", 16)], SOON).await;
        let split = Self {
            outbox,
            heir,
            standby,
            primary,
        };
        write(&split.outbox.pool, 500).await;
        counts(&split.outbox.pool, UNMARKED, 0).await;
        counts(&split.heir, UNMARKED, 0).await;
        (split, proxy, receiver, relay, probes)
    }

    /// What one server's own rows have come to, of all that Kafka holds.
    async fn history(pool: &PgPool, records: &[Delivered], twice: usize) -> History {
        let rows: Vec<(i64, uuid::Uuid, String, bool)> =
            sqlx::query_as("SELECT seq, id, aggregate_id, published_at IS NOT NULL FROM outbox")
                .fetch_all(pool)
                .await
                .expect("the server answers");
        let shown = |is_marked| {
            if is_marked {
                Shown::Marked
            } else {
                Shown::Waiting
            }
        };
        let mut history = History {
            windows_lost: vec![twice],
            ..History::default()
        };
        for (seq, id, aggregate, is_marked) in rows {
            history.shown.insert(id, shown(is_marked));
            history.committed.push(Written { seq, id, aggregate });
        }
        let ours = |record: &&Delivered| history.shown.contains_key(&record.id);
        history.delivered = records.iter().filter(ours).cloned().collect();
        history
    }
}

#[tokio::test]
async fn relays_of_two_primaries_lose_and_reorder_nothing_of_either() {
    let (mut split, proxy, receiver, first, probes) = Split::before().await;
    first.freeze();
    write(&split.outbox.pool, COMMON).await;
    counts(&split.heir, UNMARKED, COMMON.into()).await;
    split.standby.promote().await;
    first.thaw();
    let heirs = split.outbox.url_through(&split.standby.address());
    let _second = named_relay(&split.outbox, "second", &[("database.url", &heirs)]);
    for _ in 0..5 {
        tokio::join!(write(&split.outbox.pool, 400), write(&split.heir, 300));
        counts(&split.outbox.pool, UNMARKED, 0).await;
        counts(&split.heir, UNMARKED, 0).await;
    }
    let records = delivered(&receiver.read_to_end(SOON).await);
    let common = usize::try_from(COMMON).unwrap();
    let olds = Split::history(&split.outbox.pool, &records, common).await;
    assert_eq!(olds.committed.len(), 500 + common + 2_000);
    checker::assert_conserved(&olds);

    // The old primary is shut out, and its relay finds the other.
    split.primary.stop_immediate().await;
    proxy.lead_to(&split.standby.address());
    probes.wait_for("\"ready\":true", SOON).await;
    write(&split.heir, 500).await;
    counts(&split.heir, UNMARKED, 0).await;
    let records = delivered(&receiver.read_to_end(SOON).await);
    note(&format!("{} twice", checker::duplicates(&records)));
    checker::assert_conserved(&Split::history(&split.heir, &records, common).await);
    // What the old one alone has is there too, once.
    assert_eq!(
        records.len() - checker::duplicates(&records),
        500 + common + 2_000 + 1_500 + 500
    );
}

/// The name leads to the heir, and one session after the other is opened anew.
#[tokio::test]
async fn a_relay_whose_sessions_are_led_apart_follows_the_heir_with_all_of_them() {
    let (split, proxy, receiver, _first, probes) = Split::before().await;
    split.standby.promote().await;
    proxy.lead_to(&split.standby.address());
    let ended: i64 = sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND query LIKE '%/* mark */%'",
    )
    .fetch_one(&split.outbox.pool)
    .await
    .unwrap();
    assert!(ended > 0, "nobody marks");
    write(&split.outbox.pool, 500).await;
    write(&split.heir, 500).await;
    counts(&split.heir, UNMARKED, 0).await;
    counts(&split.outbox.pool, SESSIONS, 0).await;

    // A name that leads back, to one that takes writes, is not followed.
    proxy.lead_to(&split.primary.address());
    proxy.cut();
    probes.wait_for("another has taken its place", SOON).await;
    write(&split.heir, 500).await;
    proxy.lead_to(&split.standby.address());
    counts(&split.heir, UNMARKED, 0).await;
    let records = delivered(&receiver.read_to_end(SOON).await);
    // Rows whose marks had gone to the heir when the reader was still on the old primary.
    let window = 500;
    checker::assert_conserved(&Split::history(&split.heir, &records, 0).await);
    assert!(checker::duplicates(&records) <= window);
}
