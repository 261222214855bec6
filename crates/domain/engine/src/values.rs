//! Values: inputs from arguments, outputs of groups, exports of the workflow.

use flowforge_expr::RenderError;
use flowforge_model::event::{NodeKind, Outputs};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Input, Output, OutputSource, Plan};
use flowforge_model::status::Reason;
use flowforge_model::text::{Reference, Text};

use crate::Result;
use crate::artifacts::group_artifacts;
use crate::call::{Call, Caller};
use crate::flow::Step;
use crate::run::Run;
use crate::scope::View;

/// Input parameters with their values, in the order of the template.
pub(crate) type Inputs = Box<[(Box<str>, Box<str>)]>;

/// Why something of the document could not be turned into a value: the task's fault, not a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, message: String) -> Self {
        Self { reason, message }
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        let reason = match error {
            RenderError::Unresolved(_) => Reason::Unresolved,
            RenderError::Expression { .. } | RenderError::NotBool { .. } | RenderError::Nil(_) => {
                Reason::ExpressionError
            }
        };
        Self::new(reason, error.to_string())
    }
}

/// The inner result of what a document may get wrong at run time.
pub(crate) type Valued<T> = std::result::Result<T, Fault>;

impl Step<'_> {
    pub(crate) fn inputs(&self, ix: NodeIx) -> Result<Valued<Inputs>> {
        inputs_of(self.plan, self.run, ix)
    }

    /// The outputs of a dag or steps template that has succeeded; none if it declares none.
    pub(crate) fn group_outputs(&self, ix: NodeIx) -> Result<Valued<Option<Outputs>>> {
        let node = self.run.node(ix)?;
        let template = self.run.template(self.plan, ix)?;
        let gives = !template.outputs.is_empty() || !template.artifacts_out.is_empty();
        if !gives || !matches!(node.kind, NodeKind::Dag | NodeKind::Steps) {
            return Ok(Ok(None));
        }
        let view = View::new(self.plan, self.run, ix, node.inputs(), self.now);
        let mut outputs = Outputs::default();
        for output in &template.outputs {
            match output_value(&view, output) {
                Ok(Some(value)) => outputs.parameters.push((output.name.to_string(), value)),
                Ok(None) => {}
                Err(fault) => return Ok(Err(fault)),
            }
        }
        match group_artifacts(template, &view) {
            Ok(artifacts) => outputs.artifacts = artifacts,
            Err(fault) => return Ok(Err(fault)),
        }
        Ok(Ok(Some(outputs)))
    }

    /// Exports outputs with a `globalName` as `workflow.outputs`.
    pub(crate) fn export_globals(&mut self, ix: NodeIx) -> Result {
        let template = self.run.template(self.plan, ix)?;
        for output in &template.outputs {
            let Some(global) = &output.global_name else {
                continue;
            };
            let outputs = self.run.node(ix)?.outputs();
            let value = outputs
                .and_then(|o| o.parameters.iter().find(|(name, _)| **name == *output.name))
                .map(|(_, value)| value.clone());
            if let Some(value) = value {
                let all = self.run.state.outputs.get_or_insert_default();
                all.parameters.retain(|(name, _)| **name != **global);
                all.parameters.push((global.to_string(), value));
                self.touch_workflow();
            }
        }
        for output in &template.artifacts_out {
            let Some(global) = &output.global_name else {
                continue;
            };
            let outputs = self.run.node(ix)?.outputs();
            let kept = outputs.and_then(|o| o.artifacts.iter().find(|(n, _)| **n == *output.name));
            if let Some((_, artifact)) = kept.cloned() {
                let all = self.run.state.outputs.get_or_insert_default();
                all.artifacts.retain(|(name, _)| **name != **global);
                all.artifacts.push((global.to_string(), artifact));
                self.touch_workflow();
            }
        }
        Ok(())
    }
}

fn output_value(view: &View<'_>, output: &Output) -> Valued<Option<String>> {
    let value = match &output.source {
        OutputSource::Parameter(text) => {
            flowforge_expr::render(text, view).map(|value| Some(value.into_owned()))
        }
        OutputSource::Expression(source) => flowforge_expr::expression(source, view).map(Some),
        OutputSource::Path(_)
        | OutputSource::JsonPath(_)
        | OutputSource::JqFilter(_)
        | OutputSource::Supplied => Ok(None),
    };
    match (value, &output.default) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(default)) => Ok(Some(flowforge_expr::render(default, view)?.into_owned())),
        (Err(error), None) => {
            let fault = Fault::from(error);
            Err(Fault { message: format!("output {}: {}", output.name, fault.message), ..fault })
        }
    }
}

/// The values of a node's input parameters.
pub(crate) fn inputs_of(plan: &Plan, run: &Run, ix: NodeIx) -> Result<Valued<Inputs>> {
    let template = run.template(plan, ix)?;
    if template.inputs.is_empty() {
        return Ok(Ok(Box::default()));
    }
    let caller = run.caller(plan, ix)?;
    let mut values: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(template.inputs.len());
    for input in &template.inputs {
        match input_value(plan, run, ix, (&caller, input))? {
            Ok(value) => values.push((input.name.clone(), value)),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    Ok(Ok(values.into()))
}

fn input_value(
    plan: &Plan,
    run: &Run,
    ix: NodeIx,
    (caller, input): (&Caller<'_>, &Input),
) -> Result<Valued<Box<str>>> {
    let mut given = argument(plan, run, caller, &input.name);
    if given == Ok(None) && caller.call.group.is_none() {
        // What the workflow calls takes its parameters.
        given = Ok(plan.parameter(&input.name).map(str::to_owned));
    }
    let value = match (given, &input.default) {
        (Ok(Some(value)), _) => value,
        (Ok(None), Some(default)) => {
            let view = View::new(plan, run, ix, &[], run.context.created_at);
            match flowforge_expr::render(default, &view) {
                Ok(value) => value.into_owned(),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        (Ok(None), None) => {
            let message = format!("inputs.parameters.{} was not supplied", input.name);
            return Ok(Err(Fault::new(Reason::Unresolved, message)));
        }
        (Err(fault), _) => return Ok(Err(fault)),
    };
    Ok(check(input, value))
}

fn check(input: &Input, value: String) -> Valued<Box<str>> {
    if value.len() > limits::PARAMETER_BYTES {
        let message = format!(
            "parameter {} is {} bytes long, at most {} are allowed: pass large data in a file",
            input.name,
            value.len(),
            limits::PARAMETER_BYTES
        );
        return Err(Fault::new(Reason::ParameterTooLarge, message));
    }
    if !input.choices.is_empty() && !input.choices.iter().any(|choice| **choice == *value) {
        let shown: String = value.chars().take(64).collect();
        let message = format!(
            "parameter {} is {shown:?}, which is none of: {}",
            input.name,
            input.choices.join(", ")
        );
        return Err(Fault::new(Reason::NotInEnum, message));
    }
    Ok(value.into())
}

/// The value a call gives for an input: none if it gives none, or if it is nothing but the output
/// of a task that did not run.
fn argument(plan: &Plan, run: &Run, caller: &Caller<'_>, name: &str) -> Valued<Option<String>> {
    let Some(text) = caller.call.argument(name) else {
        return Ok(None);
    };
    if let Text::Plain(value) = text {
        return Ok(Some(value.to_string()));
    }
    match flowforge_expr::render(text, &caller.view(plan, run, run.context.created_at)) {
        Ok(value) => Ok(Some(value.into_owned())),
        Err(RenderError::Unresolved(_)) if absent(run, &caller.call, text) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a text is just a reference to an output of a sibling that has ended without it.
fn absent(run: &Run, call: &Call<'_>, text: &Text) -> bool {
    let (Some(Reference::Sibling { slot, .. }), Some(group)) = (text.as_reference(), call.group)
    else {
        return false;
    };
    let child = run.child(group, *slot).and_then(|child| run.nodes.get(child.index()));
    child.is_some_and(|node| node.status.terminal())
}
