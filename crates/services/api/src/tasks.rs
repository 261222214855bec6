//! Reading the tasks of a workflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use flowforge_model::event::TaskRow;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::limits::NODES_PER_WORKFLOW;
use flowforge_model::status::TaskStatus;
use flowforge_ports::catalog::{AttemptView, TaskFilter};
use flowforge_ports::store::StoreError;
use flowforge_wire::{Page, Task};

use crate::Shared;
use crate::backend::{Answer, Backend};
use crate::cursor::Scope;
use crate::path::WorkflowPath;
use crate::problem::{Code, Failure, shown};
use crate::query::Query;
use crate::show;

/// Rows that nobody asked for are cheaper than another question, up to so many in a row.
const GAP: u32 = 32;
/// Rows of one question.
const RUN: u32 = 1000;
/// A page ends early when its outputs are larger: rows may have 4 MiB each.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Rows read at a time, for the same reason.
const BATCH: u32 = 100;

/// List a workflow's tasks
///
/// The leaves in the order of the tree, with all their attempts; with `all` also the groups
/// around them.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/tasks", tag = "tasks",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("status" = Option<String>, Query, description = "Only these statuses, separated by commas"),
        ("all" = Option<bool>, Query, description = "Also groups: dags, steps, loops, retries"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 100 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<Task>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Json<Page<Task>>, Failure> {
    let id = path.id;
    let query = Query::parse(&uri, &["status", "all", "limit", "cursor"])?;
    let limit = query.limit(100)?;
    let mut filter = TaskFilter {
        statuses: query.words("status", TaskStatus::parse)?,
        leaves: !query.flag("all")?,
        ..TaskFilter::default()
    };
    let scope = Scope::new(&["tasks", &id.to_string(), &format!("{filter:?}")]);
    if let Some(cursor) = query.one("cursor")? {
        filter.after = Some(NodeIx(u32::from_be_bytes(scope.open(cursor)?)));
    }
    let read = move |backend: &dyn Backend| {
        let (rows, last) = page(backend, id, filter, limit)?;
        Ok::<_, StoreError>((last, with_attempts(backend, id, rows)?))
    };
    let (last, items) = shared.call(read).await?;
    Ok(Json(Page { items, next_cursor: last.map(|node| scope.seal(&node.0.to_be_bytes())) }))
}

/// Rows up to the limit, or until their outputs are more than [`PAGE_BYTES`]; and the last one's
/// node if there are more.
fn page(
    backend: &dyn Backend,
    id: WorkflowId,
    mut filter: TaskFilter,
    limit: u32,
) -> Answer<(Vec<TaskRow>, Option<NodeIx>)> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut rows, mut bytes) = (Vec::new(), 0_usize);
    loop {
        let batch = backend.tasks(id, filter.clone(), BATCH)?;
        let more = batch.len() == usize::try_from(BATCH).unwrap_or(usize::MAX);
        for row in batch {
            if rows.len() == wanted || bytes > PAGE_BYTES {
                let last = rows.last().map(|row: &TaskRow| row.node);
                return Ok((rows, last));
            }
            bytes += outputs_bytes(&row);
            rows.push(row);
        }
        filter.after = rows.last().map(|row: &TaskRow| row.node);
        if !more {
            return Ok((rows, None));
        }
    }
}

/// Show a task
///
/// By its dotted name or its id.
#[utoipa::path(
    get, path = "/api/v1/workflows/{id}/tasks/{task}", tag = "tasks",
    params(
        ("id" = String, Path, description = "The workflow's id"),
        ("task" = String, Path, description = "The task's dotted name, or its id"),
    ),
    responses((status = 200, description = "The task", body = Task))
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    path: WorkflowPath,
    uri: Uri,
) -> Result<Json<Task>, Failure> {
    Query::parse(&uri, &[])?;
    let read = move |backend: &dyn Backend| {
        let row = find(backend, path.id, &path.inner)?;
        let mut tasks = with_attempts(backend, path.id, vec![row])?;
        tasks.pop().ok_or_else(|| missing(&path.inner))
    };
    Ok(Json(shared.call(read).await?))
}

fn outputs_bytes(row: &TaskRow) -> usize {
    row.state.outputs.as_ref().map_or(0, |outputs| {
        let parameters = outputs.parameters.iter();
        let named: usize = parameters.map(|(name, value)| name.len() + value.len()).sum();
        named + outputs.result.as_ref().map_or(0, String::len)
    })
}

fn missing(task: &str) -> Failure {
    let detail = format!("the workflow has no task `{}` (yet)", shown(task));
    Failure::new(Code::NotFound, detail)
}

/// The task with this dotted name or id.
pub(crate) fn find(backend: &dyn Backend, id: WorkflowId, task: &str) -> Result<TaskRow, Failure> {
    let node = node_of(id, task);
    let filter = match node {
        Some(node) => {
            TaskFilter { after: node.0.checked_sub(1).map(NodeIx), ..TaskFilter::default() }
        }
        None => TaskFilter { name: Some(task.to_owned()), ..TaskFilter::default() },
    };
    let row = backend.tasks(id, filter, 1)?.into_iter().next();
    row.filter(|row| node.is_none_or(|node| row.node == node)).ok_or_else(|| missing(task))
}

/// The node with this task id. Ids are hashes of nodes: trying all takes some 20 ms and no
/// question to the store.
fn node_of(id: WorkflowId, task: &str) -> Option<NodeIx> {
    let wanted = task.parse::<flowforge_model::id::TaskId>().ok()?;
    // The first 48 bits are the workflow's own.
    if wanted.0.as_u128() >> 80 != id.0.as_u128() >> 80 {
        return None;
    }
    (0..NODES_PER_WORKFLOW).map(NodeIx).find(|&node| id.task(node) == wanted)
}

fn with_attempts(backend: &dyn Backend, id: WorkflowId, rows: Vec<TaskRow>) -> Answer<Vec<Task>> {
    let mut attempts: BTreeMap<NodeIx, Vec<AttemptView>> = BTreeMap::new();
    let tried = rows.iter().filter(|row| row.state.attempt > 0);
    for (from, to) in runs(tried.map(|row| row.node)) {
        for attempt in backend.attempts(id, from, to)? {
            attempts.entry(attempt.node).or_default().push(attempt);
        }
    }
    let full = |row: TaskRow| {
        let mine = attempts.remove(&row.node).unwrap_or_default();
        show::task(id, row, mine)
    };
    Ok(rows.into_iter().map(full).collect())
}

/// The dotted names of tasks, added to those already known.
pub(crate) fn add_names(
    backend: &dyn Backend,
    id: WorkflowId,
    mut nodes: Vec<NodeIx>,
    names: &mut BTreeMap<NodeIx, String>,
) -> Answer<()> {
    nodes.retain(|node| !names.contains_key(node));
    nodes.sort_unstable();
    nodes.dedup();
    for (from, to) in runs(nodes.into_iter()) {
        let filter =
            TaskFilter { after: from.0.checked_sub(1).map(NodeIx), ..TaskFilter::default() };
        let rows = backend.tasks(id, filter, to.0 - from.0 + 1)?;
        names.extend(rows.into_iter().map(|row| (row.node, row.shape.name)));
    }
    Ok(())
}

/// Rising nodes as a few ranges that cover them.
fn runs(nodes: impl Iterator<Item = NodeIx>) -> Vec<(NodeIx, NodeIx)> {
    let mut runs: Vec<(NodeIx, NodeIx)> = Vec::new();
    for node in nodes {
        match runs.last_mut() {
            Some((from, to)) if node.0 - to.0 <= GAP && node.0 - from.0 < RUN => *to = node,
            _ => runs.push((node, node)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_bridge_small_gaps_only() {
        let of = |nodes: &[u32]| {
            let runs = runs(nodes.iter().map(|&n| NodeIx(n)));
            runs.iter().map(|(a, b)| (a.0, b.0)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[1, 2, 10, 100, 101]), [(1, 10), (100, 101)]);
        let all: Vec<u32> = (0..1500).collect();
        assert_eq!(of(&all), [(0, 999), (1000, 1499)]);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn a_task_id_leads_back_to_its_node() {
        let id: WorkflowId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let other: WorkflowId = "01990a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let task = id.task(NodeIx(4711)).to_string();
        assert_eq!(node_of(id, &task), Some(NodeIx(4711)));
        assert_eq!(node_of(other, &task), None);
        assert_eq!(node_of(id, "a.b"), None);
    }
}
