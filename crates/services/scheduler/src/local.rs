//! Admission in memory: fair shares below quotas, slots of workflows, and locks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flowforge_model::attempt::{AttemptKey, Outcome};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::Entity;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{Admission, LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::explain::{Answer, Question};
use flowforge_ports::usage::USAGE_ROWS;
use flowforge_scheduler::{
    Candidate, FairShare, LockClaim, LockTable, Meter, Precedence, RetryBreaker, RetryBudget,
    Settings,
};

/// What admission goes by, as the settings say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Who goes first when children of an entity compete.
    pub precedence: Precedence,
    /// How many each tenant may make.
    pub budget: RetryBudget,
    /// When those of a template wait.
    pub breaker: RetryBreaker,
}

/// Admission inside the server's own process: fair shares below quotas, and locks.
#[derive(Clone, Debug)]
pub struct LocalAdmission {
    fair: FairShare,
    locks: LockTable,
    /// Workflows that keep no slot while nothing of them runs, unless they have claims: paused ones and
    /// suspended ones.
    paused: BTreeSet<WorkflowId>,
    suspended: BTreeSet<WorkflowId>,
    /// Workflows that ask for locks, their projects, and what their claims ask for. Who holds or waits for a
    /// lock holds a slot:
    /// otherwise one would hold the lock and wait for a slot, and another the other way round.
    lockers: BTreeMap<WorkflowId, (EntityId, (u64, bool))>,
    /// Those of them that wait for their slots; they stand in no queue. Paused ones do not wait.
    slotless: BTreeSet<WorkflowId>,
    /// Those without a pod among what waits and runs: their controllers carry them out.
    podless: BTreeSet<AttemptKey>,
    /// Who shares, as it was said last.
    entities: BTreeSet<EntityId>,
    meter: Option<Meter>,
    /// Of an interval that is over; not written down yet.
    measured: VecDeque<Measured>,
}

impl LocalAdmission {
    /// Runs at most `concurrency` attempts at a time, by these rules.
    #[must_use]
    pub fn new(concurrency: u32, rules: Rules) -> Self {
        let Rules { precedence, budget: retries, breaker } = rules;
        let settings = Settings { precedence, retries, breaker, ..Settings::default() };
        Self {
            fair: FairShare::new(concurrency, settings),
            locks: LockTable::default(),
            paused: BTreeSet::new(),
            suspended: BTreeSet::new(),
            lockers: BTreeMap::new(),
            slotless: BTreeSet::new(),
            podless: BTreeSet::new(),
            entities: BTreeSet::new(),
            meter: None,
            measured: VecDeque::new(),
        }
    }

    /// The same, which measures what is used in intervals of this length, if there is one.
    #[must_use]
    pub fn measuring(self, every: Option<Millis>) -> Self {
        Self { meter: every.map(Meter::new), ..self }
    }

    /// From now on runs at most `concurrency` attempts at a time; what runs already goes on.
    pub fn resize(&mut self, concurrency: u32) {
        self.fair.resize(concurrency);
    }

    /// The same in a cluster that is called so: `default` if it is not said.
    #[must_use]
    pub fn at_home(mut self, name: ClusterName) -> Self {
        self.fair.call_home(name);
        self
    }

    /// From now on runs at most so many attempts in each of these clusters at a time, and none elsewhere.
    pub(crate) fn resize_each(&mut self, slots: &BTreeMap<ClusterName, u64>) {
        self.fair.resize_each(slots);
    }

    /// The attempt runs already, there.
    pub(crate) fn adopt_in(&mut self, ready: &Ready, cluster: Option<&ClusterName>) {
        self.note(ready);
        self.fair.adopt_in(candidate(ready), cluster);
    }

    /// How many attempts wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fair.waiting()
    }

    /// Who waits and who runs, and whose turn it is.
    #[must_use]
    pub fn fair(&self) -> &FairShare {
        &self.fair
    }

    /// No executor has to do with the attempt.
    pub(crate) fn has_no_pod(&self, key: AttemptKey) -> bool {
        self.podless.contains(&key)
    }

    fn note(&mut self, ready: &Ready) {
        if ready.pods == 0 {
            self.podless.insert(ready.key);
        }
    }

    /// The attempt was admitted, and that came to nothing: it waits as before.
    pub(crate) fn roll_back(&mut self, key: AttemptKey) {
        self.fair.roll_back(key);
        self.let_go(key.workflow);
    }

    /// The attempt was admitted, and nobody has claimed it since: it waits as before.
    pub(crate) fn take_back(&mut self, key: AttemptKey) {
        self.fair.take_back(key);
        self.let_go(key.workflow);
    }

    /// Gives back the slot of a workflow that keeps none while nothing of it runs.
    fn let_go(&mut self, workflow: WorkflowId) {
        let paused = self.paused.contains(&workflow);
        let waits = paused || self.suspended.contains(&workflow);
        let locks = self.locks.held_by(workflow) || !paused && self.locks.wanted_by(workflow);
        if waits && !locks {
            self.fair.idle(workflow);
        }
    }

    /// A workflow that asks for locks stands in their queues if it holds its slot. Otherwise it waits for
    /// one, behind those that do so already.
    fn queue_for_a_slot(&mut self, workflow: WorkflowId) {
        if self.paused.contains(&workflow) {
            return;
        }
        let holds = self.fair.holds_slot(workflow);
        if !holds {
            self.slotless.insert(workflow);
        }
        self.locks.gate(workflow, holds);
    }

    /// Gives slots to those who wait for them, the earliest first; behind one of a project that finds none
    /// nobody of this project gets one.
    fn seat_all(&mut self) {
        let mut full = BTreeSet::new();
        for workflow in self.slotless.clone() {
            let Some((project, slot)) = self.lockers.get(&workflow).copied() else { continue };
            if full.contains(&project) {
                continue;
            }
            if self.fair.begin_workflow(workflow, project, slot) {
                self.slotless.remove(&workflow);
                self.locks.gate(workflow, true);
            } else {
                full.insert(project);
            }
        }
    }
}

/// From the admission of an attempt to its start, and from its time limit to its end: what an executor, an
/// image and an artifact usually take. A limit counts from the start.
const AROUND: Millis = Millis(60_000);

fn candidate(ready: &Ready) -> Candidate {
    Candidate {
        key: ready.key,
        priority: ready.priority,
        since: ready.since,
        parallelism: ready.parallelism,
        project: ready.project,
        need: ready.need(),
        root: ready.key.workflow,
        storage: ready.storage.0,
        called: ready.called,
        lasts: ready.lasts.map(|lasts| Millis(lasts.0.saturating_add(AROUND.0))),
        retry: ready.retry,
        template: ready.template,
    }
}

fn claim(request: LockRequest) -> LockClaim {
    LockClaim {
        holder: (request.workflow, request.node),
        priority: request.priority,
        created_at: request.created_at,
        since: request.since,
        locks: request.locks,
    }
}

impl Admission for LocalAdmission {
    fn offer(&mut self, ready: Ready) {
        self.note(&ready);
        self.fair.offer(candidate(&ready));
    }

    fn withdraw(&mut self, key: AttemptKey) {
        self.podless.remove(&key);
        self.fair.withdraw(key);
    }

    fn release(&mut self, key: AttemptKey, outcome: Option<Outcome>) {
        self.podless.remove(&key);
        self.fair.end(key, outcome);
        self.let_go(key.workflow);
    }

    fn adopt(&mut self, ready: Ready) {
        self.adopt_in(&ready, None);
    }

    fn adopt_workflow(&mut self, slot: Slot) {
        self.fair.adopt_workflow(slot.workflow, slot.project, (slot.storage.0, slot.called));
        self.suspend(slot.workflow, slot.suspended);
        self.let_go(slot.workflow);
    }

    fn end_workflow(&mut self, workflow: WorkflowId) {
        self.fair.end_workflow(workflow);
        self.suspended.remove(&workflow);
        self.lockers.remove(&workflow);
        self.slotless.remove(&workflow);
    }

    fn suspend(&mut self, workflow: WorkflowId, suspended: bool) {
        if suspended {
            self.suspended.insert(workflow);
            self.let_go(workflow);
        } else {
            self.suspended.remove(&workflow);
        }
    }

    fn slot_changes(&mut self) -> SlotChanges {
        self.fair.slot_changes()
    }

    fn share_among(&mut self, entities: &[Entity]) {
        for entity in entities {
            if let Err(error) = self.fair.upsert(entity) {
                tracing::error!(entity = %entity.id, %error, "not part of the hierarchy");
            }
        }
        let now: BTreeSet<EntityId> = entities.iter().map(|entity| entity.id).collect();
        // From the bottom: what was said last stood below what was said before.
        let mut gone: Vec<EntityId> = self.entities.difference(&now).copied().collect();
        while !gone.is_empty() {
            let before = gone.len();
            gone.retain(|id| self.fair.remove(*id).is_err());
            if gone.len() == before {
                break;
            }
        }
        // What is still in use is tried again the next time.
        self.entities = now.into_iter().chain(gone).collect();
    }

    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.fair.gate(workflow, open);
        if !open {
            self.paused.insert(workflow);
            self.slotless.remove(&workflow);
            self.locks.gate(workflow, false);
            self.let_go(workflow);
            return;
        }
        self.paused.remove(&workflow);
        if self.locks.wanted_by(workflow) {
            self.queue_for_a_slot(workflow);
        } else {
            self.locks.gate(workflow, true);
        }
    }

    fn admit(&mut self, now: Timestamp, most: usize) -> Vec<AttemptKey> {
        self.fair.admit(now, most)
    }

    fn want_locks(&mut self, request: LockRequest) {
        let LockRequest { workflow, project, storage, called, .. } = request;
        self.lockers.insert(workflow, (project, (storage.0, called)));
        self.locks.want(claim(request));
        self.queue_for_a_slot(workflow);
    }

    fn adopt_locks(&mut self, request: LockRequest) {
        let LockRequest { workflow, project, storage, called, .. } = request;
        let slot = (storage.0, called);
        self.lockers.insert(workflow, (project, slot));
        self.locks.adopt(claim(request));
        self.fair.adopt_workflow(workflow, project, slot);
    }

    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx) {
        self.locks.release((workflow, node));
        if !self.locks.wanted_by(workflow) {
            self.slotless.remove(&workflow);
            if !self.locks.held_by(workflow) {
                self.lockers.remove(&workflow);
            }
        }
        self.let_go(workflow);
    }

    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)> {
        self.seat_all();
        self.locks.grant()
    }

    fn next_look(&self) -> Option<Timestamp> {
        let at_once = (!self.measured.is_empty()).then_some(Timestamp(0));
        let looks = self.meter.as_ref().map(Meter::next);
        self.fair.next_retry().into_iter().chain(at_once.or(looks)).min()
    }

    fn measure(&mut self, now: Timestamp) -> Vec<Measured> {
        let Some(meter) = &mut self.meter else { return Vec::new() };
        let over = meter.look(&mut self.fair, now);
        if !over.is_empty() {
            if !self.measured.is_empty() {
                let lost = self.measured.len();
                tracing::warn!(lost, "history of usage is not written in time, and has gaps");
            }
            self.measured = over.into();
        }
        let many = self.measured.len().min(USAGE_ROWS);
        self.measured.drain(..many).collect()
    }

    fn explain(&self, question: &Question, now: Timestamp) -> Option<Answer> {
        Some(crate::explain::answer(&self.fair, question, now))
    }
}
