//! Who holds which locks, and who is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;

/// A task of a workflow.
pub type Holder = (WorkflowId, NodeIx);

/// A task that wants locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockClaim {
    /// Which task.
    pub holder: Holder,
    /// Higher goes first.
    pub priority: i32,
    /// When its workflow was submitted; earlier goes first among equals.
    pub created_at: Timestamp,
    /// When it began to wait; earlier goes first among those.
    pub since: Timestamp,
    /// The locks, and how many may hold each at a time.
    pub locks: Vec<(String, u32)>,
}

/// A place in the queue of a lock: the least goes first.
type Rank = (Reverse<i32>, Timestamp, Timestamp, Holder);

/// Mutexes and semaphores with one fair queue each.
///
/// - At most `limit` tasks hold a lock. The limit is that of the task that asks: when a smaller one
///   comes along, it waits until fewer hold the lock.
/// - Only the first of a queue may be given its lock, and a task with several locks gets all of them
///   at once, when it is the first in all their queues: nobody who waits holds anything, so those who
///   wait cannot block each other for ever.
/// - Tasks of a workflow that is held back stand in no queue: they are given nothing, and nobody waits
///   behind them. Let go again, they have their old place.
/// - Asking, adopting and releasing twice does what once does.
///
/// A grant costs O(locks of the task * log n); a release looks at the heads of its own queues only.
#[derive(Clone, Debug, Default)]
pub struct LockTable {
    locks: BTreeMap<String, Queue>,
    waiting: BTreeMap<Holder, LockClaim>,
    held: BTreeMap<Holder, Vec<String>>,
    /// Locks whose first task may have its turn.
    stirred: BTreeSet<String>,
    /// Workflows that are held back, and what their tasks want.
    gated: BTreeMap<WorkflowId, BTreeMap<Holder, LockClaim>>,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    holders: BTreeSet<Holder>,
    waiting: BTreeSet<Rank>,
}

impl LockTable {
    /// The task waits for its locks. Ignored if it holds or waits for locks already.
    pub fn want(&mut self, claim: LockClaim) {
        if self.held.contains_key(&claim.holder) || self.waiting.contains_key(&claim.holder) {
            return;
        }
        if let Some(back) = self.gated.get_mut(&claim.holder.0) {
            back.entry(claim.holder).or_insert(claim);
            return;
        }
        for (key, _) in &claim.locks {
            self.locks.entry(key.clone()).or_default().waiting.insert(claim.rank());
            self.stirred.insert(key.clone());
        }
        self.waiting.insert(claim.holder, claim);
    }

    /// The task holds its locks already, even if that makes more than may.
    pub fn adopt(&mut self, claim: LockClaim) {
        self.release(claim.holder);
        self.hold(claim);
    }

    /// The task neither holds nor waits for locks any more.
    pub fn release(&mut self, holder: Holder) {
        self.step_back(holder);
        if let Some(back) = self.gated.get_mut(&holder.0) {
            back.remove(&holder);
        }
        for key in self.held.remove(&holder).unwrap_or_default() {
            self.change(&key, |queue| queue.holders.remove(&holder));
        }
    }

    /// Holds back the tasks of a workflow, or lets them go. What they hold they keep.
    pub fn gate(&mut self, workflow: WorkflowId, open: bool) {
        if open {
            for claim in self.gated.remove(&workflow).unwrap_or_default().into_values() {
                self.want(claim);
            }
        } else if !self.gated.contains_key(&workflow) {
            let waiting = self.waiting.range(tasks_of(workflow));
            let holders: Vec<Holder> = waiting.map(|(holder, _)| *holder).collect();
            let back =
                holders.into_iter().filter_map(|holder| Some((holder, self.step_back(holder)?)));
            let back = back.collect();
            self.gated.insert(workflow, back);
        }
    }

    /// Takes a task out of the queues it stands in.
    fn step_back(&mut self, holder: Holder) -> Option<LockClaim> {
        let claim = self.waiting.remove(&holder)?;
        let rank = claim.rank();
        for (key, _) in &claim.locks {
            self.change(key, |queue| queue.waiting.remove(&rank));
        }
        Some(claim)
    }

    /// Gives locks to all whose turn it is, in order.
    pub fn grant(&mut self) -> Vec<Holder> {
        let mut granted = Vec::new();
        while let Some(key) = self.stirred.pop_first() {
            let first = self.locks.get(&key).and_then(|queue| queue.waiting.first());
            let Some(&(.., holder)) = first else { continue };
            if !self.waiting.get(&holder).is_some_and(|claim| self.may_hold(claim)) {
                continue;
            }
            let Some(claim) = self.step_back(holder) else { continue };
            self.hold(claim);
            granted.push(holder);
        }
        granted
    }

    /// The tasks that hold a lock.
    pub fn holders(&self, key: &str) -> impl Iterator<Item = Holder> + '_ {
        self.locks.get(key).into_iter().flat_map(|queue| queue.holders.iter().copied())
    }

    /// The tasks that wait for a lock, in the order in which they will get it.
    pub fn waiters(&self, key: &str) -> impl Iterator<Item = Holder> + '_ {
        let queue = self.locks.get(key).into_iter();
        queue.flat_map(|queue| queue.waiting.iter().map(|&(.., holder)| holder))
    }

    /// A task of the workflow holds locks.
    #[must_use]
    pub fn held_by(&self, workflow: WorkflowId) -> bool {
        self.held.range(tasks_of(workflow)).next().is_some()
    }

    /// A task of the workflow waits for locks, held back or not.
    #[must_use]
    pub fn wanted_by(&self, workflow: WorkflowId) -> bool {
        let back = self.gated.get(&workflow).is_some_and(|back| !back.is_empty());
        back || self.waiting.range(tasks_of(workflow)).next().is_some()
    }

    /// Nobody holds or waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    fn may_hold(&self, claim: &LockClaim) -> bool {
        let rank = claim.rank();
        claim.locks.iter().all(|(key, limit)| {
            self.locks.get(key).is_some_and(|queue| {
                let room = u32::try_from(queue.holders.len()).is_ok_and(|held| held < *limit);
                room && queue.waiting.first() == Some(&rank)
            })
        })
    }

    fn hold(&mut self, claim: LockClaim) {
        let mut keys = Vec::with_capacity(claim.locks.len());
        for (key, _) in claim.locks {
            self.locks.entry(key.clone()).or_default().holders.insert(claim.holder);
            keys.push(key);
        }
        self.held.insert(claim.holder, keys);
    }

    /// Changes a queue: its first task may have its turn now. One that says nothing is forgotten.
    fn change(&mut self, key: &str, change: impl FnOnce(&mut Queue) -> bool) {
        let Some(queue) = self.locks.get_mut(key) else { return };
        change(queue);
        if queue.holders.is_empty() && queue.waiting.is_empty() {
            self.locks.remove(key);
            self.stirred.remove(key);
        } else {
            self.stirred.insert(key.to_owned());
        }
    }
}

fn tasks_of(workflow: WorkflowId) -> RangeInclusive<Holder> {
    (workflow, NodeIx(0))..=(workflow, NodeIx(u32::MAX))
}

impl LockClaim {
    fn rank(&self) -> Rank {
        (Reverse(self.priority), self.created_at, self.since, self.holder)
    }
}

#[cfg(test)]
mod tests;
