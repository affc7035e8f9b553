//! The start: waits for the database, its tables and Kafka, and checks that all agree.
//!
//! Owns what happens before the first lane is claimed. A dependency that is away is waited for and
//! told about once, then at intervals; a disagreement ends the relay before it has done anything.
//!
//! Invariant: nothing is written but the first record of which cluster the outbox feeds, and what is
//! waited for, so that `status` can tell; and nothing is made in Kafka but declared topics.

use std::time::Duration;

use rdkafka::ClientConfig;
use tokio::sync::watch;

use super::health::Repeat;
use super::{Options, Plan, RelayError, topics};
use crate::kafka::admin::Admin;
use crate::kafka::properties::client_config;
use crate::outbox::columns;
use crate::outbox::error::OutboxError;
use crate::outbox::identity::{self, Identity};
use crate::outbox::names::Names;
use crate::outbox::session::{Purpose, Session};
use crate::process::clock;
use crate::process::settings::Settings;
use crate::readiness::Readiness;

/// Between two tries while a dependency is away.
const PAUSE: Duration = Duration::from_millis(500);
/// The brokers get this long to answer a look.
const KAFKA_PATIENCE: Duration = Duration::from_secs(5);

/// Waits until everything is there and agrees.
pub(super) async fn wait_for_dependencies(
    plan: &mut Plan,
    admin: &Admin,
    options: Options,
    probes: &watch::Sender<Readiness>,
) -> Result<(), RelayError> {
    let mut session = plan.session(Purpose::Keep);
    let agreed = wait_for_tables(plan, &mut session, probes).await;
    agreed.check_versions()?;
    plan.names = wait_for_columns(plan, &mut session, probes).await?;
    warn_of_routing(plan, &agreed);
    let cluster_id = wait_for_kafka(plan, admin, &mut session, probes).await;
    if !options.adopt_kafka_cluster {
        agreed.check_cluster(&cluster_id)?;
    }
    record(plan, &mut session, (&cluster_id, options), probes).await;
    topics::create_missing(&plan.settings, admin, &mut session, &plan.names).await;
    session.close().await;
    tracing::info!(
        relay = plan.member.name,
        version = plan.member.version,
        outbox = plan.names.outbox(),
        lanes = agreed.lanes,
        kafka.cluster = cluster_id,
        "relay started"
    );
    tell_routes(plan);
    Ok(())
}

/// The client's properties that settings make.
pub(crate) fn kafka_config(settings: &Settings) -> ClientConfig {
    let kafka = &settings.kafka;
    let properties = kafka
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()))
        .collect();
    client_config(
        &kafka.brokers,
        kafka.message_timeout_ms,
        &properties,
        settings.relay.window_rows,
    )
}

async fn wait_for_tables(
    plan: &Plan,
    session: &mut Session,
    probes: &watch::Sender<Readiness>,
) -> Identity {
    let mut repeat = Repeat::default();
    loop {
        match Identity::read(session, &plan.names).await {
            Ok(identity) => return identity,
            Err(error) => wait(&mut repeat, probes, &database_reason(plan, &error)).await,
        }
    }
}

/// The names, with the columns as they are. That some cannot be served is no matter of waiting.
async fn wait_for_columns(
    plan: &Plan,
    session: &mut Session,
    probes: &watch::Sender<Readiness>,
) -> Result<Names, OutboxError> {
    let mut repeat = Repeat::default();
    loop {
        match columns::look(session, &plan.settings.database).await {
            Err(error) if !matches!(error, OutboxError::Columns(_)) => {
                wait(&mut repeat, probes, &database_reason(plan, &error)).await;
            }
            looked => return looked,
        }
    }
}

fn database_reason(plan: &Plan, error: &OutboxError) -> String {
    format!("database: {}", error.told_with_cure(&plan.names))
}

async fn wait_for_kafka(
    plan: &Plan,
    admin: &Admin,
    session: &mut Session,
    probes: &watch::Sender<Readiness>,
) -> String {
    let mut repeat = Repeat::default();
    let leases = plan.leases();
    loop {
        match admin.cluster_id(KAFKA_PATIENCE).await {
            Ok(cluster_id) => return cluster_id,
            Err(error) => wait(&mut repeat, probes, &format!("kafka: {error}")).await,
        }
        let readiness = probes.borrow().clone();
        if let Err(error) = leases.announce(session, &readiness).await {
            tracing::debug!(%error, "what is waited for was not written");
        }
    }
}

async fn record(
    plan: &Plan,
    session: &mut Session,
    (cluster_id, options): (&str, Options),
    probes: &watch::Sender<Readiness>,
) {
    let mut repeat = Repeat::default();
    let adopt = options.adopt_kafka_cluster;
    loop {
        let recorded = async {
            identity::record_cluster(session, &plan.names, cluster_id, adopt).await?;
            identity::record_routing(session, &plan.names, &plan.member.routing).await
        };
        match recorded.await {
            Ok(()) => return,
            Err(error) => wait(&mut repeat, probes, &database_reason(plan, &error)).await,
        }
    }
}

fn warn_of_routing(plan: &Plan, agreed: &Identity) {
    if let Some(routing) = &agreed.routing
        && *routing != plan.member.routing
    {
        tracing::warn!(
            recorded = routing,
            ours = plan.member.routing,
            "another relay of this outbox routes differently: events may change topics half-way"
        );
    }
}

/// Says of each route what it does to the order of an aggregate's events.
fn tell_routes(plan: &Plan) {
    for (name, route) in plan.routes.all() {
        let key = route.form.key.as_ref().map_or("", |key| key.text());
        let (topic, order) = (route.topic(), route.about_order());
        tracing::info!(route = name, %topic, key, "{order}");
    }
}

/// Says what is waited for, to the probes always and to the log at intervals, and pauses.
async fn wait(repeat: &mut Repeat, probes: &watch::Sender<Readiness>, reason: &str) {
    if repeat.is_due(clock::boot_ms()) {
        tracing::warn!("waiting: {reason}");
    }
    probes.send_replace(Readiness {
        starting: true,
        reasons: vec![reason.to_owned()],
        ..Readiness::default()
    });
    tokio::time::sleep(PAUSE).await;
}
