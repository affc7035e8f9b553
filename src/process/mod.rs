//! The process itself: its settings, its logs, its clock and the signals that end it.

pub mod settings;
