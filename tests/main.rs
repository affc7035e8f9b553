//! The one integration-test binary: every test that needs a real `PostgreSQL`, a real Apache Kafka
//! or the built program, and the checks of the sources themselves.
//!
//! Each test has a database and topics of its own on servers that all share; a test that stops,
//! kills or freezes a server starts a private one. `support` holds the servers and the waiting.

mod adoption;
mod check;
mod circuits;
mod command_line;
mod conservation;
mod dead;
mod dead_letters;
mod debezium;
mod delivery;
mod dev;
mod explain;
mod failures;
mod fault_list;
mod foreign;
mod hostile;
mod kept_out;
mod lanes;
mod large;
mod metrics;
mod migration;
mod names;
mod operator;
mod pages;
mod partitions;
mod payloads;
mod plans;
mod pooler;
mod privileges;
mod reading;
mod readme;
mod routes;
mod schemas;
mod secrets;
mod secure;
mod sessions;
mod status;
mod support;
mod support_works;
mod tidy;
mod topics;
mod twins;
mod unheard;
mod waiting;
