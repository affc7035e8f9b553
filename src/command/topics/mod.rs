//! `topics`: what differs between the topics as they are declared and as they are, and mending it.
//!
//! Owns what its verbs share: the way to the cluster, and how a plan is told. What differs is
//! judged in `decide::declared`; each verb is one file.

mod apply;
mod plan;

use std::path::Path;

use super::{Done, Exit, Refusal, access, settings, tell};
use crate::decide::declared::plan::{Change, Difference, Plan, Step};
use crate::kafka::KafkaError;
use crate::kafka::admin::Admin;
use crate::kafka::topics::Topics;
use crate::outbox::columns;
use crate::outbox::names::Names;
use crate::outbox::session::{Purpose, Session};
use crate::outbox::survey::Kind;
use crate::process::settings::Settings;
use crate::relay::{kafka_config, topics};

/// Compare the topics with their declarations in the settings, or make them so
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  outbox-relay topics plan --config relay.toml
  outbox-relay topics apply --config relay.toml

Topics are declared in the settings:
  [[topics.declare]]
  name = \"*.dlq\"
  config = { \"retention.ms\" = 2592000000 }

  [[topics.declare]]
  name = \"order-events\"
  partitions = 6
  replication_factor = 3
  config = { \"retention.ms\" = 604800000, \"min.insync.replicas\" = 2 }

The first declaration that matches a topic counts. A name is made where it is missing. A pattern is
about every topic of the cluster that it matches, and makes those that this relay would use: of the
route, of the events in the outbox, and of the dead letters of these and of declared names.
Settings that are not named are left as they are. Nothing is ever deleted or made smaller.")]
pub(super) struct Declared {
    #[command(subcommand)]
    verb: Verb,
}

/// What can be done about declared topics.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    Plan(plan::Show),
    Apply(apply::Apply),
}

impl Declared {
    /// Does what was asked.
    pub(super) async fn run(&self, file: Option<&Path>) -> Done {
        let desk = Desk::open(file).await?;
        match &self.verb {
            Verb::Plan(verb) => verb.run(&desk).await,
            Verb::Apply(verb) => verb.run(&desk).await,
        }
    }
}

/// What a verb works with.
#[derive(Debug)]
struct Desk {
    settings: Settings,
    topics: Topics,
    kinds: Vec<Kind>,
}

impl Desk {
    async fn open(file: Option<&Path>) -> Result<Self, Refusal> {
        let settings = settings(file)?;
        if settings.topics.declare.is_empty() {
            return Err(Refusal {
                exit: Exit::Usage,
                text: "no topic is declared: see `outbox-relay topics --help`".to_owned(),
            });
        }
        let admin = Admin::start(&kafka_config(&settings)).map_err(|error| away(&error))?;
        let topics = Topics::start(&admin).map_err(|error| away(&error))?;
        let kinds = kinds(&settings).await?;
        Ok(Self {
            settings,
            topics,
            kinds,
        })
    }

    async fn plan(&self, adds_partitions: bool) -> Result<Plan, Refusal> {
        let plan = topics::plan(&self.topics, &self.settings, &self.kinds, adds_partitions);
        plan.await.map_err(|error| away(&error))
    }
}

/// The kinds of events in the outbox. Where that cannot be asked, the other topics are still worth a
/// plan: one that makes topics before there is a database, for example.
async fn kinds(settings: &Settings) -> Result<Vec<Kind>, Refusal> {
    let names = Names::new(&settings.database.schema, &settings.database.table);
    let mut session = Session::new(&access(settings, "topics")?, Purpose::Look);
    let kinds = match columns::look(&mut session, &settings.database).await {
        Ok(names) => topics::kinds(settings, &mut session, &names).await,
        Err(error) => Err(error),
    };
    session.close().await;
    Ok(kinds.unwrap_or_else(|error| {
        let error = error.told_with_cure(&names);
        tell(&format!(
            "topics of events in the outbox are left out: {error}"
        ));
        Vec::new()
    }))
}

/// The cluster did not answer, or refused the whole question.
fn away(error: &KafkaError) -> Refusal {
    let exit = match error {
        KafkaError::Property { .. } => Exit::Usage,
        KafkaError::Client { .. } | KafkaError::Unreachable { .. } | KafkaError::Refused(_) => {
            Exit::Unavailable
        }
    };
    Refusal::new(exit, error)
}

/// One step as a line: what is made, and what is changed.
fn line(step: &Step) -> String {
    let Step { topic, change } = step;
    let sign = match change {
        Change::Create(_) => '+',
        Change::Alter(_) | Change::AddPartitions { .. } => '~',
    };
    format!("{sign} {topic}  {change}")
}

/// What only an operator can decide, as lines.
fn lines_of(differences: &[Difference]) -> impl Iterator<Item = String> {
    let line = |one: &Difference| format!("! {}  {} — {}", one.topic, one.text, one.cure);
    differences.iter().map(line)
}
