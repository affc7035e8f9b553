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

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, ProducerContext};

use super::{KafkaError, start_error};

/// One poll takes this long, whatever arrives meanwhile. rdkafka spins through the last millisecond
/// of each (0.39, `BaseProducer::poll`: what is left is rounded down to no wait at all), so that the
/// 100 ms of its own polling thread cost half a per cent of a core for each client; but an end waits
/// for the poll under way.
const POLL: Duration = Duration::from_millis(400);

/// A client, destroyed on a thread of its own wherever it is dropped.
pub(super) struct Owned<C: ProducerContext + 'static>(Option<Polled<C>>);

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

impl<C: ProducerContext + 'static> Owned<C> {
    pub(super) fn start(config: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        let client = config.create_with_context(context).map_err(start_error)?;
        Ok(Self(Some(Polled::start(client)?)))
    }

    pub(super) fn client(&self) -> &BaseProducer<C> {
        let polled = self.0.as_ref();
        &polled
            .expect("only destroying takes the client, and that consumes it")
            .client
    }

    /// Destroys the client on this thread, which is one that may block.
    pub(super) fn destroy_here(mut self) {
        drop(self.0.take());
    }
}

impl<C: ProducerContext + 'static> Drop for Owned<C> {
    fn drop(&mut self) {
        let client = self.0.take();
        if client.is_some() {
            // Where no thread can be had the closure is dropped here, and the client with it.
            thread::Builder::new()
                .name("kafka destroy".to_owned())
                .spawn(move || drop(client))
                .ok();
        }
    }
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
