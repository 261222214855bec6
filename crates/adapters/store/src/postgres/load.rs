//! What a controller reads.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::shard::ShardSet;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Intent, LockRow, Remembered, StoreError, StoredRun, TimerRow};
use tokio_postgres::Row;

use super::bind::{Bound, binds, text};
use super::codec::{self, get, state_columns, task_columns};
use super::transaction::Tx;

/// Numbers are given before they are committed: one may appear behind others with higher numbers.
const INTENTS_AFTER: &str = "SELECT id, workflow, command FROM intent \
     WHERE shard = ANY ($1) AND id > $2 ORDER BY id LIMIT $3";

const UNFINISHED: &str = "SELECT id FROM workflow WHERE finished_at IS NULL \
     AND shard = ANY ($1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3";

const ENDED_TIMERS: &str = "SELECT t.at, t.workflow, t.node, t.kind FROM timer t \
     JOIN workflow w ON w.id = t.workflow \
     WHERE t.shard = ANY ($1) AND w.finished_at IS NOT NULL";

const HEAD: &str = concat!(
    "SELECT w.name, p.name, w.parameters, w.labels, w.priority, w.created_at, w.seq, g.closed, ",
    "d.bytes, d.zstd, EXISTS (SELECT 1 FROM slot s WHERE s.workflow = w.id), ",
    state_columns!(),
    ", p.uid, coalesce(p.lock_name, p.uid::text), coalesce(w.storage, 0), c.parent, c.node, c.number, c.root, c.depth \
     FROM workflow w JOIN project p ON p.id = w.project \
     LEFT JOIN child c ON c.workflow = w.id LEFT JOIN gate g ON g.workflow = w.id \
     LEFT JOIN document d ON d.workflow = w.id WHERE w.id = $1"
);

const TASKS: &str =
    concat!("SELECT ", task_columns!(), " FROM task t WHERE t.workflow = $1 ORDER BY t.node");

const TIMERS: &str = "SELECT at, workflow, node, kind FROM timer WHERE workflow = $1";

const RUNNABLE: &str =
    "SELECT node, number FROM runnable WHERE workflow = $1 ORDER BY node, number";

const OPEN: &str = "SELECT node, number, instance FROM attempt \
     WHERE workflow = $1 AND ended_at IS NULL ORDER BY node, number";

const LOCKS: &str = "SELECT node, key, capacity, held, since FROM lock \
     WHERE workflow = $1 AND node BETWEEN $2 AND $3 ORDER BY node, key";

const RECALL: &str = "SELECT m.outputs, m.at FROM memo m JOIN project p ON p.id = m.project \
     WHERE p.uid = $1 AND m.cache = $2 \
     AND hashtextextended(m.key, 1) = hashtextextended($3 COLLATE \"C\", 1) \
     AND hashtextextended(m.key, 2) = hashtextextended($3 COLLATE \"C\", 2) AND m.key = $3";

pub(super) async fn intents(
    mut tx: Tx<'_>,
    shards: ShardSet,
    after: i64,
    limit: u32,
) -> Result<Vec<Intent>, StoreError> {
    let values = binds![numbers(shards), after, i64::from(limit)];
    read(&tx.rows(INTENTS_AFTER, values).await?, |row| {
        // One that cannot be read concerns its workflow, and no other.
        let (command, unread) = match codec::json(row, 2) {
            Ok(command) => (command, None),
            Err(why) => (None, Some(why.to_string())),
        };
        let workflow = codec::workflow_id(row, 1)?;
        Ok(Intent { id: get(row, 0)?, workflow, command, unread })
    })
}

/// Shards as an array of PostgreSQL.
pub(super) fn numbers(shards: ShardSet) -> Vec<i16> {
    shards.iter().map(|shard| i16::from(shard.number())).collect()
}

pub(super) async fn unfinished(
    mut tx: Tx<'_>,
    shards: ShardSet,
    after: Option<WorkflowId>,
    limit: u32,
) -> Result<Vec<WorkflowId>, StoreError> {
    let values = binds![numbers(shards), after.map(|id| id.0), i64::from(limit)];
    read(&tx.rows(UNFINISHED, values).await?, |row| codec::workflow_id(row, 0))
}

pub(super) async fn ended_timers(
    mut tx: Tx<'_>,
    shards: ShardSet,
) -> Result<Vec<TimerRow>, StoreError> {
    let mut timers = read(&tx.rows(ENDED_TIMERS, binds![numbers(shards)]).await?, timer_row)?;
    timers.sort_unstable();
    Ok(timers)
}

pub(super) fn timer_row(row: &Row) -> Result<TimerRow, StoreError> {
    Ok(TimerRow {
        at: codec::time(row, 0)?,
        workflow: codec::workflow_id(row, 1)?,
        node: codec::node(row, 2)?,
        timer: codec::timer(row, 3)?,
    })
}

/// Everything kept of a workflow, from one snapshot and in one flight.
pub(super) async fn run(mut tx: Tx<'_>, id: WorkflowId) -> Result<StoredRun, StoreError> {
    for sql in [HEAD, TASKS, TIMERS, RUNNABLE, OPEN] {
        tx.send(sql, binds![id.0]).await;
    }
    tx.send(LOCKS, all_locks(id)).await;
    let mut answers = Vec::with_capacity(6);
    for _ in 0..6 {
        answers.push(tx.answer().await?.rows);
    }
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    let mut run = head(id, next().first().ok_or(StoreError::NotFound)?)?;
    run.tasks = read(&next(), codec::task_row)?;
    let gap = (0_usize..).zip(&run.tasks).find(|(place, task)| task.node.index() != *place);
    if let Some((place, _)) = gap {
        return Err(StoreError::Corrupt(format!("task {place} is missing")));
    }
    run.timers = read(&next(), timer_row)?;
    run.timers.sort_unstable();
    run.runnable = read(&next(), |row| attempt_key(id, row))?;
    run.open = read(&next(), |row| Ok((attempt_key(id, row)?, codec::optional_instance(row, 2)?)))?;
    run.locks = read(&next(), lock)?;
    Ok(run)
}

fn all_locks(id: WorkflowId) -> Vec<Bound<'static>> {
    binds![id.0, 0_i32, i32::MAX]
}

/// Locks that tasks from one node to another hold or wait for.
pub(super) async fn locks(
    tx: &mut Tx<'_>,
    id: WorkflowId,
    (from, to): (NodeIx, NodeIx),
) -> Result<Vec<LockRow>, StoreError> {
    read(&tx.rows(LOCKS, binds![id.0, bound(from), bound(to)]).await?, lock)
}

/// A node as the end of a range: no node comes near the largest integer.
pub(super) fn bound(node: NodeIx) -> i32 {
    i32::try_from(node.0).unwrap_or(i32::MAX)
}

fn lock(row: &Row) -> Result<LockRow, StoreError> {
    Ok(LockRow {
        node: codec::node(row, 0)?,
        key: get(row, 1)?,
        limit: u32::try_from(codec::count(row, 2)?).map_err(|_| codec::corrupt("capacity"))?,
        held: get(row, 3)?,
        since: codec::time(row, 4)?,
    })
}

pub(super) async fn recall<'a>(
    mut tx: Tx<'a>,
    project: EntityId,
    cache: &'a str,
    key: &'a str,
) -> Result<Option<Remembered>, StoreError> {
    let rows = tx.rows(RECALL, binds![project.0, text(cache), text(key)]).await?;
    let found = read(&rows, |row| {
        let outputs = codec::json(row, 0)?.ok_or_else(|| codec::corrupt("memo"))?;
        Ok(Remembered { outputs, at: codec::time(row, 1)? })
    })?;
    Ok(found.into_iter().next())
}

fn attempt_key(workflow: WorkflowId, row: &Row) -> Result<AttemptKey, StoreError> {
    Ok(AttemptKey { workflow, node: codec::node(row, 0)?, number: codec::number(row, 1)? })
}

/// The workflow's own row, with its gate and its document.
fn head(id: WorkflowId, row: &Row) -> Result<StoredRun, StoreError> {
    if get::<Option<i32>>(row, 8)?.is_none() {
        return Err(codec::corrupt("the document is missing"));
    }
    let gate: Option<bool> = get(row, 7)?;
    Ok(StoredRun {
        id,
        name: get(row, 0)?,
        project: EntityId(get(row, 19)?),
        namespace: get(row, 1)?,
        lock_name: get(row, 20)?,
        document: codec::document(row, 8)?,
        parameters: codec::pairs(row, 2)?,
        labels: codec::pairs(row, 3)?,
        priority: get(row, 4)?,
        storage: Bytes(codec::count(row, 21)?),
        parent: codec::parent(row, 22)?,
        created_at: Timestamp(get(row, 5)?),
        seq: codec::count(row, 6)?,
        gate_closed: gate.ok_or_else(|| codec::corrupt("the gate is missing"))?,
        slot: get(row, 10)?,
        state: codec::workflow_state(row, 11)?,
        tasks: Vec::new(),
        timers: Vec::new(),
        runnable: Vec::new(),
        open: Vec::new(),
        locks: Vec::new(),
    })
}

/// All rows of an answer.
pub(super) fn read<T>(
    rows: &[Row],
    read: impl FnMut(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter().map(read).collect()
}
