//! The names of expressions: the same values that plain tags have, looked up when they are asked
//! for.

use std::borrow::Cow;

use flowforge_expr::{Ambient, Entry, Environment, Scope as _};
use flowforge_model::artifact::Artifact;
use flowforge_model::event::NodeKind;
use flowforge_model::plan::{Body, Task};
use flowforge_model::text::{LastRetryField, Reference, SiblingField, WorkflowField};
use serde_json::Value;

use super::{View, as_text, parameter};
use crate::node::Node;

const WORKFLOW: [(&str, WorkflowField); 11] = [
    ("name", WorkflowField::Name),
    ("uid", WorkflowField::Uid),
    ("namespace", WorkflowField::Namespace),
    ("mainEntrypoint", WorkflowField::MainEntrypoint),
    ("serviceAccountName", WorkflowField::ServiceAccountName),
    ("priority", WorkflowField::Priority),
    ("creationTimestamp", WorkflowField::CreationTimestamp),
    ("scheduledTime", WorkflowField::ScheduledTime),
    ("status", WorkflowField::Status),
    ("failures", WorkflowField::Failures),
    ("duration", WorkflowField::Duration),
];
/// Maps below `workflow`.
const WORKFLOW_MAPS: [&str; 4] = ["parameters", "labels", "annotations", "outputs"];
const SIBLING: [(&str, SiblingField); 8] = [
    ("id", SiblingField::Id),
    ("ip", SiblingField::Ip),
    ("status", SiblingField::Status),
    ("exitCode", SiblingField::ExitCode),
    ("startedAt", SiblingField::StartedAt),
    ("finishedAt", SiblingField::FinishedAt),
    ("hostNodeName", SiblingField::HostNodeName),
    ("message", SiblingField::Message),
];
const LAST_RETRY: [(&str, LastRetryField); 4] = [
    ("exitCode", LastRetryField::ExitCode),
    ("status", LastRetryField::Status),
    ("duration", LastRetryField::Duration),
    ("message", LastRetryField::Message),
];

fn named<'n, T>(table: &'n [(&str, T)], name: &str) -> Option<&'n T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, field)| field)
}

fn text(value: Option<Cow<'_, str>>) -> Entry<'_> {
    value.map_or(Entry::Absent, Entry::Text)
}

/// An artifact as the text that `fromExpression` reads back.
fn artifact<'n>(artifact: Option<&Artifact>) -> Entry<'n> {
    text(artifact.and_then(|artifact| serde_json::to_string(artifact).ok()).map(Cow::Owned))
}

fn strings<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    names.map(str::to_owned).collect()
}

impl<'a> View<'a> {
    fn workflow_entry(&self, path: &[&str]) -> Entry<'a> {
        match path {
            []
            | ["parameters" | "labels" | "annotations" | "outputs"]
            | ["outputs", "parameters"] => Entry::Map,
            [name] => text(named(&WORKFLOW, name).and_then(|field| self.workflow(*field))),
            ["parameters", name] => match (self.plan.parameter(name), *name) {
                (Some(value), _) => Entry::Text(Cow::Borrowed(value)),
                (None, "json") => {
                    let pairs = self.plan.parameters.iter().map(|(n, v)| (&**n, &**v));
                    Entry::Text(Self::name_value_list(pairs).into())
                }
                (None, _) => Entry::Absent,
            },
            ["labels", name] => text(self.label(name).map(Cow::Borrowed)),
            ["annotations", name] => {
                let found = self.plan.annotations.iter().find(|(n, _)| **n == **name);
                text(found.map(|(_, value)| Cow::Borrowed(&**value)))
            }
            ["outputs", "parameters", name] => {
                let outputs = self.run.state.outputs.iter().flat_map(|o| &o.parameters);
                let found = outputs.into_iter().find(|(n, _)| n == name);
                text(found.map(|(_, value)| Cow::Borrowed(value.as_str())))
            }
            _ => Entry::Absent,
        }
    }

    fn workflow_keys(&self, path: &[&str]) -> Vec<String> {
        match path {
            [] => strings(WORKFLOW.iter().map(|(name, _)| *name).chain(WORKFLOW_MAPS)),
            ["parameters"] => strings(self.plan.parameters.iter().map(|(name, _)| &**name)),
            ["labels"] => strings(self.run.context.labels.iter().map(|(name, _)| &**name)),
            ["annotations"] => strings(self.plan.annotations.iter().map(|(name, _)| &**name)),
            ["outputs"] => vec!["parameters".to_owned()],
            ["outputs", "parameters"] => {
                let outputs = self.run.state.outputs.iter().flat_map(|o| &o.parameters);
                strings(outputs.map(|(name, _)| name.as_str()))
            }
            _ => Vec::new(),
        }
    }

    /// `tasks` or `steps`, and who they are.
    fn siblings(&self) -> (&'static str, &'a [Task]) {
        let Some(template) = self.own().and_then(|node| self.plan.template(node.template)) else {
            return ("steps", &[]);
        };
        let base = if matches!(template.body, Body::Dag(_)) { "tasks" } else { "steps" };
        (base, template.body.tasks())
    }

    /// A sibling that there is already.
    fn sibling_named(&self, name: &str) -> Option<(u32, &'a Node)> {
        let (slot, _) = (0_u32..).zip(self.siblings().1).find(|(_, task)| *task.name == *name)?;
        let ix = self.at_slot(slot)?;
        Some((slot, self.run.nodes.get(ix.index())?))
    }

    /// The names of a task's output parameters; those of its items, if it is a loop.
    fn parameter_names(&self, node: &Node) -> Vec<String> {
        let own = node.outputs().into_iter().flat_map(|outputs| &outputs.parameters);
        let mut names: Vec<String> = own.map(|(name, _)| name.clone()).collect();
        if node.kind == NodeKind::Loop {
            let items = node.child_ixs().filter_map(|ix| self.run.nodes.get(ix.index()));
            let outputs = items.filter_map(Node::outputs).flat_map(|outputs| &outputs.parameters);
            names.extend(outputs.map(|(name, _)| name.clone()));
            names.sort();
            names.dedup();
        }
        names
    }

    fn sibling_entry(&self, name: &str, path: &[&str]) -> Entry<'a> {
        let Some((slot, node)) = self.sibling_named(name) else {
            return Entry::Absent;
        };
        let field = |field: &SiblingField| text(self.sibling_field(slot, field));
        match path {
            [] | ["outputs"] => Entry::Map,
            [name] => named(&SIBLING, name).map_or(Entry::Absent, field),
            ["outputs", "result"] => field(&SiblingField::Result),
            ["outputs", "exitCode"] => field(&SiblingField::ExitCode),
            ["outputs", "parameters"] => {
                let bare = node.kind == NodeKind::Loop && self.parameter_names(node).is_empty();
                if bare { field(&SiblingField::Outputs) } else { Entry::Map }
            }
            ["outputs", "parameters", name] if node.kind == NodeKind::Loop => {
                if self.parameter_names(node).iter().any(|known| known == name) {
                    field(&SiblingField::Output(Box::from(*name)))
                } else {
                    Entry::Absent
                }
            }
            ["outputs", "parameters", name] => text(
                parameter(node, name).map(Cow::Borrowed).or_else(|| self.default_of(node, name)),
            ),
            ["outputs", "artifacts"] if node.outputs().is_some() => Entry::Map,
            ["outputs", "artifacts", name] => {
                let all = node.outputs().into_iter().flat_map(|outputs| &outputs.artifacts);
                artifact(all.into_iter().find(|(n, _)| n == name).map(|(_, artifact)| artifact))
            }
            _ => Entry::Absent,
        }
    }

    fn sibling_keys(&self, name: &str, path: &[&str]) -> Vec<String> {
        match (self.sibling_named(name), path) {
            (Some(_), []) => strings(SIBLING.iter().map(|(name, _)| *name).chain(["outputs"])),
            (Some(_), ["outputs"]) => {
                strings(["result", "exitCode", "parameters", "artifacts"].into_iter())
            }
            (Some((_, node)), ["outputs", "parameters"]) => self.parameter_names(node),
            (Some((_, node)), ["outputs", "artifacts"]) => {
                let all = node.outputs().into_iter().flat_map(|outputs| &outputs.artifacts);
                strings(all.map(|(name, _)| name.as_str()))
            }
            _ => Vec::new(),
        }
    }

    fn item_entry(&self, path: &[&str]) -> Entry<'a> {
        match (self.item, path) {
            (Some(Value::Object(_)), []) => Entry::Map,
            (Some(item), []) => Entry::Text(as_text(item)),
            (Some(item), [key]) => text(item.get(*key).map(as_text)),
            _ => Entry::Absent,
        }
    }
}

impl Environment for View<'_> {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        match path {
            ["workflow", rest @ ..] => self.workflow_entry(rest),
            ["inputs"] | ["inputs", "parameters" | "artifacts"] | ["lastRetry"] => Entry::Map,
            ["inputs", "artifacts", name] => match self.input_artifact(name) {
                Ok(found) => artifact(found.as_ref()),
                Err(_) => Entry::Absent,
            },
            ["inputs", "parameters", name] => {
                let found = self.inputs.iter().find(|(n, _)| **n == **name);
                text(found.map(|(_, value)| Cow::Borrowed(&**value)))
            }
            ["outputs"] | ["outputs", "parameters" | "artifacts"] => Entry::Map,
            ["outputs", "parameters" | "artifacts", _] => Entry::Map,
            ["outputs", "parameters", name, "path"] => text(self.output_path(name)),
            ["outputs", "artifacts", name, "path"] => text(self.output_artifact_path(name)),
            ["item", rest @ ..] => self.item_entry(rest),
            ["retries"] => text(self.reference(&Reference::Retries)),
            ["lastRetry", name] => {
                text(named(&LAST_RETRY, name).and_then(|field| self.last_retry(*field)))
            }
            ["node", "name"] => text(self.reference(&Reference::NodeName)),
            ["pod", "name"] => text(self.reference(&Reference::PodName)),
            ["node" | "pod"] => Entry::Map,
            [base, rest @ ..] if *base == self.siblings().0 => match rest {
                [] => Entry::Map,
                [name, rest @ ..] => self.sibling_entry(name, rest),
            },
            _ => Entry::Absent,
        }
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        match path {
            ["workflow", rest @ ..] => self.workflow_keys(rest),
            ["inputs"] => strings(["parameters", "artifacts"].into_iter()),
            ["inputs", "parameters"] => strings(self.inputs.iter().map(|(name, _)| &**name)),
            ["item"] => match self.item {
                Some(Value::Object(fields)) => fields.keys().cloned().collect(),
                _ => Vec::new(),
            },
            ["lastRetry"] => strings(LAST_RETRY.iter().map(|(name, _)| *name)),
            ["node" | "pod"] => vec!["name".to_owned()],
            [base, rest @ ..] if *base == self.siblings().0 => match rest {
                [] => {
                    let names = self.siblings().1.iter().map(|task| &*task.name);
                    strings(names.filter(|name| self.sibling_named(name).is_some()))
                }
                [name, rest @ ..] => self.sibling_keys(name, rest),
            },
            _ => Vec::new(),
        }
    }

    fn ambient(&self) -> Ambient {
        let attempt = self.own().map_or(0, |node| node.attempt);
        let (high, low) = self.run.context.id.attempt(self.node, attempt).0.as_u64_pair();
        Ambient { now: self.now, seed: high ^ low }
    }
}

/// What the expression of a retry strategy sees: the attempt that just failed is the last one.
pub(crate) struct Retried<'v> {
    pub(crate) view: &'v View<'v>,
    pub(crate) exit_code: String,
    pub(crate) status: &'static str,
    pub(crate) duration: String,
    pub(crate) message: &'v str,
    pub(crate) retries: String,
}

impl Environment for Retried<'_> {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        let value = match path {
            ["retries"] => &self.retries,
            ["lastRetry", "exitCode"] => &self.exit_code,
            ["lastRetry", "status"] => self.status,
            ["lastRetry", "duration"] => &self.duration,
            ["lastRetry", "message"] => self.message,
            other => return self.view.entry(other),
        };
        Entry::Text(Cow::Borrowed(value))
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        self.view.keys(path)
    }

    fn ambient(&self) -> Ambient {
        self.view.ambient()
    }
}
