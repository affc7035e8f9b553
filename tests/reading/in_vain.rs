//! A window that has no room for what a page shows: asking again brings the same.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Kafka, Outbox, Postgres, Probes, SOON, eventually};

/// Within this time no record of a frozen broker times out, which would make room.
const BEFORE_TIME_OUT: Duration = Duration::from_secs(6);
/// A pace is taken over a span of this length at least.
const SPAN: Duration = Duration::from_millis(400);
/// Rows in the window that a topic without any report may have at most: half of it.
const HALF: f64 = 100.0;

#[tokio::test]
async fn a_page_in_vain_is_read_again_ever_more_rarely_until_something_lands() {
    let mut kafka = Kafka::private(&[]).await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let probes = Probes::new();
    let settings = [
        ("http.listen", &*probes.listen),
        ("relay.window_rows", "200"),
    ];
    let _relay = outbox.relay(&settings);
    probes.wait_for("HTTP/1.1 200", SOON).await;
    kafka.freeze();
    outbox.write_many(5_000, 500).await;
    let held = "outbox_relay_window_rows";
    probes.wait_for_metric(held, HALF, SOON).await;

    let polls = async || probes.metric("outbox_relay_poll_seconds_count").await;
    let (mut since, mut before) = (Instant::now(), polls().await.unwrap());
    let pace = eventually("few pages a second", BEFORE_TIME_OUT, async || {
        let span = since.elapsed();
        if span < SPAN {
            return Err("too soon to tell".to_owned());
        }
        let now = polls().await?;
        let pace = (now - before) / span.as_secs_f64();
        (since, before) = (Instant::now(), now);
        if pace < 40.0 {
            Ok(pace)
        } else {
            Err(format!("{pace:.0} pages a second"))
        }
    })
    .await;
    println!("{pace:.0} pages a second in vain");
    kafka.thaw();
    outbox.drained(SOON).await;
}
