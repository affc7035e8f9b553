//! What brokers do not do for declared topics, and what is told then.

use std::collections::BTreeMap;

use super::{APPLY, PLAN, own_settings, verb, verb_on};
use crate::kept_out::{USER, as_user, guarded_kafka};
use crate::support::{Kafka, Outbox, Postgres, Right};

#[tokio::test]
async fn what_the_brokers_do_not_take_is_told_with_topic_key_and_cure_and_hinders_nothing_else() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let here = kafka.topic("here", 1).await;
    let [bad_key, copies, good] = ["badkey", "copies", "good"].map(Kafka::unique);
    let toml = format!(
        "[[topics.declare]]
         name = '{here}'
         config = {{ 'retention.mss' = 1, 'cleanup.policy' = 'shred', 'segment.ms' = 86400000 }}
         [[topics.declare]]
         name = '{bad_key}'
         config = {{ 'retention.mss' = 1, 'segment.ms' = 86400000 }}
         [[topics.declare]]
         name = '{copies}'
         replication_factor = 7
         [[topics.declare]]
         name = '{good}'"
    );
    let (code, lines, _) = verb(&outbox, APPLY, &toml).await;
    assert_eq!(code, 1, "{lines:#?}");
    let line_of = |sign: &str, topic: &str| {
        let begins = format!("{sign} {topic}  ");
        let line = lines.iter().find(|line| line.starts_with(&begins));
        line.unwrap_or_else(|| panic!("{begins}: {lines:#?}"))
    };
    let unknown = line_of("!", &here);
    assert!(
        unknown.contains("no setting retention.mss — correct the key"),
        "{unknown}"
    );
    let refused = line_of("~", &here);
    assert!(
        refused
            .contains("FAILED: the brokers do not take cleanup.policy=shred — correct its config"),
        "{refused}"
    );
    assert_eq!(
        own_settings(kafka, &here).await,
        BTreeMap::new(),
        "none or all"
    );
    let refused = line_of("+", &bad_key);
    assert!(
        refused.contains("do not take retention.mss=1 — "),
        "{refused}"
    );
    let refused = line_of("+", &copies);
    assert!(
        refused.contains("no more than there are brokers"),
        "{refused}"
    );
    assert!(line_of("+", &good).ends_with(": done"), "{lines:#?}");
}

#[tokio::test]
async fn who_may_not_change_topics_is_told_what_to_grant() {
    let (kafka, address) = guarded_kafka().await;
    let outbox = Outbox::create_on(Postgres::shared().await, &kafka).await;
    let (here, missing) = (&outbox.topic, "missing");
    for topic in [here, missing] {
        kafka.grant(USER, Right::Describe, topic).await;
    }
    kafka.grant(USER, Right::DescribeConfigs, here).await;
    let toml = format!(
        "topics.declare = [{{ name = '{here}', config = {{ 'retention.ms' = 1000 }} }},
            {{ name = 'missing' }}, {{ name = 'unseen' }}]"
    );
    let (code, lines, told) = verb_on(&outbox, APPLY, &toml, &as_user(&address)).await;
    assert_eq!((code, lines.len()), (1, 3), "{lines:#?} {told:#?}");
    for line in &lines {
        assert!(
            line.contains("allow the relay's principal CREATE, ALTER"),
            "{line}"
        );
    }
    assert!(
        lines[2].starts_with("! unseen  is not ours to see"),
        "{lines:#?}"
    );
    assert!(!lines.concat().contains("done"), "{lines:#?}");
    assert_eq!(own_settings(&kafka, here).await, BTreeMap::new());
}

#[tokio::test]
async fn brokers_that_are_away_end_it_with_69_and_a_missing_declaration_with_64() {
    let outbox = Outbox::create().await;
    let toml = "[[topics.declare]]\nname = 'orders'";
    let nowhere = [("kafka.brokers", "127.0.0.1:2")];
    for arguments in [PLAN, APPLY] {
        let (code, lines, told) = verb_on(&outbox, arguments, toml, &nowhere).await;
        assert_eq!((code, lines.len()), (69, 0), "{told:#?}");
        assert!(
            told.iter().any(|line| line.contains("no broker answered")),
            "{told:#?}"
        );
        let (code, _, told) = verb(&outbox, arguments, "").await;
        assert_eq!(code, 64);
        assert!(told[0].contains("no topic is declared"), "{told:#?}");
    }
}
