//! References as people write them.

use flowforge_model::text::{LastRetryField, Reference, SiblingField, WorkflowField};

/// The tag a reference was read from, `{{tasks.a.outputs.parameters.x}}`. `sibling` turns a slot
/// into `tasks.NAME` or `steps.NAME`.
#[must_use]
pub fn human(reference: &Reference, sibling: &dyn Fn(u32) -> Option<String>) -> String {
    let inner = match reference {
        Reference::WorkflowParameter(name) => format!("workflow.parameters.{name}"),
        Reference::WorkflowParameters => "workflow.parameters".to_owned(),
        Reference::Workflow(field) => format!("workflow.{}", workflow_field(*field)),
        Reference::CreationTime(letter) => format!("workflow.creationTimestamp.{letter}"),
        Reference::WorkflowLabels => "workflow.labels".to_owned(),
        Reference::WorkflowAnnotation(name) => format!("workflow.annotations.{name}"),
        Reference::WorkflowAnnotations => "workflow.annotations".to_owned(),
        Reference::WorkflowLabel(name) => format!("workflow.labels.{name}"),
        Reference::WorkflowOutput(name) => format!("workflow.outputs.parameters.{name}"),
        Reference::Input(name) => format!("inputs.parameters.{name}"),
        Reference::Inputs => "inputs.parameters".to_owned(),
        Reference::Item => "item".to_owned(),
        Reference::ItemKey(key) => format!("item.{key}"),
        Reference::Sibling { slot, field } => {
            let name = sibling(*slot).unwrap_or_else(|| format!("tasks[{slot}]"));
            format!("{name}.{}", sibling_field(field))
        }
        Reference::OutputPath(name) => format!("outputs.parameters.{name}.path"),
        Reference::InputArtifactPath(name) => format!("inputs.artifacts.{name}.path"),
        Reference::OutputArtifactPath(name) => format!("outputs.artifacts.{name}.path"),
        Reference::CallName => "tasks.name".to_owned(),
        Reference::NodeName => "node.name".to_owned(),
        Reference::PodName => "pod.name".to_owned(),
        Reference::Retries => "retries".to_owned(),
        Reference::LastRetry(field) => format!("lastRetry.{}", last_retry_field(*field)),
    };
    format!("{{{{{inner}}}}}")
}

fn workflow_field(field: WorkflowField) -> &'static str {
    match field {
        WorkflowField::Name => "name",
        WorkflowField::Uid => "uid",
        WorkflowField::Namespace => "namespace",
        WorkflowField::MainEntrypoint => "mainEntrypoint",
        WorkflowField::Priority => "priority",
        WorkflowField::CreationTimestamp => "creationTimestamp",
        WorkflowField::Status => "status",
        WorkflowField::Failures => "failures",
        WorkflowField::Duration => "duration",
        WorkflowField::ServiceAccountName => "serviceAccountName",
        WorkflowField::ScheduledTime => "scheduledTime",
    }
}

fn sibling_field(field: &SiblingField) -> String {
    let fixed = match field {
        SiblingField::Output(name) => return format!("outputs.parameters.{name}"),
        SiblingField::Outputs => "outputs.parameters",
        SiblingField::Result => "outputs.result",
        SiblingField::ExitCode => "exitCode",
        SiblingField::Status => "status",
        SiblingField::Id => "id",
        SiblingField::StartedAt => "startedAt",
        SiblingField::FinishedAt => "finishedAt",
        SiblingField::Message => "message",
        SiblingField::Ip => "ip",
        SiblingField::HostNodeName => "hostNodeName",
    };
    fixed.to_owned()
}

fn last_retry_field(field: LastRetryField) -> &'static str {
    match field {
        LastRetryField::ExitCode => "exitCode",
        LastRetryField::Status => "status",
        LastRetryField::Duration => "duration",
        LastRetryField::Message => "message",
    }
}
