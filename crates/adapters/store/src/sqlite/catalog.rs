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
use rusqlite::{Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::SqliteStore;
use super::codec::{self, get, state_columns, task_columns};
use super::load::{self, Bound, document, must_exist, one, rows};

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

impl Catalog for SqliteStore {
    async fn workflow(&self, id: WorkflowId) -> Result<WorkflowView, StoreError> {
        self.read(|tx| {
            one(
                tx,
                concat!(
                    "SELECT ",
                    view_columns!(),
                    " FROM workflow w JOIN project p ON p.id = w.project LEFT JOIN child c ON c.workflow = w.id WHERE w.id = ?1"
                ),
                id,
                view,
            )
        })
    }

    async fn workflows(
        &self,
        filter: WorkflowFilter,
        limit: u32,
    ) -> Result<Vec<WorkflowView>, StoreError> {
        self.read(|tx| workflows(tx, &filter, limit))
    }

    async fn document(&self, id: WorkflowId) -> Result<String, StoreError> {
        self.read(|tx| document(tx, id))
    }

    async fn tasks(
        &self,
        id: WorkflowId,
        filter: TaskFilter,
        limit: u32,
    ) -> Result<Vec<TaskRow>, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            tasks(tx, id, &filter, limit)
        })
    }

    async fn task_counts(&self, id: WorkflowId) -> Result<TaskCounts, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            let mut counts = rows(
                tx,
                "SELECT status, count(*) FROM task \
                 WHERE workflow = ?1 AND kind IN ('leaf', 'suspend') GROUP BY status",
                [id.0],
                |row| Ok((codec::word(row, 0, TaskStatus::parse)?, get(row, 1)?)),
            )?;
            counts.sort_unstable();
            Ok(counts)
        })
    }

    async fn attempts(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<AttemptView>, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            rows(
                tx,
                "SELECT a.node, a.number, a.admitted_at, a.started_at, a.ended_at, a.exit_code, \
                 a.reason, a.message, c.workflow FROM attempt a LEFT JOIN child c \
                 ON c.parent = a.workflow AND c.node = a.node AND c.number = a.number \
                 WHERE a.workflow = ?1 AND a.node BETWEEN ?2 AND ?3 ORDER BY a.node, a.number",
                params![id.0, from.0, to.0],
                attempt,
            )
        })
    }

    async fn timers(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<TimerRow>, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            rows(
                tx,
                "SELECT at, workflow, node, kind FROM timer \
                 WHERE workflow = ?1 AND node BETWEEN ?2 AND ?3 ORDER BY node, kind",
                params![id.0, from.0, to.0],
                load::timer_row,
            )
        })
    }

    async fn events(
        &self,
        id: WorkflowId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<EventView>, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            rows(
                tx,
                "SELECT e.seq, e.at, e.node, e.status, e.reason, e.message, e.attempt, \
                 e.exit_code, e.generation, t.name FROM event e \
                 LEFT JOIN task t ON t.workflow = e.workflow AND t.node = e.node \
                 WHERE e.workflow = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3",
                // No record has a number beyond SQLite's integers.
                params![id.0, i64::try_from(after).unwrap_or(i64::MAX), limit],
                |row| {
                    Ok(EventView {
                        seq: get(row, 0)?,
                        at: codec::time(row, 1)?,
                        record: codec::record(row, 2)?,
                        task_name: get(row, 9)?,
                    })
                },
            )
        })
    }

    async fn locks_of(
        &self,
        id: WorkflowId,
        from: NodeIx,
        to: NodeIx,
    ) -> Result<Vec<LockRow>, StoreError> {
        self.read(|tx| {
            must_exist(tx, id)?;
            load::locks(tx, id, (from, to))
        })
    }

    async fn locks(
        &self,
        filter: LockFilter,
        limit: u32,
        users: u32,
    ) -> Result<Vec<LockView>, StoreError> {
        self.read(|tx| locks::page(tx, &filter, limit, users))
    }

    async fn caches(
        &self,
        project: EntityId,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<CacheView>, StoreError> {
        self.read(|tx| memos::caches(tx, project, after.as_deref(), limit))
    }

    async fn memos(
        &self,
        project: EntityId,
        cache: String,
        after: i64,
        limit: u32,
    ) -> Result<Vec<MemoView>, StoreError> {
        self.read(|tx| memos::page(tx, (project, &cache), after, limit))
    }

    async fn forget(
        &self,
        project: EntityId,
        cache: String,
        key: Option<String>,
    ) -> Result<u64, StoreError> {
        self.write(|tx| memos::forget(tx, (project, &cache), key.as_deref()))
    }
}

/// A page, newest first. With statuses: a page of each, merged, so that each is read along its
/// own index and a rare status does not walk over all the others.
fn workflows(
    tx: &Transaction<'_>,
    filter: &WorkflowFilter,
    limit: u32,
) -> Result<Vec<WorkflowView>, StoreError> {
    if filter.statuses.is_empty() {
        return page(tx, filter, None, limit);
    }
    let mut wanted = filter.statuses.clone();
    wanted.sort_unstable();
    wanted.dedup();
    let mut merged = Vec::new();
    for status in wanted {
        merged.extend(page(tx, filter, Some(status), limit)?);
    }
    merged.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
    merged.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(merged)
}

fn page(
    tx: &Transaction<'_>,
    filter: &WorkflowFilter,
    status: Option<WorkflowStatus>,
    limit: u32,
) -> Result<Vec<WorkflowView>, StoreError> {
    let mut sql = concat!(
        "SELECT ",
        view_columns!(),
        " FROM workflow w JOIN project p ON p.id = w.project LEFT JOIN child c ON c.workflow = w.id WHERE 1"
    )
    .to_owned();
    let mut bound: Vec<Bound> = Vec::new();
    let mut also = |condition: &str, values: Vec<Bound>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        bound.extend(values);
    };
    if let Some(status) = status {
        also("w.status = ?", vec![Box::new(status.as_str())]);
    }
    if let Some(project) = filter.project {
        also("w.project IN (SELECT id FROM project WHERE uid = ?)", vec![Box::new(project.0)]);
    }
    if let Some(before) = filter.before {
        also("w.id < ?", vec![Box::new(before.0)]);
    }
    if let Some(prefix) = &filter.name_prefix {
        // Not LIKE: it ignores case and has wildcards.
        also(
            "substr(w.name, 1, length(?)) = ?",
            vec![Box::new(prefix.clone()), Box::new(prefix.clone())],
        );
    }
    for (key, value) in &filter.labels {
        also(
            "EXISTS (SELECT 1 FROM json_each(w.labels) l \
             WHERE l.value ->> 0 = ? AND l.value ->> 1 = ?)",
            vec![Box::new(key.clone()), Box::new(value.clone())],
        );
    }
    sql.push_str(" ORDER BY w.id DESC LIMIT ?");
    bound.push(Box::new(limit));
    rows(tx, &sql, params_from_iter(bound), view)
}

fn tasks(
    tx: &Transaction<'_>,
    id: WorkflowId,
    filter: &TaskFilter,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let mut sql =
        concat!("SELECT ", task_columns!(), " FROM task t WHERE t.workflow = ?").to_owned();
    let mut bound: Vec<Bound> = vec![Box::new(id.0)];
    if let Some(after) = filter.after {
        sql.push_str(" AND t.node > ?");
        bound.push(Box::new(after.0));
    }
    if filter.leaves {
        sql.push_str(" AND t.kind IN ('leaf', 'suspend')");
    }
    if let Some(name) = &filter.name {
        sql.push_str(" AND t.name = ?");
        bound.push(Box::new(name.clone()));
    }
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        sql.push_str(&format!(" AND t.status IN ({marks})"));
        for status in &filter.statuses {
            bound.push(Box::new(status.as_str()));
        }
    }
    sql.push_str(" ORDER BY t.node LIMIT ?");
    bound.push(Box::new(limit));
    rows(tx, &sql, params_from_iter(bound), codec::task_row)
}

/// Reads [`view_columns`].
fn view(row: &Row<'_>) -> Result<WorkflowView, StoreError> {
    Ok(WorkflowView {
        id: codec::workflow_id(row, 0)?,
        project: EntityId(codec::uuid(row, 1)?),
        name: get(row, 2)?,
        description: get(row, 3)?,
        parameters: codec::pairs(row, 4)?,
        labels: codec::pairs(row, 5)?,
        priority: get(row, 6)?,
        submitted_by: get(row, 7)?,
        resubmitted_from: get::<Option<Uuid>>(row, 8)?.map(WorkflowId),
        parent: codec::parent(row, 19)?,
        created_at: codec::time(row, 9)?,
        seq: get(row, 10)?,
        state: codec::workflow_state(row, 11)?,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        node: codec::node(row, 0)?,
        number: get(row, 1)?,
        admitted_at: codec::time(row, 2)?,
        started_at: codec::optional_time(row, 3)?,
        finished_at: codec::optional_time(row, 4)?,
        exit_code: get(row, 5)?,
        reason: codec::optional_word(row, 6, Reason::parse)?,
        message: get(row, 7)?,
        started: codec::optional_workflow(row, 8)?,
    })
}
