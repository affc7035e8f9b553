//! The look at who else takes rows of the outbox.
//!
//! Owns when it is worth a word: only where somebody may be surprised.

use super::Look;
use crate::decide::checkup::others::{followed, vanishing};
use crate::decide::order::AfterPublish;
use crate::outbox::others::others;

impl Look {
    pub(super) async fn at_others(&mut self) {
        let seen = match others(&mut self.session, &self.names).await {
            Ok(seen) => seen,
            Err(error) => {
                let found = self.database_failed("others", &error);
                self.findings.push(found);
                return;
            }
        };
        self.findings.extend(followed(&seen.publications));
        // A relay that deletes what it published leaves the same traces.
        if self.settings.relay.after_publish == AfterPublish::Mark {
            let found = vanishing(seen.inserted, seen.updated, seen.deleted, seen.live);
            self.findings.extend(found);
        }
    }
}
