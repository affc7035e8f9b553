//! A real Apache Kafka broker in `KRaft` mode.
//!
//! Owns starting, stopping and naming. Knows nothing of the relay.
//!
//! Invariant: a broker keeps its port, its cluster id and its records when it is stopped and
//! started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rustix::process::Signal;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::process::{self, Process};
use super::{Proxy, eventually, variable};

/// How long a broker may take to start or to stop on a busy machine.
const BROKER_WITHIN: Duration = Duration::from_secs(90);
/// How long one question to a broker may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Settings of one broker that is its own controller; a test's own win over them. A broker that
/// comes back after a crash is let in only when the session of its former self has run out: 9 s by
/// default (`broker.session.timeout.ms`).
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
";

/// A quick start counts in a test, not the speed of a long run.
const QUICK: &[&str] = &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// What the broker logs, and that to its standard output.
const LOGGING: &str = "\
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d %p %c: %m%n
rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
";

/// An Apache Kafka cluster of one broker.
pub(crate) struct Kafka {
    brokers: String,
    own: Option<OwnBroker>,
}

/// A listener of a broker beside its plain one.
pub(crate) struct Listener<'a> {
    pub(crate) listens: &'a str,
    /// Where clients are led.
    pub(crate) advertises: &'a str,
}

/// A broker that this process has started.
pub(super) struct OwnBroker {
    jars: PathBuf,
    folder: PathBuf,
    /// How its Java is set.
    machine: &'static [&'static str],
    process: Option<Process>,
}

impl Kafka {
    /// The broker that all tests share: the one that `TEST_KAFKA_BROKERS` names, else one of our
    /// own.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED
            .get_or_init(async || match variable("TEST_KAFKA_BROKERS") {
                Some(brokers) => Self { brokers, own: None },
                None => Self::private(&[]).await,
            })
            .await
    }

    /// A broker for one test alone, with settings that win over ours.
    pub(crate) async fn private(settings: &[(&str, &str)]) -> Self {
        Self::private_on(QUICK, settings).await
    }

    /// A broker for one test alone, and a proxy before it. Who begins with the proxy's address is
    /// led to the proxy always, who begins with the broker's own never.
    pub(crate) async fn proxied(settings: &[(&str, &str)]) -> (Self, Proxy) {
        let address = format!("127.0.0.1:{}", process::free_port());
        let proxy = Proxy::before(&address).await;
        let listener = Listener {
            listens: &format!("PROXIED://{address}"),
            advertises: &format!("PROXIED://{}", proxy.address()),
        };
        (Self::guarded(settings, Some(listener), &[]).await, proxy)
    }

    /// A broker of somebody else, for clients that begin with this address.
    pub(crate) fn at(address: &str) -> Self {
        Self {
            brokers: address.to_owned(),
            own: None,
        }
    }

    /// A broker with a listener more, and what its folder is formatted with: its users.
    pub(crate) async fn guarded(
        settings: &[(&str, &str)],
        listener: Option<Listener<'_>>,
        format: &[&str],
    ) -> Self {
        let port = process::free_port();
        let own = OwnBroker::create(port, settings, listener).await;
        Self::launch(own, port, format).await
    }

    /// A broker for one test alone, whose Java is told other things than to start quickly.
    pub(crate) async fn private_on(
        machine: &'static [&'static str],
        settings: &[(&str, &str)],
    ) -> Self {
        let port = process::free_port();
        let mut own = OwnBroker::create(port, settings, None).await;
        own.machine = machine;
        Self::launch(own, port, &[]).await
    }

    async fn launch(mut own: OwnBroker, port: u16, format: &[&str]) -> Self {
        let brokers = format!("127.0.0.1:{port}");
        own.format(&cluster_id(), format).await;
        own.start(&brokers).await;
        Self {
            brokers,
            own: Some(own),
        }
    }

    /// The version of the broker's jars, which their folder names.
    pub(crate) async fn version() -> String {
        let jars = jars().await;
        let folder = jars.parent().and_then(Path::file_name);
        let version = folder.and_then(|name| name.to_str()?.strip_prefix("kafka-"));
        version.expect("the folder is kafka-VERSION").to_owned()
    }

    /// The address that clients begin with.
    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A client's configuration that names this broker and nothing else.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Stops the broker as an operator does.
    pub(crate) async fn stop(&mut self) {
        self.own_mut().end(Signal::TERM).await;
    }

    /// Ends the broker as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.own_mut().end(Signal::KILL).await;
    }

    /// Starts the broker again, on the same port, with the same records.
    pub(crate) async fn start(&mut self) {
        let brokers = self.brokers.clone();
        self.own_mut().start(&brokers).await;
    }

    /// Stops the broker's clock: connections stay open and nothing answers.
    pub(crate) fn freeze(&mut self) {
        self.own_mut().running().signal(Signal::STOP);
    }

    /// Ends a freeze.
    pub(crate) fn thaw(&mut self) {
        self.own_mut().running().signal(Signal::CONT);
    }

    fn own_mut(&mut self) -> &mut OwnBroker {
        self.own
            .as_mut()
            .expect("only a private broker is handed out to be stopped")
    }
}

impl OwnBroker {
    /// Makes the folder of a new broker.
    pub(super) async fn create(
        port: u16,
        settings: &[(&str, &str)],
        listener: Option<Listener<'_>>,
    ) -> Self {
        let folder = process::folder("kafka");
        let controller = process::free_port();
        let (listens, advertises) = listener.map_or_else(Default::default, |listener| {
            let Listener {
                listens,
                advertises,
            } = listener;
            (format!(",{listens}"), format!(",{advertises}"))
        });
        let place = format!(
            "controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listens}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertises}\n\
             log.dirs={}\n",
            folder.join("records").display()
        );
        let mut properties = format!("{SETTINGS}{place}");
        for (name, value) in settings {
            // Of two lines with one name the later holds.
            properties.push_str(&[name, "=", value, "\n"].concat());
        }
        fs::write(folder.join("server.properties"), properties)
            .expect("the work folder takes files");
        fs::write(folder.join("log4j2.properties"), LOGGING).expect("the work folder takes files");
        Self {
            jars: jars().await,
            folder,
            machine: QUICK,
            process: None,
        }
    }

    /// Gives the broker's folder a cluster id, as a broker asks before its first start.
    pub(super) async fn format(&self, cluster_id: &str, arguments: &[&str]) {
        let mut command = self.java("kafka.tools.StorageTool");
        command
            .arg("format")
            .arg(format!("--cluster-id={cluster_id}"))
            .args(["-c", "server.properties"])
            .args(arguments);
        let mut format = Process::start_logged(command, &self.log());
        let code = format.ended("kafka's format", BROKER_WITHIN).await;
        assert_eq!(code, 0, "kafka's format:\n{}", process::tail(&self.log()));
    }

    /// Starts the broker and waits until it knows its cluster.
    pub(super) async fn start(&mut self, brokers: &str) {
        assert!(self.process.is_none(), "the broker is running");
        let mut command = self.java("kafka.Kafka");
        command.arg("server.properties");
        let log = self.log();
        let process = self.process.insert(Process::start_logged(command, &log));
        eventually("an answer of Apache Kafka", BROKER_WITHIN, async || {
            if let Some(code) = process.exit_code() {
                panic!("kafka ended with {code}:\n{}", process::tail(&log));
            }
            match answers(brokers.to_owned()).await {
                Ok(0) => Err(format!("no broker; its log:\n{}", process::tail(&log))),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error}; its log:\n{}", process::tail(&log))),
            }
        })
        .await;
    }

    pub(super) async fn end(&mut self, signal: Signal) {
        let mut process = self.process.take().expect("the broker is running");
        process.signal(signal);
        process.ended("Apache Kafka", BROKER_WITHIN).await;
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the broker is running")
    }

    fn java(&self, class: &str) -> Command {
        let mut command = process::mortal("KILL", None, Path::new("java"));
        command
            .current_dir(&self.folder)
            .args(self.machine)
            .arg("-Dlog4j2.configurationFile=file:log4j2.properties")
            .arg(format!("-Djava.io.tmpdir={}", self.folder.display()))
            .arg("-cp")
            .arg(self.jars.join("*"))
            .arg(class);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        drop(self.process.take());
        let _swept_later = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of Apache Kafka's jars, which the script knows, and fetches where they are missing.
async fn jars() -> PathBuf {
    process::printed_by("scripts/kafka-jars").await
}

/// A new cluster's identity: 16 bytes in URL-safe base64, and 21 hexadecimal digits and an A are.
pub(super) fn cluster_id() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}A", &random[..21])
}

/// How many brokers a cluster says it has.
async fn answers(brokers: String) -> Result<usize, KafkaError> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let metadata = spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(None, ANSWER_WITHIN)?;
        Ok(metadata.brokers().len())
    });
    metadata.await.expect("asking for metadata does not panic")
}
