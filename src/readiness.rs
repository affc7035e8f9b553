//! The noun of the way out: what a relay says of itself.
//!
//! Owns its one form, which the probes answer with and each heartbeat carries. Knows neither who
//! judges nor who asks.
//!
//! Invariant: it holds counts, reasons and names of topics; nothing of an event, nothing secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whether a relay is delivering, or why not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// Whether it is.
    pub ready: bool,
    /// Whether it has not begun: it waits for a dependency and shares no lanes.
    pub starting: bool,
    /// Why not, one short fact each, with what to do about it where that is known.
    pub reasons: Vec<String>,
    /// The lanes it holds.
    pub lanes: usize,
    /// The topics that take nothing for now.
    pub circuits: Vec<Circuit>,
}

/// A topic that takes nothing for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    /// The topic.
    pub topic: String,
    /// `open` where it refuses records, `crowded` where they fail and fill half of the window.
    pub state: String,
    /// Since when, by the relay's clock.
    pub since: DateTime<Utc>,
    /// What Kafka answered last.
    pub reason: String,
    /// What to do about it, where that is known.
    pub cure: Option<String>,
}

/// The circuits of several relays as one list, by topic: of the same topic the oldest.
pub fn merged<'a>(relays: impl IntoIterator<Item = &'a Readiness>) -> Vec<&'a Circuit> {
    let mut circuits: Vec<&Circuit> = relays.into_iter().flat_map(|r| &r.circuits).collect();
    circuits.sort_by(|a, b| (&a.topic, a.since).cmp(&(&b.topic, b.since)));
    circuits.dedup_by(|later, first| later.topic == first.topic);
    circuits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circuit(topic: &str, since: &str) -> Circuit {
        Circuit {
            topic: topic.to_owned(),
            state: "open".to_owned(),
            since: since.parse().unwrap(),
            reason: "no such topic".to_owned(),
            cure: Some("create the topic".to_owned()),
        }
    }

    fn relay(circuits: Vec<Circuit>) -> Readiness {
        Readiness {
            circuits,
            ..Readiness::default()
        }
    }

    #[test]
    fn relays_that_see_the_same_topic_tell_of_it_once_and_since_the_first_saw_it() {
        let (early, late) = ("2026-03-04T05:06:07Z", "2026-03-04T05:06:09Z");
        let relays = [
            relay(vec![circuit("b", late), circuit("c", late)]),
            relay(vec![circuit("b", early), circuit("a", late)]),
        ];
        let told: Vec<_> = merged(&relays)
            .into_iter()
            .map(|circuit| (circuit.topic.as_str(), circuit.since))
            .collect();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(told, [("a", at(late)), ("b", at(early)), ("c", at(late))]);
    }

    #[test]
    fn what_another_version_tells_is_read_as_far_as_it_is_known() {
        let told: Readiness =
            serde_json::from_str(r#"{"reasons": ["x"], "mood": "fine"}"#).unwrap();
        assert_eq!(told.reasons, ["x"]);
        assert!(!told.ready);
    }
}
