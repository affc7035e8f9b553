//! The looks of a check-up, one after another.
//!
//! Owns their order. What a finding means is decided in [`checkup`]; changes nothing anywhere.
//!
//! Invariant: no look hides another: what cannot be looked at is a finding too.

mod declared;
mod objects;
mod others;
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::decide::checkup::topics::{self, Demand};
use crate::decide::checkup::{self, Finding, Grade};
use crate::decide::dead::{LetterTopic, OnDead};
use crate::kafka::KafkaError;
use crate::kafka::admin::{Admin, Topic};
use crate::outbox::columns;
use crate::outbox::error::OutboxError;
use crate::outbox::identity::Identity;
use crate::outbox::names::Names;
use crate::outbox::session::{Access, Purpose, Session};
use crate::outbox::survey::{self, Kind};
use crate::process::settings::{Settings, warnings};
use crate::relay::kafka_config;

/// The brokers get this long for each answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// More topics than this are not asked about one by one.
const TOPICS_MAX: usize = 200;

/// Looks at everything.
pub(super) async fn look(settings: Settings, access: &Access) -> Vec<Finding> {
    let mut look = Look {
        names: Names::new(&settings.database.schema, &settings.database.table),
        session: Session::new(access, Purpose::Look),
        settings,
        findings: Vec::new(),
    };
    look.at_settings();
    let seen = look.at_database().await;
    look.at_schemas(seen.kinds.as_deref().unwrap_or_default())
        .await;
    look.at_objects().await;
    look.at_kafka(seen).await;
    look.session.close().await;
    look.findings
}

/// What was seen in the database that matters for Kafka.
#[derive(Default)]
struct Seen {
    identity: Option<Identity>,
    kinds: Option<Vec<Kind>>,
}

/// A check-up under way.
pub(super) struct Look {
    pub(super) settings: Settings,
    pub(super) names: Names,
    pub(super) session: Session,
    pub(super) findings: Vec<Finding>,
}

impl Look {
    fn at_settings(&mut self) {
        let warnings = warnings(&self.settings);
        if warnings.is_empty() {
            let found = Finding::fine("settings", "complete, and safe as far as they tell");
            self.findings.push(found);
        }
        let doubtful = |warning| Finding::told("settings", Grade::Doubtful, warning);
        self.findings.extend(warnings.into_iter().map(doubtful));
    }

    async fn at_database(&mut self) -> Seen {
        if !self.at_server().await {
            return Seen::default();
        }
        let identity = self.at_tables().await;
        let stores = self.settings.claim_check_over_bytes().is_some();
        let work = (self.settings.relay.after_publish, stores);
        let rights = survey::rights(&mut self.session, &self.names, work).await;
        let found = match rights {
            Ok(rights) => checkup::rights(&rights.role, &rights.missing),
            Err(error) => self.database_failed("rights", &error),
        };
        self.findings.push(found);
        if identity.is_none() || !self.at_columns().await {
            return Seen::default();
        }
        self.at_sequence().await;
        self.at_others().await;
        let kinds = survey::kinds(&mut self.session, &self.names).await;
        if let Err(error) = &kinds {
            let found = self.database_failed("topics", error);
            self.findings.push(found);
        }
        Seen {
            identity,
            kinds: kinds.ok(),
        }
    }

    /// Looks at the server; false if it does not let us in.
    async fn at_server(&mut self) -> bool {
        // The first look connects; the second is as quick as the comparison of clocks wants it.
        let connected = survey::server(&mut self.session).await.map(drop);
        let before_ms = wall_ms();
        let server = match connected {
            Ok(()) => survey::server(&mut self.session).await,
            Err(error) => Err(error),
        };
        let after_ms = wall_ms();
        match server {
            Ok(server) => {
                let unsure_ms = (after_ms - before_ms) / 2 + 1;
                let ahead_ms = server.clock_ms - i64::midpoint(before_ms, after_ms);
                self.findings.extend([
                    checkup::server(server.version_num, &server.version, server.read_only),
                    checkup::clock(ahead_ms, unsure_ms),
                ]);
                true
            }
            Err(error) => {
                self.findings.push(server_failed(&error));
                false
            }
        }
    }

    async fn at_tables(&mut self) -> Option<Identity> {
        let identity = match Identity::read(&mut self.session, &self.names).await {
            Ok(identity) => identity,
            Err(error) => {
                let found = self.database_failed("tables", &error);
                self.findings.push(found);
                return None;
            }
        };
        self.findings.push(match identity.check_versions() {
            Ok(()) => Finding::fine(
                "tables",
                format!(
                    "{} at version {}, protocol {}, {} lanes",
                    self.names.outbox(),
                    identity.schema,
                    identity.protocol,
                    identity.lanes
                ),
            ),
            Err(mismatch) => Finding::told("tables", Grade::Wrong, mismatch.to_string()),
        });
        Some(identity)
    }

    /// Looks at the columns; false if they cannot be served.
    async fn at_columns(&mut self) -> bool {
        match columns::look(&mut self.session, &self.settings.database).await {
            Ok(names) => {
                let found = Finding::fine("columns", names.about_columns());
                self.findings.push(found);
                self.names = names;
                true
            }
            Err(OutboxError::Columns(problems)) => {
                let wrong = |problem| Finding::told("columns", Grade::Wrong, problem);
                self.findings.extend(problems.into_iter().map(wrong));
                false
            }
            Err(error) => {
                let found = self.database_failed("columns", &error);
                self.findings.push(found);
                false
            }
        }
    }

    async fn at_sequence(&mut self) {
        let found = match survey::sequence(&mut self.session, &self.names).await {
            Ok(Some(sequence)) => checkup::sequence(
                sequence.generated_always,
                sequence.cache,
                sequence.increment,
            ),
            Ok(None) => checkup::sequence(false, 1, 1),
            Err(error) => self.database_failed("sequence", &error),
        };
        self.findings.push(found);
    }

    /// What a failed statement means: the server is away, or it refused.
    pub(super) fn database_failed(&self, about: &'static str, error: &OutboxError) -> Finding {
        if error.code().is_none() {
            return Finding::away(about, error.to_string(), "see that the server runs");
        }
        let cure = error.cure().unwrap_or("see the server's log");
        Finding::wrong(about, error.told(&self.names), cure)
    }

    async fn at_kafka(&mut self, seen: Seen) {
        let admin = match Admin::start(&kafka_config(&self.settings)) {
            Ok(admin) => admin,
            Err(error) => {
                self.kafka_failed("kafka", &error);
                return;
            }
        };
        let cluster_id = match admin.cluster_id(PATIENCE).await {
            Ok(cluster_id) => cluster_id,
            Err(error) => {
                self.kafka_failed("kafka", &error);
                return;
            }
        };
        let agreed = seen
            .identity
            .map_or(Ok(()), |identity| identity.check_cluster(&cluster_id));
        self.findings.push(match agreed {
            Ok(()) => Finding::fine("kafka", format!("cluster {cluster_id}")),
            Err(mismatch) => Finding::told("kafka", Grade::Wrong, mismatch.to_string()),
        });
        let kinds = seen.kinds.unwrap_or_default();
        let wanted = self.wanted_topics(&kinds).await;
        let missing = self.at_declared(&admin, &kinds, &wanted).await;
        self.at_topics(&admin, wanted, &missing).await;
    }

    /// Looks at the topics that events go to; those that are known to be missing are told already.
    async fn at_topics(
        &mut self,
        admin: &Admin,
        wanted: BTreeMap<String, Option<f64>>,
        missing: &BTreeSet<String>,
    ) {
        if wanted.is_empty() {
            let template = &self.settings.route.topic;
            let text = format!("no event yet that makes a topic of {template}");
            self.findings.push(Finding::fine("topics", text));
            return;
        }
        let mut present = Vec::new();
        let names = wanted.keys().filter(|name| !missing.contains(*name));
        for name in names.take(TOPICS_MAX) {
            match admin.topic(name, PATIENCE).await {
                Ok(Topic::Present { partitions, .. }) => present.push((name.clone(), partitions)),
                Ok(Topic::Missing) => self.findings.push(topics::missing(name)),
                Ok(Topic::Denied) => self.findings.push(topics::denied(name)),
                Err(error) => self.kafka_failed("topics", &error),
            }
        }
        if present.is_empty() {
            return;
        }
        self.findings.push(topics::present(&present));
        self.at_letter_topics(admin, &present, missing).await;
        let names = present.into_iter().map(|(name, _)| name).collect();
        match admin.topic_settings(names, PATIENCE).await {
            Ok(all) => {
                let record_bytes_max = self.settings.record_bytes_max();
                self.findings
                    .extend(all.iter().flat_map(|(name, settings)| {
                        let demand = Demand {
                            oldest_seconds: wanted.get(name).copied().flatten(),
                            record_bytes_max,
                        };
                        topics::settings(name, settings, demand)
                    }));
            }
            Err(error) => self.findings.push(Finding::doubtful(
                "topics",
                format!("their settings are not to be seen: {error}"),
                "grant the relay's principal DESCRIBE_CONFIGS on them, if you want them checked",
            )),
        }
    }

    /// The topics of dead letters need not be there before there is one: until then nobody waits.
    async fn at_letter_topics(
        &mut self,
        admin: &Admin,
        present: &[(String, usize)],
        missing: &BTreeSet<String>,
    ) {
        let failure = &self.settings.failure;
        let template = LetterTopic::parse(&failure.dead_letter_topic).ok();
        let template = template.filter(|_| failure.on_dead == OnDead::DeadLetter);
        let names = present
            .iter()
            .filter_map(|(name, _)| template.as_ref()?.of(name))
            .filter(|name| !missing.contains(&**name));
        for name in names.collect::<BTreeSet<_>>() {
            match admin.topic(&name, PATIENCE).await {
                Ok(Topic::Present { .. }) => {}
                Ok(Topic::Missing | Topic::Denied) => {
                    self.findings.push(topics::no_letters(&name));
                }
                Err(error) => self.kafka_failed("topics", &error),
            }
        }
    }

    fn kafka_failed(&mut self, about: &'static str, error: &KafkaError) {
        self.findings.push(match error {
            KafkaError::Property { .. } | KafkaError::Client { .. } => {
                Finding::wrong(about, error.to_string(), "correct kafka.properties")
            }
            KafkaError::Unreachable { .. } => Finding::away(
                about,
                error.to_string(),
                "see that the brokers run, that kafka.brokers leads to them and that their \
                 advertised listeners can be reached from here",
            ),
            KafkaError::Refused(_) => Finding::wrong(
                about,
                error.to_string(),
                "see the credentials in kafka.properties and their ACLs",
            ),
        });
    }
}

/// Why there is no session to look with.
fn server_failed(error: &OutboxError) -> Finding {
    if let (OutboxError::Pooled, Some(cure)) = (error, error.cure()) {
        return Finding::wrong("database", error.to_string(), cure);
    }
    let cure = "see that the server runs, and that database.url leads to it with the right user \
                and password";
    Finding::away("database", error.to_string(), cure)
}

/// This machine's clock, in milliseconds since 1970.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
