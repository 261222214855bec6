//! The few judgements a store makes, shared by all implementations.

use std::fmt::Write as _;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{Command, TaskState, WorkflowState};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::store::{Commit, LockWrite, RunChanges, StoreError};

/// Why an attempt ended that was stopped before an executor claimed it.
pub(crate) const STOPPED_UNCLAIMED: &str = "stopped before it began";
/// Why an attempt ended whose executor is gone.
pub(crate) const EXECUTOR_LOST: &str = "the executor that ran it is gone";

/// What locks of a project of a store in memory are called by: as in the others, whose default
/// project is older than names of locks are.
pub(crate) fn lock_name(project: EntityId) -> String {
    if project == EntityId::DEFAULT_PROJECT { "default".to_owned() } else { project.to_string() }
}

/// Why `command` may not be asked of a workflow that stands at `status`.
pub(crate) fn refusal(status: WorkflowStatus, command: &Command) -> Option<String> {
    use WorkflowStatus as S;
    let word = status.as_str();
    match (command, status) {
        (Command::Retry, S::Failed | S::Cancelled)
        | (Command::Delete, S::Succeeded | S::Failed | S::Cancelled) => None,
        (Command::Delete, _) => {
            Some(format!("only a workflow that has ended can be deleted, this one is {word}"))
        }
        (Command::Retry, _) => {
            Some(format!("only a FAILED or CANCELLED workflow can be retried, this one is {word}"))
        }
        (_, S::Succeeded | S::Failed | S::Cancelled) => {
            Some(format!("the workflow has already ended: it is {word}"))
        }
        (_, S::Pending | S::Running | S::Paused) => None,
    }
}

/// After asking this no attempt is admitted until the controller opens the gate (INV-20).
pub(crate) fn closes_gate(command: &Command) -> bool {
    matches!(command, Command::Cancel | Command::Stop | Command::Terminate | Command::Pause)
}

/// Asking this again while it waits changes nothing.
pub(crate) fn collapses(command: &Command) -> bool {
    matches!(
        command,
        Command::Cancel | Command::Stop | Command::Terminate | Command::Retry | Command::Delete
    )
}

/// A workflow may be written from one status and generation to another: a terminal one keeps
/// its status unless a retry opens the next generation, and success is final (INV-3, INV-4).
pub(crate) fn workflow_may_become(
    (from, generation): (WorkflowStatus, u32),
    (to, next): (WorkflowStatus, u32),
) -> bool {
    !from.terminal() || from == to || (from != WorkflowStatus::Succeeded && next > generation)
}

/// A task may be written from one status to another: success is final. Others may be reopened.
pub(crate) fn task_may_become(from: TaskStatus, to: TaskStatus) -> bool {
    from != TaskStatus::Succeeded || to == TaskStatus::Succeeded
}

/// A workflow names a project that does not exist.
pub(crate) fn no_project(id: EntityId) -> StoreError {
    StoreError::Refused(format!("there is no project {id}"))
}

/// A workflow is to begin in a project that is being deleted.
pub(crate) fn draining(name: &str) -> StoreError {
    StoreError::Refused(format!("project {name:?} is being deleted: it takes nothing new"))
}

/// There is a schedule of this name already.
pub(crate) fn schedule_exists(name: &str) -> StoreError {
    StoreError::Conflict(format!("there is a schedule named {name:?} already"))
}

/// Somebody else wrote the schedule first.
pub(crate) fn schedule_changed() -> StoreError {
    StoreError::Conflict("the schedule was changed meanwhile".to_owned())
}

/// The fire time of a schedule has its workflow already.
pub(crate) fn already_fired(at: Timestamp) -> StoreError {
    StoreError::Conflict(format!("the run of {} exists already", at.rfc3339()))
}

/// An admission of an attempt that nobody made runnable.
pub(crate) fn not_runnable(key: AttemptKey) -> StoreError {
    StoreError::Conflict(format!("attempt {key:?} is admitted but not runnable"))
}

/// An admission without a server to claim it.
pub(crate) fn no_instance() -> StoreError {
    StoreError::Conflict("admissions without an instance".to_owned())
}

/// What the constraints of the schema say of a task: it has an end exactly if it has ended.
pub(crate) fn task_sound(state: &TaskState) -> bool {
    state.status.terminal() == state.finished_at.is_some()
}

/// The same of a workflow.
pub(crate) fn workflow_sound(state: &WorkflowState) -> bool {
    state.status.terminal() == state.finished_at.is_some() && state.generation >= 1
}

/// The locks of a task are its own, each once.
pub(crate) fn locks_sound(write: &LockWrite) -> Result<(), StoreError> {
    let mut keys = std::collections::BTreeSet::new();
    match write.rows.iter().find(|row| row.node != write.node || !keys.insert(&row.key)) {
        None => Ok(()),
        Some(row) => {
            Err(StoreError::Conflict(format!("lock {:?} of task {}", row.key, row.node.0)))
        }
    }
}

/// A lock that is held by more tasks than any of its holders knows to be allowed (INV-8).
pub(crate) fn lock_overfull(key: &str, holders: u64, limit: u32) -> Result<(), StoreError> {
    if holders <= u64::from(limit) {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("lock {key:?} is held by {holders} tasks of at most {limit}")))
}

/// Who holds a slot after a commit, as far as it changes: nobody who has ended. One that a user opens
/// again begins without, whatever its scheduler has written down.
pub(crate) fn slots(commit: &Commit) -> SlotChanges {
    let mut slots = commit.slots.clone();
    for run in &commit.runs {
        let ended = run.state.as_ref().is_some_and(|state| state.status.terminal());
        slots.extend(run.workflow.filter(|_| ended).map(|id| (id, false)));
    }
    slots
}

/// What followers are told of a commit, as JSON: `[[workflow id, number of its last record], ...]`.
pub(crate) fn outbox(commit: &Commit) -> Result<String, StoreError> {
    let mut body = String::with_capacity(2 + commit.runs.len() * 48);
    body.push('[');
    for run in &commit.runs {
        if let Some(workflow) = run.workflow {
            let comma = if body.len() > 1 { "," } else { "" };
            let seq = seq_after(run)?;
            write!(body, "{comma}[\"{workflow}\",{seq}]")
                .map_err(|error| StoreError::Conflict(error.to_string()))?;
        }
    }
    body.push(']');
    Ok(body)
}

/// Number of the last record once these are written.
pub(crate) fn seq_after(run: &RunChanges) -> Result<u64, StoreError> {
    u64::try_from(run.records.len())
        .ok()
        .and_then(|count| run.seq_before.checked_add(count))
        .filter(|seq| i64::try_from(*seq).is_ok())
        .ok_or_else(|| StoreError::Conflict("record numbers overflow".to_owned()))
}

/// The workflow that these changes are of; all attempts they name have to be its own.
pub(crate) fn own(run: &RunChanges) -> Result<WorkflowId, StoreError> {
    let Some(workflow) = run.workflow else {
        return Err(StoreError::Conflict("changes of no workflow".to_owned()));
    };
    let queue = run.runnable.iter().chain(&run.unrunnable);
    let started = run.started.iter().map(|(key, _)| key);
    let ended = run.ended.iter().map(|(key, _)| key);
    let mut keys = queue.chain(started).chain(ended);
    match keys.find(|key| key.workflow != workflow || key.number == 0) {
        None => Ok(workflow),
        Some(key) => Err(StoreError::Conflict(format!(
            "attempt {key:?} among the changes of workflow {workflow}"
        ))),
    }
}
