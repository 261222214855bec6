//! Which suspension a user means, and what it can be given.

use flowforge_model::event::NodeKind;
use flowforge_model::id::WorkflowId;
use flowforge_model::plan::OutputSource;
use flowforge_model::status::TaskStatus;
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
    if !outputs.is_empty() {
        check_outputs(backend, id, &row.shape.template, outputs)?;
    }
    Ok(row.shape.name)
}

/// A value for an output that nobody declared would be lost without a word.
fn check_outputs(
    backend: &dyn Backend,
    id: WorkflowId,
    template: &str,
    outputs: &Pairs,
) -> Result<(), Failure> {
    let options = Options { parameters: backend.workflow(id)?.parameters, default_retry: None };
    let Ok(compiled) = flowforge_spec::compile(&backend.document(id)?, &options) else {
        return Ok(());
    };
    let template = compiled.plan.templates.into_iter().find(|t| *t.name == *template);
    let declared = template.into_iter().flat_map(|t| t.outputs);
    let supplied: Vec<_> =
        declared.filter(|o| o.source == OutputSource::Supplied).map(|o| o.name).collect();
    let strange = outputs.iter().find(|(name, _)| !supplied.iter().any(|s| **s == **name));
    strange.map_or(Ok(()), |(name, _)| {
        let known = if supplied.is_empty() { "none".to_owned() } else { supplied.join(", ") };
        let detail = format!("unknown output `{}`; known: {known}", shown(name));
        Err(Failure::at(Code::InvalidRequest, child("/outputs", name), detail))
    })
}
