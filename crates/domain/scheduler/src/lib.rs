//! Who is next: a global limit of running attempts, higher priority first, then first come,
//! first served; and the queues of locks.
//!
//! Pure: no clock, no I/O. [`Fifo`] is the seam that a fair scheduler fills later; what it must
//! keep is stated there and tested against a naive oracle.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod fair;
mod lane;
mod locks;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::Amounts;
use flowforge_model::time::Timestamp;

pub use fair::{FairShare, Precedence, Settings};
use lane::{Lane, Rank};
pub use locks::{Holder, LockClaim, LockTable};

/// An attempt that may start. [`Fifo`] looks at the first four of these only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which attempt.
    pub key: AttemptKey,
    /// Higher goes first.
    pub priority: i32,
    /// When it became ready; earlier goes first among equals.
    pub since: Timestamp,
    /// At most this many attempts of its workflow hold a slot at a time.
    pub parallelism: Option<u32>,
    /// Whose quotas it counts against.
    pub project: EntityId,
    /// What it needs, all of its pods together.
    pub need: Amounts,
    /// The workflow whose slot it uses: its own, or the one that called it, directly or not.
    pub root: WorkflowId,
    /// Bytes of volumes that the workflow `root` holds together with its slot.
    pub storage: u64,
}

/// Admits attempts into a fixed number of slots.
///
/// The next one is always the least by (priority falling, `since`, key) among those whose
/// workflow is neither gated nor at its parallelism. Every call costs O(log n) per attempt it
/// names; a workflow that may not start anything costs nothing until it changes.
///
/// Offering, adopting, withdrawing and releasing twice does what once does.
#[derive(Clone, Debug)]
pub struct Fifo {
    slots: usize,
    lanes: BTreeMap<WorkflowId, Lane>,
    /// The first attempt of every lane that may start one. The ranks name their lanes.
    heads: BTreeSet<Rank>,
    /// Attempts that wait, with their place in their lane.
    waiting: BTreeMap<AttemptKey, Rank>,
    held: BTreeSet<AttemptKey>,
}

impl Fifo {
    /// An empty scheduler with `slots` slots. With none, nothing is ever admitted.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        Self {
            slots: usize::try_from(slots).unwrap_or(usize::MAX),
            lanes: BTreeMap::new(),
            heads: BTreeSet::new(),
            waiting: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// From now on there are `slots` slots. Those that are held stay held, even if these are more.
    pub fn resize(&mut self, slots: u32) {
        self.slots = usize::try_from(slots).unwrap_or(usize::MAX);
    }

    /// The attempt may start. Ignored if it waits or holds a slot already.
    pub fn offer(&mut self, candidate: Candidate) {
        if self.held.contains(&candidate.key) || self.waiting.contains_key(&candidate.key) {
            return;
        }
        let rank = Rank::of(&candidate);
        self.waiting.insert(candidate.key, rank);
        self.change(candidate.key.workflow, |lane| {
            lane.parallelism = candidate.parallelism;
            lane.waiting.insert(rank);
        });
    }

    /// The attempt is not wanted any more. One that holds a slot keeps it until released.
    pub fn withdraw(&mut self, key: AttemptKey) {
        if let Some(rank) = self.waiting.remove(&key) {
            self.change(key.workflow, |lane| {
                lane.waiting.remove(&rank);
            });
        }
    }

    /// The attempt ended: its slot is free.
    pub fn release(&mut self, key: AttemptKey) {
        if self.held.remove(&key) {
            self.change(key.workflow, |lane| {
                lane.running = lane.running.saturating_sub(1);
            });
        }
    }

    /// The attempt holds a slot already, even if that makes more than there are.
    pub fn adopt(&mut self, candidate: Candidate) {
        self.withdraw(candidate.key);
        if self.held.insert(candidate.key) {
            self.change(candidate.key.workflow, |lane| {
                lane.parallelism = candidate.parallelism;
                lane.running = lane.running.saturating_add(1);
            });
        }
    }

    /// Holds back all attempts of a workflow, or lets them go.
    pub fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.change(workflow, |lane| lane.gated = !open);
    }

    /// Admits as many attempts as there is room for, at most `most`, in order. What is returned holds
    /// a slot.
    pub fn admit(&mut self, most: usize) -> Vec<AttemptKey> {
        let mut admitted = Vec::new();
        while self.held.len() < self.slots && admitted.len() < most {
            let Some(key) = self.heads.first().map(|rank| rank.key) else {
                break;
            };
            let Some(rank) = self.waiting.remove(&key) else {
                break;
            };
            self.held.insert(key);
            self.change(key.workflow, |lane| {
                lane.waiting.remove(&rank);
                lane.running = lane.running.saturating_add(1);
            });
            admitted.push(key);
        }
        admitted
    }

    /// How many attempts hold a slot.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many attempts wait, those held back by a gate or a parallelism included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Changes a lane and keeps `heads` true to it; a lane that says nothing is forgotten.
    fn change(&mut self, workflow: WorkflowId, change: impl FnOnce(&mut Lane)) {
        let lane = self.lanes.entry(workflow).or_default();
        let before = lane.head();
        change(lane);
        let after = lane.head();
        let idle = lane.idle();
        if before != after {
            if let Some(rank) = before {
                self.heads.remove(&rank);
            }
            if let Some(rank) = after {
                self.heads.insert(rank);
            }
        }
        if idle {
            self.lanes.remove(&workflow);
        }
    }
}

#[cfg(test)]
mod tests;
