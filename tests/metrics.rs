//! `/metrics` on real servers: what it says agrees with what was done, and asking costs nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use outbox_relay::outbox::backlog::{Backlog, SAMPLED_MAX};
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::session::{Access, Purpose, Session};
use outbox_relay::process::metrics::METRICS;
use tokio::time::Instant;

use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::{Kafka, Outbox, Probes, SOON};

#[tokio::test]
async fn what_is_counted_agrees_with_what_was_done() {
    let outbox = Outbox::create().await;
    let other = Kafka::shared().await.topic("audit", 1).await;
    let probes = Probes::new();
    let _relay = outbox.relay(&[("http.listen", &probes.listen)]);
    outbox.write_many(2_000, 50).await;
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic, headers)
             SELECT 'order', n::text, 'Audited', '{other}', NULL::jsonb FROM generate_series(1, 30) AS n
             UNION ALL SELECT 'order', 'bad', 'Bad', NULL, '[]'::jsonb
             UNION ALL SELECT 'order', 'bad', 'Bad', 'no topic', NULL"
        ))
        .await;
    outbox.drained(SOON).await;
    let topic = &outbox.topic;
    for (series, value) in [
        (published(topic), 2_000.0),
        (published(&other), 30.0),
        (dead(""), 1.0),
        (dead(topic), 1.0),
        ("outbox_relay_delivery_seconds_count".to_owned(), 2_030.0),
        ("outbox_relay_lanes_owned".to_owned(), 16.0),
        ("outbox_relay_takeovers_total".to_owned(), 0.0),
        ("outbox_relay_producer_rebuilds_total".to_owned(), 0.0),
        ("outbox_relay_window_rows".to_owned(), 0.0),
        ("outbox_relay_window_bytes".to_owned(), 0.0),
    ] {
        probes.wait_for_metric(&series, value, SOON).await;
    }
    let polls = probes.metric("outbox_relay_poll_seconds_count").await;
    assert!(polls.unwrap() >= 2.0);
    let late = "outbox_relay_delivery_seconds_sum";
    let mean = probes.metric(late).await.unwrap() / 2_030.0;
    assert!((0.0..30.0).contains(&mean), "{mean} s a delivery");
    let page = probes.ask("/metrics").await.unwrap();
    let build = format!(
        r#"outbox_relay_build_info{{version="{}","#,
        env!("CARGO_PKG_VERSION")
    );
    assert!(page.contains(&build), "{page}");
    assert!(
        page.contains("content-type: text/plain; version=0.0.4"),
        "{page}"
    );
}

fn published(topic: &str) -> String {
    format!(r#"outbox_relay_published_total{{topic="{topic}"}}"#)
}

fn dead(topic: &str) -> String {
    format!(r#"outbox_relay_dead_total{{topic="{topic}",class="record"}}"#)
}

fn backlog(aggregate_type: &str) -> String {
    format!(r#"outbox_relay_backlog_rows{{aggregate_type="{aggregate_type}"}}"#)
}

/// Writes rows to a topic that does not exist, an hour old; they wait.
async fn write_waiting(outbox: &Outbox, topic: &str) {
    outbox
        .execute(&format!(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic, created_at)
             SELECT kind, n::text, 'Waits', '{topic}', clock_timestamp() - interval '1 hour'
             FROM generate_series(1, 300) AS n, unnest(ARRAY['order', 'user']) AS kind
             WHERE kind = 'order' OR n <= 50"
        ))
        .await;
}

#[tokio::test]
async fn the_backlogs_of_two_relays_add_up_and_fall_to_zero() {
    let outbox = Outbox::create().await;
    let probes = [Probes::new(), Probes::new()];
    let _relays = ["r0", "r1"].map(|name| {
        let place = usize::from(name == "r1");
        named_relay(&outbox, name, &[("http.listen", &probes[place].listen)])
    });
    wait_for_shares(&outbox, &[("r0", 8), ("r1", 8)], SOON).await;
    let topic = Kafka::unique("absent");
    write_waiting(&outbox, &topic).await;
    for (kind, rows) in [("order", 300.0), ("user", 50.0)] {
        crate::support::eventually("both see their part", SOON, async || {
            let mut sum = 0.0;
            for relay in &probes {
                let part = relay.metric(&backlog(kind)).await?;
                let oldest = format!(
                    r#"outbox_relay_oldest_unpublished_seconds{{aggregate_type="{kind}"}}"#
                );
                let age = relay.metric(&oldest).await?;
                if part < 1.0 || !(3_600.0..3_700.0).contains(&age) {
                    return Err(format!("{part} rows, {age} s"));
                }
                sum += part;
            }
            if (sum - rows).abs() < 1e-9 {
                Ok(())
            } else {
                Err(format!("{sum} rows"))
            }
        })
        .await;
    }
    Kafka::shared().await.create_topic(&topic, 1, &[]).await;
    for relay in &probes {
        relay.wait_for_metric(&backlog("order"), 0.0, SOON).await;
    }
}

#[tokio::test]
async fn a_scrape_is_answered_while_nobody_can_read_the_tables() {
    let outbox = Outbox::create().await;
    let probes = Probes::new();
    let _relay = outbox.relay(&[("http.listen", &probes.listen)]);
    outbox.write_many(10, 10).await;
    outbox.drained(SOON).await;
    let mut locking = outbox.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE outbox, outbox_relay_lanes, outbox_relay_relays")
        .execute(&mut *locking)
        .await
        .unwrap();
    let asked = Instant::now();
    for _ in 0..100 {
        let page = probes.ask("/metrics").await.unwrap();
        assert!(page.contains(&published(&outbox.topic)), "{page}");
    }
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?} for 100 scrapes");
    locking.rollback().await.unwrap();
}

#[tokio::test]
async fn a_take_over_is_counted_and_a_hand_over_is_none() {
    let outbox = Outbox::create().await;
    let probes = Probes::new();
    let listen = [("http.listen", probes.listen.as_str())];
    let first = named_relay(&outbox, "first", &[]);
    wait_for_shares(&outbox, &[("first", 16)], SOON).await;
    let _second = named_relay(&outbox, "second", &listen);
    wait_for_shares(&outbox, &[("first", 8), ("second", 8)], SOON).await;
    let takeovers = "outbox_relay_takeovers_total";
    assert_eq!(probes.metric(takeovers).await, Ok(0.0));
    first.kill();
    wait_for_shares(&outbox, &[("second", 16)], SOON).await;
    probes.wait_for_metric(takeovers, 8.0, SOON).await;
    let owned = "outbox_relay_lanes_owned";
    probes.wait_for_metric(owned, 16.0, SOON).await;
}

/// A backlog of many times what is sampled, and a session with a relay's own settings.
#[tokio::test]
async fn a_sample_reads_so_many_rows_and_no_more() {
    let outbox = Outbox::create().await;
    outbox.write_many(100_000, 1_000).await;
    let token = uuid::Uuid::new_v4();
    sqlx::query("UPDATE outbox_relay_lanes SET token = $1, expires_at = now() + interval '1 hour'")
        .bind(token)
        .execute(&outbox.pool)
        .await
        .unwrap();
    let names = Names::new("public", "outbox");
    let access = Access::new(outbox.url(), "sampler", 10_000).unwrap();
    let mut session = Session::new(&access, Purpose::Read);
    let sampled = Backlog::new(&names, token);
    for round in 0..2 {
        let asked = Instant::now();
        let waiting = sampled.sample(&mut session).await.unwrap();
        println!("round {round}: {:?}", asked.elapsed());
        assert_eq!(waiting.len(), 1);
        assert_eq!(i64::from(waiting[0].rows), SAMPLED_MAX);
    }
}

#[test]
fn the_page_tells_every_metric_and_no_other() {
    let page = include_str!("../docs/metrics.md");
    for metric in METRICS {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let row = format!("| `{}` | {kind} | {} |", metric.name, labels.join(", "));
        assert!(page.contains(&row), "docs/metrics.md should have: {row}");
    }
    let told: BTreeSet<&str> = page
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("outbox_relay_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect();
    for name in told {
        assert!(METRICS.iter().any(|metric| metric.name == name), "{name}");
    }
}
