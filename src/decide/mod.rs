//! Pure decisions: values in, values out. No IO, no clock, no async; times come as numbers.

pub mod backoff;
pub mod checkup;
pub mod dead;
pub mod debezium;
pub mod decimal;
pub mod declared;
pub mod envelope;
pub mod import;
pub mod labels;
pub mod letter;
pub mod order;
pub mod pace;
pub mod pattern;
pub mod reading;
pub mod rename;
pub mod route;
pub mod schema;
pub mod share;
pub mod sqlstate;
pub mod standing;
pub mod template;
pub mod topic;
pub mod verdict;
pub mod window;
