//! Pure decisions: values in, values out. No IO, no clock, no async; times come as numbers.

pub mod order;
