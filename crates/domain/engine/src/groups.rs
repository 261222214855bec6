//! Groups: how dags, steps, loops and tries begin, and what the end of a child means for them.

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Body, ContinueOn};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::flow::Step;
use crate::node::Node;
use crate::steps::group_end;
use crate::values::Fault;
use crate::{Result, StepError};

impl Step<'_> {
    /// Begins a dag or steps template: all its tasks become nodes that wait.
    pub(crate) fn begin_group(&mut self, ix: NodeIx) -> Result {
        let template = self.run.template(self.plan, ix)?;
        let tasks = template.body.tasks();
        if let Err(fault) = self.room_for(tasks.len()).and_then(|()| self.depth_of(ix)) {
            return self.fail(ix, fault);
        }
        let inputs = match self.inputs(ix)? {
            Ok(inputs) => inputs,
            Err(fault) => return self.fail(ix, fault),
        };
        let first = u32::try_from(self.run.nodes.len()).unwrap_or(u32::MAX);
        self.run.nodes.reserve(tasks.len());
        for (slot, task) in (0_u32..).zip(tasks) {
            let kind = task.repeat.is_some().then_some(NodeKind::Loop);
            let child = self.add(Some(ix), slot, task.template, kind)?;
            let node = self.run.node_mut(child)?;
            node.waiting = u32::try_from(task.needs.slots().count()).unwrap_or(u32::MAX);
            node.hooked = !task.hooks.is_empty() && node.kind != NodeKind::Loop;
            node.watches = node.hooked && task.hooks.iter().any(|hook| hook.wide);
        }
        let node = self.run_now(ix)?;
        node.first_child = first;
        node.children = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        node.waiting = node.children;
        if !inputs.is_empty() {
            node.extra().inputs = inputs;
        }
        match &template.body {
            Body::Steps(steps) => {
                self.begin_step_group(ix, steps, 0)?;
            }
            Body::Dag(dag) => self.begin_dag(ix, dag)?,
            Body::Container(_)
            | Body::Script(..)
            | Body::Suspend(_)
            | Body::ContainerSet(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_) => return Err(StepError::Bug("not a group")),
        }
        self.look_at_hooks(ix)
    }

    /// Gives the children of a group that went on their turn, or ends it if none is left.
    pub(crate) fn wake(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let (kind, group, nothing_left) = (node.kind, node.group, node.waiting == 0);
        match (kind, &self.run.template(self.plan, ix)?.body) {
            (NodeKind::Dag, _) if nothing_left => self.end_dag(ix),
            (NodeKind::Loop, _) if nothing_left => self.end_loop(ix),
            (NodeKind::Steps, _) if nothing_left => self.step_group_ended(ix),
            (NodeKind::Retry, _) => {
                let latest = NodeIx(self.run.node(ix)?.first_child);
                self.begin(latest);
                Ok(())
            }
            (NodeKind::Steps, Body::Steps(steps)) => {
                self.wake_slots(ix, group, group_end(steps, group))
            }
            (NodeKind::Loop, _) => self.wake_slots(ix, 0, self.run.node(ix)?.children),
            (NodeKind::Dag, Body::Dag(dag)) => {
                for (slot, child) in (0_u32..).zip(self.run.node(ix)?.child_ixs()) {
                    let node = self.run.node(child)?;
                    if node.status == TaskStatus::Pending && node.waiting == 0 {
                        self.decide(ix, dag, slot, child)?;
                    }
                }
                Ok(())
            }
            (NodeKind::Steps | NodeKind::Dag | NodeKind::Leaf | NodeKind::Suspend, _) => {
                Err(StepError::Bug("not a group"))
            }
        }
    }

    fn wake_slots(&mut self, ix: NodeIx, from: u32, to: u32) -> Result {
        for slot in from..to {
            let child = self.run.child(ix, slot).ok_or(StepError::Bug("no such child"))?;
            if self.run.status(child) == Some(TaskStatus::Pending) {
                self.release(child);
            }
        }
        Ok(())
    }

    fn depth_of(&self, ix: NodeIx) -> std::result::Result<(), Fault> {
        let (mut depth, mut at) = (0_u32, Some(ix));
        while let Some(node) = at.and_then(|at| self.run.nodes.get(at.index())) {
            depth = depth.saturating_add(1);
            at = node.parent;
        }
        // Loops and tries stand between templates: allow for them.
        if depth > limits::TEMPLATE_DEPTH.saturating_mul(2) {
            let message = format!("templates are nested more than {} deep", limits::TEMPLATE_DEPTH);
            return Err(Fault::new(Reason::DepthLimit, message));
        }
        Ok(())
    }

    /// A node has ended: its hooks are told, then the group around it.
    pub(crate) fn child_ended(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node_mut(ix)?;
        node.over = true;
        if crate::hooks::place(node.slot).is_some() {
            return self.hook_ended(ix);
        }
        self.look_at_hooks(ix)?;
        if self.run.node(ix)?.open_hooks() > 0 {
            return self.leave_parallelism(ix);
        }
        self.tell(ix)
    }

    /// A node and its hooks have ended: the group around it goes on or ends.
    pub(crate) fn tell(&mut self, ix: NodeIx) -> Result {
        let (parent, slot) = {
            let node = self.run.node(ix)?;
            (node.parent, node.slot)
        };
        let Some(parent) = parent else {
            return self.root_ended(ix);
        };
        if let Some(group) = self.run.judge(self.plan, ix)? {
            self.drop_held(group)?;
        }
        // Only now: what failed here may mean that its place is given to nobody.
        self.leave_parallelism(ix)?;
        if !self.counts(parent, slot)? {
            return Ok(());
        }
        match self.run.node(parent)?.kind {
            NodeKind::Dag | NodeKind::Steps => {
                let served = self.run.node(ix)?.served();
                self.serves(parent, slot, served)
            }
            NodeKind::Loop => {
                let node = self.run.node_mut(parent)?;
                node.waiting = node.waiting.saturating_sub(1);
                if node.waiting == 0 { self.end_loop(parent) } else { Ok(()) }
            }
            NodeKind::Retry => {
                self.run.node_mut(parent)?.waiting = 0;
                self.try_ended(parent, ix)
            }
            NodeKind::Leaf | NodeKind::Suspend => Err(StepError::Bug("child of a leaf")),
        }
    }

    /// Whether a group still waits for its child at `slot`: not when it has ended itself, and a
    /// steps template only for those of its current group, and for daemons before it.
    fn counts(&self, parent: NodeIx, slot: u32) -> Result<bool> {
        let node = self.run.node(parent)?;
        if node.status.terminal() {
            return Ok(false);
        }
        match (node.kind, &self.run.template(self.plan, parent)?.body) {
            (NodeKind::Steps, Body::Steps(steps)) => Ok(slot < group_end(steps, node.group)),
            _ => Ok(true),
        }
    }

    pub(crate) fn leave_parallelism(&mut self, ix: NodeIx) -> Result {
        if !std::mem::take(&mut self.run.node_mut(ix)?.counted) {
            return Ok(());
        }
        let Some((group, _)) = self.parallelism_around(ix)? else {
            return Ok(());
        };
        let extra = self.run.node_mut(group)?.extra();
        extra.active = extra.active.saturating_sub(1);
        while let Some(next) = self.run.node_mut(group)?.extra().held.pop_front() {
            if self.run.node(next)?.status == TaskStatus::Pending {
                // Its `when` was true when its turn came and is not asked again: the slot would
                // go to nobody if it were false now.
                return self.begin_within_parallelism(next);
            }
        }
        Ok(())
    }

    /// Skips what `parallelism` holds back: something failed first.
    fn drop_held(&mut self, group: NodeIx) -> Result {
        let Some(extra) = &mut self.run.node_mut(group)?.extra else {
            return Ok(());
        };
        for held in std::mem::take(&mut extra.held) {
            if self.run.status(held) == Some(TaskStatus::Pending) {
                self.end(held, TaskChange::Skip, Some(Reason::FailFast), None)?;
            }
        }
        Ok(())
    }

    /// Ends a group: with its outputs, or because of `culprit`.
    pub(crate) fn end_group(&mut self, ix: NodeIx, culprit: Option<NodeIx>) -> Result {
        if let Some(child) = culprit {
            if self.run.halting(self.plan, ix)? {
                return self.end_early(ix);
            }
            let message = self.blame(child)?;
            return self.end(ix, TaskChange::Fail, Some(Reason::Children), Some(message));
        }
        match self.group_outputs(ix)? {
            Ok(None) => {}
            Ok(Some(outputs)) => self.run.node_mut(ix)?.extra().outputs = Some(outputs),
            Err(fault) => return self.fail(ix, fault),
        }
        self.export_globals(ix)?;
        self.end(ix, TaskChange::Succeed, None, None)
    }

    pub(crate) fn first_bad_child(&self, ix: NodeIx) -> Result<Option<NodeIx>> {
        let mut cancelled = None;
        for child in self.run.node(ix)?.child_ixs() {
            match self.run.node(child)?.status {
                TaskStatus::Failed => return Ok(Some(child)),
                TaskStatus::Cancelled if cancelled.is_none() => cancelled = Some(child),
                TaskStatus::Pending
                | TaskStatus::Queued
                | TaskStatus::Running
                | TaskStatus::Retrying
                | TaskStatus::Succeeded
                | TaskStatus::Skipped
                | TaskStatus::Cancelled => {}
            }
        }
        Ok(cancelled)
    }

    /// `task a.b failed: exit code 3`; a group passes on what its own child said.
    pub(crate) fn blame(&self, child: NodeIx) -> Result<String> {
        let node = self.run.node(child)?;
        if let (Some(Reason::Children), Some(message)) = (node.reason, node.message()) {
            return Ok(message.to_owned());
        }
        let name = self.run.name(self.plan, child)?;
        let why = node.message().or(node.reason.map(Reason::as_str)).unwrap_or("failed");
        Ok(format!("task {name} failed: {why}"))
    }
}

/// A failure that `continueOn` covers.
pub(crate) fn forgiven(node: &Node, continue_on: ContinueOn) -> bool {
    node.status == TaskStatus::Failed
        && if node.errored() { continue_on.error } else { continue_on.failed }
}
