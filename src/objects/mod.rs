//! A store of objects beside the database, for large payloads.
//!
//! Owns which stores there are, and what goes wrong with one. Knows no event.
//!
//! Invariants:
//! - an object is there whole, or not at all;
//! - no error shows a credential, or anything of an object.

#[cfg(not(feature = "object-store"))]
mod none;
#[cfg(feature = "object-store")]
mod s3;

#[cfg(not(feature = "object-store"))]
pub use self::none::{Store, Upload};
#[cfg(feature = "object-store")]
pub use self::s3::{Store, Upload};

use crate::process::settings::Settings;

/// The store that takes large payloads, if one does.
///
/// # Errors
/// Where it cannot be used at all; none of them mends itself.
pub fn of(settings: &Settings) -> Result<Option<Store>, StoreError> {
    let asks = settings.claim_check_over_bytes().is_some();
    let url = settings.large_payload.store_url().filter(|_| asks);
    url.map(Store::open).transpose()
}

/// Why an object is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This program knows no store.
    #[error("large_payload.store: this program was built without stores of objects")]
    NotBuilt,
    /// The address, or what the environment says of it, cannot be used.
    #[error("large_payload.store: {0}")]
    Setting(String),
    /// The store does not know who asks, or does not let it do this.
    #[error("the store refuses us")]
    Denied,
    /// There is no such bucket.
    #[error("the store has no such bucket")]
    Missing,
    /// Anything else, which may pass.
    #[error("the store fails: {0}")]
    Failed(String),
}

impl StoreError {
    /// What to do about it.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::NotBuilt => "build with `--features object-store`, or say \"database\"",
            Self::Setting(_) => "correct it, or the variables AWS_… of the environment",
            Self::Denied => {
                "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the role of this machine, \
                 and let it put objects there"
            }
            Self::Missing => "make the bucket, or correct large_payload.store",
            Self::Failed(_) => "see that the store answers (AWS_ENDPOINT_URL, AWS_REGION)",
        }
    }

    /// What is wrong, and what to do about it.
    pub fn with_cure(&self) -> String {
        format!("{self}; {}", self.cure())
    }
}
