//! A trial of the routes: what becomes of each kind of event that waits or was written last.
//!
//! Owns which rows are tried. What routes make of them is decided where the relay asks too; nothing is
//! sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::look::Look;
use crate::command::seen::Seen;
use crate::decide::checkup::Finding;
use crate::decide::envelope::Envelope;
use crate::decide::route::Routes;
use crate::outbox::survey::Kind;
use crate::outcome::Defect;
use crate::process::settings::Settings;

/// So many kinds are tried with one of their rows, where routes look at whole rows.
const ROWS_MAX: usize = 200;

/// What to do about an event that has no record.
const CURE: &str = "correct the row, the route, or topics.allow; such rows are set aside as dead. \
                    `outbox-relay route --explain` shows what becomes of one";

impl Look {
    /// The topics that events go to, each with the age of the oldest that waits.
    pub(super) async fn wanted_topics(&mut self, kinds: &[Kind]) -> BTreeMap<String, Option<f64>> {
        let mut routes = self.settings.routes();
        let envelope = Envelope::new(self.settings.events.source.clone());
        let fixed = routes.fixed_topics().map(|name| (name.to_owned(), None));
        let mut wanted: BTreeMap<String, Option<f64>> = fixed.collect();
        let whole = routes.need_whole_rows();
        let tried = if whole { ROWS_MAX } else { usize::MAX };
        for kind in kinds.iter().take(tried) {
            let tried = match self.sample(kind, whole).await {
                Some(Ok(seen)) => try_out(&self.settings, &mut routes, &envelope, &seen),
                Some(Err(defect)) => Err(defect),
                None => continue,
            };
            match tried {
                Ok(topic) => {
                    let oldest = wanted.entry(topic.as_ref().to_owned()).or_insert(None);
                    *oldest = older(*oldest, kind.oldest_seconds);
                }
                Err(defect) => self.findings.push(Finding::wrong(
                    "topics",
                    format!(
                        "events of type {:?} of a {:?} have no topic or no record: {defect}",
                        kind.event_type, kind.aggregate_type
                    ),
                    CURE,
                )),
            }
        }
        wanted
    }

    /// An event of a kind: one of its rows where routes look at whole rows. None if that is gone.
    async fn sample(&mut self, kind: &Kind, whole: bool) -> Option<Result<Seen, Defect>> {
        if !whole {
            return Some(Ok(Seen::of_kind(kind.event())));
        }
        match Seen::read(&mut self.session, &self.settings, kind.seq, false).await {
            Ok(seen) => seen,
            Err(error) => {
                let found = self.database_failed("topics", &error);
                self.findings.push(found);
                None
            }
        }
    }
}

/// The topic of an event, if it has one and a record too.
fn try_out(
    settings: &Settings,
    routes: &mut Routes,
    envelope: &Envelope,
    seen: &Seen,
) -> Result<Arc<str>, Defect> {
    let (route, topic) = routes.route(&seen.event);
    let topic = topic?;
    seen.record(settings, envelope, (&route.form, Arc::clone(&topic)))?;
    Ok(topic)
}

/// The larger of two ages.
fn older(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_all_kinds_counts() {
        assert_eq!(older(None, None), None);
        assert_eq!(older(Some(1.0), None), Some(1.0));
        assert_eq!(older(Some(1.0), Some(2.0)), Some(2.0));
    }
}
