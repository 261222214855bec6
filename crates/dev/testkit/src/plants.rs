//! Bugs made on purpose, to see that the checker finds them. Each makes one part misbehave at its
//! border, as a mistake inside it would.

use flowforge_model::attempt::{AttemptKey, Outcome};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::plan::{Body, Needs, Plan};
use flowforge_model::quota::Entity;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::admission::{Admission, LockRequest, Ready, Slot, SlotChanges};
use flowforge_svc_scheduler::{LocalAdmission, Precedence, RetryBreaker, RetryBudget, Rules};

/// A bug made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The result of an old attempt is taken for that of the current one.
    SkipTheStatusGuard,
    /// An attempt that ends frees two slots.
    ReleaseTwice,
    /// Tasks do not wait for what they depend on.
    StartBeforeDependencies,
    /// Tasks are tried more often than their limit says.
    RetryPastTheLimit,
    /// The end of an attempt is acknowledged and forgotten.
    LoseAnEvent,
    /// A cancel is acknowledged before the gate is closed.
    CloseTheGateLate,
    /// A lock is given to the next one while somebody holds it.
    GrantTwice,
    /// Tasks do not wait for the hooks of what they depend on.
    ForgetHooks,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SkipTheStatusGuard,
        Self::ReleaseTwice,
        Self::StartBeforeDependencies,
        Self::RetryPastTheLimit,
        Self::LoseAnEvent,
        Self::CloseTheGateLate,
        Self::GrantTwice,
        Self::ForgetHooks,
    ];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipTheStatusGuard => "skip the status guard",
            Self::ReleaseTwice => "release twice",
            Self::StartBeforeDependencies => "start before dependencies",
            Self::RetryPastTheLimit => "retry past the limit",
            Self::LoseAnEvent => "lose an event",
            Self::CloseTheGateLate => "close the gate late",
            Self::GrantTwice => "grant a lock twice",
            Self::ForgetHooks => "forget hooks",
        }
    }
}

/// The plan as an engine with this bug would see it.
#[must_use]
pub fn misread(plant: Option<Plant>, mut plan: Plan) -> Plan {
    for template in &mut plan.templates {
        match (plant, &mut template.body) {
            (Some(Plant::StartBeforeDependencies), Body::Dag(dag)) => {
                dag.dependents = flowforge_model::plan::Rows::from_pairs(dag.tasks.len(), &[]);
                for task in &mut dag.tasks {
                    task.needs = Needs::All(Box::default());
                }
            }
            (Some(Plant::ForgetHooks), Body::Dag(dag)) => {
                dag.tasks.iter_mut().for_each(|task| task.hooks.clear());
            }
            (Some(Plant::RetryPastTheLimit), _) => {
                if let Some(retry) = &mut template.retry {
                    retry.limit = retry.limit.map(|limit| limit.saturating_add(2));
                }
            }
            _ => {}
        }
    }
    plan
}

/// What simulations go by. Tenants may retry so little that retries wait.
pub(crate) const RULES: Rules = Rules {
    precedence: Precedence::Share,
    budget: RetryBudget { per_second: 5, percent: 20, burst: 2 },
    breaker: RetryBreaker { failures: 2, pause: Millis(1000) },
};

/// The real admission, with or without a bug.
#[derive(Debug)]
pub struct Doorman {
    inner: LocalAdmission,
    plant: Option<Plant>,
    held: Vec<AttemptKey>,
}

impl Doorman {
    /// Admits at most `slots` attempts at a time.
    #[must_use]
    pub fn new(slots: u32, plant: Option<Plant>) -> Self {
        Self { inner: LocalAdmission::new(slots, RULES), plant, held: Vec::new() }
    }
}

impl Admission for Doorman {
    fn offer(&mut self, ready: Ready) {
        self.inner.offer(ready);
    }

    fn withdraw(&mut self, key: AttemptKey) {
        self.inner.withdraw(key);
    }

    fn release(&mut self, key: AttemptKey, outcome: Option<Outcome>) {
        self.inner.release(key, outcome);
        self.held.retain(|held| *held != key);
        if self.plant == Some(Plant::ReleaseTwice)
            && let Some(other) = self.held.pop()
        {
            self.inner.release(other, None);
        }
    }

    fn adopt(&mut self, ready: Ready) {
        self.held.push(ready.key);
        self.inner.adopt(ready);
    }

    fn gate(&mut self, workflow: WorkflowId, open: bool) {
        self.inner.gate(workflow, open);
    }

    fn adopt_workflow(&mut self, slot: Slot) {
        self.inner.adopt_workflow(slot);
    }

    fn end_workflow(&mut self, workflow: WorkflowId) {
        self.inner.end_workflow(workflow);
    }

    fn suspend(&mut self, workflow: WorkflowId, suspended: bool) {
        self.inner.suspend(workflow, suspended);
    }

    fn slot_changes(&mut self) -> SlotChanges {
        self.inner.slot_changes()
    }

    fn share_among(&mut self, entities: &[Entity]) {
        self.inner.share_among(entities);
    }

    fn admit(&mut self, now: Timestamp, most: usize) -> Vec<AttemptKey> {
        let admitted = self.inner.admit(now, most);
        self.held.extend(&admitted);
        admitted
    }

    fn next_look(&self) -> Option<Timestamp> {
        self.inner.next_look()
    }

    fn want_locks(&mut self, request: LockRequest) {
        self.inner.want_locks(request);
    }

    fn adopt_locks(&mut self, request: LockRequest) {
        self.inner.adopt_locks(request);
    }

    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx) {
        self.inner.release_locks(workflow, node);
    }

    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)> {
        let granted = self.inner.grant_locks();
        if self.plant == Some(Plant::GrantTwice) {
            for (workflow, node) in &granted {
                self.inner.release_locks(*workflow, *node);
            }
        }
        granted
    }
}
