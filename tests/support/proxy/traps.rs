//! What lies in wait on a wire: a budget of bytes, or a request that is recognised.
//!
//! Owns the recognising. Touches no connection.

use std::collections::VecDeque;

use super::Way;

/// What is done to one request, or to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The server does not get it, and the connection ends.
    LoseRequest,
    /// The server gets it; the connection ends before the answer.
    LoseAnswer,
    /// The server gets it once all is released.
    HoldRequest,
    /// The client gets the answer once all is released.
    HoldAnswer,
}

impl Deed {
    pub(super) fn way(self) -> Way {
        match self {
            Self::LoseRequest | Self::HoldRequest => Way::ToServer,
            Self::LoseAnswer | Self::HoldAnswer => Way::ToClient,
        }
    }

    pub(super) fn holds(self) -> bool {
        matches!(self, Self::HoldRequest | Self::HoldAnswer)
    }
}

/// A request that is waited for.
#[derive(Debug)]
pub(super) struct Trap {
    bytes: Vec<u8>,
    /// How many requests after the one with these bytes on the same connection it is.
    later: usize,
    deed: Deed,
}

/// What is done to the next connection that comes upon it.
#[derive(Debug, Default)]
pub(super) struct Traps {
    /// A way, and how many bytes more may pass on it.
    pub(super) budget: Option<(Way, usize)>,
    pub(super) request: Option<Trap>,
    pub(super) sprung: usize,
}

impl Trap {
    pub(super) fn new(bytes: &[u8], later: usize, deed: Deed) -> Self {
        Self {
            bytes: bytes.to_vec(),
            later,
            deed,
        }
    }
}

impl Traps {
    /// How many of so many bytes may pass on this way, and whether the connection ends with them.
    pub(super) fn spend(&mut self, way: Way, bytes: usize) -> (usize, bool) {
        match &mut self.budget {
            Some((budgeted, left)) if *budgeted == way => {
                if bytes < *left {
                    *left -= bytes;
                    return (bytes, false);
                }
                let passes = *left;
                self.budget = None;
                self.sprung += 1;
                (passes, true)
            }
            Some(_) | None => (bytes, false),
        }
    }
}

/// Looks for a trap's request on one connection.
#[derive(Default)]
pub(super) struct Recogniser {
    /// The end of what came: a request may come in pieces.
    last: VecDeque<u8>,
    /// What is to be done, and how many requests from now.
    coming: Option<(usize, Deed)>,
}

impl Recogniser {
    /// What is to be done to this request.
    pub(super) fn recognise(&mut self, traps: &mut Traps, bytes: &[u8]) -> Option<Deed> {
        self.coming = match self.coming.take() {
            Some((later, deed)) => Some((later - 1, deed)),
            None => self.find(traps, bytes),
        };
        let (_, deed) = self.coming.filter(|(later, _)| *later == 0)?;
        self.coming = None;
        traps.sprung += 1;
        Some(deed)
    }

    fn find(&mut self, traps: &mut Traps, bytes: &[u8]) -> Option<(usize, Deed)> {
        let trap = traps.request.as_ref()?;
        self.last.extend(bytes);
        let mut seen = self.last.make_contiguous().windows(trap.bytes.len());
        if seen.any(|seen| seen == trap.bytes) {
            self.last.clear();
            let Trap { later, deed, .. } = traps.request.take()?;
            return Some((later, deed));
        }
        let surplus = self.last.len().saturating_sub(trap.bytes.len());
        self.last.drain(..surplus);
        None
    }
}
