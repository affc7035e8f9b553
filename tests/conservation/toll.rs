//! What each incident has cost: duplicates, and the time until records flowed again.
//!
//! Owns the assignment of costs to causes. Pure: knows no server, no clock and no relay.
//!
//! Invariant: each duplicate is counted once, for one incident or for none.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::incident::Incident;

/// One record as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) id: Uuid,
    /// Who published it.
    pub(super) relay: String,
    /// The lane of its event, if the outbox has the event.
    pub(super) lane: Option<i16>,
    /// By the run's clock.
    pub(super) at: Duration,
}

/// What one incident has cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Toll {
    /// The kind of incident, by its name.
    pub(super) what: &'static str,
    /// How many duplicates it may cost.
    pub(super) bound_rows: usize,
    pub(super) duplicates: usize,
    /// Until the next first delivery of an event; nothing if there was none to wait for.
    pub(super) recovery: Option<Duration>,
    /// Nothing else that costs was done in that time.
    pub(super) is_alone: bool,
}

/// The costs of all incidents, and how many duplicates none of them explains.
pub(super) fn tolls(arrivals: &[Arrival], incidents: &[Incident]) -> (Vec<Toll>, usize) {
    let mut publishers: HashMap<Uuid, Vec<&str>> = HashMap::new();
    let mut firsts = Vec::new();
    let mut duplicates = vec![0; incidents.len()];
    let mut unexplained = 0;
    for (place, arrival) in arrivals.iter().enumerate() {
        let known = publishers.entry(arrival.id).or_default();
        known.push(&arrival.relay);
        if known.len() == 1 {
            firsts.push(arrival);
            continue;
        }
        match cause(incidents, place, known) {
            Some(cause) => duplicates[cause] += 1,
            None => unexplained += 1,
        }
    }
    let toll = |(place, duplicates)| {
        let incident: &Incident = &incidents[place];
        let recovery = recovery(&firsts, incident);
        let until = incident.over + recovery.unwrap_or_default();
        let mut later = incidents[place + 1..].iter();
        Toll {
            what: incident.kind.told(),
            bound_rows: incident.kind.bound_rows(),
            duplicates,
            recovery,
            is_alone: !later.any(|other| other.kind.bound_rows() > 0 && other.begun < until),
        }
    };
    let tolls = duplicates.into_iter().enumerate().map(toll).collect();
    (tolls, unexplained)
}

/// The latest incident before this place that struck one of an event's publishers; rather, if there
/// is one, one after which either of the last two was not back yet: what happens to all meanwhile
/// cannot make that one send anything. One that may cost nothing is the cause only where nothing
/// else can be.
fn cause(incidents: &[Incident], place: usize, publishers: &[&str]) -> Option<usize> {
    let begun = |incident: &Incident| incident.records <= place;
    let costly = |incident: &Incident| begun(incident) && incident.kind.bound_rows() > 0;
    let strikes = |incident: &Incident| {
        let relay = incident.relay.as_deref();
        relay.is_none_or(|relay| publishers.contains(&relay))
    };
    let downs = |incident: &Incident| {
        let last_two = &publishers[publishers.len() - 2..];
        let relay = incident.relay.as_deref();
        let is_down = incident.back.is_none_or(|back| place < back);
        is_down && relay.is_some_and(|relay| last_two.contains(&relay))
    };
    let latest = |of: &dyn Fn(&Incident) -> bool| incidents.iter().rposition(of);
    latest(&|incident| costly(incident) && downs(incident))
        .or_else(|| latest(&|incident| costly(incident) && strikes(incident)))
        .or_else(|| latest(&|incident| begun(incident) && strikes(incident)))
}

/// The time until another relay delivered an event of the lanes that were held; until anybody
/// delivered anything, where all were struck.
fn recovery(firsts: &[&Arrival], incident: &Incident) -> Option<Duration> {
    next(firsts, incident.over, |arrival| match &incident.relay {
        None => true,
        Some(relay) => {
            let of_its_lanes = |lane| incident.lanes.contains(&lane);
            arrival.relay != *relay && arrival.lane.is_some_and(of_its_lanes)
        }
    })
}

/// The time from a moment until somebody else than this relay delivered an event.
pub(super) fn flows_again(
    arrivals: &[Arrival],
    since: Duration,
    but_for: Option<&str>,
) -> Option<Duration> {
    let mut seen = HashSet::new();
    let firsts = arrivals.iter().filter(|arrival| seen.insert(arrival.id));
    let firsts: Vec<&Arrival> = firsts.collect();
    next(&firsts, since, |arrival| {
        but_for.is_none_or(|relay| arrival.relay != relay)
    })
}

/// The time from a moment to the first of these arrivals that answers.
fn next(
    firsts: &[&Arrival],
    since: Duration,
    answers: impl Fn(&Arrival) -> bool,
) -> Option<Duration> {
    let mut later = firsts.iter().filter(|arrival| arrival.at >= since);
    let next = later.find(|arrival| answers(arrival))?;
    Some(next.at.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conservation::incident::Kind;

    /// One record a second: the event's number, its publisher, and its number again for its lane.
    fn arrivals(records: &[(u64, &str)]) -> Vec<Arrival> {
        let arrival = |(second, &(event, relay)): (u64, &(u64, &str))| Arrival {
            id: Uuid::from_u128(u128::from(event)),
            relay: relay.to_owned(),
            lane: i16::try_from(event).ok(),
            at: Duration::from_secs(second),
        };
        (0..).zip(records).map(arrival).collect()
    }

    fn incident(kind: Kind, relay: Option<&str>, records: usize, over_s: u64) -> Incident {
        Incident {
            kind,
            relay: relay.map(str::to_owned),
            lanes: vec![3, 4],
            records,
            begun: Duration::from_secs(over_s),
            back: None,
            over: Duration::from_secs(over_s),
        }
    }

    fn found(records: &[(u64, &str)], incidents: &[Incident]) -> (Vec<usize>, usize) {
        let (tolls, unexplained) = tolls(&arrivals(records), incidents);
        let duplicates = tolls.iter().map(|toll| toll.duplicates).collect();
        (duplicates, unexplained)
    }

    #[test]
    fn a_duplicate_is_the_cost_of_the_latest_incident_of_its_publishers() {
        let incidents = [
            incident(Kind::Kill, Some("a"), 1, 1),
            incident(Kind::Kill, Some("c"), 1, 1),
            incident(Kind::Freeze, Some("b"), 3, 3),
        ];
        assert_eq!(found(&[(1, "a"), (1, "b")], &incidents), (vec![1, 0, 0], 0));
        let late = [(1, "a"), (2, "b"), (3, "b"), (2, "d")];
        assert_eq!(found(&late, &incidents), (vec![0, 0, 1], 0));
    }

    #[test]
    fn what_strikes_all_relays_may_be_the_cause_of_every_duplicate_after_it() {
        let incidents = [incident(Kind::CrashKafka, None, 2, 2)];
        let records = [(1, "a"), (1, "a"), (1, "b"), (1, "c")];
        assert_eq!(found(&records, &incidents), (vec![2], 1), "one came before");
    }

    #[test]
    fn a_relay_that_is_down_is_the_cause_whatever_happens_to_all() {
        let kill = incident(Kind::Kill, Some("a"), 1, 1);
        let crash = incident(Kind::CrashKafka, None, 2, 2);
        let mut freeze = incident(Kind::Freeze, Some("b"), 1, 1);
        freeze.back = Some(4);
        let records = [(1, "a"), (2, "b"), (1, "c"), (2, "c"), (2, "b"), (1, "c")];
        let incidents = [kill, freeze, crash];
        assert_eq!(found(&records, &incidents), (vec![1, 1, 2], 0));
    }

    #[test]
    fn a_stop_is_the_cause_only_where_nothing_else_can_be() {
        let stop = incident(Kind::Stop, Some("a"), 1, 1);
        let kill = incident(Kind::Kill, Some("a"), 1, 1);
        let records = [(1, "a"), (1, "b")];
        assert_eq!(found(&records, std::slice::from_ref(&stop)), (vec![1], 0));
        assert_eq!(found(&records, &[kill, stop]), (vec![1, 0], 0));
    }

    #[test]
    fn a_duplicate_of_relays_that_nobody_struck_is_unexplained() {
        let incidents = [incident(Kind::Kill, Some("c"), 0, 0)];
        let records = [(1, "a"), (1, "b")];
        assert_eq!(found(&records, &incidents), (vec![0], 1));
    }

    #[test]
    fn a_relays_lanes_are_back_with_the_first_event_that_another_delivers() {
        let records = [(3, "b"), (3, "a"), (4, "a"), (9, "b"), (3, "b"), (4, "b")];
        let seconds = |records: &[(u64, &str)], incident| {
            let (tolls, _) = tolls(&arrivals(records), &[incident]);
            tolls[0].recovery.map(|time| time.as_secs())
        };
        let kill = incident(Kind::Kill, Some("a"), 1, 1);
        assert_eq!(seconds(&records, kill.clone()), None, "again is not first");
        let records = [(1, "a"), (2, "b"), (4, "a"), (9, "b"), (3, "b")];
        assert_eq!(seconds(&records, kill), Some(3));
        let all = incident(Kind::FreezeKafka, None, 1, 1);
        assert_eq!(seconds(&records, all), Some(0));
    }

    #[test]
    fn what_is_struck_again_before_it_recovers_is_not_alone() {
        let records = arrivals(&[(1, "a"), (2, "b"), (9, "b"), (3, "b")]);
        let alone = |later: Incident| {
            let kill = incident(Kind::Kill, Some("a"), 1, 1);
            tolls(&records, &[kill, later]).0[0].is_alone
        };
        assert!(!alone(incident(Kind::FreezeKafka, None, 2, 2)));
        assert!(alone(incident(Kind::FreezeKafka, None, 4, 4)));
        assert!(
            alone(incident(Kind::Stop, Some("b"), 2, 2)),
            "costs nothing"
        );
    }

    #[test]
    fn records_flow_again_with_the_next_first_delivery_of_somebody_else() {
        let records = arrivals(&[(1, "a"), (2, "a"), (1, "b"), (3, "a"), (4, "b")]);
        let seconds = |since_s, but_for| {
            let time = flows_again(&records, Duration::from_secs(since_s), but_for);
            time.map(|time| time.as_secs())
        };
        assert_eq!(seconds(2, None), Some(1));
        assert_eq!(seconds(2, Some("a")), Some(2));
        assert_eq!(seconds(5, None), None);
    }
}
