//! From nodes to rows and back. Everything a node keeps besides its row is derived, by the same
//! count that a later generation uses.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flowforge_model::event::{NodeKind, TaskRow, TaskShape, TaskState, TaskWrite, WorkflowState};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Needs, Plan, Steps, TemplateIx};
use flowforge_model::status::TaskStatus;
use serde_json::Value;

use crate::node::{Extra, Node};
use crate::run::{Context, Run};
use crate::steps::{group_begin, group_end};
use crate::{Result, StepError};

/// The row to store for a node that was touched; with its shape if it is new. None if there is no
/// such node.
#[must_use]
pub fn task_write(plan: &Plan, run: &Run, ix: NodeIx, new: bool) -> Option<TaskWrite> {
    let node = run.nodes.get(ix.index())?;
    let shape = if new { Some(shape(plan, run, ix, node)?) } else { None };
    let state = TaskState {
        status: node.status,
        reason: node.reason,
        message: node.message().map(str::to_owned),
        attempt: node.attempt,
        failures: node.failures,
        losses: node.losses,
        exit_code: node.exit_code,
        outputs: node.outputs().cloned(),
        queued_at: node.queued_at,
        started_at: node.started_at,
        finished_at: node.finished_at,
    };
    Some(TaskWrite { node: ix, shape, state })
}

fn shape(plan: &Plan, run: &Run, ix: NodeIx, node: &Node) -> Option<TaskShape> {
    Some(TaskShape {
        parent: node.parent,
        slot: node.slot,
        kind: node.kind,
        name: run.name(plan, ix).ok()?,
        template: plan.template(node.template)?.name.to_string(),
        item: run.item(ix).map(Cow::into_owned),
    })
}

impl Run {
    /// A workflow as it was stored: `tasks` dense by node. Everything derived is computed anew.
    ///
    /// # Errors
    /// `Bug` if the rows do not fit the plan.
    pub fn restore(
        plan: &Plan,
        context: Context,
        state: WorkflowState,
        tasks: Vec<TaskRow>,
    ) -> Result<Self> {
        let templates: BTreeMap<&str, TemplateIx> =
            (0_u32..).zip(&plan.templates).map(|(ix, t)| (&*t.name, TemplateIx(ix))).collect();
        let generation = state.generation;
        let mut run = Self::new(context);
        run.state = state;
        run.nodes.reserve(tasks.len());
        let mut items: BTreeMap<NodeIx, Vec<Value>> = BTreeMap::new();
        for mut row in tasks {
            if row.node.index() != run.nodes.len() {
                return Err(StepError::Bug("a task row is missing"));
            }
            let template = templates.get(&*row.shape.template).copied();
            let template = template.ok_or(StepError::Bug("a task of an unknown template"))?;
            if row.shape.parent.is_none()
                && row.node != NodeIx::ROOT
                && row.shape.slot == generation
            {
                run.exit = Some(row.node);
            }
            run.adopt(row.node, row.shape.parent, row.shape.slot)?;
            if let (Some(parent), Some(item)) = (row.shape.parent, row.shape.item.take()) {
                items.entry(parent).or_default().push(item);
            }
            let node = node_of(&row.shape, row.state, template);
            run.suspensions += u32::from(node.suspended());
            run.count_retries(0, node.retries());
            run.nodes.push(node);
        }
        for index in 0..run.nodes.len() {
            let ix = NodeIx(u32::try_from(index).unwrap_or(u32::MAX));
            if let Some(items) = items.remove(&ix) {
                run.keep_items(plan, ix, items)?;
            }
            run.derive(plan, ix)?;
        }
        Ok(run)
    }

    /// Tells `parent` of its child: children stand in a row, tries count up to the latest.
    fn adopt(&mut self, ix: NodeIx, parent: Option<NodeIx>, slot: u32) -> Result {
        let Some(parent) = parent else { return Ok(()) };
        let node = self.node_mut(parent).map_err(|_| StepError::Bug("a task before its group"))?;
        if crate::hooks::place(slot).is_some() {
            node.extra().hooks.push(ix);
            return Ok(());
        }
        if node.children == 0 || node.kind == NodeKind::Retry {
            node.first_child = ix.0;
        }
        node.children = node.children.saturating_add(1);
        Ok(())
    }

    fn derive(&mut self, plan: &Plan, ix: NodeIx) -> Result {
        let hooks = self.hooks(plan, ix)?;
        let (hooked, watches) = (!hooks.is_empty(), hooks.iter().any(|hook| hook.wide));
        let open = self.node(ix)?.hooks().iter();
        let open = open.filter(|hook| self.status(**hook).is_some_and(|s| !s.terminal())).count();
        let node = self.node_mut(ix)?;
        (node.hooked, node.watches) = (hooked, watches);
        node.over = node.status.terminal();
        if open > 0 {
            node.extra().open_hooks = u32::try_from(open).unwrap_or(u32::MAX);
        }
        self.watch(ix)?;
        let node = self.node(ix)?;
        if matches!(node.kind, NodeKind::Dag | NodeKind::Steps) && node.children > 0 {
            self.judge_all(plan, ix)?;
        }
        let node = self.node(ix)?;
        let group = node.status == TaskStatus::Running
            && !matches!(node.kind, NodeKind::Leaf | NodeKind::Suspend);
        if group {
            if matches!(node.kind, NodeKind::Dag | NodeKind::Steps) {
                let inputs = crate::values::inputs_of(plan, self, ix)?
                    .map_err(|_| StepError::Bug("inputs that had values have none"))?;
                if !inputs.is_empty() {
                    self.node_mut(ix)?.extra().inputs = inputs;
                }
            }
            self.recount(plan, ix)?;
        }
        self.recount_parallelism(plan, ix)
    }

    fn recount_parallelism(&mut self, plan: &Plan, ix: NodeIx) -> Result {
        let Some((group, _)) = crate::flow::parallelism_around(plan, self, ix)? else {
            return Ok(());
        };
        let node = self.node_mut(ix)?;
        if node.status.terminal() || node.ready() {
            return Ok(());
        }
        if node.status != TaskStatus::Pending {
            node.counted = true;
            let extra = self.node_mut(group)?.extra();
            extra.active = extra.active.saturating_add(1);
        } else if self.waits_for_nothing(plan, ix)? {
            self.node_mut(group)?.extra().held.push_back(ix);
        }
        Ok(())
    }

    /// A pending node whose turn has come, so that only `parallelism` can hold it.
    fn waits_for_nothing(&self, plan: &Plan, ix: NodeIx) -> Result<bool> {
        let node = self.node(ix)?;
        let Some(parent) = node.parent else {
            return Ok(false);
        };
        let parent = self.node(parent)?;
        let in_turn = match &plan.template(parent.template).map(|template| &template.body) {
            Some(Body::Steps(steps)) if parent.kind == NodeKind::Steps => {
                (parent.group..group_end(steps, parent.group)).contains(&node.slot)
            }
            _ => true,
        };
        Ok(parent.status == TaskStatus::Running && node.waiting == 0 && in_turn)
    }

    /// Counts what a group waits for from the statuses of its children.
    pub(crate) fn recount(&mut self, plan: &Plan, ix: NodeIx) -> Result {
        let node = self.node(ix)?;
        let children: Vec<NodeIx> = match node.kind {
            NodeKind::Retry => vec![NodeIx(node.first_child)],
            NodeKind::Dag
            | NodeKind::Steps
            | NodeKind::Loop
            | NodeKind::Leaf
            | NodeKind::Suspend => node.child_ixs().collect(),
        };
        let open = |run: &Self, ix: &NodeIx| run.awaited(*ix);
        if matches!(node.kind, NodeKind::Dag | NodeKind::Steps) {
            self.judge_all(plan, ix)?;
        }
        let node = self.node(ix)?;
        match &plan.template(node.template).ok_or(StepError::Bug("no such template"))?.body {
            Body::Dag(dag) if node.kind == NodeKind::Dag => {
                for (task, &child) in dag.tasks.iter().zip(&children) {
                    let waiting = self.open_needs(ix, &task.needs);
                    let node = self.node_mut(child)?;
                    if node.status == TaskStatus::Pending {
                        node.waiting = waiting;
                    }
                }
            }
            Body::Steps(steps) if node.kind == NodeKind::Steps => {
                return self.recount_steps(ix, steps, &children);
            }
            Body::Dag(_)
            | Body::Steps(_)
            | Body::Container(_)
            | Body::Script(..)
            | Body::ContainerSet(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_)
            | Body::Suspend(_) => {}
        }
        let count = children.iter().filter(|child| open(self, child)).count();
        self.node_mut(ix)?.waiting = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(())
    }

    fn recount_steps(&mut self, ix: NodeIx, steps: &Steps, children: &[NodeIx]) -> Result {
        let first = (0_u32..).zip(children).find(|(_, child)| self.awaited(**child));
        let last = steps.group_ends.last().copied().unwrap_or(0).saturating_sub(1);
        let group = group_begin(steps, first.map_or(last, |(slot, _)| slot).saturating_add(1));
        let (before, after) = children.split_at_checked(group as usize).unwrap_or_default();
        let count = |all: &[NodeIx], what: &dyn Fn(NodeIx) -> bool| {
            let count = all.iter().filter(|child| what(**child)).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let width = group_end(steps, group).saturating_sub(group) as usize;
        let current = after.get(..width).unwrap_or_default();
        let absent_before = count(before, &|child| self.is_absent(child));
        let absent = absent_before.saturating_add(count(current, &|child| self.is_absent(child)));
        let waiting = count(current, &|child| self.awaited(child));
        for &child in current {
            let node = self.node_mut(child)?;
            if node.status == TaskStatus::Pending {
                node.waiting = absent_before;
            }
        }
        let node = self.node_mut(ix)?;
        node.group = group;
        node.waiting = waiting;
        if absent > 0 || node.absent() > 0 {
            node.extra().absent = absent;
        }
        Ok(())
    }

    fn open_needs(&self, group: NodeIx, needs: &Needs) -> u32 {
        let open = needs
            .slots()
            .filter(|&slot| self.child(group, slot).is_some_and(|child| self.missing(child)));
        u32::try_from(open.count()).unwrap_or(u32::MAX)
    }
}

fn node_of(shape: &TaskShape, state: TaskState, template: TemplateIx) -> Node {
    let mut node = Node::new(shape.parent, shape.slot, template, shape.kind);
    node.status = state.status;
    node.reason = state.reason;
    node.attempt = state.attempt;
    node.failures = state.failures;
    node.losses = state.losses;
    node.exit_code = state.exit_code;
    node.queued_at = state.queued_at;
    node.started_at = state.started_at;
    node.finished_at = state.finished_at;
    if state.message.is_some() || state.outputs.is_some() {
        let (message, outputs) = (state.message, state.outputs);
        let extra = Extra { message, outputs, ..Extra::default() };
        node.extra = Some(Box::new(extra));
    }
    node
}
