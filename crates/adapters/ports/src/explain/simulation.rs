//! What if: tasks and changes that are only thought of.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::{Amounts, Entity};
use serde::{Deserialize, Serialize};

use super::Why;

/// Tasks that are thought of at a time, and starts that are told.
pub const SIMULATED: u32 = 10_000;
/// Groups of them.
pub const GROUPS: usize = 100;
/// Entities that are otherwise.
pub const CHANGED: usize = 1000;

/// What is thought of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// Entities that are otherwise, each after its parent; at most [`CHANGED`].
    pub entities: Vec<Entity>,
    /// So many attempts may run at a time; none is what there is.
    pub slots: Option<u32>,
    /// Tasks that come too; at most [`GROUPS`], and [`SIMULATED`] all together.
    pub groups: Vec<Group>,
}

impl Simulation {
    /// Within its bounds.
    #[must_use]
    pub fn bounded(&self) -> bool {
        let tasks: u64 = self.groups.iter().map(|group| u64::from(group.count)).sum();
        self.entities.len() <= CHANGED
            && self.groups.len() <= GROUPS
            && tasks <= u64::from(SIMULATED)
    }

    /// The workflow that a group is.
    #[must_use]
    pub fn workflow(group: usize) -> WorkflowId {
        WorkflowId::simulated(u16::try_from(group).unwrap_or(u16::MAX))
    }

    /// Which group a workflow is.
    #[must_use]
    pub fn group(workflow: WorkflowId) -> Option<usize> {
        workflow.simulation().map(usize::from)
    }
}

/// Tasks of one workflow that are all alike, and ready at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Of which project.
    pub project: EntityId,
    /// How many.
    pub count: u32,
    /// What each needs.
    pub need: Amounts,
    /// Higher goes first.
    pub priority: i32,
    /// At most so many run at a time.
    pub parallelism: Option<u32>,
}

/// What would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulated {
    /// What would start at once, in order, tasks that wait already among it. Of those that are thought
    /// of the workflow is [`Simulation::workflow`], and the node their number in the group.
    pub starts: Vec<AttemptKey>,
    /// Nothing else would start; else [`SIMULATED`] starts were told, and more would follow.
    pub complete: bool,
    /// Of each group, why the first of it that would not start waits; none if all would.
    pub waits: Vec<Option<Why>>,
}
