//! Declared topics: which ones concern a relay, what is to be done about them, and making them
//! before a start where that is wanted.
//!
//! Owns the way from settings and waiting events to a plan. What differs is judged in
//! `decide::declared`.
//!
//! Invariant: a relay that starts makes topics and never changes one; that it cannot is no reason
//! not to run, because events for a missing topic wait.

use std::collections::BTreeSet;

use crate::decide::dead::{LetterTopic, OnDead};
use crate::decide::declared::plan::{Change, Plan, Step};
use crate::decide::declared::{self, Declaration};
use crate::kafka::KafkaError;
use crate::kafka::admin::Admin;
use crate::kafka::topics::Topics;
use crate::outbox::error::OutboxError;
use crate::outbox::names::Names;
use crate::outbox::session::Session;
use crate::outbox::survey::{self, Kind};
use crate::process::settings::Settings;

/// What is to be done so that the topics are as they are declared.
pub(crate) async fn plan(
    topics: &Topics,
    settings: &Settings,
    kinds: &[Kind],
    adds_partitions: bool,
) -> Result<Plan, KafkaError> {
    let declarations = &settings.topics.declare;
    let mut known = used(settings, kinds);
    if has_patterns(declarations) {
        known.extend(topics.names().await?);
    }
    let names = declared::names(declarations, known.iter().map(String::as_str));
    let seen = topics.see(names).await?;
    Ok(Plan::new(declarations, &seen, adds_partitions))
}

/// The kinds of events that decide which topics patterns are about; none where there is no pattern.
pub(crate) async fn kinds(
    settings: &Settings,
    session: &mut Session,
    names: &Names,
) -> Result<Vec<Kind>, OutboxError> {
    if has_patterns(&settings.topics.declare) {
        survey::kinds(session, names).await
    } else {
        Ok(Vec::new())
    }
}

fn has_patterns(declarations: &[Declaration]) -> bool {
    declarations.iter().any(Declaration::is_pattern)
}

/// The topics that a relay would use: those of routes with one name, those of events, those that
/// are declared by name, and where the dead letters of all of these go.
fn used(settings: &Settings, kinds: &[Kind]) -> BTreeSet<String> {
    let declared = settings.topics.declare.iter();
    let named = declared.filter(|one| !one.is_pattern());
    let mut used: BTreeSet<String> = named.map(|one| one.name.clone()).collect();
    used.extend(of_events(settings, kinds));
    let failure = &settings.failure;
    let letters = LetterTopic::parse(&failure.dead_letter_topic).ok();
    if let Some(letters) = letters.filter(|_| failure.on_dead == OnDead::DeadLetter) {
        let meant = used.iter().filter(|topic| !letters.is_one(topic));
        let dead: Vec<_> = meant.filter_map(|topic| letters.of(topic)).collect();
        used.extend(dead.iter().map(ToString::to_string));
    }
    used
}

/// The topics of routes with one name, and of kinds of events as far as those decide.
fn of_events(settings: &Settings, kinds: &[Kind]) -> BTreeSet<String> {
    let mut routes = settings.routes();
    let mut topics: BTreeSet<String> = routes.fixed_topics().map(str::to_owned).collect();
    topics.extend(kinds.iter().filter_map(|kind| {
        let event = kind.event();
        routes.name_by_kind(&event)?;
        let (_, topic) = routes.route(&event);
        Some(topic.ok()?.as_ref().to_owned())
    }));
    topics
}

/// Makes the declared topics that are missing, where the settings want that.
pub(super) async fn create_missing(
    settings: &Settings,
    admin: &Admin,
    session: &mut Session,
    names: &Names,
) {
    if !settings.topics.create_on_start || settings.topics.declare.is_empty() {
        return;
    }
    let kinds = kinds(settings, session, names).await;
    let kinds = kinds.unwrap_or_else(|error| {
        let error = error.told_with_cure(names);
        tracing::warn!("the topics of waiting events are not made: {error}");
        Vec::new()
    });
    let planned = async {
        let topics = Topics::start(admin)?;
        let plan = plan(&topics, settings, &kinds, false).await?;
        Ok::<_, KafkaError>((topics, plan))
    };
    match planned.await {
        Ok((topics, plan)) => {
            for Step { topic, change } in &plan.steps {
                if matches!(change, Change::Create(_)) && create(&topics, topic, change).await {
                    return;
                }
            }
        }
        Err(error) => tracing::warn!("no declared topic is made: {error}"),
    }
}

/// Makes one topic; true if nobody answers, so that asking for others is in vain.
async fn create(topics: &Topics, topic: &str, change: &Change) -> bool {
    let Err(error) = topics.carry_out(topic, change).await else {
        tracing::info!(topic, "declared topic made: {change}");
        return false;
    };
    let cure = error.cure();
    tracing::warn!(
        topic,
        "declared topic not made, its events wait: {error}; {cure}"
    );
    error.is_away()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay.toml");
        std::fs::write(&file, toml).unwrap();
        let url = ("OUTBOX_RELAY__DATABASE__URL", "postgres://localhost/shop");
        let url = (url.0.to_owned(), url.1.to_owned());
        Settings::load(Some(&file), std::iter::once(url)).unwrap()
    }

    fn used_by(toml: &str) -> Vec<String> {
        let kinds = [Kind {
            aggregate_type: "order".to_owned(),
            event_type: "A".to_owned(),
            topic: None,
            oldest_seconds: None,
            seq: 1,
        }];
        used(&settings(toml), &kinds).into_iter().collect()
    }

    #[test]
    fn a_relay_uses_the_topics_of_events_and_names_and_of_their_dead_letters() {
        let declared =
            "topics.declare = [{ name = 'audit' }, { name = 'audit.dlq' }, { name = 'x-*' }]";
        assert_eq!(
            used_by(declared),
            ["audit", "audit.dlq", "order-events", "order-events.dlq"]
        );
        let table = format!("{declared}\nfailure.on_dead = 'table'\nroute.topic = 'all'");
        assert_eq!(used_by(&table), ["all", "audit", "audit.dlq"]);
        let allowed = format!("{declared}\ntopics.allow = ['audit']");
        assert_eq!(used_by(&allowed), ["audit", "audit.dlq"]);
    }
}
