//! Calls: who asks for a node, with which arguments, and where the texts of those are read.

use std::borrow::Cow;

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{self, ArtifactSource, Hook, Plan, Task};
use flowforge_model::text::Text;
use flowforge_model::time::Timestamp;
use serde_json::Value;

use crate::node::Node;
use crate::run::Run;
use crate::scope::View;
use crate::{Result, StepError};

/// A call of a template.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The dag or steps node that holds the task; none if the workflow itself calls.
    pub(crate) group: Option<NodeIx>,
    /// The task as the plan has it; none if the workflow itself calls.
    pub(crate) task: Option<&'a Task>,
    /// What is called and given, by a hook or as the exit handler; otherwise the task says.
    aside: Option<&'a plan::Call>,
    /// The node that stands for the task: that of the item, in a loop.
    of: NodeIx,
    /// The place of the task in its group.
    slot: u32,
    /// The child of a loop that stands for the item.
    item: Option<NodeIx>,
}

/// A call with the item it is made for.
pub(crate) struct Caller<'a> {
    pub(crate) call: Call<'a>,
    item: Option<Cow<'a, Value>>,
}

impl<'a> Call<'a> {
    /// The condition; hooks have another one.
    pub(crate) fn when(&self) -> Option<&'a Text> {
        if self.aside.is_some() { None } else { self.task?.when.as_ref() }
    }

    pub(crate) fn argument(&self, name: &str) -> Option<&'a Text> {
        let arguments = match (self.aside, self.task) {
            (Some(call), _) => &call.arguments,
            (None, task) => &task?.arguments,
        };
        arguments.iter().find(|(n, _)| **n == *name).map(|(_, text)| text)
    }

    pub(crate) fn artifact(&self, name: &str) -> Option<&'a ArtifactSource> {
        let artifacts = match (self.aside, self.task) {
            (Some(call), _) => &call.artifacts,
            (None, task) => &task?.artifacts,
        };
        artifacts.iter().find(|(n, _)| **n == *name).map(|(_, source)| source)
    }
}

impl Caller<'_> {
    /// What the texts of the call see.
    pub(crate) fn view<'v>(&'v self, plan: &'v Plan, run: &'v Run, now: Timestamp) -> View<'v> {
        let Call { group, of, slot, .. } = self.call;
        let inputs = group.and_then(|group| run.nodes.get(group.index())).map(Node::inputs);
        View::new(plan, run, group.unwrap_or(of), inputs.unwrap_or_default(), now)
            .with_item(self.item.as_deref())
            .with_task(group.map(|_| (slot, of)))
    }
}

impl Run {
    /// Who asks for `ix`.
    pub(crate) fn call<'a>(&'a self, plan: &'a Plan, ix: NodeIx) -> Result<Call<'a>> {
        let (mut at, mut item, mut hook) = (ix, None, None);
        loop {
            let node = self.node(at)?;
            let Some(parent) = node.parent else {
                let aside = match hook {
                    Some(place) => Some(&hooked(plan.hooks.get(place))?.call),
                    None if at == NodeIx::ROOT => None,
                    None => plan.on_exit.as_ref(),
                };
                return Ok(Call { group: None, task: None, aside, of: ix, slot: 0, item: None });
            };
            if let Some(place) = crate::hooks::place(node.slot) {
                hook = Some(place);
            } else {
                match self.node(parent)?.kind {
                    NodeKind::Loop => item = Some(at),
                    NodeKind::Retry => {}
                    NodeKind::Dag | NodeKind::Steps => {
                        let tasks = self.template(plan, parent)?.body.tasks();
                        let task = tasks.get(node.slot as usize);
                        let task = task.ok_or(StepError::Bug("no such task"))?;
                        let aside = match hook {
                            Some(place) => Some(&hooked(task.hooks.get(place))?.call),
                            None => None,
                        };
                        let (group, task, slot) = (Some(parent), Some(task), node.slot);
                        let of = item.unwrap_or(at);
                        return Ok(Call { group, task, aside, of, slot, item });
                    }
                    NodeKind::Leaf | NodeKind::Suspend => {
                        return Err(StepError::Bug("child of a leaf"));
                    }
                }
            }
            at = parent;
        }
    }

    pub(crate) fn caller<'a>(&'a self, plan: &'a Plan, ix: NodeIx) -> Result<Caller<'a>> {
        let call = self.call(plan, ix)?;
        let item = call.item.and_then(|item| self.item(item));
        Ok(Caller { call, item })
    }

    /// The caller that the hook of a node will have.
    pub(crate) fn caller_of_hook<'a>(
        &'a self,
        plan: &'a Plan,
        ix: NodeIx,
        hook: &'a Hook,
    ) -> Result<Caller<'a>> {
        let caller = self.caller(plan, ix)?;
        Ok(Caller { call: Call { aside: Some(&hook.call), ..caller.call }, ..caller })
    }
}

fn hooked(hook: Option<&Hook>) -> Result<&Hook> {
    hook.ok_or(StepError::Bug("no such hook"))
}
