//! Faults of the wire and of the servers, each under its own name: what it may cost and no more.
//!
//! The proxy stands between the relay and what it depends on; writers, the judge and the tests'
//! own questions go past it.

mod cut_off;
