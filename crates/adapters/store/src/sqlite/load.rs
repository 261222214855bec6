//! What a controller reads.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Intent, LockRow, Remembered, StoreError, StoredRun, TimerRow};
use rusqlite::{OptionalExtension, Row, ToSql, Transaction, params};
use uuid::Uuid;

use super::codec::{self, get, state_columns, task_columns};
use super::error::from_sqlite;

pub(super) fn intents(
    tx: &Transaction<'_>,
    after: i64,
    limit: u32,
) -> Result<Vec<Intent>, StoreError> {
    rows(
        tx,
        "SELECT id, workflow, command FROM intent WHERE id > ?1 ORDER BY id LIMIT ?2",
        params![after, limit],
        |row| {
            let (command, unread) = match codec::command(row, 2) {
                Ok(command) => (command, None),
                Err(StoreError::Corrupt(why)) => (None, Some(why)),
                Err(other) => return Err(other),
            };
            let workflow = codec::workflow_id(row, 1)?;
            Ok(Intent { id: get(row, 0)?, workflow, command, unread })
        },
    )
}

pub(super) fn unfinished(
    tx: &Transaction<'_>,
    after: Option<WorkflowId>,
    limit: u32,
) -> Result<Vec<WorkflowId>, StoreError> {
    rows(
        tx,
        "SELECT id FROM workflow WHERE finished_at IS NULL AND (?1 IS NULL OR id > ?1) \
         ORDER BY id LIMIT ?2",
        params![after.map(|id| id.0), limit],
        |row| codec::workflow_id(row, 0),
    )
}

pub(super) fn ended_timers(tx: &Transaction<'_>) -> Result<Vec<TimerRow>, StoreError> {
    let mut timers = rows(
        tx,
        "SELECT t.at, t.workflow, t.node, t.kind FROM timer t JOIN workflow w ON w.id = t.workflow \
         WHERE w.finished_at IS NOT NULL",
        [],
        timer_row,
    )?;
    timers.sort_unstable();
    Ok(timers)
}

pub(super) fn timer_row(row: &Row<'_>) -> Result<TimerRow, StoreError> {
    Ok(TimerRow {
        at: codec::time(row, 0)?,
        workflow: codec::workflow_id(row, 1)?,
        node: codec::node(row, 2)?,
        timer: codec::timer(row, 3)?,
    })
}

/// Everything kept of a workflow, from one snapshot.
pub(super) fn run(tx: &Transaction<'_>, id: WorkflowId) -> Result<StoredRun, StoreError> {
    let mut run = head(tx, id)?;
    run.document = document(tx, id)?;
    run.tasks = rows(
        tx,
        concat!("SELECT ", task_columns!(), " FROM task t WHERE t.workflow = ?1 ORDER BY t.node"),
        [id.0],
        codec::task_row,
    )?;
    let gap = (0_usize..).zip(&run.tasks).find(|(place, task)| task.node.index() != *place);
    if let Some((place, _)) = gap {
        return Err(StoreError::Corrupt(format!("task {place} is missing")));
    }
    run.timers = rows(
        tx,
        "SELECT at, workflow, node, kind FROM timer WHERE workflow = ?1",
        [id.0],
        timer_row,
    )?;
    run.timers.sort_unstable();
    run.runnable = rows(
        tx,
        "SELECT node, number FROM runnable WHERE workflow = ?1 ORDER BY node, number",
        [id.0],
        |row| attempt_key(id, row),
    )?;
    run.open = rows(
        tx,
        "SELECT node, number, instance FROM attempt \
         WHERE workflow = ?1 AND ended_at IS NULL ORDER BY node, number",
        [id.0],
        |row| Ok((attempt_key(id, row)?, Some(codec::instance_id(row, 2)?))),
    )?;
    run.locks = locks(tx, id, (NodeIx(0), NodeIx(u32::MAX)))?;
    Ok(run)
}

/// Locks that tasks from one node to another hold or wait for.
pub(super) fn locks(
    tx: &Transaction<'_>,
    id: WorkflowId,
    (from, to): (NodeIx, NodeIx),
) -> Result<Vec<LockRow>, StoreError> {
    rows(
        tx,
        "SELECT node, key, capacity, held, since FROM lock \
         WHERE workflow = ?1 AND node BETWEEN ?2 AND ?3 ORDER BY node, key",
        params![id.0, from.0, to.0],
        |row| {
            Ok(LockRow {
                node: codec::node(row, 0)?,
                key: get(row, 1)?,
                limit: get(row, 2)?,
                held: get(row, 3)?,
                since: codec::time(row, 4)?,
            })
        },
    )
}

pub(super) fn recall(
    tx: &Transaction<'_>,
    project: EntityId,
    cache: &str,
    key: &str,
) -> Result<Option<Remembered>, StoreError> {
    let found = rows(
        tx,
        "SELECT m.outputs, m.at FROM memo m JOIN project p ON p.id = m.project \
         WHERE p.uid = ?1 \
         AND m.cache = ?2 AND m.key = ?3",
        params![project.0, cache, key],
        |row| {
            let outputs = codec::json(row, 0)?.ok_or_else(|| codec::corrupt("memo"))?;
            Ok(Remembered { outputs, at: codec::time(row, 1)? })
        },
    )?;
    Ok(found.into_iter().next())
}

fn attempt_key(workflow: WorkflowId, row: &Row<'_>) -> Result<AttemptKey, StoreError> {
    Ok(AttemptKey { workflow, node: codec::node(row, 0)?, number: get(row, 1)? })
}

/// The workflow's own row.
fn head(tx: &Transaction<'_>, id: WorkflowId) -> Result<StoredRun, StoreError> {
    one(
        tx,
        concat!(
            "SELECT w.name, p.name, w.parameters, w.labels, w.priority, w.created_at, w.seq, \
             w.gate_closed, EXISTS (SELECT 1 FROM slot WHERE workflow = w.id), ",
            state_columns!(),
            ", p.uid, p.lock_name, w.storage, c.parent, c.node, c.number, c.root, c.depth FROM workflow w \
             JOIN project p ON p.id = w.project LEFT JOIN child c ON c.workflow = w.id WHERE w.id = ?1"
        ),
        id,
        |row| {
            let project = EntityId(codec::uuid(row, 17)?);
            let lock_name: Option<String> = get(row, 18)?;
            Ok(StoredRun {
                id,
                name: get(row, 0)?,
                project,
                namespace: get(row, 1)?,
                lock_name: lock_name.unwrap_or_else(|| project.to_string()),
                document: String::new(),
                parameters: codec::pairs(row, 2)?,
                labels: codec::pairs(row, 3)?,
                priority: get(row, 4)?,
                storage: Bytes(get(row, 19)?),
                parent: codec::parent(row, 20)?,
                created_at: Timestamp(get(row, 5)?),
                seq: get(row, 6)?,
                gate_closed: get(row, 7)?,
                slot: get(row, 8)?,
                state: codec::workflow_state(row, 9)?,
                tasks: Vec::new(),
                timers: Vec::new(),
                runnable: Vec::new(),
                open: Vec::new(),
                locks: Vec::new(),
            })
        },
    )
}

pub(super) fn document(tx: &Transaction<'_>, id: WorkflowId) -> Result<String, StoreError> {
    let read = one(tx, "SELECT bytes, zstd FROM document WHERE workflow = ?1", id, |row| {
        codec::decompress(get(row, 0)?, &get::<Vec<u8>>(row, 1)?)
    });
    match read {
        Err(StoreError::NotFound) if exists(tx, id)? => {
            Err(codec::corrupt("the document is missing"))
        }
        other => other,
    }
}

/// `NotFound` for what is not there, rather than an empty list.
pub(super) fn must_exist(tx: &Transaction<'_>, id: WorkflowId) -> Result<(), StoreError> {
    if exists(tx, id)? { Ok(()) } else { Err(StoreError::NotFound) }
}

fn exists(tx: &Transaction<'_>, id: WorkflowId) -> Result<bool, StoreError> {
    tx.prepare_cached("SELECT 1 FROM workflow WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.0], |_| Ok(())).optional())
        .map(|found| found.is_some())
        .map_err(from_sqlite)
}

/// The one row of a workflow.
pub(super) fn one<T>(
    tx: &Transaction<'_>,
    sql: &str,
    id: WorkflowId,
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut select = tx.prepare_cached(sql).map_err(from_sqlite)?;
    let key: Uuid = id.0;
    let mut rows = select.query([key]).map_err(from_sqlite)?;
    match rows.next().map_err(from_sqlite)? {
        None => Err(StoreError::NotFound),
        Some(row) => read(row),
    }
}

/// All rows of a query.
pub(super) fn rows<T>(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
    mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut select = tx.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = select.query(params).map_err(from_sqlite)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// A parameter whose type is decided at run time.
pub(super) type Bound = Box<dyn ToSql>;
