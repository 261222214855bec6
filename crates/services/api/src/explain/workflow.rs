//! Why a workflow does not go on: its unfinished tasks, by what they wait for.

use std::collections::BTreeMap;

use flowforge_model::event::TaskRow;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_ports::catalog::{TaskFilter, WorkflowView};
use flowforge_ports::explain::{Answer, Question, Why};
use flowforge_wire::{TaskWhy, WhyGroup, WorkflowWhy};

use super::{ask, beside_the_point, rows, show};
use crate::Shared;
use crate::backend::Backend;
use crate::problem::Failure;

/// Tasks that are named in a group.
const NAMED: usize = 10;
/// Queued tasks that are looked at: as many as the scheduler explains.
const QUEUED: u32 = 100;

/// Groups by what tasks wait for, filled in the order of tasks.
#[derive(Default)]
struct Groups(BTreeMap<String, WhyGroup>);

impl Groups {
    fn add(&mut self, key: String, why: TaskWhy) {
        let group = self.0.entry(key).or_insert_with(|| WhyGroup {
            code: why.code.clone(),
            count: 0,
            tasks: Vec::new(),
            first: None,
        });
        group.count += 1;
        if group.tasks.len() < NAMED {
            group.tasks.push(why.task.clone());
        }
        group.first.get_or_insert(why);
    }
}

pub(super) fn why(
    shared: &Shared,
    backend: &dyn Backend,
    id: WorkflowId,
) -> Result<WorkflowWhy, Failure> {
    let view = backend.workflow(id)?;
    let counts: BTreeMap<TaskStatus, u64> = backend.task_counts(id)?.into_iter().collect();
    let mut groups = Groups::default();
    queued(shared, backend, &view, &mut groups)?;
    let count = |status| counts.get(&status).copied().unwrap_or(0);
    let omitted = count(TaskStatus::Queued).saturating_sub(u64::from(QUEUED));
    let mut groups: Vec<WhyGroup> = groups.0.into_values().collect();
    let others = [
        (TaskStatus::Pending, "DEPENDENCY"),
        (TaskStatus::Retrying, "BACKOFF"),
        (TaskStatus::Running, "RUNNING"),
    ];
    for (status, code) in others {
        let count = count(status);
        if count > 0 && !view.state.status.terminal() {
            groups.push(group(shared, backend, &view, (status, code, count))?);
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(WorkflowWhy {
        workflow_id: id.to_string(),
        workflow_name: view.name,
        status: view.state.status.as_str().to_owned(),
        groups,
        omitted,
    })
}

/// Leaves of a status that rows alone explain.
fn group(
    shared: &Shared,
    backend: &dyn Backend,
    view: &WorkflowView,
    (status, code, count): (TaskStatus, &str, u64),
) -> Result<WhyGroup, Failure> {
    let filter = TaskFilter { statuses: vec![status], leaves: true, ..TaskFilter::default() };
    let some = backend.tasks(view.id, filter, u32::try_from(NAMED).unwrap_or(u32::MAX))?;
    let tasks = some.iter().map(|row| row.shape.name.clone()).collect();
    let first = some.into_iter().next().filter(|_| status != TaskStatus::Pending);
    let first = first.map(|row| rows::why(shared, backend, view.id, &row)).transpose()?;
    Ok(WhyGroup { code: code.to_owned(), count, tasks, first })
}

/// Tasks in the queue, groups that wait for locks included.
fn queued(
    shared: &Shared,
    backend: &dyn Backend,
    view: &WorkflowView,
    groups: &mut Groups,
) -> Result<(), Failure> {
    let filter = TaskFilter { statuses: vec![TaskStatus::Queued], ..TaskFilter::default() };
    let queued = backend.tasks(view.id, filter, QUEUED)?;
    if queued.is_empty() {
        return Ok(());
    }
    let locks = rows::locks(backend, view.id)?;
    let mut asked: Vec<TaskRow> = Vec::new();
    for row in queued {
        let waited = rows::locks_of(&locks, &row, view.id);
        if !waited.is_empty() {
            let key = format!("LOCK {}", waited.iter().map(|lock| &*lock.key).collect::<String>());
            groups.add(key, rows::lock(view, &row, waited));
        } else if view.state.status == WorkflowStatus::Paused {
            groups.add("PAUSED".to_owned(), rows::paused(view, &row));
        } else {
            asked.push(row);
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let Answer::WhyWorkflow(said) = ask(shared, &Question::WhyWorkflow(view.id))? else {
        return Err(beside_the_point());
    };
    let all = backend.organization()?;
    let mut said: BTreeMap<NodeIx, Why> = said.into_iter().map(|why| (why.key.node, why)).collect();
    for row in asked {
        let current = said.remove(&row.node).filter(|why| why.key.number == row.state.attempt);
        match current {
            Some(why) => {
                let short = why.short.map(|short| (short.entity, short.dimension));
                let key = format!("{} {short:?}", why.code);
                groups.add(key, show::queued(&all, view, &row, &why));
            }
            None => groups.add("ON_ITS_WAY".to_owned(), rows::on_its_way(view, &row)),
        }
    }
    Ok(())
}
