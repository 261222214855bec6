//! Between columns and the nouns. Whatever does not read back is a corrupt row.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{
    Command, NodeKind, Record, TaskRow, TaskShape, TaskState, Timer, WorkflowState,
};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Parent, StoreError};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::error::from_sqlite;

pub(super) use crate::codec::{
    Compressed, Pairs, compress, corrupt, decompress, ending_word, outputs_json, state_columns,
    task_columns, to_json,
};
use crate::codec::{ending, from_json, parse_word};

/// One column.
pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, at: usize) -> Result<T, StoreError> {
    row.get(at).map_err(from_sqlite)
}

fn text<'r>(row: &'r Row<'_>, at: usize) -> Result<Option<&'r str>, StoreError> {
    match row.get_ref(at).map_err(from_sqlite)? {
        ValueRef::Null => Ok(None),
        value => value.as_str().map(Some).map_err(|error| StoreError::Corrupt(error.to_string())),
    }
}

/// A column with a word of a fixed vocabulary.
pub(super) fn word<T>(
    row: &Row<'_>,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    optional_word(row, at, parse)?.ok_or_else(|| corrupt("a word is missing"))
}

pub(super) fn optional_word<T>(
    row: &Row<'_>,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    match text(row, at)? {
        None => Ok(None),
        Some(word) => parse_word(word, parse).map(Some),
    }
}

/// A column with JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    at: usize,
) -> Result<Option<T>, StoreError> {
    match text(row, at)? {
        None => Ok(None),
        Some(text) => from_json(text).map(Some),
    }
}

pub(super) fn pairs(row: &Row<'_>, at: usize) -> Result<Pairs, StoreError> {
    json(row, at)?.ok_or_else(|| corrupt("pairs are missing"))
}

pub(super) fn workflow_id(row: &Row<'_>, at: usize) -> Result<WorkflowId, StoreError> {
    uuid(row, at).map(WorkflowId)
}

pub(super) fn instance_id(row: &Row<'_>, at: usize) -> Result<InstanceId, StoreError> {
    uuid(row, at).map(InstanceId)
}

pub(super) fn uuid(row: &Row<'_>, at: usize) -> Result<Uuid, StoreError> {
    let bytes: [u8; 16] = get(row, at)?;
    Ok(Uuid::from_bytes(bytes))
}

pub(super) fn optional_workflow(
    row: &Row<'_>,
    at: usize,
) -> Result<Option<WorkflowId>, StoreError> {
    Ok(get::<Option<[u8; 16]>>(row, at)?.map(|bytes| WorkflowId(Uuid::from_bytes(bytes))))
}

/// What started a workflow, from the five columns of `child`.
pub(super) fn parent(row: &Row<'_>, at: usize) -> Result<Option<Parent>, StoreError> {
    let Some(workflow) = optional_workflow(row, at)? else {
        return Ok(None);
    };
    let attempt = AttemptKey { workflow, node: node(row, at + 1)?, number: get(row, at + 2)? };
    Ok(Some(Parent { attempt, root: optional_workflow(row, at + 3)?, depth: get(row, at + 4)? }))
}

pub(super) fn node(row: &Row<'_>, at: usize) -> Result<NodeIx, StoreError> {
    get(row, at).map(NodeIx)
}

pub(super) fn time(row: &Row<'_>, at: usize) -> Result<Timestamp, StoreError> {
    get(row, at).map(Timestamp)
}

pub(super) fn optional_time(row: &Row<'_>, at: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, at)?.map(Timestamp))
}

pub(super) fn timer(row: &Row<'_>, at: usize) -> Result<Timer, StoreError> {
    word(row, at, Timer::parse)
}

pub(super) fn command(row: &Row<'_>, at: usize) -> Result<Option<Command>, StoreError> {
    json(row, at)
}

/// Reads [`state_columns`] from column `at` on.
pub(super) fn workflow_state(row: &Row<'_>, at: usize) -> Result<WorkflowState, StoreError> {
    Ok(WorkflowState {
        status: word(row, at, WorkflowStatus::parse)?,
        reason: optional_word(row, at + 1, Reason::parse)?,
        message: get(row, at + 2)?,
        generation: get(row, at + 3)?,
        ending: optional_word(row, at + 4, ending)?,
        started_at: optional_time(row, at + 5)?,
        finished_at: optional_time(row, at + 6)?,
        outputs: json(row, at + 7)?,
    })
}

/// Reads [`task_columns`].
pub(super) fn task_row(row: &Row<'_>) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        node: node(row, 0)?,
        shape: TaskShape {
            parent: get::<Option<u32>>(row, 1)?.map(NodeIx),
            slot: get(row, 2)?,
            kind: word(row, 3, NodeKind::parse)?,
            name: get(row, 4)?,
            template: get(row, 5)?,
            item: json(row, 6)?,
        },
        state: TaskState {
            status: word(row, 7, TaskStatus::parse)?,
            reason: optional_word(row, 8, Reason::parse)?,
            message: get(row, 9)?,
            attempt: get(row, 10)?,
            failures: get(row, 11)?,
            losses: get(row, 12)?,
            exit_code: get(row, 13)?,
            queued_at: optional_time(row, 14)?,
            started_at: optional_time(row, 15)?,
            finished_at: optional_time(row, 16)?,
            outputs: json(row, 17)?,
        },
    })
}

/// Reads node, status, reason, message, attempt, `exit_code`, generation from column `at` on.
pub(super) fn record(row: &Row<'_>, at: usize) -> Result<Record, StoreError> {
    let reason = optional_word(row, at + 2, Reason::parse)?;
    let message = get(row, at + 3)?;
    Ok(match get::<Option<u32>>(row, at)? {
        Some(node) => Record::Task {
            node: NodeIx(node),
            status: word(row, at + 1, TaskStatus::parse)?,
            reason,
            message,
            attempt: get(row, at + 4)?,
            exit_code: get(row, at + 5)?,
        },
        None => Record::Workflow {
            status: word(row, at + 1, WorkflowStatus::parse)?,
            reason,
            message,
            generation: get(row, at + 6)?,
        },
    })
}
