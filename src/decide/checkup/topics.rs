//! What is found about topics, and what their own settings mean for the events that wait.
//!
//! Owns these judgements. Does not ask the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Finding;
use crate::decide::declared::plan::{Change, Plan};

/// So many topics are listed by name.
const LISTED_MAX: usize = 10;

/// The topics that are there, with their partitions, where none is missing.
pub fn present(present: &[(String, usize)]) -> Finding {
    let mut listed: Vec<String> = present
        .iter()
        .take(LISTED_MAX)
        .map(|(name, partitions)| format!("{name} ({partitions} partitions)"))
        .collect();
    if present.len() > LISTED_MAX {
        listed.push(format!("{} more", present.len() - LISTED_MAX));
    }
    Finding::fine("topics", listed.join(", "))
}

/// Where topics are not as they are declared. Events go to those that are used, so they wait where
/// one is missing, unless a relay makes it when it starts.
pub fn declared(plan: &Plan, is_used: impl Fn(&str) -> bool, is_made: bool) -> Vec<Finding> {
    const APPLY: &str = "`outbox-relay topics apply`";
    if plan.is_empty() {
        return vec![Finding::fine("topics", "all are as they are declared")];
    }
    let steps = plan.steps.iter().map(|step| {
        let name = &step.topic;
        match &step.change {
            Change::Create(_) if is_made => {
                let cure = format!("{APPLY}, or start a relay: topics.create_on_start is set");
                Finding::doubtful("topics", format!("{name} does not exist yet"), cure)
            }
            Change::Create(_) if is_used(name) => {
                let text = format!("{name} does not exist: its events wait");
                Finding::wrong("topics", text, APPLY)
            }
            Change::Create(_) => {
                let text = format!("{name} is declared and does not exist");
                Finding::doubtful("topics", text, APPLY)
            }
            change @ (Change::Alter(_) | Change::AddPartitions { .. }) => {
                let text = format!("{name} is not as it is declared: {change}");
                Finding::doubtful("topics", text, APPLY)
            }
        }
    });
    let differences = plan.differences.iter().map(|one| {
        let text = format!("{} {}", one.topic, one.text);
        Finding::doubtful("topics", text, one.cure.clone())
    });
    steps.chain(differences).collect()
}

/// A topic that is not there.
pub fn missing(name: &str) -> Finding {
    Finding::wrong(
        "topics",
        format!("{name} does not exist: its events wait"),
        format!(
            "kafka-topics.sh --create --topic {name} --partitions N; choose N for good, because \
             more partitions later move keys"
        ),
    )
}

/// A topic of dead letters that is not there, or not for us.
pub fn no_letters(name: &str) -> Finding {
    Finding::doubtful(
        "topics",
        format!("{name} takes no dead letters: the aggregate of a dead event would wait"),
        format!(
            "kafka-topics.sh --create --topic {name} --partitions N, or allow the relay's principal \
             WRITE on it; or set failure.on_dead"
        ),
    )
}

/// A topic that we may not see.
pub fn denied(name: &str) -> Finding {
    Finding::wrong(
        "topics",
        format!("no right to {name}"),
        "grant the relay's principal WRITE and DESCRIBE on it (kafka-acls.sh)",
    )
}

/// What is asked of a topic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand {
    /// The age of the oldest event that waits for it, in seconds.
    pub oldest_seconds: Option<f64>,
    /// The largest record that the client hands over, in bytes.
    pub record_bytes_max: u64,
}

/// What a topic's own settings (`retention.ms` and the like) mean for its events; nothing where
/// all is well.
pub fn settings(name: &str, settings: &BTreeMap<String, String>, demand: Demand) -> Vec<Finding> {
    let found = [
        too_old_to_take(name, settings, demand),
        too_old_to_keep(name, settings, demand),
        too_large(name, settings, demand),
        own_timestamps(name, settings),
    ];
    found.into_iter().flatten().collect()
}

/// A limit in milliseconds that the oldest event is beyond.
fn outlived(settings: &BTreeMap<String, String>, key: &str, demand: Demand) -> Option<u64> {
    let limit: i64 = settings.get(key)?.parse().ok()?;
    let limit_ms = u64::try_from(limit).ok()?;
    let age = Duration::try_from_secs_f64(demand.oldest_seconds?).ok()?;
    (age > Duration::from_millis(limit_ms)).then_some(limit_ms)
}

fn too_old_to_take(
    name: &str,
    settings: &BTreeMap<String, String>,
    demand: Demand,
) -> Option<Finding> {
    // KIP-937; older brokers have the second alone.
    let keys = [
        "message.timestamp.before.max.ms",
        "message.timestamp.difference.max.ms",
    ];
    let stamped = settings.get("message.timestamp.type").map(String::as_str);
    if stamped == Some("LogAppendTime") {
        return None;
    }
    let (key, limit_ms) = keys
        .into_iter()
        .find_map(|key| Some((key, outlived(settings, key, demand)?)))?;
    Some(Finding::wrong(
        "topics",
        format!(
            "{name} refuses records older than {}, and older events wait",
            span(limit_ms)
        ),
        format!("raise {key} of the topic until they are published"),
    ))
}

fn too_old_to_keep(
    name: &str,
    settings: &BTreeMap<String, String>,
    demand: Demand,
) -> Option<Finding> {
    let policy = settings
        .get("cleanup.policy")
        .map_or("delete", |p| p.as_str());
    if !policy.contains("delete") {
        return None;
    }
    let limit_ms = outlived(settings, "retention.ms", demand)?;
    Some(Finding::doubtful(
        "topics",
        format!(
            "{name} keeps records for {}, and older events wait: Kafka may delete them as soon \
             as they arrive",
            span(limit_ms)
        ),
        "raise retention.ms of the topic until they are consumed",
    ))
}

fn too_large(name: &str, settings: &BTreeMap<String, String>, demand: Demand) -> Option<Finding> {
    let max: u64 = settings.get("max.message.bytes")?.parse().ok()?;
    let ours = demand.record_bytes_max;
    (max < ours).then(|| {
        Finding::doubtful(
            "topics",
            format!(
                "{name} takes records of up to {max} bytes, the relay sends up to {ours}: one in \
                 between is declared dead"
            ),
            "raise max.message.bytes of the topic, or keep payloads below it",
        )
    })
}

fn own_timestamps(name: &str, settings: &BTreeMap<String, String>) -> Option<Finding> {
    (settings.get("message.timestamp.type")? == "LogAppendTime").then(|| {
        Finding::doubtful(
            "topics",
            format!("{name} replaces the events' timestamps by the time of their arrival"),
            "set message.timestamp.type=CreateTime, or read the header ce_time",
        )
    })
}

/// A time for people, in its largest unit.
fn span(ms: u64) -> String {
    [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "min"),
        (1_000, "s"),
    ]
    .into_iter()
    .find(|(unit_ms, _)| ms >= *unit_ms)
    .map_or_else(
        || format!("{ms} ms"),
        |(unit_ms, unit)| format!("{} {unit}", ms / unit_ms),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::checkup::Grade;
    use crate::decide::declared::Declaration;
    use crate::decide::declared::plan::{Difference, Step};

    const DAY_S: f64 = 86_400.0;

    fn judged(settings: &[(&str, &str)], oldest_seconds: Option<f64>) -> Vec<Finding> {
        let settings = settings
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let demand = Demand {
            oldest_seconds,
            record_bytes_max: 1_000_000,
        };
        super::settings("orders", &settings, demand)
    }

    /// A topic as Kafka makes it.
    const USUAL: [(&str, &str); 5] = [
        ("cleanup.policy", "delete"),
        ("retention.ms", "604800000"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "CreateTime"),
        ("message.timestamp.before.max.ms", "9223372036854775807"),
    ];

    fn usual_but(key: &str, value: &str, oldest_seconds: Option<f64>) -> Vec<Finding> {
        let mut settings = USUAL.to_vec();
        settings.push((key, value));
        judged(&settings, oldest_seconds)
    }

    #[test]
    fn a_usual_topic_raises_no_doubt() {
        assert_eq!(judged(&USUAL, None), []);
        assert_eq!(judged(&USUAL, Some(6.9 * DAY_S)), []);
        assert_eq!(
            judged(&[], Some(1e300)),
            [],
            "what is not told is not judged"
        );
    }

    #[test]
    fn an_event_older_than_the_retention_is_warned_of() {
        let found = judged(&USUAL, Some(7.1 * DAY_S));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].grade, Grade::Doubtful);
        assert!(found[0].text.contains("keeps records for 7 d"), "{found:?}");
        assert_eq!(usual_but("retention.ms", "-1", Some(1e9)), []);
        assert_eq!(usual_but("cleanup.policy", "compact", Some(1e9)), []);
        let both = usual_but("cleanup.policy", "compact,delete", Some(1e9));
        assert_eq!(both.len(), 1);
    }

    #[test]
    fn an_event_that_the_broker_would_refuse_for_its_age_is_wrong() {
        for key in [
            "message.timestamp.before.max.ms",
            "message.timestamp.difference.max.ms",
        ] {
            let found = usual_but(key, "3600000", Some(7_200.0));
            assert_eq!(found.len(), 1, "{key}");
            assert_eq!(found[0].grade, Grade::Wrong);
            assert!(found[0].cure.as_ref().unwrap().contains(key));
        }
    }

    #[test]
    fn a_topic_for_smaller_records_or_with_its_own_times_is_doubtful() {
        let found = usual_but("max.message.bytes", "999999", None);
        assert_eq!(found.len(), 1);
        let found = usual_but("message.timestamp.type", "LogAppendTime", None);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("arrival"));
    }

    #[test]
    fn a_declared_topic_that_is_missing_is_wrong_only_where_its_events_wait() {
        let step = |topic: &str, change| Step {
            topic: topic.to_owned(),
            change,
        };
        let create = || Change::Create(Declaration::default());
        let plan = Plan {
            steps: vec![
                step("orders", create()),
                step("audit", create()),
                step("stock", Change::AddPartitions { from: 1, to: 2 }),
            ],
            differences: vec![Difference {
                topic: "old".to_owned(),
                text: "has 8 partitions".to_owned(),
                cure: "declare 8".to_owned(),
            }],
        };
        let grades = |is_made| {
            let found = declared(&plan, |topic| topic == "orders", is_made);
            let cured = found.iter().all(|one| one.cure.is_some());
            assert!(cured, "{found:?}");
            found.iter().map(|one| one.grade).collect::<Vec<_>>()
        };
        let doubtful = Grade::Doubtful;
        assert_eq!(grades(false), [Grade::Wrong, doubtful, doubtful, doubtful]);
        assert_eq!(grades(true), [doubtful; 4]);
        let none = declared(&Plan::default(), |_| true, false);
        assert_eq!(none[0].grade, Grade::Fine);
    }

    #[test]
    fn many_topics_are_cut_short() {
        let many: Vec<_> = (0..12).map(|n| (format!("t{n}"), 3)).collect();
        let text = present(&many).text;
        assert!(text.starts_with("t0 (3 partitions), t1"), "{text}");
        assert!(text.ends_with("t9 (3 partitions), 2 more"), "{text}");
    }
}
