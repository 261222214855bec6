//! The write path of the database: who writes which fact, in which transaction.
//!
//! `api` inserts workflows and intents; the `controller` owns everything else and writes it in one
//! [`Commit`] per turn. Every call is one transaction: all of it or nothing.

use std::future::Future;

use flowforge_model::attempt::{AttemptKey, Fact, Report};
use flowforge_model::event::{Command, Outputs, Record, TaskRow, TaskWrite, Timer, WorkflowState};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;

use crate::admission::SlotChanges;
use crate::handover::{Handover, News};
use crate::templates::{StoredTemplate, TemplateId};

/// What a store cannot do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The epoch of the commit is not the current one: another controller took over.
    #[error("another server has taken over this database")]
    Fenced,
    /// A row is not as the commit assumes (a gap in a sequence, a second open attempt).
    #[error("conflicting write: {0}")]
    Conflict(String),
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// Attempts of these workflows were admitted that the commit takes off the queue, or are in the queue again
    /// that it stops. Nothing was written: read these workflows again, the others are as the commit assumes.
    #[error("attempts were admitted, or taken back, in the meantime")]
    Overtaken(Vec<WorkflowId>),
    /// No such row.
    #[error("not found")]
    NotFound,
    /// The workflow is in a state in which this cannot be asked.
    #[error("{0}")]
    Refused(String),
    /// A stored row cannot be read.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    /// The schema is newer than this program.
    #[error(
        "the database has schema {found}, this program knows up to {known}: use a newer flowforge"
    )]
    FutureSchema {
        /// In the database.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// The database did not answer, or not in time; whether it did its work is unknown.
    #[error("database unavailable: {0}")]
    Unavailable(String),
}

/// A workflow to insert. Its plan is compiled from `document` and `parameters` by whoever needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewWorkflow {
    /// Its id, minted by the api.
    pub id: WorkflowId,
    /// Its project.
    pub project: EntityId,
    /// Its name; not unique.
    pub name: String,
    /// For people.
    pub description: String,
    /// The document as it was sent.
    pub document: String,
    /// Parameter values of this submission, over those of the document.
    pub parameters: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Higher goes first.
    pub priority: i32,
    /// What its claims ask for together.
    pub storage: Bytes,
    /// Who sent it.
    pub submitted_by: String,
    /// The workflow this one repeats.
    pub resubmitted_from: Option<WorkflowId>,
    /// When.
    pub at: Timestamp,
    /// The client's idempotency key, and a digest of its request.
    pub idempotency: Option<(String, String)>,
    /// What started it, if that is a task.
    pub parent: Option<Parent>,
}

/// The task that started a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its attempt.
    pub attempt: AttemptKey,
    /// The workflow in whose slot it runs: that at the top of those that wait for one another. None if
    /// the task does not wait for its end: then it has a slot of its own.
    pub root: Option<WorkflowId>,
    /// How many workflows are above it, from 1.
    pub depth: u32,
}

/// The answer to an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The workflow's id; the earlier one if the request was a repetition.
    pub id: WorkflowId,
    /// The request was a repetition of one already done.
    pub replayed: bool,
}

/// Something a user asked of a workflow, waiting for its controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Rising in the order they were asked.
    pub id: i64,
    /// Of which workflow.
    pub workflow: WorkflowId,
    /// What; none means that it was submitted.
    pub command: Option<Command>,
    /// Why it cannot be read: a later version wrote it. Nothing else of it is known then.
    pub unread: Option<String>,
}

/// Everything kept of a workflow that a controller needs to carry on with it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// Its id.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: EntityId,
    /// The name of its project: the namespace of its tasks.
    pub namespace: String,
    /// What locks of its project are called by: unique in the whole store, and never another.
    pub lock_name: String,
    /// Its document.
    pub document: String,
    /// Parameter values of its submission.
    pub parameters: Vec<(String, String)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Its priority.
    pub priority: i32,
    /// What its claims ask for together.
    pub storage: Bytes,
    /// What started it, if that is a task.
    pub parent: Option<Parent>,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// The part that changes.
    pub state: WorkflowState,
    /// Number of its last record; 0 before the first.
    pub seq: u64,
    /// No attempt may be admitted.
    pub gate_closed: bool,
    /// It holds its slot.
    pub slot: bool,
    /// Its tasks, by node, dense from 0.
    pub tasks: Vec<TaskRow>,
    /// Its timers.
    pub timers: Vec<TimerRow>,
    /// Attempts that may be admitted.
    pub runnable: Vec<AttemptKey>,
    /// Attempts that were admitted and have not ended, with the instance that claimed each; none until
    /// an executor of its own has.
    pub open: Vec<(AttemptKey, Option<InstanceId>)>,
    /// Locks that its tasks hold or wait for, by node and key.
    pub locks: Vec<LockRow>,
}

/// A lock that a task holds or waits for. A task holds all of its locks or none of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockRow {
    /// The task.
    pub node: NodeIx,
    /// Which lock: `scope/project/name`, unique in the whole store.
    pub key: String,
    /// How many tasks may hold it at a time, as this task knows it.
    pub limit: u32,
    /// Held; otherwise waited for.
    pub held: bool,
    /// When the task began to wait.
    pub since: Timestamp,
}

/// All locks of a task from now on; they replace those it had. None: it neither holds nor waits
/// for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWrite {
    /// The task.
    pub node: NodeIx,
    /// Its locks, all of this node.
    pub rows: Vec<LockRow>,
}

/// Outputs to remember; they replace those of the same project, cache and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoWrite {
    /// The cache of the project of the workflow.
    pub cache: String,
    /// What makes two tasks the same.
    pub key: String,
    /// What the task gave.
    pub outputs: Outputs,
}

/// Outputs of an earlier task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What it gave.
    pub outputs: Outputs,
    /// When it was committed.
    pub at: Timestamp,
}

/// A timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerRow {
    /// When it is due.
    pub at: Timestamp,
    /// Whose.
    pub workflow: WorkflowId,
    /// Which task.
    pub node: NodeIx,
    /// Which kind.
    pub timer: Timer,
}

/// All that one turn of a controller changes, over any number of workflows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// The controller's lease: refused when it is not the current one.
    pub epoch: u64,
    /// The server that claims the admissions.
    pub instance: Option<InstanceId>,
    /// When.
    pub at: Timestamp,
    /// Changes, each workflow at most once.
    pub runs: Vec<RunChanges>,
    /// Intents that were carried out.
    pub intents_done: Vec<i64>,
    /// Attempts that start: each becomes an open attempt row unless its gate is closed.
    pub admissions: Vec<AttemptKey>,
    /// Workflows that hold their slots from now on, and those that do no more.
    pub slots: SlotChanges,
    /// What was used in an interval that is over, each entity at most once.
    pub usage: Vec<Measured>,
    /// What the other roles are told, where they are servers of their own; nothing is admitted then.
    pub handover: Option<Box<Handover>>,
}

/// What changes of one workflow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunChanges {
    /// Which; `None` only in `Default`.
    pub workflow: Option<WorkflowId>,
    /// The changed part of its row, if it changed.
    pub state: Option<WorkflowState>,
    /// Opens or closes the gate.
    pub gate_closed: Option<bool>,
    /// Tasks, each at most once; with a shape if the node is new.
    pub tasks: Vec<TaskWrite>,
    /// New records; they take the numbers after `seq_before`, without a gap.
    pub records: Vec<Record>,
    /// Number of the last record before these. The store refuses the commit if it is another.
    pub seq_before: u64,
    /// Attempts that may be admitted now.
    pub runnable: Vec<AttemptKey>,
    /// Attempts that may not be admitted any more.
    pub unrunnable: Vec<AttemptKey>,
    /// Attempts that started.
    pub started: Vec<(AttemptKey, Timestamp)>,
    /// Attempts that ended. Ending is releasing; ending an ended attempt changes nothing.
    pub ended: Vec<(AttemptKey, Report)>,
    /// Timers to set, replacing those of the same node and kind.
    pub timers_set: Vec<(NodeIx, Timer, Timestamp)>,
    /// Timers to forget.
    pub timers_cleared: Vec<(NodeIx, Timer)>,
    /// Tasks whose locks changed, each at most once. What one workflow of a commit releases, another
    /// of the same commit may hold.
    pub locks: Vec<LockWrite>,
    /// Outputs to remember. They stay when the workflow is deleted.
    pub memos: Vec<MemoWrite>,
    /// Delete the workflow with all its rows.
    pub delete: bool,
    /// Workflows that its tasks start, of its project, each with the intent to begin it. A project that
    /// takes nothing new takes these: they are part of what it has taken.
    pub children: Vec<NewWorkflow>,
    /// What is asked of workflows that its tasks started. One that has ended or is gone is not asked, and
    /// no gate is closed: the intent is all there is.
    pub asks: Vec<(WorkflowId, Command)>,
    /// News for the controllers of other workflows: the ends of attempts that waited for this one.
    /// A controller of the whole store tells itself.
    pub tells: Vec<Fact>,
}

/// What became of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Admissions refused because a gate was closed in the meantime; their runnable rows stay.
    pub refused: Vec<AttemptKey>,
}

/// The write path. Implementations: PostgreSQL, SQLite, memory.
pub trait Store: Send + Sync + 'static {
    /// Inserts a workflow and the intent to begin it.
    ///
    /// # Errors
    /// `KeyReused`, `Unavailable`.
    fn insert(&self, new: NewWorkflow)
    -> impl Future<Output = Result<Inserted, StoreError>> + Send;

    /// Records what a user asks; cancel, stop, terminate and pause also close the gate, so that
    /// no attempt is admitted after this returns.
    ///
    /// # Errors
    /// `NotFound`; `Refused` if the workflow has ended (or, for a retry, has not failed).
    fn ask(
        &self,
        workflow: WorkflowId,
        command: Command,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes over as the controller: the epoch rises and fences all earlier ones.
    ///
    /// # Errors
    /// `Unavailable`.
    fn take_over(
        &self,
        instance: InstanceId,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Intents of workflows of these shards after number `after`, in their order. Several servers
    /// write them at a time, so that one may appear behind others with higher numbers.
    ///
    /// # Errors
    /// `Unavailable`; `Refused` if the store has no shards and these are not all.
    fn intents(
        &self,
        shards: ShardSet,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Intent>, StoreError>> + Send;

    /// What other roles told the controllers of these shards, oldest first. It stays until a commit
    /// says that it is done.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn news(
        &self,
        shards: ShardSet,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<News>, StoreError>> + Send;

    /// Workflows of these shards that have not ended, by id, after `after`.
    ///
    /// # Errors
    /// `Unavailable`; `Refused` as [`Store::intents`].
    fn unfinished(
        &self,
        shards: ShardSet,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<WorkflowId>, StoreError>> + Send;

    /// Timers of workflows of these shards that have ended (their time to live), by time.
    ///
    /// # Errors
    /// `Unavailable`; `Refused` as [`Store::intents`].
    fn ended_timers(
        &self,
        shards: ShardSet,
    ) -> impl Future<Output = Result<Vec<TimerRow>, StoreError>> + Send;

    /// Everything kept of a workflow.
    ///
    /// # Errors
    /// `NotFound`; `Corrupt`: set it aside, others are not affected.
    fn load(&self, id: WorkflowId) -> impl Future<Output = Result<StoredRun, StoreError>> + Send;

    /// The latest version of a stored document that others refer to.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Corrupt`.
    fn referred(
        &self,
        id: TemplateId,
    ) -> impl Future<Output = Result<StoredTemplate, StoreError>> + Send;

    /// The outputs that a project remembers in a cache under a key; none if it does not.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn recall(
        &self,
        project: EntityId,
        cache: &str,
        key: &str,
    ) -> impl Future<Output = Result<Option<Remembered>, StoreError>> + Send;

    /// One turn of a controller, durable when this returns.
    ///
    /// # Errors
    /// `Fenced`, `Conflict`, `Overtaken` (nothing was written), `Unavailable` (unknown: take over and
    /// reload).
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Committed, StoreError>> + Send;
}
