//! The world of `dev` with a relay in it: what comes up after what, and what goes down first.
//!
//! Owns the parts while they run, and hears what they tell. Judges nothing.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{interval, timeout};

use super::outbox;
use crate::command::{Exit, Refusal, say};
use crate::dev::audience::Audience;
use crate::dev::kafka::Cluster;
use crate::dev::postgres::Server;
use crate::dev::service::{Service, TOPICS};
use crate::dev::story::{Story, Summary};
use crate::dev::{DevError, News, lines, table};
use crate::outbox::error::OutboxError;
use crate::outbox::migration;
use crate::outbox::names::Names;
use crate::outbox::session::{Access, Purpose, Session};
use crate::process::metrics::Metrics;
use crate::process::settings::{Settings, environment};
use crate::process::shutdown::Shutdown;
use crate::process::telemetry;
use crate::readiness::Readiness;
use crate::relay::{self, Ended, Options, RelayError};

/// The relay gets this long to be ready, and what was committed this long to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the outbox is looked at for topics that nobody has made yet.
const TOPICS_EVERY: Duration = Duration::from_millis(200);

impl From<DevError> for Refusal {
    fn from(error: DevError) -> Self {
        Self::new(Exit::Unavailable, &error)
    }
}

impl From<OutboxError> for Refusal {
    fn from(error: OutboxError) -> Self {
        Self::new(Exit::Unavailable, &error)
    }
}

/// A relay that runs in this process.
#[derive(Debug)]
struct Relay {
    stop: Shutdown,
    readiness: watch::Receiver<Readiness>,
    task: JoinHandle<Result<Option<Ended>, RelayError>>,
}

impl Relay {
    fn start(settings: Settings) -> Self {
        let stop = Shutdown::default();
        let (probes, readiness) = watch::channel(Readiness::default());
        let asked = stop.clone();
        let options = Options::default();
        let metrics = Metrics::new("");
        let run = async move { relay::run(&settings, options, asked, probes, metrics).await };
        Self {
            stop,
            readiness,
            task: tokio::spawn(run),
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct World {
    relay: Relay,
    audience: Audience,
    session: Session,
    access: Access,
    names: Names,
    route: String,
    news_in: UnboundedSender<News>,
    news: UnboundedReceiver<News>,
    cluster: Cluster,
    server: Server,
    kept: bool,
}

impl World {
    /// Brings everything up but the sample service. To be dropped half-way is safe.
    pub(super) async fn bring_up(kept: bool) -> Result<Self, Refusal> {
        let server = Server::start(kept).await?;
        let mut cluster = Cluster::start()?;
        for topic in TOPICS {
            cluster.make_topic(topic)?;
        }
        let settings = settings(&server.url(), &cluster.brokers())?;
        telemetry::init(&settings.log);
        let (access, names) = outbox(&settings)?;
        let mut session = Session::new(&access, Purpose::Command);
        migration::apply(&mut session, &names, None).await?;
        let (news_in, news) = unbounded_channel();
        let audience = Audience::start(&cluster.brokers(), news_in.clone())?;
        Ok(Self {
            route: settings.route.topic.clone(),
            relay: Relay::start(settings),
            audience,
            session,
            access,
            names,
            news_in,
            news,
            cluster,
            server,
            kept,
        })
    }

    /// What there is, and how to take part in it.
    pub(super) fn introduction(&self) -> String {
        let (url, brokers) = (self.server.url(), self.cluster.brokers());
        let [topic, _] = TOPICS;
        format!(
            "PostgreSQL  in {folder}\n  \
               psql '{url}'\n  \
               INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)\n    \
                 VALUES ('order', 'A-1', 'OrderPlaced', '{{\"product\": \"apple\"}}');\n\
             Kafka       in this process\n  \
               kcat -C -b {brokers} -t {topic} -f '%p %o %k %h %s\\n'\n\
             Ctrl-C ends it all.\n\
             \n{heading}",
            folder = self.server.folder().display(),
            heading = lines::heading(),
        )
    }

    /// Waits until the relay delivers.
    pub(super) async fn ready(&mut self) -> Result<(), Refusal> {
        let Relay {
            readiness, task, ..
        } = &mut self.relay;
        let ready = tokio::select! {
            ready = timeout(PATIENCE, readiness.wait_for(|told| told.ready)) => {
                matches!(ready, Ok(Ok(_)))
            }
            ended = task => return Err(why(ended)),
        };
        let reasons = self.relay.readiness.borrow().reasons.join("; ");
        ready.then_some(()).ok_or_else(|| Refusal {
            exit: Exit::Unavailable,
            text: format!("the relay is not ready: {reasons}"),
        })
    }

    /// Starts the sample service.
    pub(super) fn open_shop(&self) -> Service {
        Service::start(&self.access, &self.names, &self.news_in)
    }

    /// Tells what arrives, and makes topics that are missing. Returns only if something ends that
    /// should not.
    pub(super) async fn follow(&mut self, story: &mut Story) -> Refusal {
        let mut ticks = interval(TOPICS_EVERY);
        loop {
            tokio::select! {
                Some(news) = self.news.recv() => hear(story, news),
                _ = ticks.tick() => self.make_topics().await,
                ended = &mut self.relay.task => return why(ended),
                error = self.server.ended() => return error.into(),
            }
        }
    }

    /// Makes the topics of rows that wait, as an operator would.
    async fn make_topics(&mut self) {
        let topics = table::topics(&mut self.session, &self.names, &self.route).await;
        for topic in topics.unwrap_or_default() {
            if let Err(error) = self.cluster.make_topic(&topic) {
                tracing::warn!(topic, %error, "a topic could not be made");
            }
        }
    }

    /// Waits for what was committed, and takes everything down in order.
    pub(super) async fn take_down(mut self, mut story: Story) -> Result<Summary, Refusal> {
        if timeout(PATIENCE, self.completed(&mut story)).await.is_err() {
            tracing::warn!("not everything has arrived in time");
        }
        self.relay.stop.request();
        if !matches!(self.relay.task.await, Ok(Ok(Some(Ended::Drained)))) {
            tracing::warn!("the relay did not end cleanly");
        }
        self.audience.finish().await;
        while let Ok(news) = self.news.try_recv() {
            hear(&mut story, news);
        }
        let unpublished = table::unpublished(&mut self.session, &self.names).await?;
        self.session.close().await;
        let folder = self.server.folder().to_owned();
        self.server.stop().await;
        if self.kept {
            say(&format!(
                "\nthe database's folder is kept: {}",
                folder.display()
            ));
        }
        Ok(story.judge(&unpublished))
    }

    /// Hears news until every event that was committed has arrived.
    async fn completed(&mut self, story: &mut Story) {
        loop {
            while let Ok(news) = self.news.try_recv() {
                hear(story, news);
            }
            if story.is_complete() {
                return;
            }
            if let Some(news) = self.news.recv().await {
                hear(story, news);
            }
        }
    }
}

/// Takes news into the story, and prints what arrived.
fn hear(story: &mut Story, news: News) {
    match news {
        News::Written { events, at } => {
            for (id, aggregate) in events {
                story.written(id, aggregate, at);
            }
        }
        News::Ended { ids, fate } => story.ended(&ids, fate),
        News::Arrived(arrival) => {
            let delay = story.arrived(arrival.id, arrival.at);
            say(&lines::arrival(&arrival, delay));
        }
    }
}

/// Why the relay ended that nobody had asked to.
fn why(ended: Result<Result<Option<Ended>, RelayError>, JoinError>) -> Refusal {
    match ended {
        Ok(Err(error)) => Refusal::new(Exit::Unavailable, &error),
        Ok(Ok(_)) => Refusal {
            exit: Exit::Bug,
            text: "the relay ended by itself".to_owned(),
        },
        Err(error) => Refusal::new(Exit::Bug, &error),
    }
}

/// The defaults, but for where everything is. Of the environment only `RUST_LOG` counts: settings
/// for another relay must not lead this one to another database.
fn settings(url: &str, brokers: &str) -> Result<Settings, Refusal> {
    let ours = [
        ("OUTBOX_RELAY__DATABASE__URL", url),
        ("OUTBOX_RELAY__KAFKA__BROKERS", brokers),
        ("OUTBOX_RELAY__RELAY__NAME", "dev"),
        ("OUTBOX_RELAY__LOG__FORMAT", "human"),
        ("OUTBOX_RELAY__LOG__LEVEL", "warn"),
    ];
    let ours = ours.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let log = environment().filter(|(name, _)| name == "RUST_LOG");
    Ok(Settings::load(None, ours.into_iter().chain(log))?)
}
