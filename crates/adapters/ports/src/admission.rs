//! The seam between the controller, which knows what is ready, and the scheduler, which decides
//! what starts.

use std::collections::BTreeMap;

use flowforge_model::attempt::{AttemptKey, Outcome, TemplateKey};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Entity};
use flowforge_model::resources::{Bytes, ResourceList, Resources};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;
use serde::{Deserialize, Serialize};

use crate::explain::{Answer, Question};
use crate::handover::Call;

/// An attempt that is ready to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Which attempt.
    pub key: AttemptKey,
    /// The workflow's priority; higher goes first.
    pub priority: i32,
    /// When it became ready; earlier goes first among equals.
    pub since: Timestamp,
    /// Whose quotas it counts against.
    #[serde(default = "default_project")]
    pub project: EntityId,
    /// What each of its pods asks for.
    pub requests: ResourceList,
    /// What each of its pods may use. Controllers of earlier versions do not say.
    #[serde(default)]
    pub limits: ResourceList,
    /// How many pods it has; more than one if it is a gang, none if it starts a workflow: its controller
    /// does that itself, and it needs nothing.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub pods: u32,
    /// What the claims of its workflow ask for, which that holds with its slot. Controllers of earlier
    /// versions do not say.
    #[serde(default)]
    pub storage: Bytes,
    /// At most this many attempts of the workflow run at a time.
    pub parallelism: Option<u32>,
    /// It is stopped when it has run for so long.
    #[serde(default)]
    pub lasts: Option<Millis>,
    /// An attempt of the same task failed before. Controllers of earlier versions do not say.
    #[serde(default)]
    pub retry: bool,
    /// Its template. Controllers of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateKey>,
    /// A task of another workflow started its workflow and waits for it: that one's slot is held all the
    /// while, and this one takes none but for its claims.
    #[serde(default)]
    pub called: bool,
}

fn default_project() -> EntityId {
    EntityId::DEFAULT_PROJECT
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(pods: &u32) -> bool {
    *pods == 1
}

impl Ready {
    /// What it is counted as.
    #[must_use]
    pub fn need(&self) -> Amounts {
        let of_each = Resources { requests: self.requests, limits: self.limits };
        Amounts::of_pods(&of_each, self.pods)
    }
}

/// A workflow that holds its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which.
    pub workflow: WorkflowId,
    /// Whose quotas it counts against.
    pub project: EntityId,
    /// What its claims ask for.
    pub storage: Bytes,
    /// It waits for something outside.
    pub suspended: bool,
    /// As [`Ready::called`].
    pub called: bool,
}

/// Workflows that took their slots, with `true`, and those that gave theirs back. A slot is taken
/// with the first attempt that is admitted and given back when the workflow ends, or while nothing of
/// it runs because it is paused or suspended and it has no claims.
pub type SlotChanges = BTreeMap<WorkflowId, bool>;

/// A task that wants locks, all of them or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRequest {
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// Which task.
    pub node: NodeIx,
    /// Whose quotas its workflow counts against.
    #[serde(default = "default_project")]
    pub project: EntityId,
    /// What the claims of its workflow ask for. Controllers of earlier versions do not say.
    #[serde(default)]
    pub storage: Bytes,
    /// The workflow's priority; higher goes first.
    pub priority: i32,
    /// When the workflow was submitted; earlier goes first among equals.
    pub created_at: Timestamp,
    /// When the task began to wait; earlier goes first among those.
    pub since: Timestamp,
    /// Which locks, each once, and how many tasks may hold each at a time.
    pub locks: Vec<(String, u32)>,
    /// As [`Ready::called`].
    #[serde(default)]
    pub called: bool,
}

/// Decides which ready attempts start, and which waiting tasks hold their locks. All calls are in memory and never block.
///
/// Idempotent by attempt: offering, withdrawing or releasing twice does what once does.
pub trait Admission: Send + 'static {
    /// The attempt may start.
    fn offer(&mut self, ready: Ready);
    /// The attempt is not wanted any more. Does not release it if it was admitted.
    fn withdraw(&mut self, key: AttemptKey);
    /// The attempt ended: what it held is free. `outcome` is how it ended; none if it came to nothing.
    fn release(&mut self, key: AttemptKey, outcome: Option<Outcome>);
    /// The attempt runs already: found open in the store after a restart.
    fn adopt(&mut self, ready: Ready);
    /// The workflow holds its slot: found so in the store after a restart.
    fn adopt_workflow(&mut self, slot: Slot);
    /// The workflow ended: its slot is free.
    fn end_workflow(&mut self, workflow: WorkflowId);
    /// The workflow waits for something outside, or does so no more. While it does, its slot is free as
    /// long as nothing of it runs and it has no claims; the next attempt that is admitted takes it again.
    fn suspend(&mut self, workflow: WorkflowId, suspended: bool);
    /// Slots that changed hands since this was last called: to be written with what is admitted. Nothing
    /// for a scheduler that decides elsewhere.
    fn slot_changes(&mut self) -> SlotChanges;
    /// From now on these share what there is, each after its parent, and nobody else.
    fn share_among(&mut self, entities: &[Entity]);
    /// Holds back all attempts of a workflow, or lets them go.
    fn gate(&mut self, workflow: WorkflowId, open: bool);
    /// Admits as many attempts as there is room for, at most `most`, in order. What is returned
    /// counts as held until it is released.
    fn admit(&mut self, now: Timestamp, most: usize) -> Vec<AttemptKey>;

    /// The task waits for locks. Ignored if it holds or waits for locks already.
    fn want_locks(&mut self, request: LockRequest);
    /// The task holds these locks: found held in the store after a restart, or kept when it gave
    /// others back.
    fn adopt_locks(&mut self, request: LockRequest);
    /// The task neither holds nor waits for locks any more.
    fn release_locks(&mut self, workflow: WorkflowId, node: NodeIx);
    /// Gives free locks to those whose turn it is, in order. What is returned holds them until it
    /// releases them.
    fn grant_locks(&mut self) -> Vec<(WorkflowId, NodeIx)>;

    /// When somebody may be admitted, or something is to be measured, because of the time alone; none if
    /// neither, or if it is decided elsewhere.
    fn next_look(&self) -> Option<Timestamp> {
        None
    }

    /// What was used in an interval that is over, at most [`USAGE_ROWS`](crate::usage::USAGE_ROWS) rows; there may be more next
    /// time. Nothing for a scheduler that decides elsewhere.
    fn measure(&mut self, _now: Timestamp) -> Vec<Measured> {
        Vec::new()
    }

    /// Answers a question as of now, and changes nothing; none if it is decided elsewhere.
    fn explain(&self, _question: &Question, _now: Timestamp) -> Option<Answer> {
        None
    }

    /// What was called since, for a scheduler that decides elsewhere; nothing if this one decides
    /// itself.
    fn take_calls(&mut self) -> Vec<Call> {
        Vec::new()
    }
}
