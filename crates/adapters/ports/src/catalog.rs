//! The read path of the database: what the api shows.

use std::future::Future;

use flowforge_model::event::{Record, TaskRow, WorkflowState};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;

use crate::store::StoreError;

/// A workflow as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: String,
    /// Parameter values of its submission.
    pub parameters: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Higher goes first.
    pub priority: i32,
    /// Who sent it.
    pub submitted_by: String,
    /// The workflow this one repeats.
    pub resubmitted_from: Option<WorkflowId>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The part that changes.
    pub state: WorkflowState,
    /// Number of its last record.
    pub seq: u64,
}

/// One attempt as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptView {
    /// Its task.
    pub node: NodeIx,
    /// From 1.
    pub number: u32,
    /// When it was admitted.
    pub admitted_at: Timestamp,
    /// When its process began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// For people.
    pub message: Option<String>,
}

/// One line of history.
#[derive(Clone, Debug, PartialEq)]
pub struct EventView {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What.
    pub record: Record,
    /// The dotted path of its task.
    pub task_name: Option<String>,
}

/// Which workflows are wanted, newest first. Empty fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// Only this project.
    pub project: Option<String>,
    /// Only these statuses.
    pub statuses: Vec<WorkflowStatus>,
    /// Only names that begin so.
    pub name_prefix: Option<String>,
    /// Only with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Only older than this one.
    pub before: Option<WorkflowId>,
}

/// Which tasks of a workflow are wanted, by node. Empty fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Only these statuses.
    pub statuses: Vec<TaskStatus>,
    /// Only leaves (and suspensions).
    pub leaves: bool,
    /// Only this dotted path.
    pub name: Option<String>,
    /// Only after this one.
    pub after: Option<NodeIx>,
}

/// Tasks counted by status.
pub type TaskCounts = Vec<(TaskStatus, u64)>;

/// A project as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The read path. Sees every commit that returned before the call. Implementation: SQLite.
pub trait Catalog: Send + Sync + 'static {
    /// One workflow.
    ///
    /// # Errors
    /// `NotFound`.
    fn workflow(
        &self,
        id: WorkflowId,
    ) -> impl Future<Output = Result<WorkflowView, StoreError>> + Send;

    /// Workflows, newest first, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn workflows(
        &self,
        filter: WorkflowFilter,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<WorkflowView>, StoreError>> + Send;

    /// The document of a workflow as it was sent.
    ///
    /// # Errors
    /// `NotFound`.
    fn document(&self, id: WorkflowId) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Tasks of a workflow, by node, at most `limit`.
    ///
    /// # Errors
    /// `NotFound`.
    fn tasks(
        &self,
        id: WorkflowId,
        filter: TaskFilter,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<TaskRow>, StoreError>> + Send;

    /// Leaves of a workflow counted by status.
    ///
    /// # Errors
    /// `NotFound`.
    fn task_counts(
        &self,
        id: WorkflowId,
    ) -> impl Future<Output = Result<TaskCounts, StoreError>> + Send;

    /// Attempts of tasks `from..=to` of a workflow, by node and number.
    ///
    /// # Errors
    /// `NotFound`.
    fn attempts(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> impl Future<Output = Result<Vec<AttemptView>, StoreError>> + Send;

    /// Records of a workflow after number `after`, at most `limit`.
    ///
    /// # Errors
    /// `NotFound`.
    fn events(
        &self,
        id: WorkflowId,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<EventView>, StoreError>> + Send;

    /// All projects, by name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn projects(&self) -> impl Future<Output = Result<Vec<ProjectView>, StoreError>> + Send;

    /// Creates a project.
    ///
    /// # Errors
    /// `Conflict` if the name is taken.
    fn create_project(
        &self,
        name: String,
        at: Timestamp,
    ) -> impl Future<Output = Result<ProjectView, StoreError>> + Send;
}
