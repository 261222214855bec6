//! How one end leads to the next beginning.
//!
//! A [`Step`] works through a queue, so that a chain of a hundred thousand skipped tasks takes no
//! stack. Nodes are released (their dependencies are met), begun, and ended; an end is told to
//! the group around the node, which releases others or ends itself.

use std::collections::VecDeque;
use std::collections::btree_map::Entry;

use flowforge_model::event::{Effect, NodeKind, Record, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{Body, Plan, Setting, TemplateIx};
use flowforge_model::status::{Reason, TaskChange, TaskStatus, WorkflowChange, WorkflowStatus};
use flowforge_model::time::{Millis, Timestamp};

use crate::node::Node;
use crate::run::Run;
use crate::values::Fault;
use crate::{Changes, Result, StepError};

/// One event on its way through a run.
pub(crate) struct Step<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a mut Run,
    pub(crate) now: Timestamp,
    changes: Changes,
    /// The touched nodes in the order in which they were touched first: history is causal.
    order: Vec<NodeIx>,
    queue: VecDeque<Work>,
}

/// What is left to do in this step.
enum Work {
    /// Its dependencies are met: decide `when`, expand its loop.
    Release(NodeIx),
    /// Begin it.
    Begin(NodeIx),
    /// It ended: tell the group around it.
    Ended(NodeIx),
}

impl<'a> Step<'a> {
    pub(crate) fn new(plan: &'a Plan, run: &'a mut Run, now: Timestamp) -> Self {
        Self {
            plan,
            run,
            now,
            changes: Changes::default(),
            order: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn submitted(&mut self) -> Result {
        if !self.run.is_empty() || self.run.state.status.terminal() {
            return Err(StepError::Stale("begun already"));
        }
        self.workflow_change(WorkflowChange::Start)?;
        self.run.state.started_at = Some(self.now);
        if self.plan.suspend {
            self.workflow_change(WorkflowChange::Pause)?;
            self.effect(Effect::CloseGate);
        }
        self.set_workflow_deadline();
        self.add_root()
    }

    /// Begins with the entrypoint.
    pub(crate) fn add_root(&mut self) -> Result {
        let root = self.add(None, 0, self.plan.entrypoint, None)?;
        let node = self.run.node_mut(root)?;
        node.hooked = !self.plan.hooks.is_empty();
        node.watches = self.plan.hooks.iter().any(|hook| hook.wide);
        self.begin(root);
        Ok(())
    }

    pub(crate) fn set_workflow_deadline(&mut self) {
        if let Some(span) = self.plan.active_deadline {
            self.set_timer(NodeIx::ROOT, Timer::Deadline, span);
        }
    }

    /// Works until nothing is left, then writes the history of what changed.
    pub(crate) fn settle(mut self) -> Result<Changes> {
        self.work_off()?;
        while !self.run.watching.is_empty() {
            self.look_around()?;
            if self.queue.is_empty() {
                break;
            }
            self.work_off()?;
        }
        let ended = self.run.state.status.terminal();
        if self.changes.workflow && !ended {
            self.record_workflow();
        }
        for ix in std::mem::take(&mut self.order) {
            self.record_task(ix)?;
        }
        if self.changes.workflow && ended {
            self.record_workflow();
        }
        Ok(self.changes)
    }

    fn work_off(&mut self) -> Result {
        while let Some(work) = self.queue.pop_front() {
            match work {
                Work::Release(node) => self.do_release(node)?,
                Work::Begin(node) => self.do_begin(node)?,
                Work::Ended(node) => self.child_ended(node)?,
            }
        }
        Ok(())
    }

    fn record_workflow(&mut self) {
        let state = &self.run.state;
        self.changes.records.push(Record::Workflow {
            status: state.status,
            reason: state.reason,
            message: state.message.clone(),
            generation: state.generation,
        });
    }

    fn record_task(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let new = self.changes.touched.get(&ix).copied().unwrap_or(false);
        // A node without a record is a new one that waits: most of a big dag.
        if new && node.status == TaskStatus::Pending {
            return Ok(());
        }
        self.changes.records.push(Record::Task {
            node: ix,
            status: node.status,
            reason: node.reason,
            message: node.message().map(str::to_owned),
            attempt: node.attempt,
            exit_code: node.exit_code,
        });
        Ok(())
    }

    pub(crate) fn release(&mut self, node: NodeIx) {
        self.queue.push_back(Work::Release(node));
    }

    pub(crate) fn begin(&mut self, node: NodeIx) {
        self.queue.push_back(Work::Begin(node));
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.changes.effects.push(effect);
    }

    pub(crate) fn set_timer(&mut self, node: NodeIx, timer: Timer, after: Millis) {
        self.effect(Effect::SetTimer { node, timer, at: self.now.plus(after) });
    }

    pub(crate) fn touch(&mut self, node: NodeIx) {
        if let Entry::Vacant(vacant) = self.changes.touched.entry(node) {
            vacant.insert(false);
            self.order.push(node);
        }
    }

    pub(crate) fn touch_workflow(&mut self) {
        self.changes.workflow = true;
    }

    /// Moves the workflow's status through the one table.
    pub(crate) fn workflow_change(&mut self, change: WorkflowChange) -> Result<WorkflowStatus> {
        let next = self.run.state.status.after(change);
        let next = next.ok_or(StepError::Bug("illegal workflow transition"))?;
        self.run.state.status = next;
        self.touch_workflow();
        Ok(next)
    }

    /// Moves a node's status through the one table.
    pub(crate) fn change(&mut self, ix: NodeIx, change: TaskChange) -> Result<&mut Node> {
        self.touch(ix);
        let node = self.run.node_mut(ix)?;
        let next = node.status.after(change);
        let (before, retries) = (node.suspended(), node.retries());
        node.status = next.ok_or(StepError::Bug("illegal task transition"))?;
        let (after, now) = (node.suspended(), node.retries());
        self.run.count_retries(retries, now);
        match (before, after) {
            (false, true) => self.run.suspensions += 1,
            (true, false) => self.run.suspensions = self.run.suspensions.saturating_sub(1),
            _ => {}
        }
        self.run.watch(ix)?;
        self.run.node_mut(ix)
    }

    /// Adds a node; its kind follows from its template.
    pub(crate) fn add(
        &mut self,
        parent: Option<NodeIx>,
        slot: u32,
        template: TemplateIx,
        kind: Option<NodeKind>,
    ) -> Result<NodeIx> {
        let kind = match kind {
            Some(kind) => kind,
            None => self.kind_of(template)?,
        };
        let ix = NodeIx(u32::try_from(self.run.nodes.len()).unwrap_or(u32::MAX));
        self.run.nodes.push(Node::new(parent, slot, template, kind));
        self.changes.touched.insert(ix, true);
        self.order.push(ix);
        Ok(ix)
    }

    /// The node a template becomes; the tries of a group are a node around it.
    pub(crate) fn kind_of(&self, template: TemplateIx) -> Result<NodeKind> {
        let template = self.plan.template(template).ok_or(StepError::Bug("no such template"))?;
        Ok(match &template.body {
            Body::Container(_)
            | Body::Script(..)
            | Body::ContainerSet(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_) => NodeKind::Leaf,
            Body::Suspend(_) => NodeKind::Suspend,
            Body::Dag(_) | Body::Steps(_) if template.retry.is_some() => NodeKind::Retry,
            Body::Dag(_) => NodeKind::Dag,
            Body::Steps(_) => NodeKind::Steps,
        })
    }

    /// Whether something failed in the group that a node was called from, so that nothing more
    /// begins there.
    fn begins_nothing_more(&self, ix: NodeIx) -> Result<bool> {
        let mut group = self.run.node(ix)?.parent;
        while let Some(parent) = group {
            let node = self.run.node(parent)?;
            if node.kind != NodeKind::Loop {
                return Ok(node.failing);
            }
            group = node.parent;
        }
        Ok(false)
    }

    /// A released node: a loop begins, everything else asks its `when` first.
    fn do_release(&mut self, ix: NodeIx) -> Result {
        if self.run.node(ix)?.status != TaskStatus::Pending {
            return Ok(());
        }
        if self.run.halting(self.plan, ix)? {
            return self.end_early(ix);
        }
        if self.begins_nothing_more(ix)? {
            return self.end(ix, TaskChange::Skip, Some(Reason::FailFast), None);
        }
        if self.run.node(ix)?.kind == NodeKind::Loop {
            return self.do_begin(ix);
        }
        match self.when(ix)? {
            Ok(true) => self.begin_within_parallelism(ix),
            Ok(false) => self.end(ix, TaskChange::Skip, Some(Reason::When), None),
            Err(fault) => self.fail(ix, fault),
        }
    }

    /// Begins a node at once, or when one of its siblings under `parallelism` has ended.
    pub(crate) fn begin_within_parallelism(&mut self, ix: NodeIx) -> Result {
        if let Some((group, limit)) = self.parallelism_around(ix)? {
            let node = self.run.node_mut(group)?;
            let failing = node.failing;
            let extra = node.extra();
            if failing {
                return self.end(ix, TaskChange::Skip, Some(Reason::FailFast), None);
            }
            if extra.active >= limit {
                extra.held.push_back(ix);
                return Ok(());
            }
            extra.active = extra.active.saturating_add(1);
            self.run.node_mut(ix)?.counted = true;
        }
        self.do_begin(ix)
    }

    pub(crate) fn parallelism_around(&self, ix: NodeIx) -> Result<Option<(NodeIx, u32)>> {
        parallelism_around(self.plan, self.run, ix)
    }

    /// Whether `more` nodes may be added, and templates nested one deeper.
    pub(crate) fn room_for(&self, more: usize) -> std::result::Result<(), Fault> {
        let total = self.run.nodes.len().saturating_add(more);
        if total > limits::NODES_PER_WORKFLOW as usize {
            let message = format!(
                "{total} tasks would be more than the {} a workflow may have",
                limits::NODES_PER_WORKFLOW
            );
            return Err(Fault::new(Reason::FanoutLimit, message));
        }
        Ok(())
    }

    /// Ends a node that could not be begun.
    pub(crate) fn fail(&mut self, ix: NodeIx, fault: Fault) -> Result {
        self.end(ix, TaskChange::Fail, Some(fault.reason), Some(fault.message))
    }

    /// Ends a node: it is final, its timers are forgotten, the group around it is told.
    pub(crate) fn end(
        &mut self,
        ix: NodeIx,
        change: TaskChange,
        reason: Option<Reason>,
        message: Option<String>,
    ) -> Result {
        let now = self.now;
        let template = self.run.template(self.plan, ix)?;
        let late = template.late.iter().any(|(setting, _)| *setting == Setting::Timeout);
        let (timeout, memoize) = (template.timeout.is_some() || late, template.memoize.is_some());
        let locked = self.locked(ix)?;
        let node = self.change(ix, change)?;
        node.finished_at = Some(now);
        node.reason = reason;
        node.waiting = 0;
        if message.is_some() || node.extra.is_some() {
            node.extra().message = message.map(|text| cut(text, limits::MESSAGE_BYTES));
            node.extra().inputs = Box::default();
        }
        node.recalling = false;
        let (queued, kind) = (node.queued_at.is_some(), node.kind);
        if timeout && queued && kind == NodeKind::Leaf {
            self.effect(Effect::ClearTimer { node: ix, timer: Timer::Timeout });
        }
        // Those of the workflow are held until it ends itself.
        let own = !self.run.template(self.plan, ix)?.locks.is_empty();
        if locked && queued && own {
            self.effect(Effect::Release { node: ix });
        }
        if memoize && change == TaskChange::Succeed && reason.is_none() && self.outermost(ix)? {
            self.effect(Effect::Memorize { node: ix });
        }
        self.queue.push_back(Work::Ended(ix));
        Ok(())
    }

    /// Ends a node that has not begun, because the workflow is being ended.
    pub(crate) fn end_early(&mut self, ix: NodeIx) -> Result {
        let reason = self.ending_reason();
        self.end(ix, TaskChange::Cancel, Some(reason), None)
    }
}

/// `text` cut to at most `bytes` at a character's border.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
    }
    text
}

/// The group whose `parallelism` counts a node, and the limit.
pub(crate) fn parallelism_around(
    plan: &Plan,
    run: &Run,
    ix: NodeIx,
) -> Result<Option<(NodeIx, u32)>> {
    let node = run.node(ix)?;
    let Some(parent) = node.parent else {
        return Ok(None);
    };
    if node.kind == NodeKind::Loop
        || run.node(parent)?.kind == NodeKind::Retry
        || crate::hooks::place(node.slot).is_some()
    {
        return Ok(None);
    }
    let Some(group) = run.call(plan, ix)?.group else {
        return Ok(None);
    };
    let limit = run.template(plan, group)?.parallelism;
    Ok(limit.map(|limit| (group, limit.max(1))))
}
