//! The statements of a commit, looked up once per commit and then run for every row.

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::{TaskShape, TaskWrite};
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use rusqlite::{CachedStatement, Connection, params};

use crate::sqlite::codec;
use crate::sqlite::error::from_sqlite;

/// Compiled statements. Each guard stands in the statement that writes.
pub(super) struct Statements<'t> {
    pub(super) advance: CachedStatement<'t>,
    pub(super) write_state: CachedStatement<'t>,
    pub(super) gate: CachedStatement<'t>,
    pub(super) insert_event: CachedStatement<'t>,
    pub(super) set_timer: CachedStatement<'t>,
    pub(super) clear_timer: CachedStatement<'t>,
    insert_task: CachedStatement<'t>,
    update_task: CachedStatement<'t>,
    insert_runnable: CachedStatement<'t>,
    delete_runnable: CachedStatement<'t>,
    insert_attempt: CachedStatement<'t>,
    start_attempt: CachedStatement<'t>,
    end_attempt: CachedStatement<'t>,
}

const ADVANCE: &str = "UPDATE workflow SET seq = ?3 WHERE id = ?1 AND seq = ?2";

/// The last line is `rules::workflow_may_become`: a terminal status absorbs.
const WRITE_STATE: &str = "UPDATE workflow SET seq = ?3, status = ?4, reason = ?5, message = ?6, \
     generation = ?7, ending = ?8, started_at = ?9, finished_at = ?10, outputs = ?11 \
     WHERE id = ?1 AND seq = ?2 \
     AND (finished_at IS NULL OR status = ?4 OR (status <> 'SUCCEEDED' AND generation < ?7))";

/// Stays closed while somebody waits for an acknowledged cancel, stop or pause (INV-20).
const GATE: &str = "UPDATE workflow SET gate_closed = \
     (?2 OR EXISTS (SELECT 1 FROM intent i WHERE i.workflow = ?1 AND i.closes = 1)) \
     WHERE id = ?1";

const INSERT_EVENT: &str = "INSERT INTO event (workflow, seq, at, node, status, reason, message, \
     attempt, exit_code, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const SET_TIMER: &str = "INSERT INTO timer (workflow, node, kind, at) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (workflow, node, kind) DO UPDATE SET at = excluded.at";

const CLEAR_TIMER: &str = "DELETE FROM timer WHERE workflow = ?1 AND node = ?2 AND kind = ?3";

const INSERT_TASK: &str = "INSERT INTO task (workflow, node, parent, slot, kind, name, template, \
     item, status, reason, message, attempt, failures, losses, exit_code, queued_at, started_at, \
     finished_at, outputs) VALUES \
     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

/// The last line is `rules::task_may_become`: success is final.
const UPDATE_TASK: &str = "UPDATE task SET status = ?3, reason = ?4, message = ?5, attempt = ?6, \
     failures = ?7, losses = ?8, exit_code = ?9, queued_at = ?10, started_at = ?11, \
     finished_at = ?12, outputs = ?13 WHERE workflow = ?1 AND node = ?2 \
     AND (status <> 'SUCCEEDED' OR ?3 = 'SUCCEEDED')";

const INSERT_RUNNABLE: &str =
    "INSERT OR IGNORE INTO runnable (workflow, node, number) VALUES (?1, ?2, ?3)";

const DELETE_RUNNABLE: &str =
    "DELETE FROM runnable WHERE workflow = ?1 AND node = ?2 AND number = ?3";

const INSERT_ATTEMPT: &str = "INSERT INTO attempt (workflow, node, number, instance, admitted_at) \
     VALUES (?1, ?2, ?3, ?4, ?5)";

const START_ATTEMPT: &str = "UPDATE attempt SET started_at = ?4 \
     WHERE workflow = ?1 AND node = ?2 AND number = ?3 AND ended_at IS NULL \
     AND started_at IS NULL";

const END_ATTEMPT: &str = "UPDATE attempt SET started_at = coalesce(?4, started_at), \
     ended_at = ?5, exit_code = ?6, reason = ?7, message = ?8 \
     WHERE workflow = ?1 AND node = ?2 AND number = ?3 AND ended_at IS NULL";

impl<'t> Statements<'t> {
    pub(super) fn prepare(conn: &'t Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            advance: conn.prepare_cached(ADVANCE)?,
            write_state: conn.prepare_cached(WRITE_STATE)?,
            gate: conn.prepare_cached(GATE)?,
            insert_event: conn.prepare_cached(INSERT_EVENT)?,
            set_timer: conn.prepare_cached(SET_TIMER)?,
            clear_timer: conn.prepare_cached(CLEAR_TIMER)?,
            insert_task: conn.prepare_cached(INSERT_TASK)?,
            update_task: conn.prepare_cached(UPDATE_TASK)?,
            insert_runnable: conn.prepare_cached(INSERT_RUNNABLE)?,
            delete_runnable: conn.prepare_cached(DELETE_RUNNABLE)?,
            insert_attempt: conn.prepare_cached(INSERT_ATTEMPT)?,
            start_attempt: conn.prepare_cached(START_ATTEMPT)?,
            end_attempt: conn.prepare_cached(END_ATTEMPT)?,
        })
    }

    pub(super) fn insert_task(
        &mut self,
        workflow: WorkflowId,
        task: &TaskWrite,
        shape: &TaskShape,
    ) -> Result<usize, StoreError> {
        let state = &task.state;
        self.insert_task
            .execute(params![
                workflow.0,
                task.node.0,
                shape.parent.map(|node| node.0),
                shape.slot,
                shape.kind.as_str(),
                shape.name,
                shape.template,
                shape.item.as_ref().map(codec::to_json).transpose()?,
                state.status.as_str(),
                state.reason.map(Reason::as_str),
                state.message,
                state.attempt,
                state.failures,
                state.losses,
                state.exit_code,
                state.queued_at.map(|at| at.0),
                state.started_at.map(|at| at.0),
                state.finished_at.map(|at| at.0),
                codec::outputs_json(state.outputs.as_ref())?,
            ])
            .map_err(from_sqlite)
    }

    /// How many rows: 0 if the task is missing or may not become this.
    pub(super) fn update_task(
        &mut self,
        workflow: WorkflowId,
        task: &TaskWrite,
    ) -> Result<usize, StoreError> {
        let state = &task.state;
        self.update_task
            .execute(params![
                workflow.0,
                task.node.0,
                state.status.as_str(),
                state.reason.map(Reason::as_str),
                state.message,
                state.attempt,
                state.failures,
                state.losses,
                state.exit_code,
                state.queued_at.map(|at| at.0),
                state.started_at.map(|at| at.0),
                state.finished_at.map(|at| at.0),
                codec::outputs_json(state.outputs.as_ref())?,
            ])
            .map_err(from_sqlite)
    }

    pub(super) fn insert_runnable(&mut self, key: AttemptKey) -> Result<usize, StoreError> {
        self.insert_runnable
            .execute(params![key.workflow.0, key.node.0, key.number])
            .map_err(from_sqlite)
    }

    pub(super) fn delete_runnable(&mut self, key: AttemptKey) -> Result<usize, StoreError> {
        self.delete_runnable
            .execute(params![key.workflow.0, key.node.0, key.number])
            .map_err(from_sqlite)
    }

    /// Opens the attempt; a unique index refuses a second open one of the task.
    pub(super) fn admit(
        &mut self,
        key: AttemptKey,
        instance: InstanceId,
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        self.insert_attempt
            .execute(params![key.workflow.0, key.node.0, key.number, instance.0, at.0])
            .map_err(from_sqlite)
    }

    pub(super) fn start(&mut self, key: AttemptKey, at: Timestamp) -> Result<usize, StoreError> {
        self.start_attempt
            .execute(params![key.workflow.0, key.node.0, key.number, at.0])
            .map_err(from_sqlite)
    }

    /// Ends the attempt, which releases it. One that has ended stays as it is.
    pub(super) fn end(&mut self, key: AttemptKey, report: &Report) -> Result<usize, StoreError> {
        let failure = report.failure.as_ref();
        self.end_attempt
            .execute(params![
                key.workflow.0,
                key.node.0,
                key.number,
                report.started_at.map(|at| at.0),
                report.finished_at.0,
                report.exit_code,
                failure.map(|failure| failure.reason.as_str()),
                failure.map(|failure| failure.message.as_str()),
            ])
            .map_err(from_sqlite)
    }
}
