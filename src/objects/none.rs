//! No store: what a program knows of stores that was built without the feature `object-store`.

use std::convert::Infallible;

use super::StoreError;

/// There is none.
#[derive(Debug, Clone)]
pub struct Store(Infallible);

/// Nothing on its way.
#[derive(Debug)]
pub struct Upload(Infallible);

impl Store {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub fn open(_url: &str) -> Result<Self, StoreError> {
        Err(StoreError::NotBuilt)
    }

    /// Never asked.
    pub fn begin(&self, _name: &str) -> Upload {
        match self.0 {}
    }

    /// Never asked.
    ///
    /// # Errors
    /// None.
    #[expect(
        clippy::unused_async,
        reason = "the store that there could be takes time"
    )]
    pub async fn look(&self) -> Result<(), StoreError> {
        match self.0 {}
    }
}

#[expect(
    clippy::unused_async,
    reason = "the store that there could be takes time"
)]
impl Upload {
    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub async fn push(&mut self, _piece: Vec<u8>) -> Result<(), StoreError> {
        match self.0 {}
    }

    /// Never asked.
    ///
    /// # Errors
    /// None.
    pub async fn finish(self) -> Result<(), StoreError> {
        match self.0 {}
    }

    /// Never asked.
    pub async fn abandon(self) {
        match self.0 {}
    }
}
