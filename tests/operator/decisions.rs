//! What an operator decides: what it changes and leaves behind, and what only a rehearsal tells.

use std::time::Duration;

use serde_json::json;

use super::{dead, ended, found, outbox};
use crate::support::lanes::{LONG_LEASES, named_relay};
use crate::support::{Kafka, Outbox, Receiver, RelayProcess, SOON, eventually};

/// Two renewals, and as much as a busy machine may need besides.
const RENEWED: Duration = Duration::from_secs(20);

/// The audit: action, number, reason, and whether it names the event and who did it.
async fn audit(outbox: &Outbox) -> Vec<(String, i64, Option<String>, bool)> {
    sqlx::query_as(
        "SELECT a.action, a.seq, a.reason, a.event_id = o.id AND a.who = session_user
         FROM outbox_relay_audit AS a JOIN outbox AS o USING (seq) ORDER BY a.seq, a.id",
    )
    .fetch_all(&outbox.pool)
    .await
    .expect("the audit is read")
}

/// How often each lane that has to be read again was told so.
async fn rereads(outbox: &Outbox) -> Vec<(i16, i64)> {
    sqlx::query_as("SELECT lane, rereads FROM outbox_relay_lanes WHERE rereads > 0 ORDER BY lane")
        .fetch_all(&outbox.pool)
        .await
        .expect("the lanes are read")
}

async fn lane_of(outbox: &Outbox, seq: i64) -> i16 {
    sqlx::query_scalar("SELECT lane FROM outbox WHERE seq = $1")
        .bind(seq)
        .fetch_one(&outbox.pool)
        .await
        .expect("the event is there")
}

#[tokio::test]
async fn a_retry_clears_the_row_tells_its_lane_and_leaves_an_audit() {
    let outbox = outbox().await;
    let (code, told, stderr) = dead(&outbox, &["retry", "1", "3", "--reason", "mended"]).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{told}");
    let sentences: Vec<&str> = told.lines().collect();
    assert!(sentences[0].contains("event 1 (order/1"), "{told}");
    assert!(sentences[0].contains("behind 1 or more"), "{told}");
    assert!(
        sentences[1].contains("event 3") && sentences[1].contains("in its place"),
        "{told}"
    );
    let clear = "seq IN (1, 3) AND dead_state IS NULL AND dead_at IS NULL AND dead_class IS NULL
        AND last_error IS NULL AND first_failed_at IS NULL AND next_attempt_at IS NULL
        AND attempts = 0";
    assert_eq!(outbox.count(clear).await, 2);
    let mended = Some("mended".to_owned());
    assert_eq!(
        audit(&outbox).await,
        [
            ("retry".to_owned(), 1, mended.clone(), true),
            ("retry".to_owned(), 3, mended, true)
        ]
    );
    let mut lanes = [lane_of(&outbox, 1).await, lane_of(&outbox, 3).await];
    lanes.sort_unstable();
    let expected: Vec<(i16, i64)> = lanes.map(|lane| (lane, 1)).to_vec();
    assert_eq!(rereads(&outbox).await, expected);

    let (code, told, stderr) = dead(&outbox, &["retry", "1", "2", "6", "4", "99"]).await;
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("event 4") && told.lines().count() == 1,
        "{told}"
    );
    for seq in [1, 2, 6, 99] {
        assert!(
            stderr.contains(&format!("event {seq} is not dead")),
            "{stderr}"
        );
    }
    assert_eq!(audit(&outbox).await.len(), 3);
    assert_eq!(found(&outbox, &[]).await, [0; 0]);
}

#[tokio::test]
async fn what_is_discarded_stays_in_the_table_and_can_be_taken_back() {
    let outbox = outbox().await;
    let (code, _, stderr) = dead(&outbox, &["discard", "3"]).await;
    assert_eq!(code, 64, "a reason is asked for: {stderr}");
    let (code, told, _) = dead(&outbox, &["discard", "1", "3", "--reason", "it's old"]).await;
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("goes on without it"), "{told}");
    let given_up = "dead_state = 'discarded' AND dead_at IS NOT NULL AND published_at IS NULL";
    assert_eq!(outbox.count(given_up).await, 3);
    assert_eq!(
        outbox
            .count("seq = 1 AND dead_at < now() - interval '2 hours'")
            .await,
        1,
        "when it died is not forgotten"
    );
    assert_eq!(audit(&outbox).await.len(), 2);
    let (_, text, _) = dead(&outbox, &["show", "3"]).await;
    assert!(
        text.contains("discard by") && text.contains("it's old"),
        "{text}"
    );
    let (code, _, stderr) = dead(&outbox, &["discard", "3", "--reason", "again"]).await;
    assert!(code == 1 && stderr.contains("given up already"), "{stderr}");
    assert_eq!(audit(&outbox).await.len(), 2);
    assert_eq!(dead(&outbox, &["retry", "3"]).await.0, 0);
    assert_eq!(
        outbox
            .count("seq = 3 AND dead_state IS NULL AND dead_at IS NULL")
            .await,
        1
    );
}

#[tokio::test]
async fn a_filter_changes_nothing_until_its_own_command_is_run() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            "INSERT INTO outbox (aggregate_type, aggregate_id, event_type)
             SELECT 'it''s', n::text, 'OrderPlaced' FROM generate_series(1, 1300) AS n;
             UPDATE outbox SET dead_state = 'blocked', dead_class = 'record' WHERE seq <= 200;
             UPDATE outbox SET dead_state = 'dead', dead_at = now() WHERE seq BETWEEN 201 AND 1200",
        )
        .await;
    for wrong in [
        &["retry"][..],
        &["retry", "--yes"],
        &["retry", "7", "--all"],
    ] {
        let (code, stdout, stderr) = dead(&outbox, wrong).await;
        assert_eq!((code, stdout.as_str()), (64, ""), "{wrong:?}: {stderr}");
    }
    let filter = ["retry", "--type", "OrderPlaced", "--topic", &outbox.topic];
    let (code, told, _) = dead(
        &outbox,
        &[&filter[..], &["--reason", "it's mended"]].concat(),
    )
    .await;
    assert_eq!(code, 0);
    assert!(
        told.starts_with("1,200 events would be tried again: 200 in their place, 1,000"),
        "{told}"
    );
    assert_eq!(outbox.count("dead_state IS NOT NULL").await, 1_200);
    assert_eq!(audit(&outbox).await.len(), 0);

    let command = told.lines().last().unwrap().trim();
    let program = env!("CARGO_BIN_EXE_outbox-relay");
    let script = command.replacen("outbox-relay", program, 1);
    let settings = [
        ("database.url", outbox.url()),
        ("route.topic", &outbox.topic),
    ];
    let shell = RelayProcess::start_program("sh", &["-c", &script], &settings);
    let (code, told, progress) = ended(shell).await;
    assert_eq!(code, 0, "{progress}");
    assert!(told.starts_with("1,200 events tried again"), "{told}");
    assert!(
        progress.contains("500 events tried again so far"),
        "{progress}"
    );
    assert_eq!(
        outbox.count("dead_state IS NULL AND dead_at IS NULL").await,
        1_300
    );
    let rows = audit(&outbox).await;
    let complete = |(_, _, reason, named): &(String, i64, Option<String>, bool)| {
        *named && reason.as_deref() == Some("it's mended")
    };
    assert!(rows.len() == 1_200 && rows.iter().all(complete));
    assert_eq!(rereads(&outbox).await.len(), 16, "every lane is read again");
    let (code, told, _) = dead(&outbox, &["discard", "--all", "--reason", "x", "--yes"]).await;
    assert_eq!((code, told.as_str()), (0, "0 events given up"));
}

#[tokio::test]
async fn a_running_relay_publishes_what_is_retried_once_its_cause_is_mended() {
    let outbox = Outbox::create().await;
    outbox
        .execute(
            r#"INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers)
               VALUES ('order', '1', 'OrderPlaced', '{"n": 1}', '[]'),
                   ('order', '1', 'OrderPaid', '{"n": 2}', NULL)"#,
        )
        .await;
    let alone = [&LONG_LEASES[..], &[("failure.on_dead", "table")]].concat();
    let _relay = named_relay(&outbox, "only", &alone);
    eventually("one dead, one published", SOON, async || {
        let published = outbox.count("published_at IS NOT NULL").await;
        let events = found(&outbox, &[]).await;
        ((published, events.as_slice()) == (1, &[1])).then_some(())
    })
    .await;
    outbox
        .execute("UPDATE outbox SET headers = NULL WHERE seq = 1")
        .await;
    let (code, told, stderr) = dead(&outbox, &["retry", "1"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(told.contains("behind 1 or more"), "{told}");
    outbox.drained(RENEWED).await;
    let receiver = Receiver::start(Kafka::shared().await, &[&outbox.topic]).await;
    let records = receiver.read_to_end(SOON).await;
    let types: Vec<Option<&str>> = records
        .iter()
        .map(|record| record.header("ce_type"))
        .collect();
    assert_eq!(types, [Some("OrderPaid"), Some("OrderPlaced")]);
}

#[tokio::test]
async fn a_relays_rights_show_dead_events_and_an_operators_decide_about_them() {
    let outbox = outbox().await;
    let roles = ["relay", "operator"].map(|role| format!("{role}_{}", outbox.topic));
    for role in &roles {
        outbox
            .execute(&format!("CREATE ROLE \"{role}\" LOGIN PASSWORD 'x'"))
            .await;
    }
    let [relay, operator] = &roles;
    outbox
        .migrate(&["--grant-relay", relay, "--grant-operator", operator])
        .await;
    let run = async |role: &str, arguments: &[&str]| {
        let url = outbox.url_as(role, "x");
        let arguments = [&["dead"], arguments].concat();
        ended(outbox.verb(&arguments, &[("database.url", &url)])).await
    };
    for role in &roles {
        assert_eq!(run(role, &["list"]).await.0, 0, "{role}");
        assert_eq!(run(role, &["show", "1"]).await.0, 0, "{role}");
    }
    let (code, _, stderr) = run(relay, &["retry", "1"]).await;
    assert!(
        code == 69 && stderr.contains("--grant-operator"),
        "{code}: {stderr}"
    );
    assert_eq!(run(operator, &["retry", "1"]).await.0, 0);
    assert_eq!(run(operator, &["discard", "3", "--reason", "x"]).await.0, 0);
    let who: Vec<String> = sqlx::query_scalar("SELECT DISTINCT who FROM outbox_relay_audit")
        .fetch_all(&outbox.pool)
        .await
        .unwrap();
    assert_eq!(json!(who), json!([operator]));
    for role in &roles {
        outbox
            .execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""))
            .await;
    }
    let away = [(
        "database.url",
        "postgres://postgres:canary@127.0.0.1:1/shop",
    )];
    let (code, stdout, stderr) = ended(outbox.verb(&["dead", "list"], &away)).await;
    assert_eq!((code, stdout.as_str()), (69, ""));
    assert!(!stderr.contains("canary"), "{stderr}");
}
