//! `PostgreSQL`: the outbox table, the leases of its lanes, and every statement that touches them.
//!
//! Owns all SQL. Knows nothing of Kafka and decides nothing: it carries out what the floors below
//! decided and brings back what the database showed.
//!
//! Invariants:
//! - every statement is short and by itself: no transaction waits for anything but the database;
//! - every wait has a deadline, and a session that missed one is closed, never used again;
//! - statements name tables by quoted, qualified names rendered once, and use no search path.

pub mod adoption;
pub mod backlog;
pub mod columns;
pub mod dead;
pub mod error;
pub mod identity;
pub mod large;
pub mod leases;
mod lineage;
pub mod mark;
pub mod migration;
pub mod names;
pub mod one;
pub mod others;
pub mod page;
mod pooling;
pub mod session;
pub mod status;
pub mod survey;
