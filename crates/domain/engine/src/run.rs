//! The state of one workflow in memory: an arena of nodes, at most 200 bytes each when they hold
//! no outputs.

use std::collections::BTreeSet;

use flowforge_model::event::{Ending, NodeKind, WorkflowState};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::plan::{Body, Plan, Setting, Template};
use flowforge_model::resources::Resources;
use flowforge_model::status::TaskStatus;
use flowforge_model::time::{Millis, Timestamp};
use serde_json::Value;

use crate::node::Node;
use crate::settings::with_amounts;
use crate::{Result, StepError};

/// What is known of a workflow besides its plan, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its id.
    pub id: WorkflowId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project_id: EntityId,
    /// The name of its project.
    pub project: String,
    /// What locks of its project are called by: no other project has it.
    pub lock_name: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its priority.
    pub priority: i32,
    /// When it was submitted.
    pub created_at: Timestamp,
}

/// The state of one workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub(crate) context: Context,
    pub(crate) state: WorkflowState,
    pub(crate) nodes: Vec<Node>,
    /// The exit handler of this generation, once it has begun.
    pub(crate) exit: Option<NodeIx>,
    /// Nodes under way of which a hook may be due because something else changed.
    pub(crate) watching: BTreeSet<NodeIx>,
    /// How many suspensions last.
    pub(crate) suspensions: u32,
    /// Retries of all nodes: the sum of [`Node::retries`].
    pub(crate) retries: u32,
}

impl Run {
    /// A workflow that has not begun.
    #[must_use]
    pub fn new(context: Context) -> Self {
        let state = WorkflowState { generation: 1, ..WorkflowState::default() };
        Self {
            context,
            state,
            nodes: Vec::new(),
            exit: None,
            watching: BTreeSet::new(),
            suspensions: 0,
            retries: 0,
        }
    }

    /// What never changes.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The part of the workflow's row that changes.
    #[must_use]
    pub fn state(&self) -> &WorkflowState {
        &self.state
    }

    /// It waits for something outside: for a user, or for a time.
    #[must_use]
    pub fn suspended(&self) -> bool {
        self.suspensions > 0
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// It has not begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The status of a node; none if there is no such node.
    #[must_use]
    pub fn status(&self, node: NodeIx) -> Option<TaskStatus> {
        self.nodes.get(node.index()).map(|node| node.status)
    }

    /// Number of the node's current attempt, 0 before the first.
    #[must_use]
    pub fn attempt(&self, node: NodeIx) -> u32 {
        self.nodes.get(node.index()).map_or(0, |node| node.attempt)
    }

    /// The node failed before in this generation: its attempt is a retry.
    #[must_use]
    pub fn retries_node(&self, node: NodeIx) -> bool {
        self.nodes.get(node.index()).is_some_and(|node| node.failures > 0)
    }

    /// What each pod of a leaf asks for and may use at a time, in its current attempt.
    #[must_use]
    pub fn resources(&self, plan: &Plan, node: NodeIx) -> Resources {
        match with_amounts(plan, self, node) {
            Ok(Ok(template)) => template.resources(),
            // Nothing will run: the attempt ends when its order is made.
            Ok(Err(_)) | Err(_) => {
                self.template_of(plan, node).map_or(Resources::NONE, Template::resources)
            }
        }
    }

    /// Pods of one attempt of a leaf.
    #[must_use]
    pub fn pods(&self, plan: &Plan, node: NodeIx) -> u32 {
        self.template_of(plan, node).map_or(1, Template::pods)
    }

    /// The name of the template that a node was made from.
    #[must_use]
    pub fn template_name<'p>(&self, plan: &'p Plan, node: NodeIx) -> Option<&'p str> {
        self.template_of(plan, node).map(|template| &*template.name)
    }

    fn template_of<'p>(&self, plan: &'p Plan, node: NodeIx) -> Option<&'p Template> {
        self.nodes.get(node.index()).and_then(|node| plan.template(node.template))
    }

    /// The leaf starts a workflow.
    #[must_use]
    pub fn starts_workflow(&self, plan: &Plan, node: NodeIx) -> bool {
        let template = self.template_of(plan, node);
        template.is_some_and(|template| matches!(template.body, Body::Child(_)))
    }

    /// For how long a leaf runs at a time, where that is known before its inputs are.
    #[must_use]
    pub fn lasts(&self, plan: &Plan, node: NodeIx) -> Option<Millis> {
        let template = self.template_of(plan, node)?;
        let late = template.late.iter().any(|(setting, _)| *setting == Setting::ActiveDeadline);
        template.active_deadline.filter(|_| !late)
    }

    /// Whether the workflow comes to its end around a node, or all that a daemon served, so that what runs
    /// there is to be stopped.
    #[must_use]
    pub fn ends_around(&self, plan: &Plan, node: NodeIx) -> bool {
        self.halting(plan, node).unwrap_or(true) || self.needless(node).unwrap_or(true)
    }

    pub(crate) fn node(&self, ix: NodeIx) -> Result<&Node> {
        self.nodes.get(ix.index()).ok_or(StepError::Bug("no such node"))
    }

    pub(crate) fn node_mut(&mut self, ix: NodeIx) -> Result<&mut Node> {
        self.nodes.get_mut(ix.index()).ok_or(StepError::Bug("no such node"))
    }

    /// Another failure of a node that is not over, or none any more.
    pub(crate) fn set_failures(&mut self, ix: NodeIx, failures: u32) -> Result {
        let node = self.node_mut(ix)?;
        let before = node.retries();
        node.failures = failures;
        let after = node.retries();
        self.count_retries(before, after);
        Ok(())
    }

    /// A node has made so many retries, and before it had made others.
    pub(crate) fn count_retries(&mut self, before: u32, after: u32) {
        self.retries = self.retries.saturating_sub(before).saturating_add(after);
    }

    pub(crate) fn template<'p>(&self, plan: &'p Plan, ix: NodeIx) -> Result<&'p Template> {
        plan.template(self.node(ix)?.template).ok_or(StepError::Bug("no such template"))
    }

    /// The child at `slot` of a dag or steps node.
    pub(crate) fn child(&self, group: NodeIx, slot: u32) -> Option<NodeIx> {
        let node = self.nodes.get(group.index())?;
        (slot < node.children).then(|| NodeIx(node.first_child.saturating_add(slot)))
    }

    /// Nothing new may begin at a node: what is asked for is the end, of everything, or of all but
    /// the exit handler and exit hooks.
    pub(crate) fn halting(&self, plan: &Plan, ix: NodeIx) -> Result<bool> {
        Ok(match self.state.ending {
            None => false,
            Some(Ending::Cancel | Ending::Terminate) => true,
            Some(Ending::Stop | Ending::Deadline) => {
                self.exit.is_none() && !self.within_exit_hook(plan, ix)?
            }
        })
    }

    /// The dotted path of a node: `a.b(0:x).c`.
    pub(crate) fn name(&self, plan: &Plan, ix: NodeIx) -> Result<String> {
        let mut path = Vec::with_capacity(8);
        let mut at = Some(ix);
        while let Some(ix) = at {
            path.push(ix);
            at = self.node(ix)?.parent;
        }
        let mut name = String::with_capacity(24);
        for &ix in path.iter().rev() {
            self.push_name(plan, ix, &mut name)?;
        }
        if name.is_empty() && !matches!(self.node(ix)?.kind, NodeKind::Dag | NodeKind::Steps) {
            name.push_str(&self.template(plan, ix)?.name);
        }
        Ok(name)
    }

    /// The last piece of a node's path.
    fn push_name(&self, plan: &Plan, ix: NodeIx, name: &mut String) -> Result {
        let node = self.node(ix)?;
        let Some(parent) = node.parent else {
            if ix != NodeIx::ROOT {
                name.push_str(&exit_name(node.slot));
            }
            return Ok(());
        };
        let kind = self.node(parent)?.kind;
        let hook = crate::hooks::place(node.slot);
        match (hook, kind) {
            (None, NodeKind::Loop) => {
                push_number(name, "(", node.slot);
                name.push(':');
                push_item(name, self.item(ix).as_deref());
                name.push(')');
                return Ok(());
            }
            (None, NodeKind::Retry) => {
                push_number(name, "(", node.slot);
                name.push(')');
                return Ok(());
            }
            _ => {}
        }
        if !name.is_empty() {
            name.push('.');
        }
        if let Some(place) = hook {
            let hook = self.hooks(plan, parent)?.get(place);
            let hook = hook.ok_or(StepError::Bug("no such hook"))?;
            name.push_str(&crate::hooks::name(hook, node.slot));
        } else {
            let task = self.template(plan, parent)?.body.tasks().get(node.slot as usize);
            name.push_str(&task.ok_or(StepError::Bug("no such task"))?.name);
        }
        Ok(())
    }
}

/// What containers that run beside each other ask for together.
/// `onExit`; a later generation's handler carries its number.
fn exit_name(generation: u32) -> String {
    if generation <= 1 { "onExit".to_owned() } else { format!("onExit-{generation}") }
}

/// Longest display of a loop item in a path, in characters.
const ITEM_DISPLAY: usize = 64;

fn push_number(name: &mut String, before: &str, number: u32) {
    name.push_str(before);
    name.push_str(&number.to_string());
}

/// A loop item as it stands in a path: scalars as they are, maps as sorted `k:v,k:v`.
fn push_item(name: &mut String, item: Option<&Value>) {
    match item {
        Some(Value::String(text)) if text.len() <= ITEM_DISPLAY && text.is_ascii() => {
            if text.bytes().any(|byte| byte.is_ascii_control()) {
                name.push_str(&text.replace(|c: char| c.is_control(), " "));
            } else {
                name.push_str(text);
            }
        }
        other => name.push_str(&display(other)),
    }
}

/// A loop item as it stands in a path: scalars as they are, maps as sorted `k:v,k:v`.
fn display(item: Option<&Value>) -> String {
    let full = match item {
        Some(Value::Object(map)) => {
            let mut pairs: Vec<String> =
                map.iter().map(|(k, v)| format!("{k}:{}", display(Some(v)))).collect();
            pairs.sort();
            pairs.join(",")
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    full.chars().take(ITEM_DISPLAY).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
