//! Which suspension a user means, and what it can be given.

use flowforge_model::event::{NodeKind, TaskRow};
use flowforge_model::id::WorkflowId;
use flowforge_model::limits::PAGE_ROWS;
use flowforge_model::plan::{OutputSource, Plan};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_ports::catalog::TaskFilter;
use flowforge_spec::Options;

use crate::backend::Backend;
use crate::envelope::Pairs;
use crate::json::child;
use crate::problem::{Code, Failure, shown};
use crate::tasks;

/// The dotted name of a suspension that waits now and takes these outputs.
pub(crate) fn waiting(
    backend: &dyn Backend,
    id: WorkflowId,
    task: &str,
    outputs: &Pairs,
) -> Result<String, Failure> {
    let row = tasks::find(backend, id, task)?;
    let (task, status) = (shown(task), row.state.status);
    if row.shape.kind != NodeKind::Suspend {
        return Err(Failure::new(Code::Refused, format!("the task `{task}` is no suspension")));
    }
    if status != TaskStatus::Running {
        let detail = format!("the task `{task}` is not suspended: it is {}", status.as_str());
        return Err(Failure::new(Code::Refused, detail));
    }
    if let Some(plan) = plan(backend, id)? {
        check_outputs(&plan, &row, outputs)?;
    }
    Ok(row.shape.name)
}

/// Every suspension of a workflow can go on without being given anything. A pause that is undone
/// leaves them as they are.
pub(crate) fn all_ready(backend: &dyn Backend, id: WorkflowId) -> Result<(), Failure> {
    if backend.workflow(id)?.state.status == WorkflowStatus::Paused {
        return Ok(());
    }
    let mut filter =
        TaskFilter { statuses: vec![TaskStatus::Running], leaves: true, ..TaskFilter::default() };
    let mut compiled = None;
    loop {
        let rows = backend.tasks(id, filter.clone(), PAGE_ROWS)?;
        for row in rows.iter().filter(|row| row.shape.kind == NodeKind::Suspend) {
            if compiled.is_none() {
                compiled = plan(backend, id)?;
            }
            let Some(plan) = &compiled else {
                return Ok(());
            };
            check_outputs(plan, row, &Pairs::new())?;
        }
        let Some(last) = rows.last() else {
            return Ok(());
        };
        filter.after = Some(last.node);
    }
}

/// None if the document cannot be read any more: the controller says what becomes of it.
fn plan(backend: &dyn Backend, id: WorkflowId) -> Result<Option<Plan>, Failure> {
    let options = Options { parameters: backend.workflow(id)?.parameters, default_retry: None };
    let compiled = flowforge_spec::compile(&backend.document(id)?, &options);
    Ok(compiled.ok().map(|compiled| compiled.plan))
}

/// A value for an output that nobody declared would be lost without a word, one that is missing or
/// not allowed would be found out only by what comes after.
fn check_outputs(plan: &Plan, row: &TaskRow, outputs: &Pairs) -> Result<(), Failure> {
    let Some(template) = plan.templates.iter().find(|t| *t.name == *row.shape.template) else {
        return Ok(());
    };
    let supplied: Vec<_> =
        template.outputs.iter().filter(|o| o.source == OutputSource::Supplied).collect();
    let invalid = |name: &str, detail: String| {
        Err(Failure::at(Code::InvalidRequest, child("/outputs", name), detail))
    };
    for (name, value) in outputs {
        if !supplied.iter().any(|o| *o.name == **name) {
            let known: Vec<&str> = supplied.iter().map(|o| &*o.name).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return invalid(name, format!("unknown output `{}`; known: {known}", shown(name)));
        }
        // Argo's intermediate parameters: an input of the same name says what is allowed.
        let input = template.inputs.iter().find(|input| *input.name == **name);
        let choices = input.map(|input| &*input.choices).unwrap_or_default();
        if !choices.is_empty() && !choices.iter().any(|choice| **choice == **value) {
            let (name, value) = (shown(name), shown(value));
            let detail = format!("`{value}` is not one of {} of `{name}`", choices.join(", "));
            return invalid(&name, detail);
        }
    }
    let missing: Vec<&str> = supplied
        .iter()
        .filter(|o| o.default.is_none() && !outputs.iter().any(|(name, _)| **name == *o.name))
        .map(|o| &*o.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "the suspension `{}` needs a value for {}: resume it as `task`, with `outputs`",
        shown(&row.shape.name),
        missing.join(", ")
    );
    Err(Failure::new(Code::Refused, detail))
}
