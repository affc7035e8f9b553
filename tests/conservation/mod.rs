//! Conservation: what was committed is in Kafka, in order, and nothing else is, whatever is done to
//! the relays, to `PostgreSQL` and to Kafka meanwhile.
//!
//! `checker` judges, purely, and `toll` assigns costs to causes; `workload` writes; `campaign`
//! starts, stops, kills and freezes relays at random from a seed, and `chaos` strikes what they
//! stand on too, for as long as one likes. The rest are single faults, each with the promise that it
//! must not break; `site` holds what is at work while they are done.

mod campaign;
mod chaos;
mod checker;
mod checker_works;
mod dice;
mod faults;
mod fleet;
mod incident;
mod neighbours;
mod observe;
mod outages;
mod restarts;
mod site;
mod toll;
mod watched;
mod workload;
