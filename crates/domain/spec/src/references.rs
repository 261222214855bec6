//! Reads texts: takes their tags apart and resolves what they name.

use std::collections::BTreeMap;

use flowforge_expr::{RawSegment, Root};
use flowforge_model::plan::TemplateIx;
use flowforge_model::text::{
    LastRetryField, Reference, Segment, SiblingField, Text, WorkflowField,
};

use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::outline::{Doc, ExitUse};
use crate::scope::ScopeIx;

/// The tasks of a dag or the steps of a steps template, as texts see them.
#[derive(Debug, Default)]
pub(crate) struct Siblings<'a> {
    /// Steps are written `steps.NAME`, tasks `tasks.NAME`.
    pub(crate) steps: bool,
    /// Whose names they call templates by.
    pub(crate) scope: ScopeIx,
    pub(crate) by_name: BTreeMap<&'a str, u32>,
    pub(crate) names: Vec<&'a str>,
    /// What each runs, if that is known.
    pub(crate) templates: Vec<Option<TemplateIx>>,
    /// Which ones are loops.
    pub(crate) loops: Vec<bool>,
}

impl Siblings<'_> {
    pub(crate) fn prefix(&self) -> &'static str {
        if self.steps { "steps" } else { "tasks" }
    }
}

/// Says whether the values of a sibling are there when the text is used; reports it otherwise.
pub(crate) type Reachable<'s, 'a> = &'s dyn Fn(u32, &'a Node, &str);

/// What the tags of a text may name.
#[derive(Clone, Copy)]
pub(crate) struct Names<'s, 'a> {
    /// The template whose inputs can be named.
    pub(crate) template: Option<TemplateIx>,
    /// Siblings, and the check that one may be named here.
    pub(crate) siblings: Option<(&'s Siblings<'a>, Reachable<'s, 'a>)>,
    /// Inside a loop.
    pub(crate) item: bool,
    /// Inside a leaf: its retries, its pod, the paths of its outputs.
    pub(crate) leaf: bool,
    /// Inside a dag or steps with a retry strategy: its retries.
    pub(crate) tried: bool,
}

impl Names<'_, '_> {
    /// Only the workflow's own.
    pub(crate) const WORKFLOW: Self =
        Self { template: None, siblings: None, item: false, leaf: false, tried: false };

    /// What stands under a first name of an expression.
    fn root(&self, name: &str) -> Option<Root> {
        match name {
            "workflow" => Some(Root::Map),
            "inputs" => self.template.map(|_| Root::Map),
            "tasks" | "steps" => {
                (self.siblings.is_some() || self.template.is_some()).then_some(Root::Map)
            }
            "item" => self.item.then_some(Root::Either),
            "retries" => (self.leaf || self.tried).then_some(Root::Text),
            "lastRetry" => (self.leaf || self.tried).then_some(Root::Map),
            "node" => self.template.map(|_| Root::Map),
            "pod" | "outputs" => self.leaf.then_some(Root::Map),
            _ => None,
        }
    }
}

/// Why a tag names nothing.
pub(crate) struct Unresolved {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

pub(crate) fn unresolved(
    code: &'static str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Unresolved {
    Unresolved { code, message: message.into(), hint: hint.into() }
}

impl<'a> Doc<'a> {
    /// The text in a field that holds any scalar.
    pub(crate) fn text(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        self.text_of(node, self.report.string(node)?, names)
    }

    /// The text of `source`, which stands at `node`.
    pub(crate) fn text_of(
        &self,
        node: &'a Node,
        source: &str,
        names: &Names<'_, 'a>,
    ) -> Option<Text> {
        if !source.contains("{{") {
            return Some(Text::plain(source));
        }
        let parts = match flowforge_expr::parse_text(source) {
            Ok(parts) => parts,
            Err(cause) => {
                let hint = "write {{='{{'}} where the text itself is to hold {{";
                self.report.error("bad_tag", node, cause.to_string(), hint);
                return None;
            }
        };
        let mut out = Vec::with_capacity(parts.len());
        for part in parts {
            out.push(match part {
                RawSegment::Literal(text) => Segment::Literal(text.into()),
                RawSegment::Reference(tag) => match self.tag(node, tag, names) {
                    Some(reference) => Segment::Reference(reference),
                    None => continue,
                },
                RawSegment::Expression(source) => match self.expression(node, &source, names) {
                    Some(source) => Segment::Expression(source),
                    None => continue,
                },
            });
        }
        Some(Text::Parts(out.into()))
    }

    /// What the plain tag at `node` names; reports it if that is nothing.
    pub(crate) fn tag(
        &self,
        node: &'a Node,
        tag: &str,
        names: &Names<'_, 'a>,
    ) -> Option<Reference> {
        match self.reference(node, tag, names) {
            Ok(reference) => Some(reference),
            Err(e) => {
                let message = format!("{{{{{}}}}}: {}", tag_for_message(tag), e.message);
                self.report.error(e.code, node, message, e.hint);
                None
            }
        }
    }

    /// Checks an expression and the names in it. Gives it without the tags it may hold.
    pub(crate) fn expression(
        &self,
        node: &'a Node,
        source: &str,
        names: &Names<'_, 'a>,
    ) -> Option<Box<str>> {
        let tagless = source.contains("{{").then(|| self.without_tags(node, source, names));
        let tagless = match tagless {
            Some(tagless) => Some(tagless?),
            None => None,
        };
        let source = tagless.as_deref().unwrap_or(source);
        let paths = match flowforge_expr::names(source) {
            Ok(paths) => paths,
            Err(cause) => {
                let message = format!("{} is no expression: {cause}", quote(source));
                self.report.error("bad_expression", node, message, "");
                return None;
            }
        };
        let mut known = true;
        for path in paths {
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Err(e) = self.expression_name(node, &parts, names) {
                let message = format!("{} in the expression {}", e.message, quote(source));
                self.report.error(e.code, node, message, e.hint);
                known = false;
            }
        }
        if known && let Err(cause) = flowforge_expr::check(source, &|name| names.root(name)) {
            let message = format!("{} has no value: {cause}", quote(source));
            let hint = "parameters are strings: asInt(...) and asFloat(...) make numbers of them";
            self.report.error("bad_expression", node, message, hint);
            return None;
        }
        Some(source.into())
    }

    /// The parts of a name that are certain to be wrong; missing leaves are nil at run time.
    fn expression_name(
        &self,
        node: &'a Node,
        path: &[&str],
        names: &Names<'_, 'a>,
    ) -> Result<(), Unresolved> {
        match path {
            ["inputs", "parameters", name, ..] if names.template.is_some() => {
                self.input(name, names).map(drop)
            }
            ["inputs", "artifacts", name, ..] if names.template.is_some() => {
                self.input_artifact_name(name, names).map(drop)
            }
            ["workflow", "parameters", "json", ..] => Ok(()),
            ["workflow", "parameters", name, ..] => self.workflow_parameter(name).map(drop),
            ["inputs", ..] if names.template.is_some() => Ok(()),
            [root @ ("tasks" | "steps"), task, "outputs", "artifacts", name, ..] => {
                self.sibling_artifact(node, root, (task, name), names).map(drop)
            }
            ["tasks" | "steps", "name"] if names.siblings.is_none() && names.template.is_some() => {
                Ok(())
            }
            [root @ ("tasks" | "steps"), name, ..] => {
                self.sibling_slot(node, root, name, names).map(drop)
            }
            ["tasks" | "steps"] if names.siblings.is_some() => Ok(()),
            ["workflow", ..] => Ok(()),
            ["item", ..] if names.item => Ok(()),
            ["retries" | "lastRetry" | "pod" | "outputs", ..] if names.leaf => Ok(()),
            ["retries" | "lastRetry", ..] if names.tried => Ok(()),
            ["node", ..] if names.template.is_some() => Ok(()),
            _ => Err(unresolved(
                "unknown_reference",
                format!("{} has no value here", path.first().unwrap_or(&"")),
                "",
            )),
        }
    }

    /// What a plain tag names.
    fn reference(
        &self,
        node: &'a Node,
        tag: &str,
        names: &Names<'_, 'a>,
    ) -> Result<Reference, Unresolved> {
        let parts: Vec<&str> = tag.split('.').collect();
        match parts.as_slice() {
            ["workflow", rest @ ..] => self.workflow(node, tag, rest, names),
            ["inputs", "parameters"] if names.template.is_some() => Ok(Reference::Inputs),
            ["inputs", "parameters", name] if names.template.is_some() => self.input(name, names),
            ["inputs", "parameters", ..] => Err(unresolved(
                "unknown_reference",
                "there are no inputs here",
                "inputs can be used inside their template",
            )),
            ["item"] if names.item => Ok(Reference::Item),
            ["item", ..] if names.item => Ok(Reference::ItemKey(after_dot(tag).into())),
            ["item", ..] => Err(unresolved(
                "unknown_reference",
                "this is no loop",
                "only a task with withItems, withParam or withSequence has items",
            )),
            [root @ ("tasks" | "steps"), name, field @ ..] if !field.is_empty() => {
                let slot = self.sibling_slot(node, root, name, names)?;
                let field = self.sibling_field(slot, field, names)?;
                Ok(Reference::Sibling { slot, field })
            }
            ["outputs", "parameters", name, "path"] if names.leaf => self.output_path(name, names),
            ["outputs", "artifacts", name, "path"] if names.leaf => {
                self.output_artifact_path(name, names)
            }
            ["inputs", "artifacts", name, "path"] if names.leaf => {
                self.input_artifact_name(name, names)?;
                Ok(Reference::InputArtifactPath((*name).into()))
            }
            ["steps" | "tasks", "name"] if names.template.is_some() => Ok(Reference::CallName),
            ["node", "name"] if names.template.is_some() => Ok(Reference::NodeName),
            ["pod", "name"] if names.leaf => Ok(Reference::PodName),
            ["retries"] if names.leaf || names.tried => Ok(Reference::Retries),
            ["lastRetry", field] if names.leaf || names.tried => {
                Ok(Reference::LastRetry(match *field {
                    "exitCode" => LastRetryField::ExitCode,
                    "status" => LastRetryField::Status,
                    "duration" => LastRetryField::Duration,
                    "message" => LastRetryField::Message,
                    _ => return Err(unknown()),
                }))
            }
            ["inputs" | "outputs", "artifacts", ..] => Err(unresolved(
                "unknown_reference",
                "an artifact is no text",
                "name its path inside of its container: {{inputs.artifacts.NAME.path}}",
            )),
            ["cronworkflow", ..] => Err(unresolved(
                "unknown_reference",
                "only the when of a schedule knows its schedule",
                "",
            )),
            ["request" | "response", ..] => Err(unresolved(
                "unknown_reference",
                "only the successCondition of http has a response",
                "",
            )),
            _ => Err(unknown()),
        }
    }

    fn workflow(
        &self,
        node: &'a Node,
        tag: &str,
        rest: &[&str],
        names: &Names<'_, 'a>,
    ) -> Result<Reference, Unresolved> {
        let field = match rest {
            ["parameters"] => return Ok(Reference::WorkflowParameters),
            ["parameters", "json"] if !self.parameters.contains("json") => {
                return Ok(Reference::WorkflowParameters);
            }
            ["parameters", name] => return self.workflow_parameter(name),
            ["labels", "json"] | ["labels"] => return Ok(Reference::WorkflowLabels),
            ["annotations", "json"] | ["annotations"] => return Ok(Reference::WorkflowAnnotations),
            ["annotations", ..] => {
                return Ok(Reference::WorkflowAnnotation(after_dot(after_dot(tag)).into()));
            }
            ["creationTimestamp", letter] if *letter != "RFC3339" => {
                return creation_time(letter);
            }
            ["serviceAccountName"] => WorkflowField::ServiceAccountName,
            ["scheduledTime"] => WorkflowField::ScheduledTime,
            ["labels", ..] => {
                return Ok(Reference::WorkflowLabel(after_dot(after_dot(tag)).into()));
            }
            ["outputs", "parameters", name] => return self.workflow_output(name),
            ["name"] => WorkflowField::Name,
            ["uid"] => WorkflowField::Uid,
            ["namespace"] => WorkflowField::Namespace,
            ["mainEntrypoint"] => WorkflowField::MainEntrypoint,
            ["priority"] => WorkflowField::Priority,
            ["creationTimestamp"] | ["creationTimestamp", "RFC3339"] => {
                WorkflowField::CreationTimestamp
            }
            ["duration"] => WorkflowField::Duration,
            ["status"] => WorkflowField::Status,
            ["failures"] => WorkflowField::Failures,
            ["outputs", "artifacts", ..] => {
                return Err(unresolved(
                    "unknown_reference",
                    "an artifact is no text",
                    "pass it on as an artifact, with from",
                ));
            }
            _ => return Err(unknown()),
        };
        // Argo's manifests may ask for the status at any time: it is Running until the end.
        let late = field == WorkflowField::Failures
            || (field == WorkflowField::Status && self.dialect == Dialect::Native);
        if let (true, Some(template)) = (late, names.template) {
            self.exit_uses.borrow_mut().push(ExitUse { template, node, tag: tag.into() });
        }
        Ok(Reference::Workflow(field))
    }

    fn workflow_parameter(&self, name: &str) -> Result<Reference, Unresolved> {
        if self.parameters.contains(name) || self.alone {
            return Ok(Reference::WorkflowParameter(name.into()));
        }
        let mut hint = self.report.did_you_mean(name, self.parameters.iter().copied());
        if hint.is_empty() {
            hint = "declare it in arguments.parameters".to_owned();
        }
        let message = format!("the workflow has no parameter {}", quote(name));
        Err(unresolved("unknown_parameter", message, hint))
    }

    fn workflow_output(&self, name: &str) -> Result<Reference, Unresolved> {
        if self.globals.contains(name) || self.alone {
            return Ok(Reference::WorkflowOutput(name.into()));
        }
        let message = format!("no output is exported under the globalName {}", quote(name));
        let hint = self.report.did_you_mean(name, self.globals.iter().copied());
        Err(unresolved("unknown_output", message, hint))
    }

    fn input(&self, name: &str, names: &Names<'_, 'a>) -> Result<Reference, Unresolved> {
        let outline = names.template.and_then(|ix| self.outline(ix));
        let inputs = outline.map_or(&[][..], |outline| &outline.inputs);
        if inputs.iter().any(|input| input.name == name) {
            return Ok(Reference::Input(name.into()));
        }
        let mut hint = self.report.did_you_mean(name, inputs.iter().map(|input| input.name));
        if hint.is_empty() {
            hint = "declare it in inputs.parameters of the template".to_owned();
        }
        let template = outline.map_or("", |outline| outline.name);
        let message = format!("the template {} has no input {}", quote(template), quote(name));
        Err(unresolved("unknown_parameter", message, hint))
    }

    fn output_path(&self, name: &str, names: &Names<'_, 'a>) -> Result<Reference, Unresolved> {
        let outline = names.template.and_then(|ix| self.outline(ix));
        let outputs = outline.map_or(&[][..], |outline| &outline.outputs);
        if outputs.contains(&name) {
            return Ok(Reference::OutputPath(name.into()));
        }
        let hint = self.report.did_you_mean(name, outputs.iter().copied());
        let message = format!("the template has no output {}", quote(name));
        Err(unresolved("unknown_output", message, hint))
    }

    /// The slot of a sibling that may be named here.
    pub(crate) fn sibling_slot(
        &self,
        node: &'a Node,
        root: &str,
        name: &str,
        names: &Names<'_, 'a>,
    ) -> Result<u32, Unresolved> {
        let Some((siblings, reachable)) = names.siblings else {
            let message = format!("{root}.{name} has no value here");
            let hint = "values of tasks reach a template through its inputs";
            return Err(unresolved("unknown_reference", message, hint));
        };
        let what = siblings.prefix();
        if root != what {
            let message = format!("{root}.{name} stands in a template that has {what}");
            return Err(unresolved("unknown_reference", message, format!("write {what}.{name}")));
        }
        let Some(slot) = siblings.by_name.get(name).copied() else {
            let hint = self.report.did_you_mean(name, siblings.names.iter().copied());
            let one = what.trim_end_matches('s');
            let message = format!("there is no {one} {} in this template", quote(name));
            return Err(unresolved("unknown_task", message, hint));
        };
        reachable(slot, node, name);
        Ok(slot)
    }

    /// What of a sibling a tag names; `field` is never empty.
    fn sibling_field(
        &self,
        slot: u32,
        field: &[&str],
        names: &Names<'_, 'a>,
    ) -> Result<SiblingField, Unresolved> {
        let siblings = names.siblings.map(|(siblings, _)| siblings);
        let at = slot as usize;
        let template = siblings.and_then(|s| s.templates.get(at).copied().flatten());
        let outline = template.and_then(|ix| self.outline(ix));
        let looped = siblings.is_some_and(|s| s.loops.get(at).copied().unwrap_or(false));
        Ok(match field {
            ["outputs", "result"] => SiblingField::Result,
            ["exitCode"] | ["outputs", "exitCode"] => SiblingField::ExitCode,
            ["status"] => SiblingField::Status,
            ["id"] => SiblingField::Id,
            ["startedAt"] => SiblingField::StartedAt,
            ["finishedAt"] => SiblingField::FinishedAt,
            ["message"] => SiblingField::Message,
            ["outputs", "parameters"] if looped => SiblingField::Outputs,
            ["outputs", "parameters"] => {
                let message = "the name of an output is missing";
                let hint = "only a loop has a list of all its outputs";
                return Err(unresolved("unknown_reference", message, hint));
            }
            ["ip"] if template.is_none_or(|ix| self.is_daemon(ix)) => SiblingField::Ip,
            ["ip"] => {
                let message = "only a daemon has an address";
                let hint = "set daemon: true on its template, if it is to serve this one";
                return Err(unresolved("unknown_reference", message, hint));
            }
            ["hostNodeName"] => SiblingField::HostNodeName,
            ["outputs", "artifacts", ..] => {
                return Err(unresolved(
                    "unknown_reference",
                    "an artifact is no text",
                    "pass it on in arguments.artifacts, with from",
                ));
            }
            ["outputs", "parameters", name] | ["outputs", name] => {
                let Some(outline) = outline else {
                    // The template itself is the problem and is reported already.
                    return Ok(SiblingField::Output((*name).into()));
                };
                if !outline.outputs.contains(name) {
                    let names = outline.outputs.iter().copied();
                    let mut hint = self.report.did_you_mean(name, names);
                    if hint.is_empty() {
                        hint = "declare it in outputs.parameters of that template".to_owned();
                    }
                    let message = format!(
                        "the template {} has no output {}",
                        quote(outline.name),
                        quote(name)
                    );
                    return Err(unresolved("unknown_output", message, hint));
                }
                SiblingField::Output((*name).into())
            }
            _ => return Err(unknown()),
        })
    }
}

/// What follows the first dot.
fn after_dot(tag: &str) -> &str {
    tag.split_once('.').map_or("", |(_, rest)| rest)
}

fn unknown() -> Unresolved {
    let message = "nothing of this name has a value here";
    let hint = "write {{='{{'}} where the text itself is to hold {{";
    unresolved("unknown_reference", message, hint)
}

/// `workflow.creationTimestamp.F`: letters of strftime that Argo has, and `s`.
fn creation_time(letter: &str) -> Result<Reference, Unresolved> {
    let mut chars = letter.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if "sBbmAadHIMSYypZzL".contains(c) => Ok(Reference::CreationTime(c)),
        _ => Err(unresolved(
            "unknown_reference",
            "there is no such form of a time",
            "write RFC3339, s or one of the letters Y m d H M S y B b A a I p Z z L",
        )),
    }
}

/// A tag of the document, escaped and cut.
fn tag_for_message(tag: &str) -> String {
    quote(tag).trim_matches('\'').to_owned()
}
