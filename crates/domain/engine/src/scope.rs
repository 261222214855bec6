//! What the tags of a template see: the inputs of the instance, its children, the workflow.

mod environment;

use std::borrow::Cow;

use flowforge_expr::Scope;
use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, OutputArtifactSource, OutputSource, Plan};
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_model::text::{
    LastRetryField, Reference, Segment, SiblingField, Text, WorkflowField,
};
use flowforge_model::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::node::Node;
use crate::run::Run;
pub(crate) use environment::Retried;

/// The names visible to the text of one instance of a template.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a Run,
    /// The instance: the group whose tasks are siblings, or the leaf that runs.
    pub(crate) node: NodeIx,
    inputs: &'a [(Box<str>, Box<str>)],
    item: Option<&'a Value>,
    /// The node that stands for the task at this slot: the one that is hooked, or runs for an item.
    task: Option<(u32, NodeIx)>,
    now: Timestamp,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        plan: &'a Plan,
        run: &'a Run,
        node: NodeIx,
        inputs: &'a [(Box<str>, Box<str>)],
        now: Timestamp,
    ) -> Self {
        Self { plan, run, node, inputs, item: None, task: None, now }
    }

    pub(crate) fn with_item(self, item: Option<&'a Value>) -> Self {
        Self { item, ..self }
    }

    pub(crate) fn with_task(self, task: Option<(u32, NodeIx)>) -> Self {
        Self { task, ..self }
    }

    /// The node that stands for the task at a slot.
    pub(crate) fn at_slot(&self, slot: u32) -> Option<NodeIx> {
        match self.task {
            Some((own, node)) if own == slot => Some(node),
            Some(_) | None => self.run.child(self.node, slot),
        }
    }

    /// When a schedule fired: it sets the label; Argo's puts an annotation into the manifest.
    fn scheduled_at(&self) -> Option<&'a str> {
        let annotated = || {
            let mut all = self.plan.annotations.iter();
            all.find(|(name, _)| **name == *ARGO_SCHEDULED_AT).map(|(_, value)| &**value)
        };
        self.label(SCHEDULED_AT).or_else(annotated)
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        let labels = &self.run.context.labels;
        labels.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn own(&self) -> Option<&'a Node> {
        self.run.nodes.get(self.node.index())
    }

    fn workflow(&self, field: WorkflowField) -> Option<Cow<'a, str>> {
        let context = &self.run.context;
        Some(match field {
            WorkflowField::Name => Cow::Borrowed(&*context.name),
            WorkflowField::Uid => context.id.to_string().into(),
            WorkflowField::Namespace => Cow::Borrowed(&*context.project),
            WorkflowField::MainEntrypoint => {
                Cow::Borrowed(&*self.plan.template(self.plan.entrypoint)?.name)
            }
            WorkflowField::Priority => context.priority.to_string().into(),
            WorkflowField::CreationTimestamp => context.created_at.rfc3339().into(),
            WorkflowField::Status => self.outcome_so_far().into(),
            WorkflowField::Failures => self.failures().into(),
            WorkflowField::Duration => {
                let span = self.now.since(self.run.state.started_at?).0;
                format!("{}.{:03}", span / 1000, span % 1000).into()
            }
            WorkflowField::ServiceAccountName => {
                // As in Argo: a document that names none has the empty one.
                Cow::Borrowed(self.plan.service_account.as_deref().unwrap_or_default())
            }
            WorkflowField::ScheduledTime => Cow::Borrowed(self.scheduled_at()?),
        })
    }

    /// How the workflow stands, for its hooks, or how its main part ended, for its exit handler.
    fn outcome_so_far(&self) -> &'static str {
        let Some(root) = self.run.nodes.get(NodeIx::ROOT.index()) else {
            return "Pending";
        };
        if self.run.state.ending.is_some() {
            return "Failed";
        }
        match root.status {
            TaskStatus::Pending => "Pending",
            TaskStatus::Queued if root.waits_for_locks() => "Pending",
            TaskStatus::Queued | TaskStatus::Running | TaskStatus::Retrying => "Running",
            TaskStatus::Succeeded | TaskStatus::Skipped => "Succeeded",
            TaskStatus::Failed | TaskStatus::Cancelled => failed_word(root),
        }
    }

    fn failures(&self) -> String {
        let failed = self.run.nodes.iter().zip(0_u32..).filter(|(node, _)| {
            node.status == TaskStatus::Failed
                && matches!(node.kind, NodeKind::Leaf | NodeKind::Suspend)
        });
        let list: Vec<Value> = failed
            .take(FAILURES_LISTED)
            .map(|(node, ix)| {
                json!({
                    "displayName": self.run.name(self.plan, NodeIx(ix)).unwrap_or_default(),
                    "message": node.message().unwrap_or_default(),
                    "templateName": self.plan.template(node.template).map(|t| &*t.name),
                    "phase": argo_word(node),
                    "finishedAt": node.finished_at.map(Timestamp::rfc3339),
                })
            })
            .collect();
        Value::Array(list).to_string()
    }

    fn sibling_field(&self, slot: u32, field: &SiblingField) -> Option<Cow<'a, str>> {
        let ix = self.at_slot(slot)?;
        let node = self.run.nodes.get(ix.index())?;
        match field {
            SiblingField::Output(name) if node.kind == NodeKind::Loop => {
                let values: Vec<&str> =
                    self.items_done(node).filter_map(|item| parameter(item, name)).collect();
                Some(list_of(&values).into())
            }
            SiblingField::Output(name) => {
                parameter(node, name).map(Cow::Borrowed).or_else(|| self.default_of(node, name))
            }
            SiblingField::Outputs if node.kind == NodeKind::Loop => {
                let items = self.items_done(node).map(parameters).filter(|map| !map.is_empty());
                Some(Value::Array(items.map(Value::Object).collect()).to_string().into())
            }
            SiblingField::Outputs => Some(Value::Object(parameters(node)).to_string().into()),
            SiblingField::Result if node.kind == NodeKind::Loop => {
                let items = self.items_done(node).filter_map(result).map(loose);
                Some(Value::Array(items.collect()).to_string().into())
            }
            SiblingField::Result => result(node).map(Cow::Borrowed),
            SiblingField::ExitCode => node.exit_code.map(|code| code.to_string().into()),
            SiblingField::Status => Some(argo_word(node).into()),
            SiblingField::Id => Some(self.run.context.id.task(ix).to_string().into()),
            SiblingField::StartedAt => node.started_at.map(|at| at.rfc3339().into()),
            SiblingField::FinishedAt => node.finished_at.map(|at| at.rfc3339().into()),
            SiblingField::Message => node.message().map(Cow::Borrowed),
            SiblingField::Ip => Some(Cow::Borrowed(LOCAL_IP)),
            SiblingField::HostNodeName => Some(Cow::Borrowed(LOCAL_NODE)),
        }
    }

    /// The items of a loop that succeeded, in order.
    fn items_done(&self, node: &Node) -> impl Iterator<Item = &'a Node> + use<'a> {
        let run = self.run;
        let items = node.child_ixs().filter_map(move |ix| run.nodes.get(ix.index()));
        items.filter(|item| item.status == TaskStatus::Succeeded)
    }

    /// The declared default of an output whose task did not run.
    fn default_of(&self, node: &Node, name: &str) -> Option<Cow<'a, str>> {
        if node.status != TaskStatus::Skipped {
            return None;
        }
        let outputs = &self.plan.template(node.template)?.outputs;
        let output = outputs.iter().find(|output| *output.name == *name)?;
        output.default.as_ref()?.as_plain().map(Cow::Borrowed)
    }

    /// The node whose tries count here: of a try of a group, the one around it.
    fn tried(&self) -> Option<&'a Node> {
        let own = self.own()?;
        let around = own.parent.filter(|_| crate::hooks::place(own.slot).is_none());
        let around = around.and_then(|parent| self.run.nodes.get(parent.index()));
        Some(around.filter(|around| around.kind == NodeKind::Retry).unwrap_or(own))
    }

    fn last_retry(&self, field: LastRetryField) -> Option<Cow<'a, str>> {
        let node = self.tried()?;
        Some(match field {
            LastRetryField::ExitCode => node.exit_code.unwrap_or(0).to_string().into(),
            LastRetryField::Status => match node.failures {
                0 => Cow::Borrowed(""),
                _ => Cow::Borrowed(failed_word(node)),
            },
            LastRetryField::Duration => {
                let span = self.now.since(node.started_at.unwrap_or(self.now));
                (span.0 / 1000).to_string().into()
            }
            LastRetryField::Message => Cow::Borrowed(node.message().unwrap_or_default()),
        })
    }

    /// A path of the template. It may hold tags, but not those of other paths: they could go round.
    fn path(&self, path: &'a Text) -> Option<Cow<'a, str>> {
        let parts = match path {
            Text::Plain(path) => return Some(Cow::Borrowed(path)),
            Text::Parts(parts) => parts,
        };
        let settled = |part: &Segment| match part {
            Segment::Literal(_) => true,
            Segment::Reference(reference) => !matches!(
                reference,
                Reference::OutputPath(_)
                    | Reference::InputArtifactPath(_)
                    | Reference::OutputArtifactPath(_)
            ),
            // It may name anything.
            Segment::Expression(_) => false,
        };
        parts.iter().all(settled).then(|| flowforge_expr::render(path, self).ok())?
    }

    fn output_path(&self, name: &str) -> Option<Cow<'a, str>> {
        let template = self.plan.template(self.own()?.template)?;
        let output = template.outputs.iter().find(|output| *output.name == *name)?;
        match &output.source {
            OutputSource::Path(path) => self.path(path),
            OutputSource::JsonPath(_)
            | OutputSource::JqFilter(_)
            | OutputSource::Parameter(_)
            | OutputSource::Expression(_)
            | OutputSource::Supplied => None,
        }
    }

    fn input_artifact_path(&self, name: &str) -> Option<Cow<'a, str>> {
        let template = self.plan.template(self.own()?.template)?;
        let artifact = template.artifacts_in.iter().find(|artifact| *artifact.name == *name)?;
        self.path(artifact.path.as_ref()?)
    }

    fn output_artifact_path(&self, name: &str) -> Option<Cow<'a, str>> {
        let template = self.plan.template(self.own()?.template)?;
        let artifact = template.artifacts_out.iter().find(|artifact| *artifact.name == *name)?;
        match &artifact.source {
            OutputArtifactSource::Path { path, .. } => self.path(path),
            OutputArtifactSource::From(_) => None,
        }
    }

    fn name_value_list<'n>(pairs: impl Iterator<Item = (&'n str, &'n str)>) -> String {
        Value::Array(pairs.map(|(name, value)| json!({"name": name, "value": value})).collect())
            .to_string()
    }
}

/// The label by which a schedule says when it fired.
const SCHEDULED_AT: &str = "flowforge.io/scheduled-at";
/// The annotation by which Argo's manifests do.
const ARGO_SCHEDULED_AT: &str = "workflows.argoproj.io/scheduled-time";
/// Where local processes listen.
const LOCAL_IP: &str = "127.0.0.1";
/// The machine local processes run on.
const LOCAL_NODE: &str = "localhost";
/// Failed tasks listed in `workflow.failures`.
const FAILURES_LISTED: usize = 100;

impl Scope for View<'_> {
    fn sibling(&self, slot: u32) -> Option<String> {
        let body = &self.plan.template(self.own()?.template)?.body;
        let kind = if matches!(body, Body::Dag(_)) { "tasks" } else { "steps" };
        Some(format!("{kind}.{}", body.tasks().get(slot as usize)?.name))
    }

    fn reference(&self, reference: &Reference) -> Option<Cow<'_, str>> {
        match reference {
            Reference::WorkflowParameter(name) => self.plan.parameter(name).map(Cow::Borrowed),
            Reference::WorkflowParameters => {
                let pairs = self.plan.parameters.iter().map(|(n, v)| (&**n, &**v));
                Some(Self::name_value_list(pairs).into())
            }
            Reference::Workflow(field) => self.workflow(*field),
            Reference::WorkflowLabel(name) => self.label(name).map(Cow::Borrowed),
            Reference::WorkflowLabels => {
                let labels = self.run.context.labels.iter();
                Some(json_map(labels.map(|(n, v)| (&**n, &**v))).into())
            }
            Reference::WorkflowAnnotation(name) => {
                let found = self.plan.annotations.iter().find(|(n, _)| n == name);
                found.map(|(_, value)| Cow::Borrowed(&**value))
            }
            Reference::WorkflowAnnotations => {
                let annotations = self.plan.annotations.iter();
                Some(json_map(annotations.map(|(n, v)| (&**n, &**v))).into())
            }
            Reference::CreationTime(letter) => {
                self.run.context.created_at.letter(*letter).map(Cow::Owned)
            }
            Reference::InputArtifactPath(name) => self.input_artifact_path(name),
            Reference::OutputArtifactPath(name) => self.output_artifact_path(name),
            Reference::CallName => {
                let call = self.run.call(self.plan, self.node).ok()?;
                Some(Cow::Borrowed(&*call.task?.name))
            }
            Reference::WorkflowOutput(name) => {
                let outputs = self.run.state.outputs.as_ref()?;
                let found = outputs.parameters.iter().find(|(n, _)| **n == **name);
                found.map(|(_, value)| Cow::Borrowed(&**value))
            }
            Reference::Input(name) => {
                self.inputs.iter().find(|(n, _)| n == name).map(|(_, v)| Cow::Borrowed(&**v))
            }
            Reference::Inputs => {
                let pairs = self.inputs.iter().map(|(n, v)| (&**n, &**v));
                Some(Self::name_value_list(pairs).into())
            }
            Reference::Item => self.item.map(as_text),
            Reference::ItemKey(key) => self.item?.get(&**key).map(as_text),
            Reference::Sibling { slot, field } => self.sibling_field(*slot, field),
            Reference::OutputPath(name) => self.output_path(name),
            Reference::NodeName => self.run.name(self.plan, self.node).ok().map(Cow::Owned),
            Reference::PodName => {
                let node = self.own()?;
                Some(self.run.context.id.attempt(self.node, node.attempt).to_string().into())
            }
            Reference::Retries => Some(self.tried()?.failures.to_string().into()),
            Reference::LastRetry(field) => self.last_retry(*field),
        }
    }
}

fn json_map<'n>(pairs: impl Iterator<Item = (&'n str, &'n str)>) -> String {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
        .to_string()
}

fn parameter<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    let outputs = node.outputs()?;
    outputs.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
}

/// What a task printed; nothing is the empty text. None if it did not come to its end.
fn result(node: &Node) -> Option<&str> {
    let printed = node.outputs().and_then(|outputs| outputs.result.as_deref());
    let ran = node.status == TaskStatus::Succeeded
        || (node.status == TaskStatus::Failed && node.reason == Some(Reason::ExitCode));
    let quiet = node.kind == NodeKind::Leaf && ran;
    printed.or(quiet.then_some(""))
}

fn parameters(node: &Node) -> Map<String, Value> {
    let outputs = node.outputs().into_iter().flat_map(|outputs| &outputs.parameters);
    outputs.map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}

/// A JSON list of texts; of maps and lists if all of them are such.
fn list_of(values: &[&str]) -> String {
    let parsed = values.iter().map(|text| {
        let value: Value = serde_json::from_str(text).ok()?;
        (value.is_object() || value.is_array()).then_some(value)
    });
    match parsed.collect::<Option<Vec<Value>>>() {
        Some(parsed) => Value::Array(parsed).to_string(),
        None => Value::from(values.to_vec()).to_string(),
    }
}

/// JSON if it is JSON, else the text itself.
fn loose(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string().into()
        }
    }
}

fn failed_word(node: &Node) -> &'static str {
    if node.reason.is_some_and(crate::node::is_error) { "Error" } else { "Failed" }
}

/// A status in Argo's words, which documents compare with.
fn argo_word(node: &Node) -> &'static str {
    match node.status {
        TaskStatus::Pending | TaskStatus::Queued => "Pending",
        TaskStatus::Running | TaskStatus::Retrying => "Running",
        TaskStatus::Succeeded => "Succeeded",
        TaskStatus::Failed => failed_word(node),
        TaskStatus::Skipped if node.reason == Some(Reason::When) => "Skipped",
        TaskStatus::Skipped => "Omitted",
        TaskStatus::Cancelled => "Failed",
    }
}
