//! Amazon's S3, or a store with the same API.
//!
//! Owns the client. Credentials, region and endpoint are those of the variables that every tool for S3
//! knows (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL`, …), or of the machine's role.
//!
//! Invariant: of an object no more than two pieces are in memory.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutPayload, RetryConfig};

use super::StoreError;

/// A request is tried again so often before the porter is told, which tries the whole again.
const RETRIES: usize = 2;
/// The tries of a request end after this time.
const TRIES: Duration = Duration::from_secs(20);
/// So much of what a store says is told, in characters.
const REASON_MAX: usize = 300;
/// An object that nobody has put there: whether the store lets us look for it is all that matters.
const ABSENT: &str = "outbox-relay-check";

/// A bucket, and where in it objects go.
#[derive(Clone)]
pub struct Store {
    bucket: Arc<AmazonS3>,
    prefix: String,
}

/// An object on its way.
pub struct Upload {
    bucket: Arc<AmazonS3>,
    path: Path,
    /// A small object is one request, so the first piece waits for a second one.
    first: Option<Vec<u8>>,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Store {
    /// A store by its address, `s3://bucket/prefix`; it is not asked yet.
    ///
    /// # Errors
    /// [`StoreError::Setting`] where the address or the environment cannot be used.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Whoever was first has chosen for the whole program, and none of its parts needs another.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let built = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: TRIES,
                ..RetryConfig::default()
            })
            .build();
        let bucket = built.map_err(|error| StoreError::Setting(short(&error)))?;
        Ok(Self {
            bucket: Arc::new(bucket),
            prefix: prefix.to_owned(),
        })
    }

    /// Begins an object of this name; one that is there already is replaced once the new one is whole.
    pub fn begin(&self, name: &str) -> Upload {
        Upload {
            bucket: Arc::clone(&self.bucket),
            path: self.path(name),
            first: None,
            parts: None,
        }
    }

    /// Sees whether the store answers and knows us; changes nothing.
    ///
    /// # Errors
    /// What the store says.
    pub async fn look(&self) -> Result<(), StoreError> {
        match self.bucket.head(&self.path(ABSENT)).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.prefix))
    }
}

impl Upload {
    /// Adds a piece. All but the last have at least 5 MiB, as S3 asks.
    ///
    /// # Errors
    /// What the store says. The object is not there then, and is to be abandoned.
    pub async fn push(&mut self, piece: Vec<u8>) -> Result<(), StoreError> {
        let Some(parts) = &mut self.parts else {
            let Some(first) = self.first.replace(piece) else {
                return Ok(());
            };
            let begun = self.bucket.put_multipart(&self.path).await;
            let parts = self.parts.insert(begun.map_err(|error| told(&error))?);
            put(parts, first).await?;
            let second = self.first.take().unwrap_or_default();
            return put(parts, second).await;
        };
        put(parts, piece).await
    }

    /// Makes the object whole.
    ///
    /// # Errors
    /// What the store says. Then it may be there, or not.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let ended = if let Some(parts) = &mut self.parts {
            parts.complete().await
        } else {
            let whole = PutPayload::from(self.first.unwrap_or_default());
            self.bucket.put(&self.path, whole).await
        };
        ended.map(drop).map_err(|error| told(&error))
    }

    /// Takes back what was sent. A store that does not answer keeps it, unseen, until its own rules
    /// remove what was not finished.
    pub async fn abandon(mut self) {
        if let Some(parts) = &mut self.parts
            && let Err(error) = parts.abort().await
        {
            tracing::debug!(
                error = short(&error),
                "an unfinished object was not removed"
            );
        }
    }
}

async fn put(parts: &mut Box<dyn MultipartUpload>, piece: Vec<u8>) -> Result<(), StoreError> {
    let sent = parts.put_part(PutPayload::from(piece)).await;
    sent.map_err(|error| told(&error))
}

fn told(error: &Error) -> StoreError {
    if matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    ) {
        StoreError::Denied
    } else if matches!(error, Error::NotFound { .. }) {
        StoreError::Missing
    } else {
        StoreError::Failed(short(error))
    }
}

/// An error on one line, which may be the start of a page.
fn short(error: &Error) -> String {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(REASON_MAX).collect()
}

impl fmt::Debug for Store {
    /// Shows where it is, and not as whom.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
