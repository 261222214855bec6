//! Why a task stands where it stands, as far as its rows say it.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::{NodeKind, TaskRow, Timer};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::plan::{Body, Plan};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::catalog::{LockFilter, TaskFilter, WorkflowView};
use flowforge_ports::explain::{Answer, Question};
use flowforge_spec::Options;
use flowforge_wire::{Lock, TaskWhy, Time};

use super::{ask, beside_the_point, show};
use crate::Shared;
use crate::backend::Backend;
use crate::problem::Failure;
use crate::show as rows;

/// Tasks that are named, of those that are waited for.
const NAMED: usize = 50;
/// Locks of a workflow that are looked through, and users of each.
const LOCKS: (u32, u32) = (1000, 100);

/// Why a task stands where it stands.
pub(super) fn why(
    shared: &Shared,
    backend: &dyn Backend,
    id: WorkflowId,
    row: &TaskRow,
) -> Result<TaskWhy, Failure> {
    let view = backend.workflow(id)?;
    if let Some(known) = plainly(backend, &view, row)? {
        return Ok(known);
    }
    if row.state.status == TaskStatus::Pending {
        return dependency(shared, backend, &view, row);
    }
    let locks = locks_of(&locks(backend, id)?, row, id);
    if !locks.is_empty() {
        return Ok(lock(&view, row, locks));
    }
    if view.state.status == WorkflowStatus::Paused {
        return Ok(paused(&view, row));
    }
    let key = AttemptKey { workflow: id, node: row.node, number: row.state.attempt };
    match ask(shared, &Question::Why(key))? {
        Answer::Why(Some(why)) => Ok(show::queued(&*backend.organization()?, &view, row, &why)),
        Answer::Why(None) => Ok(on_its_way(&view, row)),
        Answer::WhyWorkflow(_) | Answer::Usage(_) | Answer::Simulate(_) | Answer::Metrics(_) => {
            Err(beside_the_point())
        }
    }
}

/// What needs no other row than its timers.
fn plainly(
    backend: &dyn Backend,
    view: &WorkflowView,
    row: &TaskRow,
) -> Result<Option<TaskWhy>, Failure> {
    let timer = |wanted: Timer| {
        let timers = backend.timers(view.id, row.node, row.node)?;
        Ok::<_, Failure>(timers.into_iter().find(|one| one.timer == wanted).map(|one| Time(one.at)))
    };
    let state = &row.state;
    Ok(Some(match state.status {
        TaskStatus::Succeeded
        | TaskStatus::Failed
        | TaskStatus::Skipped
        | TaskStatus::Cancelled => {
            let how = state.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            base(view, row, "ENDED", format!("It has ended as {}{how}.", state.status.as_str()))
        }
        TaskStatus::Running if row.shape.kind == NodeKind::Suspend => {
            let until = timer(Timer::Suspend)?;
            let how = if until.is_some() { "or its span" } else { "with `resume`" };
            let text = format!("It is suspended, and waits for a user {how}.");
            TaskWhy { until, ..base(view, row, "SUSPENDED", text) }
        }
        TaskStatus::Running => base(view, row, "RUNNING", "It runs.".to_owned()),
        TaskStatus::Retrying => {
            let text =
                format!("Attempt {} failed; the next one waits for its back-off.", state.attempt);
            TaskWhy { until: timer(Timer::Retry)?, ..base(view, row, "BACKOFF", text) }
        }
        TaskStatus::Pending | TaskStatus::Queued => return Ok(None),
    }))
}

/// What every answer says.
pub(super) fn base(view: &WorkflowView, row: &TaskRow, code: &str, text: String) -> TaskWhy {
    TaskWhy {
        workflow_id: view.id.to_string(),
        workflow_name: view.name.clone(),
        task_id: view.id.task(row.node).to_string(),
        node: row.node.0,
        task: row.shape.name.clone(),
        status: row.state.status.as_str().to_owned(),
        code: code.to_owned(),
        text,
        since: since(row).map(Time),
        until: None,
        waits_for: Vec::new(),
        locks: Vec::new(),
        queue: None,
    }
}

fn since(row: &TaskRow) -> Option<Timestamp> {
    row.state.queued_at.filter(|_| row.state.status == TaskStatus::Queued)
}

pub(super) fn paused(view: &WorkflowView, row: &TaskRow) -> TaskWhy {
    base(view, row, "PAUSED", "Its workflow is paused: `resume` lets it go on.".to_owned())
}

/// Ready in the rows, and not heard of by the scheduler yet; or admitted, and not in the rows yet.
pub(super) fn on_its_way(view: &WorkflowView, row: &TaskRow) -> TaskWhy {
    let text = "It is on its way to the scheduler, or from there: ask again in a moment.";
    base(view, row, "ON_ITS_WAY", text.to_owned())
}

/// Locks that tasks of a workflow hold or wait for.
pub(super) fn locks(backend: &dyn Backend, id: WorkflowId) -> Result<Vec<Lock>, Failure> {
    let filter = LockFilter { workflow: Some(id), ..LockFilter::default() };
    let (most, users) = LOCKS;
    Ok(backend.locks(filter, most, users)?.into_iter().map(rows::lock).collect())
}

/// Those of them that a task waits for.
pub(super) fn locks_of(locks: &[Lock], row: &TaskRow, id: WorkflowId) -> Vec<Lock> {
    let id = id.to_string();
    let waits = |lock: &&Lock| {
        let mut waiters = lock.waiters.iter();
        waiters.any(|user| user.node == row.node.0 && user.workflow_id == id)
    };
    locks.iter().filter(waits).cloned().collect()
}

pub(super) fn lock(view: &WorkflowView, row: &TaskRow, locks: Vec<Lock>) -> TaskWhy {
    let one = |lock: &Lock| {
        let by = lock.holders.first().map_or_else(
            || "nobody; others come first".to_owned(),
            |user| match &*user.task {
                "" => format!("workflow {}", user.workflow_name),
                task => format!("{task} of {}", user.workflow_name),
            },
        );
        format!("{} ({} of {}), held by {by}", lock.key, lock.holding, lock.limit)
    };
    let all: Vec<String> = locks.iter().map(one).collect();
    let text = format!("It waits for the lock {}.", all.join(", and for "));
    TaskWhy { locks, ..base(view, row, "LOCK", text) }
}

fn dependency(
    shared: &Shared,
    backend: &dyn Backend,
    view: &WorkflowView,
    row: &TaskRow,
) -> Result<TaskWhy, Failure> {
    if view.state.status == WorkflowStatus::Pending {
        let text = "No controller has begun its workflow yet.".to_owned();
        return Ok(base(view, row, "DEPENDENCY", text));
    }
    let waits_for = unmet(shared, backend, view, row)?;
    let text = match &*waits_for {
        [] => "It waits for what stands around it in its workflow.".to_owned(),
        [one] => format!("It waits for {one}."),
        [first, rest @ ..] => format!("It waits for {first} and {} more.", rest.len()),
    };
    Ok(TaskWhy { waits_for, ..base(view, row, "DEPENDENCY", text) })
}

/// Dependencies that have not ended, by their dotted names.
fn unmet(
    shared: &Shared,
    backend: &dyn Backend,
    view: &WorkflowView,
    row: &TaskRow,
) -> Result<Vec<String>, Failure> {
    let Some(parent) = row.shape.parent else { return Ok(Vec::new()) };
    let Some(around) = node(backend, view.id, parent)? else { return Ok(Vec::new()) };
    let options = Options {
        parameters: view.parameters.clone(),
        default_retry: shared.config.default_retry.clone(),
    };
    let Ok(compiled) = flowforge_spec::compile(&backend.document(view.id)?, &options) else {
        return Ok(Vec::new());
    };
    let mut unmet = Vec::new();
    for name in needed(&compiled.plan, &around.shape.template, row.shape.slot) {
        let path = match &*around.shape.name {
            "" => name,
            above => format!("{above}.{name}"),
        };
        let filter = TaskFilter { name: Some(path.clone()), ..TaskFilter::default() };
        let there = backend.tasks(view.id, filter, 1)?;
        if there.first().is_none_or(|other| !other.state.status.terminal()) {
            unmet.push(path);
        }
        if unmet.len() == NAMED {
            break;
        }
    }
    Ok(unmet)
}

/// What a task of a dag template needs, by name.
fn needed(plan: &Plan, template: &str, slot: u32) -> Vec<String> {
    let found = plan.templates.iter().find(|one| &*one.name == template);
    let Some(Body::Dag(dag)) = found.map(|template| &template.body) else { return Vec::new() };
    let at = |slot: u32| dag.tasks.get(usize::try_from(slot).ok()?);
    let needs = at(slot).into_iter().flat_map(|task| task.needs.slots());
    needs.filter_map(|slot| at(slot).map(|task| task.name.to_string())).collect()
}

fn node(backend: &dyn Backend, id: WorkflowId, node: NodeIx) -> Result<Option<TaskRow>, Failure> {
    let filter = TaskFilter { after: node.0.checked_sub(1).map(NodeIx), ..TaskFilter::default() };
    let row = backend.tasks(id, filter, 1)?.into_iter().next();
    Ok(row.filter(|row| row.node == node))
}
