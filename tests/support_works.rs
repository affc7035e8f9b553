//! Proves what the other tests stand on: servers keep what they were given, tests do not see each
//! other, nothing outlives the tests, waiting finds what is there and says what it saw.

mod proxy;

use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::{Connection, PgConnection};
use tokio::task::spawn_blocking;

use crate::support::{
    Database, Kafka, Postgres, Received, Receiver, RelayProcess, SOON, eventually,
};

async fn count(connection: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .expect("the statement is legal")
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'";
    let server = Postgres::shared().await;
    let mine = Database::create(server).await;
    let other = Database::create(server).await;
    assert_ne!(mine.name(), other.name());
    sqlx::query("CREATE TABLE mine ()")
        .execute(&mine.pool().await)
        .await
        .unwrap();
    assert_eq!(count(&mut mine.connect().await, TABLES).await, 1);
    assert_eq!(count(&mut other.connect().await, TABLES).await, 0);
}

#[tokio::test]
async fn a_database_goes_with_its_test_though_sessions_are_open() {
    let server = Postgres::shared().await;
    let database = Database::create(server).await;
    let name = database.name().to_owned();
    let _open = database.connect().await;
    drop(database);
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_one(&mut PgConnection::connect(server.url()).await.unwrap())
        .await
        .unwrap();
    assert_eq!(held, 0);
}

#[tokio::test]
async fn a_restarted_postgresql_keeps_its_rows_its_port_and_its_settings() {
    const ROWS: &str = "SELECT count(*) FROM kept";
    let mut server = Postgres::private(&[("max_connections", "37")]).await;
    let database = Database::create(&server).await;
    let pool = database.pool().await;
    sqlx::query("CREATE TABLE kept AS SELECT 1")
        .execute(&pool)
        .await
        .unwrap();
    let first = server.pid();

    server.stop_fast().await;
    assert!(PgConnection::connect(database.url()).await.is_err());
    server.start().await;
    assert_eq!(count(&mut database.connect().await, ROWS).await, 1);

    sqlx::query("INSERT INTO kept VALUES (2)")
        .execute(&mut database.connect().await)
        .await
        .unwrap();
    server.stop_immediate().await;
    server.start().await;
    let mut connection = database.connect().await;
    assert_eq!(count(&mut connection, ROWS).await, 2);
    assert_ne!(server.pid(), first);
    let connections: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(connections, "37");
}

/// Sends one record and returns what its delivery report says.
async fn send(kafka: &Kafka, topic: &str, value: &str) -> Result<(), KafkaError> {
    let producer: FutureProducer = kafka.client().create()?;
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "ce_type",
            value: Some("Kept"),
        })
        .insert(Header {
            key: "nothing",
            value: None::<&str>,
        });
    let record = FutureRecord::to(topic)
        .key("key")
        .payload(value)
        .timestamp(1_700_000_000_123)
        .headers(headers);
    let report = producer.send(record, SOON).await;
    report.map(drop).map_err(|(error, _record)| error)
}

async fn cluster_id(kafka: &Kafka, within: Duration) -> Option<String> {
    let client: BaseConsumer = kafka.client().create().expect("the configuration is legal");
    spawn_blocking(move || client.client().fetch_cluster_id(within))
        .await
        .expect("asking for the cluster does not panic")
}

fn values(records: &[Received]) -> Vec<&str> {
    records
        .iter()
        .filter_map(|record| str::from_utf8(record.value.as_deref()?).ok())
        .collect()
}

#[tokio::test]
async fn a_restarted_kafka_keeps_its_records_its_port_and_its_cluster() {
    let mut kafka = Kafka::private(&[]).await;
    let brokers = kafka.brokers().to_owned();
    let topic = kafka.topic("kept", 1).await;
    let cluster = cluster_id(&kafka, SOON).await;
    let receiver = Receiver::start(&kafka, &[&topic]).await;
    send(&kafka, &topic, "before").await.unwrap();
    receiver.wait_for(1, SOON).await;

    kafka.stop().await;
    kafka.start().await;
    send(&kafka, &topic, "between").await.unwrap();
    kafka.kill().await;
    kafka.start().await;
    send(&kafka, &topic, "after").await.unwrap();

    let late = Receiver::start(&kafka, &[&topic]).await;
    for receiver in [receiver, late] {
        let records = receiver.wait_for(3, SOON).await;
        assert_eq!(values(&records), ["before", "between", "after"]);
    }
    assert!(cluster.is_some());
    assert_eq!(cluster_id(&kafka, SOON).await, cluster);
    assert_eq!(kafka.brokers(), brokers);
}

#[tokio::test]
async fn a_frozen_kafka_answers_once_it_is_thawed() {
    let mut kafka = Kafka::private(&[]).await;
    kafka.freeze();
    assert_eq!(cluster_id(&kafka, Duration::from_secs(1)).await, None);
    kafka.thaw();
    assert!(cluster_id(&kafka, SOON).await.is_some());
}

#[tokio::test]
async fn two_private_clusters_differ() {
    let (one, two) = tokio::join!(Kafka::private(&[]), Kafka::private(&[]));
    assert_ne!(cluster_id(&one, SOON).await, cluster_id(&two, SOON).await);
}

#[tokio::test]
async fn a_receiver_keeps_all_of_a_record() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("whole", 3).await;
    let receiver = Receiver::start(kafka, &[&topic]).await;
    send(kafka, &topic, "value").await.unwrap();
    let records = receiver.wait_for(1, SOON).await;
    let expected = Received {
        topic,
        partition: records[0].partition,
        offset: 0,
        key: Some(b"key".to_vec()),
        value: Some(b"value".to_vec()),
        headers: vec![
            ("ce_type".to_owned(), Some(b"Kept".to_vec())),
            ("nothing".to_owned(), None),
        ],
        timestamp_ms: Some(1_700_000_000_123),
    };
    assert_eq!(records, [expected]);
    assert_eq!(records[0].header("ce_type"), Some("Kept"));
    assert_eq!(records[0].header("nothing"), None);
}

#[tokio::test]
async fn reading_to_the_end_leaves_nothing_unseen() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("ends", 4).await;
    let empty = kafka.topic("empty", 2).await;
    let receiver = Receiver::start(kafka, &[&topic, &empty]).await;
    assert_eq!(receiver.read_to_end(SOON).await, []);
    for value in ["one", "two", "three"] {
        send(kafka, &topic, value).await.unwrap();
    }
    let records = receiver.read_to_end(SOON).await;
    assert_eq!(values(&records), ["one", "two", "three"]);
    assert_eq!(receiver.records(), records);
}

#[tokio::test]
#[should_panic(expected = "not within 100ms: 1 records; last seen: 0 records")]
async fn a_receiver_says_what_it_saw() {
    let kafka = Kafka::shared().await;
    let topic = kafka.topic("silent", 1).await;
    let receiver = Receiver::start(kafka, &[&topic]).await;
    receiver.wait_for(1, Duration::from_millis(100)).await;
}

#[tokio::test]
async fn topics_take_settings_and_each_test_has_names_of_its_own() {
    let kafka = Kafka::shared().await;
    let (small, other) = (Kafka::unique("orders"), Kafka::unique("orders"));
    assert_ne!(small, other);
    let settings = [("max.message.bytes", "100")];
    kafka.create_topic(&small, 1, &settings).await;
    kafka.create_topic(&other, 1, &[]).await;
    let large = "x".repeat(1_000);
    let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
    assert_eq!(send(kafka, &small, &large).await, Err(too_large));
    assert_eq!(send(kafka, &other, &large).await, Ok(()));
}

#[tokio::test]
async fn waiting_returns_what_it_finds() {
    let mut looks = 0;
    let found = eventually("a third look", SOON, async || {
        looks += 1;
        (looks == 3).then_some(looks)
    })
    .await;
    assert_eq!(found, 3);
}

#[tokio::test]
#[should_panic(expected = "not within 50ms: rain; last seen: sunshine")]
async fn waiting_says_what_it_last_saw() {
    let look = async || Err::<(), _>("sunshine");
    eventually("rain", Duration::from_millis(50), look).await;
}

#[tokio::test]
#[should_panic(expected = "the first look did not return")]
async fn waiting_does_not_hang_on_a_look_that_does() {
    let look = async || std::future::pending::<Option<()>>().await;
    eventually("an end", Duration::from_millis(50), look).await;
}

/// The letter with which the kernel shows a process's state; none if it is gone.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[tokio::test]
async fn a_process_is_signalled_and_its_end_is_seen() {
    let start = || RelayProcess::start_program("sleep", &["60"], &[]);
    for (code, signal) in [(143, "TERM"), (130, "INT"), (137, "KILL")] {
        let mut process = start();
        assert!(process.runs());
        match signal {
            "TERM" => process.terminate(),
            "INT" => process.interrupt(),
            _ => process.kill(),
        }
        assert_eq!(process.wait_exit(SOON).await, code);
        assert!(!process.runs());
    }
    let process = start();
    process.freeze();
    let frozen = async || (state(process.pid()) == Some('T')).then_some(());
    eventually("a frozen process", SOON, frozen).await;
    process.thaw();
    let thawed = async || (state(process.pid()) == Some('S')).then_some(());
    eventually("a thawed process", SOON, thawed).await;
}

#[tokio::test]
async fn a_process_sees_its_settings_alone_and_its_output_is_kept() {
    let settings = [
        ("kafka.brokers", "there"),
        ("kafka.properties.linger.ms", "5"),
        ("RUST_LOG", "debug"),
    ];
    let script = "env | sort; echo begun >&2; exit 3";
    let mut process = RelayProcess::start_program("sh", &["-c", script], &settings);
    assert_eq!(process.logs("beg", SOON).await, "begun");
    assert_eq!(process.wait_exit(SOON).await, 3);
    assert_eq!(process.stderr(), ["begun"]);
    let shown = process.stdout();
    let of_the_shell = ["PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    let given: Vec<&String> = shown
        .iter()
        .filter(|line| !of_the_shell.iter().any(|name| line.starts_with(name)))
        .collect();
    let expected = [
        "OUTBOX_RELAY__KAFKA__BROKERS=there",
        "OUTBOX_RELAY__KAFKA__PROPERTIES__LINGER_MS=5",
        "RUST_LOG=debug",
    ];
    assert_eq!(given, expected);
}

#[tokio::test]
async fn the_built_program_runs_and_a_dropped_one_is_gone() {
    let mut version = RelayProcess::start(&["--version"], &[]);
    assert_eq!(version.wait_exit(SOON).await, 0);
    let relay = RelayProcess::run(&[]);
    let pid = relay.pid();
    drop(relay);
    assert_eq!(state(pid), None);
}

/// Starts a server, says where and waits to be killed.
#[tokio::test]
#[ignore = "the other half of nothing_outlives_the_tests"]
async fn victim() {
    let server = Postgres::private(&[]).await;
    let folder = std::fs::read_link(format!("/proc/{}/cwd", server.pid())).unwrap();
    println!("{} {}", server.pid(), folder.display());
    let look = async || std::future::pending::<Option<()>>().await;
    eventually("to be killed", SOON, look).await;
}

#[tokio::test]
async fn nothing_outlives_the_tests() {
    let tests = std::env::current_exe().unwrap();
    let arguments = [
        "support_works::victim",
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    let mut victim = RelayProcess::start_program(tests.to_str().unwrap(), &arguments, &[]);
    let (pid, folder) = eventually("a server of the victim", SOON, async || {
        let lines = victim.stdout();
        let line = lines.iter().find(|line| line.contains("/rows"))?;
        let (before, folder) = line.split_once(" /")?;
        let pid = before.rsplit(' ').next()?.parse().ok()?;
        Some((pid, format!("/{folder}")))
    })
    .await;
    assert!(state(pid).is_some() && Path::new(&folder).exists());
    victim.kill();
    assert_eq!(victim.wait_exit(SOON).await, 137);
    eventually("the end of its server and folder", SOON, async || {
        let gone = matches!(state(pid), None | Some('Z')) && !Path::new(&folder).exists();
        gone.then_some(())
    })
    .await;
}
