//! From a leaf to what an executor needs: all text substituted, nothing left to look up.

use flowforge_expr::render;
use flowforge_model::attempt::{AttemptKey, Failure, FailureClass, OutputFile, WorkOrder};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Body, Container, OutputSource, Plan, Template};
use flowforge_model::status::Reason;
use flowforge_model::text::Text;
use flowforge_model::time::Timestamp;

use crate::StepError;
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};

/// What an executor needs for the current attempt of a leaf.
///
/// # Errors
/// Why the attempt cannot be made (an argument too long, a value missing): to be reported as the
/// attempt's end.
pub fn work_order(
    plan: &Plan,
    run: &Run,
    node: NodeIx,
    now: Timestamp,
) -> Result<WorkOrder, Box<Failure>> {
    let fault = |fault: Fault| {
        let Fault { reason, message } = fault;
        Box::new(Failure { class: FailureClass::Error, reason, message })
    };
    let bug = |bug: StepError| fault(Fault::new(Reason::Error, bug.to_string()));
    let template = run.template(plan, node).map_err(bug)?;
    let inputs = inputs_of(plan, run, node).map_err(bug)?.map_err(fault)?;
    let view = View::new(plan, run, node, &inputs, now);
    let (container, source) = match &template.body {
        Body::Container(container) => (container, None),
        Body::Script(container, source) => (container, Some(source)),
        Body::Dag(_) | Body::Steps(_) | Body::Suspend(_) => {
            return Err(bug(StepError::Bug("only leaves are run")));
        }
    };
    let key = AttemptKey { workflow: run.context.id, node, number: run.attempt(node) };
    let order = WorkOrder {
        key,
        attempt: key.id(),
        task: key.workflow.task(node),
        task_name: run.name(plan, node).map_err(bug)?,
        template: template.name.to_string(),
        image: text(&container.image, &view).map_err(fault)?,
        command: arguments("command", &container.command, &view).map_err(fault)?,
        args: arguments("args", &container.args, &view).map_err(fault)?,
        script: source.map(|source| text(source, &view)).transpose().map_err(fault)?,
        env: environment(container, &view).map_err(fault)?,
        working_dir: container
            .working_dir
            .as_ref()
            .map(|dir| text(dir, &view))
            .transpose()
            .map_err(fault)?,
        resources: container.resources,
        outputs: files(template, &view).map_err(fault)?,
        deadline: template.active_deadline,
    };
    Ok(order)
}

fn text(source: &Text, view: &View<'_>) -> Valued<String> {
    Ok(render(source, view)?.into_owned())
}

fn arguments(what: &str, list: &[Text], view: &View<'_>) -> Valued<Vec<String>> {
    let mut values = Vec::with_capacity(list.len());
    for (index, source) in list.iter().enumerate() {
        let value = text(source, view)?;
        fits(&value, || format!("{what}[{index}]"))?;
        values.push(value);
    }
    Ok(values)
}

fn environment(container: &Container, view: &View<'_>) -> Valued<Vec<(String, String)>> {
    let mut total = 0_usize;
    let mut env = Vec::with_capacity(container.env.len());
    for (name, source) in &container.env {
        let value = text(source, view)?;
        fits(&value, || format!("environment variable {name}"))?;
        total = total.saturating_add(name.len()).saturating_add(value.len());
        env.push((name.to_string(), value));
    }
    if total > limits::ENV_BYTES {
        let message = format!(
            "the environment is {total} bytes long, at most {} are allowed: pass large data in a file",
            limits::ENV_BYTES
        );
        return Err(Fault::new(Reason::ArgumentTooLong, message));
    }
    Ok(env)
}

/// Linux takes no longer string, and no NUL inside one.
fn fits(value: &str, what: impl Fn() -> String) -> Valued<()> {
    if value.len() > limits::ARGUMENT_BYTES {
        let message = format!(
            "{} is {} bytes long after substitution, Linux takes at most {}: pass large data in a file",
            what(),
            value.len(),
            limits::ARGUMENT_BYTES
        );
        return Err(Fault::new(Reason::ArgumentTooLong, message));
    }
    if value.contains('\0') {
        return Err(Fault::new(Reason::Error, format!("{} holds a NUL character", what())));
    }
    Ok(())
}

fn files(template: &Template, view: &View<'_>) -> Valued<Vec<OutputFile>> {
    let mut files = Vec::new();
    for output in &template.outputs {
        let OutputSource::Path(path) = &output.source else {
            continue;
        };
        files.push(OutputFile {
            name: output.name.to_string(),
            path: text(path, view)?,
            default: output.default.as_ref().map(|default| text(default, view)).transpose()?,
        });
    }
    Ok(files)
}
