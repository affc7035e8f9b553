//! The look at the schemas of routes.
//!
//! Owns which ones are looked for: those that routes name for all their events, and those of events that
//! wait. What the registry's answers mean is its own; nothing is registered.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::Look;
use crate::decide::checkup::Finding;
use crate::outbox::survey::Kind;
use crate::record::{SchemaName, SchemaOrigin};
use crate::registry::{Client, RegistryError};

/// What the findings are about.
const ABOUT: &str = "schemas";

impl Look {
    /// Looks for every schema that is known to be needed.
    pub(super) async fn at_schemas(&mut self, kinds: &[Kind]) {
        let names = self.schemas(kinds);
        if !self.settings.routes().have_schemas() {
            return;
        }
        let client = match Client::new(&self.settings.schema_registry) {
            Ok(client) => Arc::new(client),
            Err(error) => return self.findings.push(failed(&error, None)),
        };
        if names.is_empty() {
            let text = "no event yet that makes a subject";
            self.findings.push(Finding::fine(ABOUT, text));
        }
        for name in names {
            let (client, asked) = (Arc::clone(&client), Arc::clone(&name));
            let Ok(told) = spawn_blocking(move || found(&client, &asked)).await else {
                return;
            };
            match told {
                Ok(text) => self.findings.push(Finding::fine(ABOUT, text)),
                Err(error) => {
                    self.findings.push(failed(&error, Some(&name)));
                    if error.is_away() {
                        return;
                    }
                }
            }
        }
    }

    fn schemas(&self, kinds: &[Kind]) -> Vec<Arc<SchemaName>> {
        let mut routes = self.settings.routes();
        let mut names: Vec<_> = routes.fixed_schemas().map(Arc::new).collect();
        for kind in kinds {
            let event = kind.event();
            let (_, topic) = routes.route(&event);
            let topic = topic.unwrap_or_else(|_| Arc::from(""));
            names.extend(routes.schema(&event, &topic).ok().flatten());
        }
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(Arc::clone(name)));
        names
    }
}

/// Looks for one schema, and reads it unless the settings have it; one that may be registered need not
/// be there.
fn found(client: &Client, name: &SchemaName) -> Result<String, RegistryError> {
    let there = |id| format!("{name}: {} {id}", name.kind);
    let SchemaOrigin::File(file) = &name.origin else {
        return client.fetch(name).map(|read| there(read.id));
    };
    match client.find(name) {
        Ok(id) => Ok(there(id)),
        Err(RegistryError::Unknown { .. }) if file.register => {
            if client.may_follow(name, &file.text)? {
                return Ok(format!("{name}: not there yet, and `run` registers it"));
            }
            Err(RegistryError::Incompatible {
                reason: "so it says".to_owned(),
            })
        }
        Err(error) => Err(error),
    }
}

fn failed(error: &RegistryError, name: Option<&SchemaName>) -> Finding {
    let text = name.map_or_else(|| error.to_string(), |name| format!("{name}: {error}"));
    if error.is_away() {
        return Finding::away(ABOUT, text, error.cure());
    }
    Finding::wrong(ABOUT, text, error.cure())
}
