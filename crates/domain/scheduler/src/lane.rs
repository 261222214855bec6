//! The waiting attempts of one workflow.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::time::Timestamp;

use crate::Candidate;

/// A place in the order of admission: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: Reverse<i32>,
    since: Timestamp,
    pub(crate) key: AttemptKey,
}

impl Rank {
    pub(crate) fn of(candidate: &Candidate) -> Self {
        Self { priority: Reverse(candidate.priority), since: candidate.since, key: candidate.key }
    }
}

/// One workflow: who waits, how many run, and whether anyone may start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    pub(crate) waiting: BTreeSet<Rank>,
    pub(crate) running: u32,
    pub(crate) parallelism: Option<u32>,
    pub(crate) gated: bool,
}

impl Lane {
    /// The attempt that may start next, if any may.
    pub(crate) fn head(&self) -> Option<Rank> {
        let full = self.parallelism.is_some_and(|most| self.running >= most);
        if self.gated || full {
            return None;
        }
        self.waiting.first().copied()
    }

    /// Nothing would be lost by forgetting it.
    pub(crate) fn idle(&self) -> bool {
        self.waiting.is_empty() && self.running == 0 && !self.gated
    }
}
