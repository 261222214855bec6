//! The read path of the database: what the api shows.

use std::future::Future;

use flowforge_model::event::{Record, TaskRow, WorkflowState};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;

use crate::store::{LockRow, Parent, Remembered, StoreError, TimerRow};

/// A workflow as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowView {
    /// Its id.
    pub id: WorkflowId,
    /// Its project.
    pub project: EntityId,
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
    /// What started it, if that is a task.
    pub parent: Option<Parent>,
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
    /// The workflow that it started.
    pub started: Option<WorkflowId>,
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
    pub project: Option<EntityId>,
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

/// Which locks are wanted, by key. Empty fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockFilter {
    /// Only these.
    pub keys: Vec<String>,
    /// Only those that a task of this workflow holds or waits for.
    pub workflow: Option<WorkflowId>,
    /// Only after this one.
    pub after: Option<String>,
}

/// A lock that somebody holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockView {
    /// Which: `scope/project/name`, the project as [`crate::store::StoredRun::lock_name`] has it.
    pub key: String,
    /// How many may hold it: the most that one of those below knows.
    pub limit: u32,
    /// How many hold it.
    pub holding: u64,
    /// How many wait for it.
    pub waiting: u64,
    /// Who holds it; perhaps not all.
    pub holders: Vec<LockUser>,
    /// Who waits for it, in the order in which they will get it; perhaps not all.
    pub waiters: Vec<LockUser>,
}

/// A task that holds a lock or waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockUser {
    /// Its workflow.
    pub workflow: WorkflowId,
    /// The name of its workflow.
    pub workflow_name: String,
    /// The task.
    pub node: NodeIx,
    /// The task's dotted path; none if it is not there (yet): the workflow itself.
    pub task_name: Option<String>,
    /// When it began to wait.
    pub since: Timestamp,
}

/// A cache of remembered outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheView {
    /// Its project.
    pub project: EntityId,
    /// Its name.
    pub cache: String,
    /// How many outputs it remembers.
    pub memos: u64,
    /// When the newest of them were given.
    pub last_at: Timestamp,
}

/// Outputs that are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoView {
    /// A number of its own, rising.
    pub id: i64,
    /// What makes two tasks the same.
    pub key: String,
    /// The workflow whose task gave them; it may be gone.
    pub workflow: WorkflowId,
    /// What there is.
    pub remembered: Remembered,
}

/// The read path. Sees every commit that returned before the call. Implementations: PostgreSQL, SQLite.
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

    /// Timers of tasks `from..=to` of a workflow, by node and kind.
    ///
    /// # Errors
    /// `NotFound`.
    fn timers(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> impl Future<Output = Result<Vec<TimerRow>, StoreError>> + Send;

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

    /// Locks that tasks `from..=to` of a workflow hold or wait for, by node and key.
    ///
    /// # Errors
    /// `NotFound`.
    fn locks_of(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> impl Future<Output = Result<Vec<LockRow>, StoreError>> + Send;

    /// Locks, by key, at most `limit`, with at most `users` of those who hold and of those who
    /// wait for each.
    ///
    /// # Errors
    /// `Unavailable`.
    fn locks(
        &self,
        filter: LockFilter,
        limit: u32,
        users: u32,
    ) -> impl Future<Output = Result<Vec<LockView>, StoreError>> + Send;

    /// Caches of a project, by name, after the one named `after`, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn caches(
        &self,
        project: EntityId,
        after: Option<String>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<CacheView>, StoreError>> + Send;

    /// What a cache of a project remembers, by id, after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn memos(
        &self,
        project: EntityId,
        cache: String,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<MemoView>, StoreError>> + Send;

    /// Forgets what a cache of a project remembers under a key, or all of it; how many that were.
    ///
    /// # Errors
    /// `Unavailable`.
    fn forget(
        &self,
        project: EntityId,
        cache: String,
        key: Option<String>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
