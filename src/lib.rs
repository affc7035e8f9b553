//! `outbox-relay` moves events from a `PostgreSQL` outbox table to Apache Kafka, in order,
//! exactly when, and only when, their transaction commits.
//!
//! # The map
//!
//! Modules stand on floors; a module knows only floors below its own (`tests/tidy.rs` holds it).
//!
//! ```text
//! 5  command   one file a verb: run, migrate, check, route, topics, status, dead, import, dev, health
//! 4  relay     the loop that polls, publishes and marks; the keeper of leases
//!    dev       a throw-away world to try it in
//! 3  outbox    PostgreSQL      kafka  the producer      http  probes, metrics
//!    registry  schemas of values                      objects  a store for large payloads
//! 2  process   settings, telemetry, metrics, shutdown, clock
//! 1  decide    window, reading, share, pace, back-off, template, route, envelope, debezium, schema,
//!              verdict: values in, values out
//! 0  event  record  outcome  readiness
//! ```

pub mod command;
pub mod decide;
pub mod dev;
pub mod event;
pub mod http;
pub mod kafka;
pub mod objects;
pub mod outbox;
pub mod outcome;
pub mod process;
pub mod readiness;
pub mod record;
pub mod registry;
pub mod relay;
