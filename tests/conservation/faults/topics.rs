//! What an operator does to a topic while events go there.

use std::time::Duration;

use crate::support::lanes::{named_relay, wait_for_shares};
use crate::support::tally::assert_once_in_order;
use crate::support::{Kafka, Outbox, Receiver, SOON, throughout};

/// How long events are watched that must wait.
const A_WHILE: Duration = Duration::from_secs(4);

/// What the topic held goes with it; what was not delivered before goes to the new one.
#[tokio::test]
async fn a_topic_that_is_deleted_and_made_again_gets_all_that_waited() {
    let kafka = Kafka::shared().await;
    let outbox = Outbox::create().await;
    let _relay = named_relay(&outbox, "only", &[]);
    wait_for_shares(&outbox, &[("only", 16)], SOON).await;
    for round in 0..2 {
        outbox.write_numbered(1..=500, 50).await;
        outbox.drained(SOON).await;
        kafka.delete_topic(&outbox.topic).await;
        outbox.write_numbered(501..=1_000, 50).await;
        throughout("they wait", A_WHILE, async || {
            let waiting = outbox.count("published_at IS NULL AND attempts = 0").await;
            (waiting == 500).then_some(()).ok_or(waiting.to_string())
        })
        .await;
        kafka.create_topic(&outbox.topic, 3 + round, &[]).await;
        outbox.drained(SOON).await;
        let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
        assert_once_in_order(&receiver.read_to_end(SOON).await, 500);
    }
}

/// Keys move; before and after, each is in order. The client asks for metadata every second here,
/// every five minutes by itself (`topic.metadata.refresh.interval.ms`).
#[tokio::test]
async fn partitions_that_are_added_are_used_and_order_holds_before_and_after() {
    let kafka = Kafka::shared().await;
    let outbox = Outbox::create().await;
    let often = [(
        "kafka.properties.topic.metadata.refresh.interval.ms",
        "1000",
    )];
    let _relay = named_relay(&outbox, "only", &often);
    outbox.write_numbered(1..=500, 50).await;
    outbox.drained(SOON).await;
    kafka.add_partitions(&outbox.topic, 12).await;
    let mut last = 500;
    let records = loop {
        outbox.write_numbered(last + 1..=last + 500, 50).await;
        last += 500;
        outbox.drained(SOON).await;
        let receiver = Receiver::start(kafka, &[&outbox.topic]).await;
        let records = receiver.read_to_end(SOON).await;
        if records.iter().any(|record| record.partition >= 6) {
            break records;
        }
        assert!(
            last < 60_000,
            "the client does not learn of the new partitions"
        );
    };
    let (before, after): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.partition < 6);
    let count = usize::try_from(last).unwrap();
    assert_eq!(before.len() + after.len(), count);
    assert_once_in_order(&before, before.len());
    assert_once_in_order(&after, after.len());
}
