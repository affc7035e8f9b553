//! Which dead events a verb is about.
//!
//! Owns the arguments, and the walk over the events that pass. What the table can tell is asked of
//! it; which topic an event goes to only the route knows.

use std::str::FromStr;

use super::{Desk, Refusal};
use crate::outbox::dead::{DeadEvent, Standing, Wanted};

/// Events are fetched, and decided about, in portions of so many.
pub(super) const PORTION: i64 = 500;

/// Conditions; an event passes that answers all of them.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct Filter {
    /// That go to this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Of one aggregate: TYPE/ID, or an ID alone
    #[arg(long, value_name = "TYPE/ID")]
    aggregate: Option<String>,
    /// Of this event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// That failed for a reason of this class: record, topic, …
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// In these states; without it in all but discarded
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    state: Vec<Standing>,
    /// Dead for at least this long: 90s, 30m, 12h, 2d
    #[arg(long, value_name = "AGE")]
    older_than: Option<Age>,
    /// Dead for less than this
    #[arg(long, value_name = "AGE")]
    newer_than: Option<Age>,
    /// At most so many, the first ones
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// A time span as it was written.
#[derive(Debug, Clone)]
struct Age {
    text: String,
    seconds: i64,
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a number with its unit: 90s, 30m, 12h, 2d".to_owned();
        let unit = text.chars().last().ok_or_else(wrong)?;
        let unit_s = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: u32 = text
            .strip_suffix(unit)
            .and_then(|number| number.parse().ok())
            .ok_or_else(wrong)?;
        Ok(Self {
            text: text.to_owned(),
            seconds: i64::from(number) * unit_s,
        })
    }
}

fn state(name: &str) -> Result<Standing, String> {
    Standing::of(name).ok_or_else(|| {
        let names = Standing::ALL.map(Standing::word);
        format!("one of {}", names.join(", "))
    })
}

impl Filter {
    /// Whether it says anything.
    pub(super) fn is_given(&self) -> bool {
        !self.arguments().is_empty()
    }

    /// At most so many events.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The same, as a shell takes it.
    pub(super) fn arguments(&self) -> String {
        let states: Vec<&str> = self.state.iter().map(|state| state.word()).collect();
        let states = (!states.is_empty()).then(|| states.join(","));
        let limit = self.limit.map(|limit| limit.to_string());
        let age = |age: &Option<Age>| age.as_ref().map(|age| age.text.clone());
        [
            ("topic", self.topic.clone()),
            ("aggregate", self.aggregate.clone()),
            ("type", self.event_type.clone()),
            ("class", self.class.clone()),
            ("state", states),
            ("older-than", age(&self.older_than)),
            ("newer-than", age(&self.newer_than)),
            ("limit", limit),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" --{name}={}", shell_word(&value?))))
        .collect()
    }

    fn wanted(&self) -> Wanted {
        let asked = |state: &Standing| match self.state.as_slice() {
            [] => *state != Standing::Discarded,
            states => states.contains(state),
        };
        let states = Standing::ALL.into_iter().filter(asked).collect();
        let (aggregate_type, aggregate_id) = match self.aggregate.as_deref() {
            None => (None, None),
            Some(aggregate) => match aggregate.split_once('/') {
                Some((of, id)) => (Some(of.to_owned()), Some(id.to_owned())),
                None => (None, Some(aggregate.to_owned())),
            },
        };
        Wanted {
            states,
            aggregate_type,
            aggregate_id,
            event_type: self.event_type.clone(),
            class: self.class.clone(),
            older_than_s: self.older_than.as_ref().map(|age| age.seconds),
            newer_than_s: self.newer_than.as_ref().map(|age| age.seconds),
        }
    }
}

/// A word that a shell takes as it stands.
pub(super) fn shell_word(text: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "-_./,:@%+".contains(letter);
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A dead event, and the topic that it asks for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) event: DeadEvent,
    pub(super) topic: String,
}

/// A walk over the events that pass, by rising `seq`.
#[derive(Debug)]
pub(super) struct Walk {
    wanted: Wanted,
    topic: Option<String>,
    above: i64,
    left: u64,
}

impl Walk {
    /// A walk from the first event on, to at most so many.
    pub(super) fn new(filter: &Filter, events_max: u64) -> Self {
        Self {
            wanted: filter.wanted(),
            topic: filter.topic.clone(),
            above: 0,
            left: events_max,
        }
    }

    /// The next portion; an empty one at the end.
    pub(super) async fn next(&mut self, desk: &mut Desk) -> Result<Vec<Found>, Refusal> {
        let mut found = Vec::new();
        while found.is_empty() && self.left > 0 {
            let page = (self.above, PORTION);
            let page = desk
                .events
                .list(&mut desk.session, &self.wanted, page)
                .await
                .map_err(|error| desk.away(&error))?;
            let Some(last) = page.last() else { break };
            self.above = last.row.at.seq;
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            for event in page {
                let topic = desk.topic(&event.row).await?;
                let passes = self.topic.as_ref().is_none_or(|wanted| *wanted == topic);
                if passes && found.len() < left {
                    found.push(Found { event, topic });
                }
            }
            self.left -= u64::try_from(found.len()).unwrap_or(u64::MAX);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1_800), ("2d", 172_800)] {
            assert_eq!(text.parse::<Age>().unwrap().seconds, seconds);
        }
        for wrong in [
            "",
            "d",
            "3",
            "-3d",
            "3 d",
            "1.5h",
            "3w",
            "3ä",
            "99999999999d",
        ] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_aggregate_is_told_by_its_id_or_by_type_and_id() {
        let wanted = |aggregate: &str| {
            let filter = Filter {
                aggregate: Some(aggregate.to_owned()),
                ..Filter::default()
            };
            let wanted = filter.wanted();
            (wanted.aggregate_type, wanted.aggregate_id.unwrap())
        };
        assert_eq!(wanted("42"), (None, "42".to_owned()));
        assert_eq!(
            wanted("order/42"),
            (Some("order".to_owned()), "42".to_owned())
        );
        assert_eq!(
            wanted("order/4/2"),
            (Some("order".to_owned()), "4/2".to_owned())
        );
    }

    #[test]
    fn what_was_given_up_is_found_only_where_it_is_asked_for() {
        let all = Filter::default().wanted().states;
        assert!(all.len() == 4 && !all.contains(&Standing::Discarded));
        let filter = Filter {
            state: vec![Standing::Discarded, Standing::Discarded],
            ..Filter::default()
        };
        assert_eq!(filter.wanted().states, [Standing::Discarded]);
    }

    #[test]
    fn a_filter_is_told_as_a_shell_takes_it() {
        let filter = Filter {
            topic: Some("orders".to_owned()),
            aggregate: Some("order/it's; rm".to_owned()),
            older_than: Some("2d".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(
            filter.arguments(),
            r" --topic=orders --aggregate='order/it'\''s; rm' --older-than=2d"
        );
        assert!(filter.is_given() && !Filter::default().is_given());
    }
}
