//! The measurements: each module is one, with what can differ in it.
//!
//! Each makes its own bed, measures, and clears the bed. None knows of another.

pub(crate) mod drain;
pub(crate) mod idle;
pub(crate) mod kill;
pub(crate) mod latency;
pub(crate) mod limits;
pub(crate) mod long;
pub(crate) mod memory;
pub(crate) mod pause;
pub(crate) mod price;
pub(crate) mod published;
pub(crate) mod sizes;
