//! A client of librdkafka with the thread that polls it.
//!
//! Owns the client's life: its thread, and its end. Knows no record and no question.
//!
//! Invariant: a client is only ever destroyed on a thread that may block. That joins the polling
//! thread, flushes and takes down every connection, up to a second in all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::producer::{BaseProducer, ProducerContext};

use super::{KafkaError, start_error};

/// One poll takes this long, whatever arrives meanwhile. rdkafka spins through the last millisecond
/// of each (0.39, `BaseProducer::poll`: what is left is rounded down to no wait at all), so that the
/// 100 ms of its own polling thread cost half a per cent of a core for each client; but an end waits
/// for the poll under way.
const POLL: Duration = Duration::from_millis(400);

/// What may block while it is destroyed, and is destroyed on a thread of its own wherever it is
/// dropped.
pub(super) struct Disposed<T: Send + 'static>(Option<T>);

/// A client of librdkafka with its polling thread.
pub(super) struct Owned<C: ProducerContext + 'static>(Disposed<Polled<C>>);

/// A client and its polling thread.
struct Polled<C: ProducerContext + 'static> {
    client: Arc<BaseProducer<C>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<C: ProducerContext + 'static> Polled<C> {
    fn start(client: BaseProducer<C>) -> Result<Self, KafkaError> {
        let client = Arc::new(client);
        let is_over = Arc::new(AtomicBool::new(false));
        let (polled, over) = (Arc::clone(&client), Arc::clone(&is_over));
        let thread = thread::Builder::new()
            .name("kafka polling".to_owned())
            .spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    polled.poll(POLL);
                }
            })
            .map_err(|error| KafkaError::Client {
                reason: error.to_string(),
            })?;
        Ok(Self {
            client,
            is_over,
            thread: Some(thread),
        })
    }
}

impl<C: ProducerContext + 'static> Drop for Polled<C> {
    /// Ends the thread, which shares the client; that is destroyed with the last share, here.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have panicked in a callback, which the process does not outlive.
            thread.join().ok();
        }
    }
}

impl<T: Send + 'static> Disposed<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn get(&self) -> &T {
        let value = self.0.as_ref();
        value.expect("only destroying takes it, and that consumes it")
    }

    /// Destroys it on this thread, which is one that may block.
    fn destroy_here(mut self) {
        drop(self.0.take());
    }
}

impl<T: Send + 'static> Drop for Disposed<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        if value.is_some() {
            // Where no thread can be had the closure is dropped here, and the value with it.
            thread::Builder::new()
                .name("kafka destroy".to_owned())
                .spawn(move || drop(value))
                .ok();
        }
    }
}

impl<C: ProducerContext + 'static> Owned<C> {
    pub(super) fn start(config: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        Ok(Self(Disposed::new(Polled::start(create(
            config, context,
        )?)?)))
    }

    pub(super) fn client(&self) -> &BaseProducer<C> {
        &self.0.get().client
    }

    /// Destroys the client on this thread, which is one that may block.
    pub(super) fn destroy_here(self) {
        self.0.destroy_here();
    }
}

/// Makes a client.
///
/// A process may end while threads of librdkafka shake hands. OpenSSL takes itself down at the exit of
/// the process (`OPENSSL_cleanup`, registered with `atexit`), under those threads' feet: a segmentation
/// fault instead of the exit code. Only who initialises it first can tell it to leave that out
/// (`OPENSSL_INIT_NO_ATEXIT`), which `openssl_sys::init` does and librdkafka does not.
pub(super) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    config: &ClientConfig,
    context: C,
) -> Result<T, KafkaError> {
    openssl_sys::init();
    config.create_with_context(context).map_err(start_error)
}

/// Runs on a thread that may block; what was begun is finished even if nobody waits for it.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, KafkaError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| KafkaError::Client {
            reason: error.to_string(),
        })
}
