//! Which route an event takes, and which topic that gives it.
//!
//! Owns the list of routes, of which the first that is about an event counts, and the rule that a row's
//! own topic wins. What a route says about records is a [`Form`]; how one is written is in `spec`. Knows
//! no broker and no setting.
//!
//! Invariants:
//! - every event has a route: the last one is about all of them;
//! - a name that leaves here is legal for Kafka, is allowed, and is not one of Kafka's internal
//!   topics;
//! - a name is checked and stored once, and handed out as the same `Arc` from then on, for as many
//!   names as [`KNOWN_MAX`] allows.

mod spec;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

pub use self::spec::{Fault, MatchSpec, RouteSpec, Usual};
use super::dead::OnDead;
use super::envelope::Form;
use super::order::Order;
use super::pattern::Pattern;
use super::rename::Rename;
use super::schema::SchemaRule;
use super::template::{Source, Template, field_text};
use super::topic::{Allowed, check_topic};
use crate::event::Event;
use crate::outcome::Defect;
use crate::record::SchemaName;

/// How many names are remembered before all are forgotten: far above any sane number of topics,
/// and small enough that rows which invent names cost no memory.
const KNOWN_MAX: usize = 4_096;

/// Which events a route is about: those that answer all of it.
#[derive(Debug, Clone, Default)]
struct Matcher {
    aggregate_type: Option<Pattern>,
    event_type: Option<Pattern>,
    headers: Vec<(String, Pattern)>,
}

/// What becomes of the events that it is about.
#[derive(Debug, Clone)]
pub struct Route {
    matcher: Matcher,
    topic: Template,
    rename: Option<Rename>,
    /// The form of their records.
    pub form: Form,
    /// For which others of their aggregate they wait.
    pub order: Order,
    /// What becomes of those that fail for good.
    pub on_dead: OnDead,
    /// Which schema their values are encoded by; none where they go as they are.
    pub schema: Option<SchemaRule>,
}

/// Every route, and the topics that they may lead to.
#[derive(Clone)]
pub struct Routes {
    /// In order; the last one is about all events that are left.
    routes: Vec<Route>,
    allowed: Allowed,
    known: HashSet<Arc<str>>,
    /// The schemas met so far, by the place of their route, their subject and their message.
    schemas: HashMap<(usize, String, String), Arc<SchemaName>>,
    /// Where names are written before they are known.
    name: String,
}

impl Matcher {
    fn is_about(&self, event: &Event) -> bool {
        self.may_be_about(event)
            && self.headers.iter().all(|(name, pattern)| {
                let headers = event.headers.as_deref().unwrap_or_default();
                field_text(headers, name).is_some_and(|value| pattern.matches(&value))
            })
    }

    /// Whether it is, as far as the columns of text tell.
    fn may_be_about(&self, event: &Event) -> bool {
        let means = |pattern: &Option<Pattern>, text: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        means(&self.aggregate_type, &event.key.aggregate_type)
            && means(&self.event_type, &event.event_type)
    }

    fn is_about_all(&self) -> bool {
        let any = |pattern: &Option<Pattern>| pattern.as_ref().is_none_or(Pattern::is_any);
        any(&self.aggregate_type) && any(&self.event_type) && self.headers.is_empty()
    }
}

impl Route {
    /// Whether it is about every event.
    pub fn is_about_all(&self) -> bool {
        self.matcher.is_about_all()
    }

    /// The template of its topics.
    pub fn topic(&self) -> &Template {
        &self.topic
    }

    /// Writes the topic of an event.
    fn write_topic(&self, event: &Event, name: &mut String) -> Result<(), Defect> {
        self.topic.render_to(event, name)?;
        if let Some(rename) = &self.rename {
            *name = rename.apply(name);
        }
        Ok(())
    }

    /// The topic of an event, legal or not.
    fn topic_of(&self, event: &Event) -> Result<String, Defect> {
        let mut name = String::new();
        self.write_topic(event, &mut name).map(|()| name)
    }

    /// What order, key and partition together do to the events of one aggregate.
    pub fn about_order(&self) -> &'static str {
        let form = &self.form;
        let Some(place) = form.partition.as_ref().or(form.key.as_ref()) else {
            return "no key: the events of an aggregate are spread over the partitions, and consumers \
                    see them in any order";
        };
        let is_one = place
            .sources()
            .all(|source| matches!(source, Source::AggregateType | Source::AggregateId));
        match self.order {
            _ if !is_one => {
                "the events of an aggregate may go to different partitions, and consumers see those \
                 of different partitions in any order"
            }
            Order::Strict => "the events of an aggregate stay in order, in one partition",
            Order::Pipelined => {
                "the events of an aggregate stay in order, in one partition; after a failure later \
                 ones may be seen, and then seen again after the earlier ones"
            }
            Order::None => "the events of an aggregate are in one partition, in any order",
        }
    }
}

impl Routes {
    /// The routes in their order, and the one of all events that none of them is about.
    pub fn new(mut routes: Vec<Route>, rest: Route, allowed: Allowed) -> Self {
        routes.push(rest);
        Self {
            routes,
            allowed,
            known: HashSet::new(),
            schemas: HashMap::new(),
            name: String::new(),
        }
    }

    /// Every route by its name in the settings.
    pub fn all(&self) -> impl Iterator<Item = (String, &Route)> {
        self.routes
            .iter()
            .enumerate()
            .map(|(place, route)| (self.name_of_route(place), route))
    }

    /// The route of one event, and its topic: its own if it names one, else the route's.
    pub fn route(&mut self, event: &Event) -> (&Route, Result<Arc<str>, Defect>) {
        let place = self.place_of(event);
        let route = &self.routes[place];
        let topic = if let Some(own) = event.topic.as_deref() {
            intern(&mut self.known, &self.allowed, own)
        } else {
            self.name.clear();
            let written = route.write_topic(event, &mut self.name);
            written.and_then(|()| intern(&mut self.known, &self.allowed, &self.name))
        };
        (route, topic)
    }

    /// Whether any route has a schema.
    pub fn have_schemas(&self) -> bool {
        self.routes.iter().any(|route| route.schema.is_some())
    }

    /// The schemas of routes whose events all have the same one.
    pub fn fixed_schemas(&self) -> impl Iterator<Item = SchemaName> {
        let named = |route: &Route| route.schema.as_ref()?.fixed(route.topic.only_text());
        self.routes.iter().filter_map(named)
    }

    /// Which schema the value of an event is encoded by that goes to this topic.
    pub fn schema(
        &mut self,
        event: &Event,
        topic: &str,
    ) -> Result<Option<Arc<SchemaName>>, Defect> {
        if !self.have_schemas() {
            return Ok(None);
        }
        let place = self.place_of(event);
        let Some(rule) = &self.routes[place].schema else {
            return Ok(None);
        };
        let mut subject = String::with_capacity(2 * topic.len());
        rule.write_subject(event, topic, &mut subject)?;
        let mut message = String::new();
        rule.write_message(event, &mut message)?;
        let key = (place, subject, message);
        if let Some(known) = self.schemas.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        if self.schemas.len() >= KNOWN_MAX {
            self.schemas.clear();
        }
        let name = Arc::new(rule.name(key.1.clone(), key.2.clone()));
        self.schemas.insert(key, Arc::clone(&name));
        Ok(Some(name))
    }

    /// The name of the route of one event.
    pub fn name_for(&self, event: &Event) -> String {
        self.name_of_route(self.place_of(event))
    }

    /// The topic that an event asks for, legal or not: for people, never for Kafka. None where its route
    /// can make none of it.
    pub fn name(&self, event: &Event) -> Option<String> {
        if let Some(own) = &event.topic {
            return Some(own.clone());
        }
        let route = &self.routes[self.place_of(event)];
        route.topic_of(event).ok()
    }

    /// The same where what names an event and says of which kind it is decides; none where more of its
    /// row does.
    pub fn name_by_kind(&self, event: &Event) -> Option<String> {
        if let Some(own) = &event.topic {
            return Some(own.clone());
        }
        let mut possible = self
            .routes
            .iter()
            .filter(|route| route.matcher.may_be_about(event));
        let route = possible.next()?;
        let is_told = route.matcher.headers.is_empty() && !route.topic.needs_whole_row();
        let name = is_told.then(|| route.topic_of(event))?;
        // Columns alone can be missing, or not be what a filter splits.
        Some(name.unwrap_or_default())
    }

    /// The topics that events go to whose rows name none, where routes give all the same.
    pub fn fixed_topics(&self) -> impl Iterator<Item = &str> {
        let fixed = self.routes.iter().filter(|route| route.rename.is_none());
        fixed.filter_map(|route| route.topic.only_text())
    }

    /// Whether more of a row decides what becomes of it than what names it and says of which kind it
    /// is.
    pub fn need_whole_rows(&self) -> bool {
        self.routes.iter().any(|route| {
            let mut templates = [&route.topic].into_iter().chain(route.form.templates());
            !route.matcher.headers.is_empty() || templates.any(Template::needs_whole_row)
        })
    }

    fn place_of(&self, event: &Event) -> usize {
        let last = self.routes.len() - 1;
        self.routes[..last]
            .iter()
            .position(|route| route.matcher.is_about(event))
            .unwrap_or(last)
    }

    fn name_of_route(&self, place: usize) -> String {
        if place + 1 == self.routes.len() {
            "route".to_owned()
        } else {
            format!("routes[{place}]")
        }
    }
}

impl fmt::Debug for Routes {
    /// Shows the routes; the names met so far are the rows' business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("routes", &self.routes)
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
