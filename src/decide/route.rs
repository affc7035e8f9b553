//! Which topic an event goes to.
//!
//! Owns the template and the rule that a row's own topic wins. Knows
//! no broker and no setting. Further rules of routing belong here too.
//!
//! Invariants:
//! - a name that leaves here is legal for Kafka, is allowed, and is not one of Kafka's internal
//!   topics;
//! - a name is checked and stored once, and handed out as the same `Arc` from then on, for as many
//!   names as [`KNOWN_MAX`] allows.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::topic::{Allowed, check_topic};
use crate::event::Event;
use crate::outcome::Defect;

/// How many names are remembered before all are forgotten: far above any sane number of topics,
/// and small enough that rows which invent names cost no memory.
const KNOWN_MAX: usize = 4_096;

/// What a template may ask for, by name.
const PLACEHOLDERS: [(&str, Part); 2] = [
    ("aggregate_type", Part::AggregateType),
    ("event_type", Part::EventType),
];

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A placeholder that no rule fills.
    #[error("`{{{name}}}` is not known; use {{aggregate_type}} or {{event_type}}")]
    UnknownPlaceholder {
        /// What stands between the braces.
        name: String,
    },
    /// A brace without its partner.
    #[error("a brace is not closed or not opened")]
    Unbalanced,
    /// No event could ever be given a legal name.
    #[error("{0}")]
    Illegal(Defect),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    AggregateType,
    EventType,
}

/// The rule that gives each event its topic.
#[derive(Clone)]
pub struct Route {
    template: String,
    allowed: Allowed,
    parts: Vec<Part>,
    known: HashSet<Arc<str>>,
}

impl Route {
    /// Reads a template such as `{aggregate_type}-events`.
    pub fn parse(template: &str) -> Result<Self, RouteError> {
        let parts = parse_parts(template)?;
        let mut sample = String::new();
        for part in &parts {
            sample.push_str(match part {
                Part::Text(text) => text,
                Part::AggregateType | Part::EventType => "x",
            });
        }
        check_topic(&sample).map_err(RouteError::Illegal)?;
        Ok(Self {
            template: template.to_owned(),
            allowed: Allowed::default(),
            parts,
            known: HashSet::new(),
        })
    }

    /// The same route, to these topics alone.
    #[must_use]
    pub fn only_to(self, allowed: Allowed) -> Self {
        Self { allowed, ..self }
    }

    /// The topic of every event whose row names none, where the template gives all the same.
    pub fn only_topic(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(name)] => Some(name),
            _ => None,
        }
    }

    /// The template as it was written.
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The topic of one event: its own if it names one, else the template's.
    pub fn topic(&mut self, event: &Event) -> Result<Arc<str>, Defect> {
        let (own, key) = (event.topic.as_deref(), &event.key);
        self.topic_of(own, &key.aggregate_type, &event.event_type)
    }

    /// The topic of all events of a kind.
    pub fn topic_of(
        &mut self,
        own: Option<&str>,
        aggregate_type: &str,
        event_type: &str,
    ) -> Result<Arc<str>, Defect> {
        let name = self.name_of(own, aggregate_type, event_type);
        intern(&mut self.known, &self.allowed, &name)
    }

    /// The name that events of a kind ask for, legal or not: for people, never for Kafka.
    pub fn name_of<'a>(
        &self,
        own: Option<&'a str>,
        aggregate_type: &str,
        event_type: &str,
    ) -> Cow<'a, str> {
        if let Some(own) = own {
            return Cow::Borrowed(own);
        }
        let filled = self.parts.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::AggregateType => aggregate_type,
            Part::EventType => event_type,
        });
        Cow::Owned(filled.collect())
    }
}

impl fmt::Debug for Route {
    /// Shows the template; the names met so far are the rows' business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// Hands out the stored name, storing it first where it is new, legal and allowed.
fn intern(
    known: &mut HashSet<Arc<str>>,
    allowed: &Allowed,
    name: &str,
) -> Result<Arc<str>, Defect> {
    if let Some(stored) = known.get(name) {
        return Ok(Arc::clone(stored));
    }
    check_topic(name)?;
    if !allowed.allows(name) {
        return Err(Defect::new("the topic is not one that topics.allow names"));
    }
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    let stored: Arc<str> = Arc::from(name);
    known.insert(Arc::clone(&stored));
    Ok(stored)
}

/// Splits a template into text and placeholders.
fn parse_parts(template: &str) -> Result<Vec<Part>, RouteError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(brace) = rest.find(['{', '}']) {
        let (text, from_brace) = rest.split_at(brace);
        let inside = from_brace.strip_prefix('{').ok_or(RouteError::Unbalanced)?;
        let (name, after) = inside.split_once('}').ok_or(RouteError::Unbalanced)?;
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(placeholder(name)?);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// Finds the part that a placeholder stands for.
fn placeholder(name: &str) -> Result<Part, RouteError> {
    PLACEHOLDERS
        .into_iter()
        .find_map(|(known, part)| (known == name).then_some(part))
        .ok_or_else(|| RouteError::UnknownPlaceholder {
            name: name.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::event::{EventRef, Lane, OrderingKey};

    fn event(aggregate_type: &str, event_type: &str, topic: Option<&str>) -> Event {
        Event {
            at: EventRef {
                seq: 1,
                id: Uuid::nil(),
            },
            lane: Lane(0),
            key: OrderingKey {
                aggregate_type: aggregate_type.to_owned(),
                aggregate_id: "7".to_owned(),
            },
            event_type: event_type.to_owned(),
            payload: None,
            headers: None,
            topic: topic.map(ToOwned::to_owned),
            partition_key: None,
            created_at: DateTime::UNIX_EPOCH,
            wait_ms: 0,
            judged: None,
        }
    }

    /// Kafka's rule written once more, in another way, for the properties to hold on to.
    fn is_legal(name: &str) -> bool {
        let alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        (1..=249).contains(&name.chars().count())
            && name.chars().all(|letter| alphabet.contains(letter))
            && ![".", ".."].contains(&name)
            && name.get(..2) != Some("__")
    }

    fn topic(template: &str, event: &Event) -> Result<String, Defect> {
        Route::parse(template)
            .unwrap()
            .topic(event)
            .map(|topic| (*topic).to_owned())
    }

    #[test]
    fn a_topic_that_is_not_allowed_is_a_defect() {
        let allowed = Allowed::parse(&["order-*".to_owned()]).unwrap();
        let mut route = Route::parse("{aggregate_type}-x").unwrap().only_to(allowed);
        assert!(route.topic_of(None, "order", "x").is_ok());
        assert!(route.topic_of(Some("audit"), "order", "x").is_err());
    }

    #[test]
    fn the_template_names_the_topic() {
        let placed = event("order", "OrderPlaced", None);
        assert_eq!(
            topic("{aggregate_type}-events", &placed).unwrap(),
            "order-events"
        );
        assert_eq!(topic("all", &placed).unwrap(), "all");
        assert_eq!(
            topic("shop.{aggregate_type}.{event_type}", &placed).unwrap(),
            "shop.order.OrderPlaced"
        );
    }

    #[test]
    fn a_rows_own_topic_wins() {
        let own = event("order", "OrderPlaced", Some("audit"));
        assert_eq!(topic("{aggregate_type}-events", &own).unwrap(), "audit");
    }

    #[test]
    fn a_name_kafka_would_refuse_is_a_defect() {
        let long = "x".repeat(250);
        for name in [
            "",
            ".",
            "..",
            "a b",
            "ä",
            "a/b",
            "a\0",
            "a\n",
            "{x}",
            "__consumer_offsets",
            "__x",
            &long,
        ] {
            assert!(
                topic("t", &event("o", "E", Some(name))).is_err(),
                "{name:?}"
            );
        }
        for name in ["...", "_x", "a__b", "A.b-c_9", &long[..249]] {
            assert_eq!(topic("t", &event("o", "E", Some(name))).unwrap(), name);
        }
    }

    #[test]
    fn an_aggregate_type_cannot_forge_an_internal_topic() {
        assert!(topic("{aggregate_type}-events", &event("__consumer", "E", None)).is_err());
        assert!(topic("_{aggregate_type}", &event("_x", "E", None)).is_err());
    }

    #[test]
    fn a_wrong_template_is_refused_when_it_is_read() {
        assert_eq!(
            Route::parse("{agregate_type}").unwrap_err(),
            RouteError::UnknownPlaceholder {
                name: "agregate_type".to_owned()
            }
        );
        for unbalanced in [
            "{aggregate_type",
            "aggregate_type}",
            "{{aggregate_type}",
            "}{",
        ] {
            assert!(Route::parse(unbalanced).is_err(), "{unbalanced}");
        }
        for illegal in ["", "a b", "__{aggregate_type}", &"x".repeat(250)] {
            assert!(
                matches!(Route::parse(illegal), Err(RouteError::Illegal(_))),
                "{illegal}"
            );
        }
    }

    #[test]
    fn a_topic_met_again_is_the_same_arc() {
        let mut route = Route::parse("{aggregate_type}-events").unwrap();
        let first = route.topic(&event("order", "A", None)).unwrap();
        let again = route.topic(&event("order", "B", None)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn rows_that_invent_names_do_not_fill_the_memory() {
        let mut route = Route::parse("t").unwrap();
        for number in 0..3 * KNOWN_MAX {
            let name = format!("topic-{number}");
            let given = route.topic(&event("o", "E", Some(&name))).unwrap();
            assert_eq!(&*given, name);
        }
        assert!(route.known.len() <= KNOWN_MAX);
    }

    /// Templates, and the same rule as a function of aggregate type and event type.
    type Template = (&'static str, fn(&str, &str) -> String);
    const TEMPLATES: &[Template] = &[
        ("{aggregate_type}", |of, _| of.to_owned()),
        ("{aggregate_type}-events", |of, _| format!("{of}-events")),
        ("_{event_type}", |_, kind| format!("_{kind}")),
        ("{aggregate_type}{event_type}", |of, kind| {
            format!("{of}{kind}")
        }),
        ("a.{event_type}.{aggregate_type}", |of, kind| {
            format!("a.{kind}.{of}")
        }),
    ];

    /// Names near the border of what is legal, and any text at all.
    fn any_name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-zA-Z0-9._-]{0,260}", "[_.]{0,4}", ".*"]
    }

    proptest! {
        #[test]
        fn reading_any_template_is_total(template in prop_oneof![".*", "[{}a-z_]{0,30}"]) {
            if let Ok(route) = Route::parse(&template) {
                prop_assert_eq!(route.template(), template);
            }
        }

        #[test]
        fn no_illegal_name_ever_leaves(
            (template, render) in prop::sample::select(TEMPLATES),
            rows in prop::collection::vec(
                (any_name(), any_name(), prop::option::of(any_name())), 1..20,
            ),
        ) {
            let mut route = Route::parse(template).unwrap();
            for (aggregate_type, event_type, own) in rows {
                let expected = own.clone().unwrap_or_else(|| render(&aggregate_type, &event_type));
                let named = route.name_of(own.as_deref(), &aggregate_type, &event_type);
                prop_assert_eq!(named, expected.as_str());
                match route.topic(&event(&aggregate_type, &event_type, own.as_deref())) {
                    Ok(topic) => {
                        prop_assert!(is_legal(&topic));
                        prop_assert_eq!(&*topic, expected.as_str());
                    }
                    Err(_) => prop_assert!(!is_legal(&expected)),
                }
            }
        }
    }
}
