//! What runs because of how a task or a workflow stands: hooks and exit handlers.

use flowforge_model::plan::{Call, Hook, TemplateIx};
use flowforge_model::text::{Reference, Segment, Text};

use crate::grammar;
use crate::located::{Entry, Node, quote};
use crate::outline::Doc;
use crate::references::Names;
use crate::scope::{OWN, ScopeIx};

/// The hook that runs at the end.
const EXIT: &str = "exit";

impl<'a> Doc<'a> {
    /// What runs at the end of the workflow, and its other hooks.
    pub(crate) fn workflow_hooks(&self, spec: &'a Node) -> (Option<Call>, Vec<Hook>) {
        let on_exit = spec.field("onExit");
        let mut exit = on_exit.and_then(|node| self.root_template(node)).map(Call::of);
        let mut hooks = Vec::new();
        for entry in self.hook_entries(spec) {
            if &*entry.key != EXIT {
                hooks.extend(self.hook(entry, (OWN, None), &Names::WORKFLOW));
                continue;
            }
            if on_exit.is_some() {
                self.second_exit(entry);
                continue;
            }
            exit = if entry.node.field("arguments").is_some() {
                self.hook(entry, (OWN, None), &Names::WORKFLOW).map(|hook| hook.call)
            } else {
                self.exit_without_arguments(entry)
            };
        }
        (exit, hooks)
    }

    /// As `onExit`: the inputs are parameters of the workflow.
    fn exit_without_arguments(&self, entry: &'a Entry) -> Option<Call> {
        if !self.report.fields(&entry.node, &grammar::HOOK) {
            return None;
        }
        self.refuse_condition(entry);
        let ix = self.callee(OWN, &entry.node, &grammar::HOOK)?;
        self.check_root_inputs(ix, &entry.node);
        Some(Call::of(ix))
    }

    /// The hooks of the task or step `name`, the legacy `onExit` among them.
    pub(crate) fn task_hooks(
        &self,
        node: &'a Node,
        name: &str,
        names: &Names<'_, 'a>,
    ) -> Vec<Hook> {
        let on_exit = node.field("onExit");
        let entries = self.hook_entries(node);
        if on_exit.is_none() && entries.is_empty() {
            return Vec::new();
        }
        let Some((siblings, reachable)) = names.siblings else {
            return Vec::new();
        };
        let own = siblings.by_name.get(name).copied();
        // A hook runs once its task has begun: it may name the task itself.
        let reachable = |slot: u32, node: &'a Node, name: &str| {
            if Some(slot) != own {
                reachable(slot, node, name);
            }
        };
        let names = Names { siblings: Some((siblings, &reachable)), ..*names };
        // The workflow's status has a value in hooks, wherever they are.
        let uses = self.exit_uses.borrow().len();
        let mut out = Vec::new();
        if let Some(node) = on_exit
            && let Some(ix) = self.template(siblings.scope, node)
        {
            let call = self.call_with_parameters(ix, node);
            out.push(Hook { name: EXIT.into(), call, expression: None, wide: false });
        }
        for entry in entries {
            if &*entry.key == EXIT && on_exit.is_some() {
                self.second_exit(entry);
                continue;
            }
            out.extend(self.hook(entry, (siblings.scope, Some(name)), &names));
        }
        self.exit_uses.borrow_mut().truncate(uses);
        out
    }

    fn hook_entries(&self, node: &'a Node) -> &'a [Entry] {
        let Some(hooks) = node.field("hooks") else {
            return &[];
        };
        let entries = hooks.entries();
        if entries.is_none() {
            let message = format!("expected hooks (a map), found {}", hooks.describe());
            self.report.error("wrong_type", hooks, message, "write each under its name");
        }
        entries.unwrap_or(&[])
    }

    /// A hook of the task `own`, or of the workflow.
    fn hook(
        &self,
        entry: &'a Entry,
        (scope, own): (ScopeIx, Option<&str>),
        names: &Names<'_, 'a>,
    ) -> Option<Hook> {
        let (key, node) = (&*entry.key, &entry.node);
        self.dialect.check_name(self.report, node, key, "a hook");
        if !self.report.fields(node, &grammar::HOOK) {
            return None;
        }
        let expression = if key == EXIT {
            self.refuse_condition(entry);
            None
        } else {
            let field = self.report.required(node, &grammar::HOOK, "expression")?;
            let source = self.report.string(field)?;
            let tagless = self.expression(field, source, names);
            // One that was reported leaves no hole: nothing of the document runs.
            Some(tagless.unwrap_or_default())
        };
        let template = self.callee(scope, node, &grammar::HOOK)?;
        let call = if key == EXIT && node.field("arguments").is_none() {
            self.call_with_parameters(template, node)
        } else {
            let called = format!("the hook {key}");
            Call {
                template,
                arguments: self.arguments(node, &called, Some(template), names),
                artifacts: self.artifact_arguments(node, &called, Some(template), names),
            }
        };
        let wide = expression.as_deref().is_some_and(|source| is_wide(source, own));
        Some(Hook { name: key.into(), call, expression, wide })
    }

    /// An exit hook runs at the end, whatever it was.
    fn refuse_condition(&self, entry: &'a Entry) {
        if let Some(node) = entry.node.field("expression") {
            let message = "the hook exit runs whenever its task or workflow ends";
            let hint =
                "ask for the outcome in a when of the template, or give the hook another name";
            self.report.error("unsupported", node, message, hint);
        }
    }

    fn second_exit(&self, entry: &'a Entry) {
        let message = "onExit and the hook exit are two names of one thing";
        self.report.error("conflict", entry, message, "keep one of them");
    }

    /// A call whose inputs are the parameters of the workflow of the same name, as Argo has it for
    /// exit hooks without arguments.
    fn call_with_parameters(&self, template: TemplateIx, at: &'a Node) -> Call {
        let inputs = self.outline(template).map_or(&[][..], |outline| &outline.inputs);
        self.check_root_inputs(template, at);
        let given = inputs.iter().filter(|input| self.parameters.contains(input.name));
        let arguments = given.map(|input| {
            let reference = Reference::WorkflowParameter(input.name.into());
            (input.name.into(), Text::Parts([Segment::Reference(reference)].into()))
        });
        Call { template, arguments: arguments.collect(), artifacts: Vec::new() }
    }

    /// A template that is called by the workflow itself: its inputs are workflow parameters.
    pub(crate) fn root_template(&self, node: &'a Node) -> Option<TemplateIx> {
        let ix = self.template(OWN, node)?;
        self.check_root_inputs(ix, node);
        Some(ix)
    }

    /// Reports inputs that the workflow gives nothing for.
    fn check_root_inputs(&self, ix: TemplateIx, at: &'a Node) {
        let Some(outline) = self.outline(ix).filter(|_| !self.alone) else { return };
        for input in &outline.inputs {
            if !input.optional && !self.parameters.contains(input.name) {
                let message = format!(
                    "nothing gives the input {} of the template {} a value",
                    quote(input.name),
                    quote(outline.name)
                );
                let hint = "declare a workflow parameter of this name, or give it a default";
                self.report.error("missing_argument", at, message, hint);
            }
        }
        for input in &outline.artifacts_in {
            if !input.optional && !self.given_artifacts.contains(input.name) {
                let message = format!(
                    "nothing gives the input {} of the template {} an artifact",
                    quote(input.name),
                    quote(outline.name)
                );
                let hint = "declare an artifact of this name in arguments.artifacts";
                self.report.error("missing_argument", at, message, hint);
            }
        }
    }
}

/// Whether the value of a hook's expression may change while the status of what it hooks does not.
fn is_wide(source: &str, own: Option<&str>) -> bool {
    let names = flowforge_expr::names(source).unwrap_or_default();
    names.iter().any(|name| match (own, &*name.iter().map(String::as_str).collect::<Vec<_>>()) {
        (None, ["workflow", "status"]) => false,
        (_, ["workflow", field, ..]) => {
            ["status", "outputs", "duration", "failures"].contains(field)
        }
        (Some(own), ["tasks" | "steps", task, ..]) => *task != own,
        (_, ["tasks" | "steps" | "workflow", ..]) => true,
        _ => false,
    })
}
