//! Who is next, fairly: shares over a hierarchy, quotas on every level, priorities that grow.

mod audit;
mod branch;
mod breaker;
mod budget;
mod claiming;
mod claims;
mod climb;
mod clusters;
mod contention;
mod entry;
mod heap;
mod hierarchy;
mod holding;
mod indexed;
mod lane;
mod metrics;
mod pick;
mod points;
mod preview;
mod queue;
mod room;
mod shape;
mod simulate;
mod span;
mod task;
mod view;
mod waiting;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Outcome};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::Dimension;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::{Drift, Tree};

use crate::Candidate;
use branch::Branches;
use breaker::Breaker;
pub use breaker::{RetryBreaker, Tripped};
use budget::Rations;
pub use budget::{Rationed, RetryBudget};
use claims::Claims;
use climb::Touched;
pub use clusters::ClusterUse;
use clusters::{ClusterIx, Clusters};
use contention::Cooling;
pub use entry::Precedence;
use lane::{Lane, LaneIx, Lanes, Slot};
use metrics::Tally;
use points::FULL_WAIT;
use queue::{QueueIx, Queues};
use shape::Shapes;
use span::Span;
use task::{State, Task, TaskIx, Tasks};

/// What is a matter of taste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who goes first when children compete.
    pub precedence: Precedence,
    /// Who is first in line and has waited for so long claims what becomes free: 10 minutes.
    pub claim_after: Millis,
    /// How many retries each tenant may make.
    pub retries: RetryBudget,
    /// When the retries of a template wait.
    pub breaker: RetryBreaker,
}

impl Default for Settings {
    fn default() -> Self {
        let (precedence, retries) = (Precedence::default(), RetryBudget::default());
        Self { precedence, claim_after: Millis(600_000), retries, breaker: RetryBreaker::default() }
    }
}

/// Admits attempts whose needs fit the quotas of their project and all above it, in the order of
/// weighted shares and priorities.
///
/// - An attempt is admitted only if there is room for all it needs on every level, the installation
///   included; then all of it is reserved, or nothing. While there is too little of something after
///   a cut, nothing that needs it is admitted below.
/// - From the installation down the child goes first that has the least share over 2^(P/32): the
///   share is the largest part it uses, over its weight, of what its next task needs and is
///   contended; P is the priority of that task. Within a project the highest P goes first, then the
///   earliest, then the least key. So the order is total, and the same calls give the same answers.
/// - Who is first in line at an entity, fits below it and has waited for [`Settings::claim_after`]
///   claims what becomes free there and on the way to it, if that could be taken by smaller ones:
///   until it starts, others start there only if they fit beside it, or are sure to have ended by when
///   there is room for it at the latest. At most one claims at an entity. So it starts at the latest when
///   all that ran there when the claim began has ended, unless above there is too little room. What all share
///   is also claimed by the first in line of a tenant that others come before; those are not held back by it, and
///   it starts when its tenant uses less than they do, or they take no more.
/// - P grows with waiting: exactly, at every instant, at no cost for those who wait.
/// - A workflow that starts its first attempt takes a workflow slot and its storage in the same
///   decision, and keeps them until [`FairShare::end_workflow`] or [`FairShare::idle`].
/// - A retry competes once it has a token of its tenant's [`RetryBudget`]; it gives the token back if it
///   comes to nothing. Before that it waits while attempts of its template break one after the other: then
///   only one at a time tries ([`RetryBreaker`]). What is no retry waits for neither.
/// - A pod needs a slot of the cluster that its project is in; quotas are of all clusters together. Where a
///   cluster has none left, or nobody lives, those of others start as if nobody waited for it.
/// - Attempts that may not start (no room, a closed gate, a parallelism) cost nothing until that
///   changes.
///
/// A decision costs O(levels * classes of needs * log children). Base priorities outside of 0 to 100
/// count as 0 or 100 in shares; within a project they count in full.
///
/// Offering, adopting, withdrawing and releasing twice does what once does.
#[derive(Clone, Debug)]
pub struct FairShare {
    settings: Settings,
    capacity: [Option<u64>; Dimension::COUNT],
    /// The latest instant it was told; it never goes back.
    now: Timestamp,
    tree: Tree,
    clusters: Clusters,
    branches: Branches,
    shapes: Shapes,
    tasks: Tasks,
    queues: Queues,
    lanes: Lanes,
    held: usize,
    /// Queues whose first task is not fully aged, by when it began to wait.
    aging: BTreeSet<(Timestamp, QueueIx)>,
    cooling: Cooling,
    claims: Claims,
    breaker: Breaker,
    rations: Rations,
    touched: Touched,
    tally: Tally,
    /// Workflows whose slots were taken (or given back) since this was last asked for.
    slots: BTreeMap<WorkflowId, bool>,
}

impl FairShare {
    /// An installation in which nobody is known yet, with `slots` slots for attempts.
    #[must_use]
    pub fn new(slots: u32, settings: Settings) -> Self {
        let mut fair = Self {
            settings,
            capacity: [None; Dimension::COUNT],
            now: Timestamp(0),
            tree: Tree::new([None; Dimension::COUNT]),
            clusters: Clusters::new(ClusterName::default()),
            branches: Branches::default(),
            shapes: Shapes::default(),
            tasks: Tasks::default(),
            queues: Queues::default(),
            lanes: Lanes::default(),
            held: 0,
            aging: BTreeSet::new(),
            cooling: Cooling::default(),
            claims: Claims::default(),
            breaker: Breaker::new(settings.breaker),
            rations: Rations::new(settings.retries),
            touched: Touched::default(),
            tally: Tally::default(),
            slots: BTreeMap::new(),
        };
        fair.branches.grow(&fair.tree);
        fair.resize(slots);
        fair
    }

    /// The attempt may start. Ignored if it waits or holds something already.
    pub fn offer(&mut self, candidate: Candidate) {
        let key = candidate.key;
        if self.task(key).is_some() || self.breaker.waits(key) || self.rations.waits(key) {
            return;
        }
        if candidate.retry && !self.breaker.take(&candidate, self.now) {
            return;
        }
        self.ration(candidate);
    }

    /// Whoever needs a token takes one or waits for it; then it competes.
    fn ration(&mut self, candidate: Candidate) {
        let place = if candidate.retry { self.tree.place(candidate.project) } else { None };
        let tenant = place.and_then(|at| self.tenant_id(at));
        if tenant.is_some_and(|tenant| !self.rations.take(tenant, &candidate, self.now)) {
            return;
        }
        self.compete(&candidate);
    }

    fn compete(&mut self, candidate: &Candidate) {
        let lane = self.lane(candidate);
        self.wait(lane, candidate);
        self.finish();
    }

    /// The attempt runs already, in the cluster of its project: it holds what it needs, even if that makes
    /// more than there is.
    pub fn adopt(&mut self, candidate: Candidate) {
        self.adopt_in(candidate, None);
    }

    /// The same in another cluster, if that is named.
    pub fn adopt_in(&mut self, candidate: Candidate, cluster: Option<&ClusterName>) {
        self.breaker.forget(candidate.key, self.now);
        self.rations.forget(candidate.key);
        match self.task(candidate.key) {
            Some((_, Task { state: State::Held { .. }, .. })) => return,
            Some((at, _)) => {
                self.unwait(at);
                // Before its place is taken by another: heaps may still name it.
                self.finish();
            }
            None => {}
        }
        let (lane, place) = (self.lane(&candidate), self.name(candidate.project));
        let (at, task) = self.enter(&candidate, lane, place);
        if let Some(cluster) = cluster {
            self.put_in(at, &task, cluster);
        }
        self.hold(at);
        self.finish();
    }

    /// The attempt is not wanted any more. One that runs keeps what it holds until released.
    pub fn withdraw(&mut self, key: AttemptKey) {
        // What one that runs says of its template is known when it ends.
        if !self.runs(key) {
            self.breaker.forget(key, self.now);
        }
        self.leave(key);
    }

    /// What waits or runs with this key.
    fn task(&self, key: AttemptKey) -> Option<(TaskIx, Task)> {
        self.tasks.find(self.lanes.find(key.workflow)?, key)
    }

    /// It holds what it needs.
    fn runs(&self, key: AttemptKey) -> bool {
        self.task(key).is_some_and(|(_, task)| matches!(task.state, State::Held { .. }))
    }

    /// It competes no more, nor stands in the line of its tenant.
    fn leave(&mut self, key: AttemptKey) {
        self.rations.forget(key);
        if let Some((at, task @ Task { state: State::Waiting(..), .. })) = self.task(key) {
            self.unwait(at);
            self.lanes.forget(task.lane);
            self.account(&task, None);
            self.finish();
        }
    }

    /// The attempt ended: what it held is free. Its workflow keeps its slot.
    pub fn release(&mut self, key: AttemptKey) {
        if let Some((at, task @ Task { state: State::Held { .. }, .. })) = self.task(key) {
            self.unhold(&task);
            self.tasks.remove(at);
            self.shapes.put(task.shape);
            self.lanes.forget(task.lane);
            self.finish();
        }
    }

    /// The attempt ended like this, or came to nothing if that is not said: it is released, and its
    /// tenant's budget for retries and the circuit of its template learn what it did.
    pub fn end(&mut self, key: AttemptKey, outcome: Option<Outcome>) {
        if let Some((_, task @ Task { state: State::Held { .. }, .. })) = self.task(key) {
            self.account(&task, outcome);
            self.release(key);
            self.judge(&task, outcome);
        }
    }

    /// What an end says about the template.
    fn judge(&mut self, task: &Task, outcome: Option<Outcome>) {
        let of = self.tree.entity(task.place).and_then(|project| Some((project, task.template()?)));
        match (outcome, of) {
            (Some(Outcome::Succeeded), Some(of)) => {
                for retry in self.breaker.close(of) {
                    self.ration(retry);
                }
            }
            (Some(Outcome::Broken), Some(of)) => {
                if self.breaker.broke(of, task.key, self.now) {
                    self.hold_back(of);
                }
            }
            (Some(_) | None, _) => self.breaker.forget(task.key, self.now),
        }
    }

    /// The circuit of a template has just opened: those of its retries that have no token yet wait for it.
    fn hold_back(&mut self, of: breaker::Subject) {
        let about = |retry: &Candidate| breaker::subject(retry) == Some(of);
        let retries = self.rations.iter().map(|(_, retry)| *retry).filter(about);
        let retries: Vec<Candidate> = retries.collect();
        for retry in retries {
            self.rations.forget(retry.key);
            self.breaker.take(&retry, self.now);
        }
    }

    /// Lets the next retry try where a pause is over. One that has its turn and cannot start makes room for
    /// the others: its workflow may be paused.
    fn let_try(&mut self) {
        while let Some((of, trial)) = self.breaker.due(self.now) {
            if let Some(key) = trial {
                let runs = self.runs(key);
                let waits = !runs && (self.task(key).is_some() || self.rations.waits(key));
                if runs || waits && self.breaker.alone(of) {
                    self.breaker.stay(of, self.now);
                    continue;
                }
                if waits {
                    self.leave(key);
                    self.breaker.step_back(key);
                } else {
                    self.breaker.forget(key, self.now);
                }
            }
            if let Some(retry) = self.breaker.next_trial(of, self.now) {
                self.ration(retry);
            }
        }
    }

    /// What becomes of a token that was taken, or is earned.
    fn account(&mut self, task: &Task, outcome: Option<Outcome>) {
        let Some(tenant) = self.tenant_id(task.place) else { return };
        match (outcome, task.retry) {
            (None, true) => self.rations.refund(tenant, self.now),
            (Some(Outcome::Succeeded), false) => self.rations.earn(tenant, self.now),
            _ => {}
        }
    }

    /// The attempt was admitted, and that came to nothing: it waits as before, and a slot that its
    /// workflow took for it, and that nothing else uses, is given back.
    pub fn roll_back(&mut self, key: AttemptKey) {
        if let Some((lane, true)) = self.wait_again(key) {
            self.give_back(lane);
        }
        self.finish();
    }

    /// The attempt was admitted a while ago, and nobody has begun it: it waits as before. Its workflow keeps
    /// its slot: others may have come to use it since, or locks.
    pub fn take_back(&mut self, key: AttemptKey) {
        self.wait_again(key);
        self.finish();
    }

    /// What holds something waits, for the cluster that its project is in now. Its workflow, and whether it took the
    /// slot of that.
    fn wait_again(&mut self, key: AttemptKey) -> Option<(LaneIx, bool)> {
        let (at, task) = self.task(key)?;
        let State::Held { took_slot, .. } = task.state else { return None };
        self.tally.undo();
        self.unhold(&task);
        let task = self.relocate(at, task);
        self.enqueue(at, &task);
        Some((task.lane, took_slot))
    }

    /// Holds back all attempts of a workflow, or lets them go.
    pub fn gate(&mut self, workflow: WorkflowId, open: bool) {
        let at = match self.lanes.find(workflow) {
            Some(at) => at,
            None if open => return,
            None => self.lanes.open(workflow, workflow),
        };
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.gated = !open;
        }
        self.settle_lane(at);
        self.lanes.forget(at);
        self.finish();
    }

    /// Admits up to `most` attempts in order, as long as there is room. What is returned holds what
    /// it needs until it is released or rolled back.
    pub fn admit(&mut self, now: Timestamp, most: usize) -> Vec<AttemptKey> {
        self.advance(now);
        let mut admitted = Vec::new();
        while admitted.len() < most {
            let Some((at, task)) = self.pick().and_then(|at| Some((at, *self.tasks.get(at)?)))
            else {
                break;
            };
            self.dequeue(at, &task);
            self.tally.admit(&self.shapes.need(task.shape), task.since, self.now);
            self.hold(at);
            self.finish();
            admitted.push(task.key);
        }
        admitted
    }

    /// The workflow holds its slot already: found so after a restart. Attempts that are adopted say
    /// that themselves; this is for workflows none of whose attempts runs.
    /// `slot` is its storage, and whether it was called.
    pub fn adopt_workflow(&mut self, workflow: WorkflowId, project: EntityId, slot: (u64, bool)) {
        let (at, place) = (self.lanes.open(workflow, workflow), self.name(project));
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.own = Slot { storage: slot.0, called: slot.1 };
        }
        self.take_slot(at, place);
        self.finish();
    }

    /// The workflow takes its slot now, if there is room for it. Whether it holds it. `slot` is its
    /// storage, and whether it was called.
    pub fn begin_workflow(
        &mut self,
        workflow: WorkflowId,
        project: EntityId,
        slot: (u64, bool),
    ) -> bool {
        let (at, place) = (self.lanes.open(workflow, workflow), self.name(project));
        let own = Slot { storage: slot.0, called: slot.1 };
        let need = own.need();
        let held = self.lanes.root(at).is_some_and(|root| root.slot.is_some());
        let room = || {
            self.tree.fits(place, &need).is_ok()
                && self.behind(place, (&need, Span::ENDLESS, ClusterIx::HOME), None).is_none()
        };
        if !held && !room() {
            self.lanes.forget(at);
            return false;
        }
        if let Some(lane) = self.lanes.get_mut(at).filter(|_| !held) {
            lane.own = own;
        }
        self.take_slot(at, place);
        self.finish();
        true
    }

    /// The workflow holds the slot that it uses.
    #[must_use]
    pub fn holds_slot(&self, workflow: WorkflowId) -> bool {
        let root = self.lanes.find(workflow).and_then(|at| self.lanes.root(at));
        root.is_some_and(|root| root.slot.is_some())
    }

    /// The workflow ended: its slot is free.
    pub fn end_workflow(&mut self, workflow: WorkflowId) {
        if let Some(at) = self.lanes.find(workflow) {
            self.give_up(at);
            self.finish();
        }
    }

    /// The workflow is paused or waits for something outside: while nothing of it and of those it
    /// called runs, its slot is free, unless it has storage: that is there all the same. The next attempt
    /// that is admitted takes it again.
    pub fn idle(&mut self, workflow: WorkflowId) {
        if let Some(at) = self.lanes.find(workflow) {
            if !self.lanes.root(at).is_some_and(Lane::stores) {
                self.give_back(at);
            }
            self.lanes.forget(at);
            self.finish();
        }
    }

    /// Workflows that took their slots since this was last called, with `true`, and those that gave
    /// theirs back.
    pub fn slot_changes(&mut self) -> BTreeMap<WorkflowId, bool> {
        std::mem::take(&mut self.slots)
    }

    /// How many attempts hold something.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many attempts wait, those held back by a gate, a parallelism, a circuit or a budget included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.tasks.len() - self.held + self.breaker.len() + self.rations.len()
    }

    /// When somebody may be admitted because of the time alone.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.breaker.next().into_iter().chain(self.rations.next()).min()
    }

    /// Who shares, and what is used.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// From now on the peaks of [`FairShare::usage`] are what is used, or will be.
    pub fn forget_peaks(&mut self) {
        self.tree.forget_peaks();
    }

    /// Compares what is used with what is held, slots of workflows included: empty, always.
    #[must_use]
    pub fn drift(&self) -> Vec<Drift> {
        let held = self.tasks.iter().filter(|(_, task)| matches!(task.state, State::Held { .. }));
        let held = held.map(|(_, task)| (task.place, self.shapes.need(task.shape)));
        self.tree.drift(held.chain(self.lanes.iter().filter_map(Lane::held)))
    }

    /// Moves on to an instant: tasks that waited for an hour gain no more, what was contended may
    /// not be any more.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.let_try();
        for retry in self.rations.let_go(self.now) {
            self.compete(&retry);
        }
        while let Some((since, at)) = self.aging.first().copied() {
            if since.plus(FULL_WAIT) > self.now {
                break;
            }
            self.settle(at);
        }
        self.finish();
        self.cool();
        self.look();
    }
}

#[cfg(test)]
mod tests;
