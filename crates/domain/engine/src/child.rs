//! Leaves that start a workflow: what they start, and what its end means for them.

use std::borrow::Cow;

use flowforge_expr::{render, render_with};
use flowforge_model::attempt::{Failure, FailureClass, Report};
use flowforge_model::id::NodeIx;
use flowforge_model::object::{Condition, Reading};
use flowforge_model::plan::{Body, Child, OutputSource, Plan, Template};
use flowforge_model::status::Reason;
use flowforge_model::text::{Text, mark};
use flowforge_model::time::Timestamp;
use serde_json::Value;

use crate::StepError;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};

/// A workflow to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildOrder {
    /// Its document. What tags put into it is marked ([`mark`]).
    pub manifest: String,
    /// The task waits for its end.
    pub awaited: bool,
}

/// What the current attempt of a leaf starts.
///
/// # Errors
/// Why it cannot be made: to be reported as the attempt's end.
pub fn child_order(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    now: Timestamp,
) -> Result<ChildOrder, Box<Failure>> {
    with_view(plan, run, node, now, |template, view| {
        let child = child_of(template)?;
        let manifest = render_with(&child.manifest, view, |value| mark(&value).into())?;
        let manifest = manifest.into_owned();
        Ok(ChildOrder { manifest, awaited: child.awaited() })
    })
}

/// The end of the current attempt of a leaf whose workflow stands as `object` says, an object of Argo's kind:
/// judged by the conditions of the leaf, with what its outputs read there. `report` is the end without
/// conditions and outputs.
#[must_use]
pub fn child_report(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    (report, object): (Report, &Value),
) -> Report {
    let now = report.finished_at;
    let judged = with_view(plan, run, node, now, |template, view| {
        let child = child_of(template)?;
        let failure = judge(child, view, object)?.map_or(report.failure.clone(), |fine| {
            let failed = || {
                report.failure.clone().unwrap_or_else(|| Failure {
                    class: FailureClass::User,
                    reason: Reason::ChildFailed,
                    message: "the conditions of the task say that it failed".to_owned(),
                })
            };
            (!fine).then(failed)
        });
        let outputs = match failure {
            Some(_) => Vec::new(),
            None => outputs(template, view, object)?,
        };
        Ok(Report { failure, outputs, ..report.clone() })
    });
    judged.unwrap_or_else(|failure| Report { failure: Some(*failure), ..report })
}

/// Whether the conditions make it a success; none if they leave that to the workflow's own end.
fn judge(child: &Child, view: &View<'_>, object: &Value) -> Valued<Option<bool>> {
    let condition = |source: &Option<Text>| -> Valued<Option<Condition>> {
        let Some(source) = source else { return Ok(None) };
        let text = render(source, view)?;
        let condition = Condition::parse(&text);
        condition.map(Some).map_err(|cause| Fault::new(Reason::ChildInvalid, cause.to_string()))
    };
    let (success, failure) = (condition(&child.success)?, condition(&child.failure)?);
    if failure.is_some_and(|failure| failure.any(object)) {
        return Ok(Some(false));
    }
    Ok(success.map(|success| success.all(object)))
}

/// What the outputs of the task read of the workflow.
fn outputs(template: &Template, view: &View<'_>, object: &Value) -> Valued<Vec<(String, String)>> {
    let mut outputs = Vec::new();
    for output in &template.outputs {
        let (source, read): (_, fn(&str) -> _) = match &output.source {
            OutputSource::JsonPath(source) => (source, Reading::json_path),
            OutputSource::JqFilter(source) => (source, Reading::jq),
            OutputSource::Path(_)
            | OutputSource::Parameter(_)
            | OutputSource::Expression(_)
            | OutputSource::Supplied => continue,
        };
        let source = render(source, view)?;
        let reading =
            read(&source).map_err(|cause| Fault::new(Reason::OutputMissing, cause.to_string()))?;
        let default = output.default.as_ref().map(|text| render(text, view)).transpose()?;
        let value = reading.of(object).or(default.map(Cow::into_owned));
        let name = output.name.to_string();
        let value = value.ok_or_else(|| {
            let message = format!("output {name}: the workflow says nothing at {source}");
            Fault::new(Reason::OutputMissing, message)
        })?;
        outputs.push((name, value));
    }
    Ok(outputs)
}

fn child_of(template: &Template) -> Valued<&Child> {
    match &template.body {
        Body::Child(child) => Ok(child),
        Body::Container(_)
        | Body::Script(..)
        | Body::Dag(_)
        | Body::Steps(_)
        | Body::Suspend(_)
        | Body::ContainerSet(_)
        | Body::Http(_)
        | Body::Object(_) => {
            Err(Fault::new(Reason::Error, "the task starts no workflow".to_owned()))
        }
    }
}

fn with_view<T>(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    now: Timestamp,
    then: impl FnOnce(&Template, &View<'_>) -> Valued<T>,
) -> Result<T, Box<Failure>> {
    let fault = |Fault { reason, message }| {
        Box::new(Failure { class: FailureClass::Error, reason, message })
    };
    let bug = |bug: StepError| fault(Fault::new(Reason::Error, bug.to_string()));
    let template = run.template(plan, node).map_err(bug)?;
    let inputs = inputs_of(plan, run, node).map_err(bug)?.map_err(fault)?;
    let view = View::new(plan, run, node, &inputs, now);
    then(template, &view).map_err(fault)
}
