//! Between rows and the nouns. Whatever does not read back is a corrupt row.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{
    NodeKind, Record, TaskRow, TaskShape, TaskState, Timer, WorkflowState,
};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Parent, StoreError};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

pub(super) use crate::codec::{
    Compressed, Pairs, compress, corrupt, decompress, ending_word, from_json, outputs_json,
    state_columns, task_columns, to_json,
};
use crate::codec::{ending, parse_word};

/// One column.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A number that is never negative.
pub(super) fn number(row: &Row, at: usize) -> Result<u32, StoreError> {
    let value: i32 = get(row, at)?;
    u32::try_from(value).map_err(|_| corrupt("a number is negative"))
}

/// A larger number that is never negative.
pub(super) fn count(row: &Row, at: usize) -> Result<u64, StoreError> {
    let value: i64 = get(row, at)?;
    u64::try_from(value).map_err(|_| corrupt("a number is negative"))
}

pub(super) fn word<T>(
    row: &Row,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    optional_word(row, at, parse)?.ok_or_else(|| corrupt("a word is missing"))
}

pub(super) fn optional_word<T>(
    row: &Row,
    at: usize,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, at)?.map(|text| parse_word(text, parse)).transpose()
}

/// A column with JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row,
    at: usize,
) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, at)?.map(from_json).transpose()
}

pub(super) fn pairs(row: &Row, at: usize) -> Result<Pairs, StoreError> {
    json(row, at)?.ok_or_else(|| corrupt("pairs are missing"))
}

/// Each pair as it stands in the text of a column of pairs, to be looked for in there: a quotation
/// mark inside of a JSON string is escaped, so nothing else reads like it. The functions of JSON
/// would refuse the whole column for one U+0000.
pub(super) fn pair_texts(pairs: &Pairs) -> Result<Vec<String>, StoreError> {
    pairs.iter().map(to_json).collect()
}

pub(super) fn workflow_id(row: &Row, at: usize) -> Result<WorkflowId, StoreError> {
    get::<Uuid>(row, at).map(WorkflowId)
}

pub(super) fn optional_instance(row: &Row, at: usize) -> Result<Option<InstanceId>, StoreError> {
    Ok(get::<Option<Uuid>>(row, at)?.map(InstanceId))
}

/// What started a workflow, from the five columns of `child`.
pub(super) fn parent(row: &Row, at: usize) -> Result<Option<Parent>, StoreError> {
    let Some(workflow) = get::<Option<Uuid>>(row, at)? else {
        return Ok(None);
    };
    let (node, number) = (node(row, at + 1)?, number(row, at + 2)?);
    let attempt = AttemptKey { workflow: WorkflowId(workflow), node, number };
    let root = get::<Option<Uuid>>(row, at + 3)?.map(WorkflowId);
    Ok(Some(Parent { attempt, root, depth: self::number(row, at + 4)? }))
}

pub(super) fn node(row: &Row, at: usize) -> Result<NodeIx, StoreError> {
    number(row, at).map(NodeIx)
}

fn optional_node(row: &Row, at: usize) -> Result<Option<NodeIx>, StoreError> {
    match get::<Option<i32>>(row, at)? {
        None => Ok(None),
        Some(_) => node(row, at).map(Some),
    }
}

pub(super) fn time(row: &Row, at: usize) -> Result<Timestamp, StoreError> {
    get(row, at).map(Timestamp)
}

pub(super) fn optional_time(row: &Row, at: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, at)?.map(Timestamp))
}

pub(super) fn timer(row: &Row, at: usize) -> Result<Timer, StoreError> {
    word(row, at, Timer::parse)
}

/// A document from two columns: its size and what is kept of it.
pub(super) fn document(row: &Row, at: usize) -> Result<String, StoreError> {
    let bytes = usize::try_from(number(row, at)?).map_err(|_| corrupt("document size"))?;
    decompress(bytes, get(row, at + 1)?)
}

/// Reads `state_columns` from column `at` on.
pub(super) fn workflow_state(row: &Row, at: usize) -> Result<WorkflowState, StoreError> {
    Ok(WorkflowState {
        status: word(row, at, WorkflowStatus::parse)?,
        reason: optional_word(row, at + 1, Reason::parse)?,
        message: get(row, at + 2)?,
        generation: number(row, at + 3)?,
        ending: optional_word(row, at + 4, ending)?,
        started_at: optional_time(row, at + 5)?,
        finished_at: optional_time(row, at + 6)?,
        outputs: json(row, at + 7)?,
    })
}

/// Reads `task_columns`.
pub(super) fn task_row(row: &Row) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        node: node(row, 0)?,
        shape: TaskShape {
            parent: optional_node(row, 1)?,
            slot: u32::try_from(count(row, 2)?).map_err(|_| corrupt("slot"))?,
            kind: word(row, 3, NodeKind::parse)?,
            name: get(row, 4)?,
            template: get(row, 5)?,
            item: json(row, 6)?,
        },
        state: TaskState {
            status: word(row, 7, TaskStatus::parse)?,
            reason: optional_word(row, 8, Reason::parse)?,
            message: get(row, 9)?,
            attempt: number(row, 10)?,
            failures: number(row, 11)?,
            losses: number(row, 12)?,
            exit_code: get(row, 13)?,
            queued_at: optional_time(row, 14)?,
            started_at: optional_time(row, 15)?,
            finished_at: optional_time(row, 16)?,
            outputs: json(row, 17)?,
        },
    })
}

/// Reads node, status, reason, message, attempt, `exit_code`, generation from column `at` on.
pub(super) fn record(row: &Row, at: usize) -> Result<Record, StoreError> {
    let reason = optional_word(row, at + 2, Reason::parse)?;
    let message = get(row, at + 3)?;
    Ok(match optional_node(row, at)? {
        Some(node) => Record::Task {
            node,
            status: word(row, at + 1, TaskStatus::parse)?,
            reason,
            message,
            attempt: number(row, at + 4)?,
            exit_code: get(row, at + 5)?,
        },
        None => Record::Workflow {
            status: word(row, at + 1, WorkflowStatus::parse)?,
            reason,
            message,
            generation: number(row, at + 6)?,
        },
    })
}
