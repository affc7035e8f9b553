//! Where a value does not fit its schema.
//!
//! Owns the path. Invariant: it names fields that a schema or a writer's program names, and places in
//! arrays; never a value, nor a key of a map, which is one.

use std::borrow::Cow;
use std::fmt;

/// One step on the way to what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
    /// Any value of a map.
    Entry,
}

/// What is wrong with a value, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// From the innermost outwards.
    steps: Vec<Step>,
    reason: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            steps: Vec::new(),
            reason: reason.into(),
        }
    }

    /// The same, seen from the record that has this field.
    pub(super) fn in_field(self, name: &str) -> Self {
        self.seen_from(Step::Field(name.to_owned()))
    }

    /// The same, seen from the array that has this place.
    pub(super) fn in_item(self, place: usize) -> Self {
        self.seen_from(Step::Item(place))
    }

    /// The same, seen from the map.
    pub(super) fn in_entry(self) -> Self {
        self.seen_from(Step::Entry)
    }

    /// How far inside it lies.
    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    fn seen_from(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Fault {
    /// A path in the manner of `JSONPath` (RFC 9535), and the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in self.steps.iter().rev() {
            match step {
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(place) => write!(f, "[{place}]")?,
                Step::Entry => f.write_str("[*]")?,
            }
        }
        write!(f, ": {}", self.reason)
    }
}
