//! The look at the store of large payloads.
//!
//! Owns what its answers mean here. Puts nothing there: whether that is allowed shows at the first payload.

use super::Look;
use crate::decide::checkup::Finding;
use crate::objects::{self, StoreError};

/// What the finding is about.
const ABOUT: &str = "store";

impl Look {
    /// Looks whether the store answers, if payloads go to one.
    pub(super) async fn at_objects(&mut self) {
        let answer = match objects::of(&self.settings) {
            Ok(None) => return,
            Ok(Some(store)) => store.look().await,
            Err(error) => Err(error),
        };
        let url = &self.settings.large_payload.store;
        self.findings.push(match answer {
            Ok(()) => Finding::fine(ABOUT, format!("{url} answers")),
            Err(error @ StoreError::Failed(_)) => {
                Finding::away(ABOUT, error.to_string(), error.cure())
            }
            Err(error) => Finding::wrong(ABOUT, error.to_string(), error.cure()),
        });
    }
}
