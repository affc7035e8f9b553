//! `check` on real servers: what it finds, and that no finding hides another.

mod others;

use outbox_relay::decide::order::AfterPublish;
use outbox_relay::outbox::names::Names;
use outbox_relay::outbox::session::{Access, Purpose, Session};
use outbox_relay::outbox::survey;
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::support::{Database, Kafka, Outbox, Postgres, RelayProcess, SOON};

/// What `check` says with these settings on top: its exit code and its lines.
async fn check(outbox: &Outbox, settings: &[(&str, &str)]) -> (i32, Vec<String>) {
    let mut verb = outbox.verb(&["check"], settings);
    (verb.wait_exit(SOON).await, verb.stdout())
}

/// The one line about something that is not fine.
fn complaint<'l>(lines: &'l [String], about: &str) -> &'l str {
    let mut found = lines
        .iter()
        .filter(|line| !line.starts_with("ok") && line[5..].starts_with(about));
    let line = found
        .next()
        .unwrap_or_else(|| panic!("no complaint about {about}: {lines:#?}"));
    assert_eq!(found.next(), None, "{lines:#?}");
    line
}

async fn sql(outbox: &Outbox, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&outbox.pool)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

#[tokio::test]
async fn where_all_is_well_each_look_says_so() {
    let outbox = Outbox::create().await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 0, "{lines:#?}");
    let letters = format!("{}.dlq", outbox.topic);
    let doubt = format!("warn topics    {letters} takes no dead letters");
    assert!(
        lines.iter().any(|line| line.starts_with(&doubt)),
        "{lines:#?}"
    );
    Kafka::shared().await.create_topic(&letters, 1, &[]).await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 0, "{lines:#?}");
    let about: Vec<_> = lines
        .iter()
        .map(|line| {
            let (grade, rest) = line.split_at(5);
            assert_eq!(grade, "ok   ", "{line}");
            rest.split(' ').next().unwrap()
        })
        .collect();
    let looks = [
        "settings", "database", "clock", "tables", "rights", "columns", "sequence", "kafka",
        "topics",
    ];
    assert_eq!(about, looks);
    assert!(lines[8].contains(&format!("{} (6 partitions)", outbox.topic)));
    let mut json = outbox.verb(&["check", "--json"], &[]);
    assert_eq!(json.wait_exit(SOON).await, 0);
    let told: Value = serde_json::from_str(&json.stdout().join("\n")).unwrap();
    assert_eq!(told["ok"], true);
    assert_eq!(told["checks"].as_array().unwrap().len(), looks.len());
    assert_eq!(outbox.count("true").await, 0, "it changes nothing");
}

#[tokio::test]
async fn what_does_not_answer_is_told_together_and_ends_with_69() {
    let mut away = RelayProcess::start(
        &["check"],
        &[
            (
                "database.url",
                "postgres://postgres:canary@127.0.0.1:1/shop",
            ),
            ("kafka.brokers", "127.0.0.1:2"),
        ],
    );
    assert_eq!(away.wait_exit(SOON).await, 69);
    let lines = away.stdout();
    assert!(complaint(&lines, "database").contains("no connection"));
    assert!(complaint(&lines, "kafka").contains("127.0.0.1:2"));
    assert!(!format!("{lines:?}{:?}", away.stderr()).contains("canary"));

    let outbox = Outbox::create().await;
    let (code, lines) = check(&outbox, &[("kafka.brokers", "127.0.0.1:2")]).await;
    assert_eq!(code, 69);
    complaint(&lines, "kafka");
    assert!(lines.iter().any(|line| line.starts_with("ok   rights")));
}

#[tokio::test]
async fn before_migrate_only_the_tables_are_missing() {
    let database = Database::create(Postgres::shared().await).await;
    let outbox = Outbox::adopt(database, Kafka::shared().await).await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 1, "{lines:#?}");
    let line = complaint(&lines, "tables");
    assert!(
        line.contains("not migrated yet — run `outbox-relay migrate`"),
        "{line}"
    );
    assert!(lines.iter().any(|line| line.starts_with("ok   kafka")));
}

#[tokio::test]
async fn a_topic_that_is_missing_or_does_not_fit_is_told_with_its_cure() {
    let outbox = Outbox::create().await;
    let kafka = Kafka::shared().await;
    let strict = Kafka::unique("strict");
    let narrow = [("retention.ms", "3600000"), ("max.message.bytes", "2000")];
    kafka.create_topic(&strict, 1, &narrow).await;
    sqlx::query(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, topic, created_at)
         VALUES ('order', '1', 'A', 'missing-here', now()), ('order', '2', 'A', 'no name', now()),
            ('order', '3', 'A', $1, now() - interval '2 hours')",
    )
    .bind(&strict)
    .execute(&outbox.pool)
    .await
    .unwrap();
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 1, "{lines:#?}");
    for seen in [
        "FAIL topics    missing-here does not exist",
        "FAIL topics    events of type \"A\" of a \"order\" have no topic",
        &format!("warn topics    {strict} keeps records for 1 h"),
        &format!("warn topics    {strict} takes records of up to 2000 bytes"),
    ] {
        let found = lines
            .iter()
            .find(|line| line.starts_with(seen))
            .unwrap_or_else(|| panic!("{seen}: {lines:#?}"));
        assert!(found.contains(" — "), "{found}");
    }
    sql(
        &outbox,
        "UPDATE outbox SET published_at = now() WHERE topic = 'no name'",
    )
    .await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 1, "the newest rows tell topics too: {lines:#?}");
}

#[tokio::test]
async fn another_cluster_another_protocol_and_a_caching_sequence_are_told_at_once() {
    let outbox = Outbox::create().await;
    sql(
        &outbox,
        "UPDATE outbox_relay_identity SET kafka_cluster_id = 'elsewhere', protocol = 7;
         ALTER TABLE outbox ALTER seq SET CACHE 20",
    )
    .await;
    let (code, lines) = check(&outbox, &[]).await;
    assert_eq!(code, 1);
    assert!(complaint(&lines, "tables").contains("protocol 7"));
    assert!(complaint(&lines, "kafka").contains("`elsewhere`"));
    assert!(complaint(&lines, "sequence").contains("CACHE 20"));
}

#[tokio::test]
async fn every_right_that_a_relay_needs_is_missed_when_it_is_gone() {
    let outbox = Outbox::create().await;
    let role = &format!("relay_{}", outbox.topic);
    sql(
        &outbox,
        &format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'x'"),
    )
    .await;
    let url = outbox.url_as(role, "x");
    let access = Access::new(&url, "check", 10_000).unwrap();
    let mut session = Session::new(&access, Purpose::Read);
    let names = Names::new("public", "outbox");
    let mut missing = async |after, stores| {
        let rights = survey::rights(&mut session, &names, (after, stores)).await;
        let rights = rights.unwrap();
        assert_eq!(rights.role, format!("\"{role}\""));
        rights.missing
    };
    let none_granted = missing(AfterPublish::Mark, true).await;
    assert_eq!(none_granted.len(), 17, "{none_granted:#?}");
    outbox.migrate(&["--grant-relay", role]).await;
    assert_eq!(missing(AfterPublish::Mark, true).await, [""; 0]);
    assert_eq!(missing(AfterPublish::Delete, true).await, [""; 0]);
    for right in none_granted {
        sql(&outbox, &format!("REVOKE {right} FROM \"{role}\"")).await;
        assert_eq!(missing(AfterPublish::Mark, true).await, [right.as_str()]);
        sql(&outbox, &format!("GRANT {right} TO \"{role}\"")).await;
    }
    sql(&outbox, &format!("REVOKE DELETE ON outbox FROM \"{role}\"")).await;
    assert_eq!(missing(AfterPublish::Mark, true).await, [""; 0]);
    assert_eq!(missing(AfterPublish::Delete, true).await.len(), 1);
    let revoke = format!("REVOKE INSERT ON outbox_payload FROM \"{role}\"");
    sql(&outbox, &revoke).await;
    assert_eq!(missing(AfterPublish::Mark, false).await, [""; 0]);
    assert_eq!(missing(AfterPublish::Mark, true).await.len(), 1);

    sql(
        &outbox,
        &format!("REVOKE SELECT ON outbox_relay_migrations FROM \"{role}\""),
    )
    .await;
    let (code, lines) = check(&outbox, &[("database.url", &url)]).await;
    assert_eq!(code, 1);
    assert!(complaint(&lines, "tables").contains("--grant-relay"));
    let line = complaint(&lines, "rights");
    let grant = format!("GRANT SELECT ON \"public\".\"outbox_relay_migrations\" TO \"{role}\";");
    assert!(line.ends_with(&grant), "{line}");
    sql(
        &outbox,
        &format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""),
    )
    .await;
}
