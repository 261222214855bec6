//! What the api shows.

mod locks;
mod memos;

use flowforge_model::event::TaskRow;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_ports::catalog::{
    AttemptView, CacheView, Catalog, EventView, LockFilter, LockView, MemoView, TaskCounts,
    TaskFilter, WorkflowFilter, WorkflowView,
};
use flowforge_ports::store::{LockRow, StoreError, TimerRow};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::bind::{binds, optional_text};
use super::codec::{self, get, state_columns, task_columns};
use super::load::{self, bound, read};
use super::transaction::{Mode, Tx};

/// The columns that [`view`] reads, in its order.
macro_rules! view_columns {
    () => {
        concat!(
            "w.id, p.uid, w.name, w.description, w.parameters, w.labels, w.priority, \
             w.submitted_by, w.resubmitted_from, w.created_at, w.seq, ",
            state_columns!(),
            ", c.parent, c.node, c.number, c.root, c.depth"
        )
    };
}

const WORKFLOW: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM workflow w JOIN project p ON p.id = w.project LEFT JOIN child c ON c.workflow = w.id WHERE w.id = $1"
);

/// A page, newest first.
const PAGE: &str = concat!(
    "SELECT ",
    view_columns!(),
    " FROM workflow w JOIN project p ON p.id = w.project LEFT JOIN child c ON c.workflow = w.id \
     WHERE ($1::text IS NULL OR w.status = $1) \
     AND ($2::uuid IS NULL OR w.project IN (SELECT id FROM project WHERE uid = $2)) \
     AND ($3::uuid IS NULL OR w.id < $3) \
     AND ($4::text IS NULL OR starts_with(w.name, $4)) \
     AND NOT EXISTS (SELECT 1 FROM unnest($5::text[]) AS l WHERE strpos(w.labels, l) = 0) \
     ORDER BY w.id DESC LIMIT $6"
);

const EXISTS: &str = "SELECT 1 FROM workflow WHERE id = $1";

const DOCUMENT: &str = "SELECT d.bytes, d.zstd FROM workflow w \
     LEFT JOIN document d ON d.workflow = w.id WHERE w.id = $1";

const TASKS: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM task t WHERE t.workflow = $1 AND t.node > $2 \
     AND (NOT $3 OR t.kind IN ('leaf', 'suspend')) AND ($4::text IS NULL OR t.name = $4) \
     AND (cardinality($5::text[]) = 0 OR t.status = ANY ($5)) ORDER BY t.node LIMIT $6"
);

const COUNTS: &str = "SELECT status, count(*) FROM task \
     WHERE workflow = $1 AND kind IN ('leaf', 'suspend') GROUP BY status";

const ATTEMPTS: &str = "SELECT a.node, a.number, a.admitted_at, a.started_at, a.ended_at, \
     a.exit_code, a.reason, a.message, c.workflow FROM attempt a LEFT JOIN child c \
     ON c.parent = a.workflow AND c.node = a.node AND c.number = a.number \
     WHERE a.workflow = $1 AND a.node BETWEEN $2 AND $3 ORDER BY a.node, a.number";

const TIMERS: &str = "SELECT at, workflow, node, kind FROM timer \
     WHERE workflow = $1 AND node BETWEEN $2 AND $3 ORDER BY node, kind";

const EVENTS: &str = "SELECT e.seq, e.at, e.node, e.status, e.reason, e.message, e.attempt, \
     e.exit_code, e.generation, t.name FROM event e \
     LEFT JOIN task t ON t.workflow = e.workflow AND t.node = e.node \
     WHERE e.workflow = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3";

impl Catalog for PostgresStore {
    async fn workflow(&self, id: WorkflowId) -> Result<WorkflowView, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                view(tx.rows(WORKFLOW, binds![id.0]).await?.first().ok_or(StoreError::NotFound)?)
            })
        })
        .await
    }

    async fn workflows(
        &self,
        filter: WorkflowFilter,
        limit: u32,
    ) -> Result<Vec<WorkflowView>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move { workflows(tx, &filter, limit).await })
        })
        .await
    }

    async fn document(&self, id: WorkflowId) -> Result<String, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let rows = tx.rows(DOCUMENT, binds![id.0]).await?;
                let row = rows.first().ok_or(StoreError::NotFound)?;
                match get::<Option<i32>>(row, 0)? {
                    None => Err(codec::corrupt("the document is missing")),
                    Some(_) => codec::document(row, 0),
                }
            })
        })
        .await
    }

    async fn tasks(
        &self,
        id: WorkflowId,
        filter: TaskFilter,
        limit: u32,
    ) -> Result<Vec<TaskRow>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move { tasks(tx, id, &filter, limit).await })
        })
        .await
    }

    async fn task_counts(&self, id: WorkflowId) -> Result<TaskCounts, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                tx.send(EXISTS, binds![id.0]).await;
                tx.send(COUNTS, binds![id.0]).await;
                let mut counts = below(&mut tx, |row| {
                    Ok((codec::word(row, 0, TaskStatus::parse)?, codec::count(row, 1)?))
                })
                .await?;
                counts.sort_unstable();
                Ok(counts)
            })
        })
        .await
    }

    async fn attempts(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<AttemptView>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                tx.send(EXISTS, binds![id.0]).await;
                tx.send(ATTEMPTS, binds![id.0, bound(from), bound(to)]).await;
                below(&mut tx, attempt).await
            })
        })
        .await
    }

    async fn timers(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<TimerRow>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                tx.send(EXISTS, binds![id.0]).await;
                tx.send(TIMERS, binds![id.0, bound(from), bound(to)]).await;
                below(&mut tx, load::timer_row).await
            })
        })
        .await
    }

    async fn events(
        &self,
        id: WorkflowId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<EventView>, StoreError> {
        // No record has a number beyond that.
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                tx.send(EXISTS, binds![id.0]).await;
                tx.send(EVENTS, binds![id.0, after, i64::from(limit)]).await;
                below(&mut tx, event).await
            })
        })
        .await
    }

    async fn locks_of(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<LockRow>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                if tx.rows(EXISTS, binds![id.0]).await?.is_empty() {
                    return Err(StoreError::NotFound);
                }
                load::locks(&mut tx, id, (from, to)).await
            })
        })
        .await
    }

    async fn locks(
        &self,
        filter: LockFilter,
        limit: u32,
        users: u32,
    ) -> Result<Vec<LockView>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move { locks::page(tx, &filter, limit, users).await })
        })
        .await
    }

    async fn caches(
        &self,
        project: EntityId,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<CacheView>, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move { memos::caches(tx, project, after.as_ref(), limit).await })
        })
        .await
    }

    async fn memos(
        &self,
        project: EntityId,
        cache: String,
        after: i64,
        limit: u32,
    ) -> Result<Vec<MemoView>, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move { memos::page(tx, (project, &cache), after, limit).await })
        })
        .await
    }

    async fn forget(
        &self,
        project: EntityId,
        cache: String,
        key: Option<String>,
    ) -> Result<u64, StoreError> {
        self.write(move |tx| {
            Box::pin(async move { memos::forget(tx, (project, &cache), key.as_ref()).await })
        })
        .await
    }
}

/// With statuses: a page of each, merged, so that each is read along its own index and a rare
/// status does not walk over all the others.
async fn workflows<'a>(
    mut tx: Tx<'a>,
    filter: &'a WorkflowFilter,
    limit: u32,
) -> Result<Vec<WorkflowView>, StoreError> {
    let mut wanted: Vec<Option<WorkflowStatus>> =
        filter.statuses.iter().copied().map(Some).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        wanted.push(None);
    }
    for status in &wanted {
        let mut values = binds![
            status.map(WorkflowStatus::as_str),
            filter.project.map(|id| id.0),
            filter.before.map(|id| id.0),
            optional_text(filter.name_prefix.as_ref()),
            codec::pair_texts(&filter.labels)?,
        ];
        values.extend(binds![i64::from(limit)]);
        tx.send(PAGE, values).await;
    }
    let mut merged = Vec::new();
    for _ in &wanted {
        merged.extend(read(&tx.answer().await?.rows, view)?);
    }
    merged.sort_unstable_by_key(|view: &WorkflowView| std::cmp::Reverse(view.id));
    merged.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(merged)
}

async fn tasks<'a>(
    mut tx: Tx<'a>,
    id: WorkflowId,
    filter: &'a TaskFilter,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let after = filter.after.map_or(-1, bound);
    let name = optional_text(filter.name.as_ref());
    tx.send(EXISTS, binds![id.0]).await;
    tx.send(TASKS, binds![id.0, after, filter.leaves, name, statuses, i64::from(limit)]).await;
    below(&mut tx, codec::task_row).await
}

/// The rows below a workflow, the second answer; `NotFound` if the first shows that there is no
/// workflow, rather than an empty list.
async fn below<T>(
    tx: &mut Tx<'_>,
    of: impl FnMut(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let workflow = tx.answer().await?.rows;
    let rows = tx.answer().await?.rows;
    if workflow.is_empty() { Err(StoreError::NotFound) } else { read(&rows, of) }
}

/// Reads [`view_columns`].
fn view(row: &Row) -> Result<WorkflowView, StoreError> {
    Ok(WorkflowView {
        id: codec::workflow_id(row, 0)?,
        project: EntityId(get(row, 1)?),
        name: get(row, 2)?,
        description: get(row, 3)?,
        parameters: codec::pairs(row, 4)?,
        labels: codec::pairs(row, 5)?,
        priority: get(row, 6)?,
        submitted_by: get(row, 7)?,
        resubmitted_from: get::<Option<Uuid>>(row, 8)?.map(WorkflowId),
        parent: codec::parent(row, 19)?,
        created_at: codec::time(row, 9)?,
        seq: codec::count(row, 10)?,
        state: codec::workflow_state(row, 11)?,
    })
}

fn event(row: &Row) -> Result<EventView, StoreError> {
    Ok(EventView {
        seq: codec::count(row, 0)?,
        at: codec::time(row, 1)?,
        record: codec::record(row, 2)?,
        task_name: get(row, 9)?,
    })
}

fn attempt(row: &Row) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        node: codec::node(row, 0)?,
        number: codec::number(row, 1)?,
        admitted_at: codec::time(row, 2)?,
        started_at: codec::optional_time(row, 3)?,
        finished_at: codec::optional_time(row, 4)?,
        exit_code: get(row, 5)?,
        reason: codec::optional_word(row, 6, Reason::parse)?,
        message: get(row, 7)?,
        started: get::<Option<Uuid>>(row, 8)?.map(WorkflowId),
    })
}
