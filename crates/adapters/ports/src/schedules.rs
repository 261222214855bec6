//! Schedules in the database: who writes which part, in which transaction.
//!
//! The `api` creates, replaces, suspends and deletes them; the loop of `svc-cron` fires them. Both
//! write the version they read plus one: whoever comes second is refused, reads again and decides
//! again. The workflows a schedule starts and the state that remembers them are one transaction,
//! so that a fire time starts one workflow, whenever the server dies.

use std::future::Future;

use flowforge_model::id::{EntityId, ScheduleId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;

use crate::store::{NewWorkflow, StoreError};

/// A schedule as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its id.
    pub id: ScheduleId,
    /// Its project.
    pub project: EntityId,
    /// The name of its project: the namespace of its document.
    pub namespace: String,
    /// Its name, unique in its project.
    pub name: String,
    /// The document as it was sent.
    pub document: String,
    /// A user holds it, whatever the document says.
    pub suspended: bool,
    /// What `flowforge-cron` keeps of it, as JSON.
    pub state: String,
    /// When it has to be looked at again.
    pub next_at: Option<Timestamp>,
    /// Why the last fire time started nothing; `None` if it did.
    pub problem: Option<String>,
    /// Rises with every write, from 1.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its document or its suspension was last written.
    pub updated_at: Timestamp,
}

/// What a user writes of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutSchedule {
    /// Its id; a new one for one that is created.
    pub id: ScheduleId,
    /// Its project.
    pub project: EntityId,
    /// Its name.
    pub name: String,
    /// The document.
    pub document: String,
    /// Whether a user holds it.
    pub suspended: bool,
    /// Its state.
    pub state: String,
    /// When it has to be looked at.
    pub next_at: Option<Timestamp>,
    /// When.
    pub at: Timestamp,
    /// The version that this replaces; `None` creates.
    pub replaces: Option<u64>,
}

/// What a look at a schedule changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Which.
    pub schedule: ScheduleId,
    /// The version it was decided on.
    pub version: u64,
    /// Its state from now on.
    pub state: String,
    /// When it has to be looked at again.
    pub next_at: Option<Timestamp>,
    /// Why the last fire time started nothing.
    pub problem: Option<String>,
    /// Runs to terminate; those that have ended already are left alone.
    pub stop: Vec<WorkflowId>,
    /// Workflows to start, with their fire times.
    pub runs: Vec<(Timestamp, NewWorkflow)>,
    /// When.
    pub at: Timestamp,
}

/// A run of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Its fire time.
    pub at: Timestamp,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Where it stands; `None` once it is deleted.
    pub status: Option<WorkflowStatus>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Schedules. Every call is one transaction. Implementations: PostgreSQL, SQLite, memory.
pub trait Schedules: Send + Sync + 'static {
    /// Creates a schedule, or replaces what a user wrote of it.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name already, or if it is at another version than the
    /// one to replace; `Refused` if there is no such project; `Unavailable`.
    fn put_schedule(
        &self,
        put: PutSchedule,
    ) -> impl Future<Output = Result<ScheduleRow, StoreError>> + Send;

    /// One schedule by its project and its name.
    ///
    /// # Errors
    /// `NotFound`.
    fn schedule_named(
        &self,
        project: EntityId,
        name: String,
    ) -> impl Future<Output = Result<ScheduleRow, StoreError>> + Send;

    /// One schedule.
    ///
    /// # Errors
    /// `NotFound`.
    fn schedule(
        &self,
        id: ScheduleId,
    ) -> impl Future<Output = Result<ScheduleRow, StoreError>> + Send;

    /// Schedules of a project, or of all, by id after `after`, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ScheduleRow>, StoreError>> + Send;

    /// Forgets a schedule. Its runs stay and go on.
    ///
    /// # Errors
    /// `NotFound`.
    fn delete_schedule(
        &self,
        id: ScheduleId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Carries out a decision: the runs, the ends and the state, all or nothing. Runs that are
    /// deleted, and are none of those it starts, are forgotten. Returns the new version.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if it is at another version, or if a run exists already.
    fn fire(&self, firing: Firing) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The runs of a schedule, the latest fire time first, at most `limit`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn schedule_runs(
        &self,
        id: ScheduleId,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ScheduleRun>, StoreError>> + Send;
}
