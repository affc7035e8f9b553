//! Conservation: what was committed is in Kafka, in order, and nothing else is, whatever is done to
//! the relays, to `PostgreSQL` and to Kafka meanwhile.
//!
//! `checker` judges, purely; `workload` writes; `campaign` starts, stops, kills and freezes relays
//! at random from a seed. The rest are single faults, each with the promise that it must not break;
//! `site` holds what is at work while they are done.

mod campaign;
mod checker;
mod checker_works;
mod dice;
mod faults;
mod fleet;
mod neighbours;
mod observe;
mod outages;
mod restarts;
mod site;
mod soak;
mod watched;
mod workload;
