//! Topics as they are declared, on a real cluster: what differs is told, mended, and made at a start.

mod refusals;

use std::collections::BTreeMap;
use std::path::Path;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::Value;

use crate::support::{Kafka, Outbox, Receiver, SOON};

/// A settings file with these declarations, and the folder that holds it.
struct File(tempfile::TempDir);

impl File {
    fn of(toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        std::fs::write(folder.path().join("relay.toml"), toml).expect("the folder takes files");
        Self(folder)
    }

    fn path(&self) -> String {
        let path: &Path = self.0.path();
        path.join("relay.toml").display().to_string()
    }
}

/// What a verb says with these settings: its exit code, its lines, and what went to stderr.
async fn verb(outbox: &Outbox, arguments: &[&str], toml: &str) -> (i32, Vec<String>, Vec<String>) {
    verb_on(outbox, arguments, toml, &[]).await
}

async fn verb_on(
    outbox: &Outbox,
    arguments: &[&str],
    toml: &str,
    settings: &[(&str, &str)],
) -> (i32, Vec<String>, Vec<String>) {
    let file = File::of(toml);
    let path = file.path();
    let settings = [&[("OUTBOX_RELAY_CONFIG", path.as_str())], settings].concat();
    let mut verb = outbox.verb(arguments, &settings);
    let code = verb.wait_exit(SOON).await;
    (code, verb.stdout(), verb.stderr())
}

const PLAN: &[&str] = &["topics", "plan"];
const APPLY: &[&str] = &["topics", "apply"];

/// The settings that a topic has of its own.
async fn own_settings(kafka: &Kafka, topic: &str) -> BTreeMap<String, String> {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().expect("the configuration is legal");
    let options = AdminOptions::new().request_timeout(Some(SOON));
    let asked = [ResourceSpecifier::Topic(topic)];
    let answers = admin.describe_configs(&asked, &options).await;
    let answers = answers.expect("the broker answers");
    let entries = answers.into_iter().flatten().flat_map(|one| one.entries);
    entries
        .filter(|entry| entry.source == rdkafka::admin::ConfigSource::DynamicTopic)
        .filter_map(|entry| Some((entry.name, entry.value?)))
        .collect()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn what_is_planned_is_applied_and_then_nothing_is_left() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let new = Kafka::unique("declared");
    let toml = format!(
        "[[topics.declare]]
         name = '{new}*.dlq'
         [[topics.declare]]
         name = '{new}'
         partitions = 3
         replication_factor = 1
         config = {{ 'retention.ms' = 3600000, 'cleanup.policy' = 'compact,delete' }}",
    );
    let (code, lines, _) = verb(&outbox, PLAN, &toml).await;
    assert_eq!(code, 1, "{lines:#?}");
    let letters = format!("+ {new}.dlq  create as the brokers choose");
    let made = format!(
        "+ {new}  create with partitions=3, replication_factor=1, cleanup.policy=compact,delete, \
         retention.ms=3600000"
    );
    assert_eq!(lines, [made.as_str(), &letters]);

    let (code, lines, _) = verb(&outbox, APPLY, &toml).await;
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(lines, [format!("{made}: done"), format!("{letters}: done")]);
    let own = texts(&[
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "3600000"),
    ]);
    assert_eq!(own_settings(kafka, &new).await, own);
    for arguments in [PLAN, APPLY] {
        let (code, lines, _) = verb(&outbox, arguments, &toml).await;
        assert_eq!((code, lines.len()), (0, 1), "{lines:#?}");
        assert_eq!(lines[0], "all topics are as they are declared");
    }
}

#[tokio::test]
async fn a_setting_that_drifted_is_set_back_and_no_other_one_changes() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let topic = Kafka::unique("drifted");
    let own = [("segment.ms", "86400000"), ("retention.ms", "1000000")];
    kafka.create_topic(&topic, 1, &own).await;
    let toml = format!(
        "[[topics.declare]]
         name = '{topic}'
         config = {{ 'retention.ms' = 7200000, 'max.message.bytes' = 2000000 }}"
    );
    let (code, lines, _) = verb(&outbox, &["topics", "plan", "--json"], &toml).await;
    assert_eq!(code, 1);
    let told: Value = serde_json::from_str(&lines[0]).unwrap();
    let change = &told["changes"][0];
    assert_eq!(
        (&told["ok"], &change["change"]),
        (&false.into(), &"alter".into())
    );
    assert_eq!(change["config"][1]["key"], "retention.ms");
    assert_eq!(change["config"][1]["from"], "1000000");
    assert_eq!(change["config"][1]["to"], "7200000");

    let (code, lines, _) = verb(&outbox, APPLY, &toml).await;
    assert_eq!(code, 0, "{lines:#?}");
    let own = texts(&[
        ("max.message.bytes", "2000000"),
        ("retention.ms", "7200000"),
        ("segment.ms", "86400000"),
    ]);
    assert_eq!(own_settings(kafka, &topic).await, own);
    assert_eq!(verb(&outbox, PLAN, &toml).await.0, 0);
}

#[tokio::test]
async fn partitions_are_added_only_when_that_is_asked_for_and_never_taken_away() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let topic = kafka.topic("narrow", 2).await;
    let declared =
        |partitions| format!("[[topics.declare]]\nname = '{topic}'\npartitions = {partitions}");
    let told = format!("! {topic}  has 2 partitions, 4 are declared");
    for arguments in [PLAN, APPLY] {
        let (code, lines, _) = verb(&outbox, arguments, &declared(4)).await;
        assert_eq!((code, lines.len()), (1, 1), "{lines:#?}");
        assert!(
            lines[0].starts_with(&told) && lines[0].contains("out of order"),
            "{lines:#?}"
        );
    }
    let adding = ["topics", "apply", "--add-partitions"];
    let (code, lines, _) = verb(&outbox, &adding, &declared(4)).await;
    assert_eq!(code, 0, "{lines:#?}");
    assert_eq!(lines, [format!("~ {topic}  partitions: 2 -> 4: done")]);
    assert_eq!(verb(&outbox, PLAN, &declared(4)).await.0, 0);

    let (code, lines, _) = verb(&outbox, &adding, &declared(2)).await;
    assert_eq!(code, 1);
    assert!(lines[0].contains("takes no partition away"), "{lines:#?}");
}

#[tokio::test]
async fn a_pattern_is_about_the_topics_of_waiting_events_and_of_their_dead_letters() {
    let outbox = Outbox::create().await;
    let topic = Kafka::unique("rows");
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic)
         VALUES ('order', '1', 'A', $1), ('order', '2', 'A', 'else-where')",
    )
    .bind(&topic)
    .execute(&outbox.pool)
    .await
    .unwrap();
    let toml = format!("[[topics.declare]]\nname = '{topic}*'\npartitions = 2");
    let (code, lines, _) = verb(&outbox, PLAN, &toml).await;
    assert_eq!((code, lines.len()), (1, 2), "{lines:#?}");
    assert!(lines[0].starts_with(&format!("+ {topic}  create with partitions=2")));
    assert!(lines[1].starts_with(&format!("+ {topic}.dlq  create with partitions=2")));

    let gone = [("database.url", "postgres://nobody:canary@127.0.0.1:1/shop")];
    let (code, lines, told) = verb_on(&outbox, PLAN, &toml, &gone).await;
    assert_eq!((code, lines.len()), (0, 1), "{lines:#?}");
    let told = told.join("\n");
    assert!(told.contains("events in the outbox are left out"), "{told}");
    assert!(!told.contains("canary"));
}

#[tokio::test]
async fn check_names_what_differs_and_the_verb_that_mends_it() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let used = &outbox.topic;
    let missing = Kafka::unique("missing");
    let toml = format!(
        "[[topics.declare]]
         name = '{used}.dlq'
         [[topics.declare]]
         name = '{used}'
         config = {{ 'retention.ms' = 7200000 }}
         [[topics.declare]]
         name = '{missing}'"
    );
    let (code, lines, _) = verb(&outbox, &["check"], &toml).await;
    assert_eq!(code, 0, "{lines:#?}");
    let apply = "— `outbox-relay topics apply`";
    for told in [
        format!("warn topics    {missing} is declared and does not exist {apply}"),
        format!(
            "warn topics    {used} is not as it is declared: retention.ms: 604800000 -> 7200000 {apply}"
        ),
        format!("warn topics    {used}.dlq is declared and does not exist {apply}"),
    ] {
        let found = lines.iter().filter(|line| **line == told).count();
        assert_eq!(found, 1, "{told}: {lines:#?}");
    }
    let letters = format!("{used}.dlq takes no dead letters");
    assert!(
        !lines.iter().any(|line| line.contains(&letters)),
        "told once"
    );

    kafka.delete_topic(used).await;
    let (code, lines, _) = verb(&outbox, &["check"], &toml).await;
    let told = format!("FAIL topics    {used} does not exist: its events wait {apply}");
    assert_eq!(code, 1, "{lines:#?}");
    assert_eq!(
        lines.iter().filter(|line| line.contains(&*told)).count(),
        1,
        "{lines:#?}"
    );
    assert_eq!(verb(&outbox, APPLY, &toml).await.0, 0);
    let (code, lines, _) = verb(&outbox, &["check"], &toml).await;
    assert_eq!(code, 0);
    let fine = "ok   topics    all are as they are declared";
    assert!(lines.iter().any(|line| line == fine), "{lines:#?}");
}

#[tokio::test]
async fn a_relay_makes_missing_topics_before_it_publishes_and_changes_none() {
    let (outbox, kafka) = (Outbox::create().await, Kafka::shared().await);
    let topic = Kafka::unique("made");
    let toml = format!(
        "[topics]
         create_on_start = true
         [[topics.declare]]
         name = '{topic}*'
         partitions = 4
         [[topics.declare]]
         name = '{existing}'
         config = {{ 'retention.ms' = 7200000 }}
         [[topics.declare]]
         name = '{bad}'
         replication_factor = 7",
        existing = outbox.topic,
        bad = Kafka::unique("bad"),
    );
    let file = File::of(&toml);
    outbox.write("1", "{}").await;
    let path = file.path();
    let settings = [
        ("OUTBOX_RELAY_CONFIG", path.as_str()),
        ("route.topic", &topic),
    ];
    let relay = outbox.relay(&settings);
    let made = relay
        .logs("declared topic made: create with partitions=4", SOON)
        .await;
    assert!(made.contains(&topic), "{made}");
    let failed = relay.logs("declared topic not made", SOON).await;
    assert!(
        failed.contains("no more than there are brokers"),
        "{failed}"
    );
    outbox.drained(SOON).await;
    let receiver = Receiver::start(kafka, &[&topic]).await;
    assert_eq!(receiver.read_to_end(SOON).await.len(), 1);
    let waited = relay
        .stderr()
        .iter()
        .any(|line| line.contains("the topic takes nothing"));
    assert!(!waited, "it was there before the first record");
    assert_eq!(own_settings(kafka, &outbox.topic).await, BTreeMap::new());
    let admin: rdkafka::consumer::BaseConsumer = kafka.client().create().unwrap();
    let letters = format!("{topic}.dlq");
    let asked = tokio::task::spawn_blocking(move || {
        use rdkafka::consumer::Consumer as _;
        let metadata = admin.fetch_metadata(Some(&letters), SOON).unwrap();
        metadata.topics()[0].partitions().len()
    });
    assert_eq!(asked.await.unwrap(), 4);
}
