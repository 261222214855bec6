//! Dags: which tasks the end of one frees, and how the whole came out.

use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{
    Body, Condition, ContinueOn, Dag, DependencyKind, Needs, Outcome, Plan,
};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::flow::Step;
use crate::groups::forgiven;
use crate::node::Node;
use crate::run::Run;
use crate::{Result, StepError};

impl Step<'_> {
    /// Releases the tasks that wait for nothing, and skips those that no target needs.
    pub(crate) fn begin_dag(&mut self, ix: NodeIx, dag: &Dag) -> Result {
        let needed = needed(dag);
        for (slot, child) in self.run.node(ix)?.child_ixs().enumerate() {
            if needed.as_ref().is_some_and(|needed| needed.get(slot) != Some(&true)) {
                let message = Some("no target needs it".to_owned());
                self.end(child, TaskChange::Skip, Some(Reason::Omitted), message)?;
            } else if self.run.node(child)?.waiting == 0 {
                self.release(child);
            }
        }
        Ok(())
    }

    pub(crate) fn free_dependents(&mut self, group: NodeIx, slot: u32) -> Result {
        let Body::Dag(dag) = &self.run.template(self.plan, group)?.body else {
            return Err(StepError::Bug("a dag node without a dag"));
        };
        for &dependent in dag.dependents.row(slot) {
            let child = self.run.child(group, dependent).ok_or(StepError::Bug("no such task"))?;
            let node = self.run.node_mut(child)?;
            // Of those that have begun it counts something else: a daemon is ready more than once.
            if node.status != TaskStatus::Pending {
                continue;
            }
            node.waiting = node.waiting.saturating_sub(1);
            if node.waiting == 0 {
                self.decide(group, dag, dependent, child)?;
            }
        }
        Ok(())
    }

    /// All that a dag task waits for has ended: it is released, or can never run.
    pub(crate) fn decide(&mut self, group: NodeIx, dag: &Dag, slot: u32, child: NodeIx) -> Result {
        if self.run.halting(self.plan, child)? {
            return self.end_early(child);
        }
        if self.run.node(group)?.failing {
            return self.end(child, TaskChange::Skip, Some(Reason::FailFast), None);
        }
        let task = dag.tasks.get(slot as usize).ok_or(StepError::Bug("no such task"))?;
        let met = match &task.needs {
            Needs::All(all) => all.iter().all(|need| self.meets(group, dag, need.slot, need.kind)),
            Needs::Depends { condition, .. } => self.holds(group, dag, condition),
        };
        if met {
            self.release(child);
            return Ok(());
        }
        self.end(child, TaskChange::Skip, Some(Reason::Omitted), None)
    }

    fn meets(&self, group: NodeIx, dag: &Dag, slot: u32, kind: DependencyKind) -> bool {
        let Some((node, continue_on)) = self.sibling(group, dag, slot) else {
            return false;
        };
        match kind {
            DependencyKind::Completion => node.status.terminal() || node.ready(),
            DependencyKind::Failure => node.status == TaskStatus::Failed,
            DependencyKind::Success => {
                node.status == TaskStatus::Succeeded
                    || node.ready()
                    || (node.status == TaskStatus::Skipped && node.reason == Some(Reason::When))
                    || forgiven(node, continue_on)
            }
        }
    }

    fn sibling(&self, group: NodeIx, dag: &Dag, slot: u32) -> Option<(&Node, ContinueOn)> {
        let node = self.run.nodes.get(self.run.child(group, slot)?.index())?;
        Some((node, dag.tasks.get(slot as usize)?.continue_on))
    }

    /// Bounded by the depth of the condition, which the parser limits.
    fn holds(&self, group: NodeIx, dag: &Dag, condition: &Condition) -> bool {
        match condition {
            Condition::Bare(slot) => self.meets(group, dag, *slot, DependencyKind::Success),
            Condition::Is(slot, outcome) => {
                self.run.child(group, *slot).is_some_and(|child| self.came_out(child, *outcome))
            }
            Condition::Not(inner) => !self.holds(group, dag, inner),
            Condition::And(a, b) => self.holds(group, dag, a) && self.holds(group, dag, b),
            Condition::Or(a, b) => self.holds(group, dag, a) || self.holds(group, dag, b),
        }
    }

    fn came_out(&self, child: NodeIx, outcome: Outcome) -> bool {
        let Some(node) = self.run.nodes.get(child.index()) else {
            return false;
        };
        let status = node.status;
        let is_loop = node.kind == NodeKind::Loop;
        let items = node.child_ixs().filter_map(|ix| self.run.status(ix));
        let mut items = items.filter(|_| is_loop);
        match outcome {
            Outcome::Succeeded => status == TaskStatus::Succeeded,
            Outcome::Failed => status == TaskStatus::Failed && !node.errored(),
            Outcome::Errored => node.errored(),
            Outcome::Skipped => status == TaskStatus::Skipped && node.reason == Some(Reason::When),
            Outcome::Omitted => status == TaskStatus::Skipped && node.reason != Some(Reason::When),
            Outcome::Daemoned => node.ready(),
            Outcome::AnySucceeded => items.any(|status| status == TaskStatus::Succeeded),
            Outcome::AllFailed => {
                is_loop && node.children > 0 && items.all(|status| status == TaskStatus::Failed)
            }
        }
    }

    /// All tasks of a dag have ended. Its targets decide: one that failed fails it, one that was
    /// skipped passes on the worst of what it depended on. A failure that a later task was there
    /// to handle does not fail the dag. Daemons that serve are ended first.
    pub(crate) fn end_dag(&mut self, ix: NodeIx) -> Result {
        if self.dismiss_all(ix)? {
            return Ok(());
        }
        let Body::Dag(dag) = &self.run.template(self.plan, ix)?.body else {
            return Err(StepError::Bug("a dag node without a dag"));
        };
        let failed = self.run.dag_fails(ix, dag)?;
        let culprit = if failed { self.first_bad_child(ix)? } else { None };
        self.end_group(ix, culprit)
    }
}

impl Run {
    /// Whether a dag fails whose tasks have ended, but for its daemons.
    pub(crate) fn dag_fails(&self, ix: NodeIx, dag: &Dag) -> Result<bool> {
        let mut children = self.node(ix)?.child_ixs();
        let served = |child: NodeIx| self.nodes.get(child.index()).filter(|node| node.served());
        Ok(dag.targets.iter().any(|target| self.bad_child(ix, *target))
            || children.any(|child| served(child).is_some_and(|daemon| daemon.bad)))
    }

    /// What the end of a node, and of its hooks, means for what fails around it. Returns the group
    /// in which nothing more begins because of it.
    pub(crate) fn judge(&mut self, plan: &Plan, ix: NodeIx) -> Result<Option<NodeIx>> {
        let node = self.node(ix)?;
        let Some(parent) = node.parent else {
            return Ok(None);
        };
        let (slot, failed) = (node.slot, node.status == TaskStatus::Failed);
        let mut failing = None;
        if let Body::Dag(dag) = &self.template(plan, parent)?.body
            && self.node(parent)?.kind == NodeKind::Dag
            && self.is_bad(parent, dag, slot)
        {
            self.node_mut(ix)?.bad = true;
            let decides = dag.fail_fast && dag.targets.binary_search(&slot).is_ok();
            failing = decides.then_some(parent);
        }
        if failed && self.node(parent)?.kind != NodeKind::Retry {
            failing = failing.or(self.failing_fast(plan, ix)?);
            let deserted = self.deserted(plan, ix)?;
            failing = failing.or(deserted.then_some(parent));
        }
        if let Some(group) = failing {
            self.node_mut(group)?.failing = true;
        }
        Ok(failing)
    }

    /// The group of a call that failed, if its template says `failFast`.
    fn failing_fast(&self, plan: &Plan, ix: NodeIx) -> Result<Option<NodeIx>> {
        let call = self.call(plan, ix)?;
        let (Some(group), Some(task)) = (call.group, call.task) else {
            return Ok(None);
        };
        let bad = !forgiven(self.node(ix)?, task.continue_on);
        Ok((bad && self.template(plan, group)?.fail_fast).then_some(group))
    }

    fn is_bad(&self, group: NodeIx, dag: &Dag, slot: u32) -> bool {
        let node = self.child(group, slot).and_then(|child| self.nodes.get(child.index()));
        let (Some(node), Some(task)) = (node, dag.tasks.get(slot as usize)) else {
            return false;
        };
        match node.status {
            TaskStatus::Failed => !forgiven(node, task.continue_on),
            TaskStatus::Cancelled => true,
            // A daemon that has served may end badly later, and fails its dag by itself.
            TaskStatus::Skipped => task.needs.slots().any(|need| {
                let served = self.child(group, need).and_then(|ix| self.nodes.get(ix.index()));
                self.bad_child(group, need) && !served.is_some_and(Node::served)
            }),
            TaskStatus::Pending
            | TaskStatus::Queued
            | TaskStatus::Running
            | TaskStatus::Retrying
            | TaskStatus::Succeeded => false,
        }
    }

    fn bad_child(&self, group: NodeIx, slot: u32) -> bool {
        let node = self.child(group, slot).and_then(|child| self.nodes.get(child.index()));
        node.is_some_and(|node| node.bad)
    }

    /// Judges all children of a group anew, those of its loops included.
    pub(crate) fn judge_all(&mut self, plan: &Plan, ix: NodeIx) -> Result {
        self.node_mut(ix)?.failing = false;
        let node = self.node(ix)?;
        let children: Vec<NodeIx> = match (node.kind, &self.template(plan, ix)?.body) {
            (NodeKind::Dag, Body::Dag(dag)) => {
                let needed = needed(dag);
                let counts = |slot: &&u32| {
                    needed.as_ref().is_none_or(|n| n.get(**slot as usize) == Some(&true))
                };
                dag.order.iter().filter(counts).filter_map(|slot| self.child(ix, *slot)).collect()
            }
            _ => node.child_ixs().collect(),
        };
        for child in children {
            self.node_mut(child)?.bad = false;
            if self.node(child)?.kind == NodeKind::Loop {
                for item in self.node(child)?.child_ixs() {
                    if self.settled(item) {
                        let _failing = self.judge(plan, item)?;
                    }
                }
            }
            if self.settled(child) {
                let _failing = self.judge(plan, child)?;
            }
        }
        Ok(())
    }
}

/// The tasks that a dag with a `target` needs: the targets and all they depend on. None if it
/// needs all of them.
pub(crate) fn needed(dag: &Dag) -> Option<Vec<bool>> {
    let count = u32::try_from(dag.tasks.len()).unwrap_or(u32::MAX);
    let leaves = (0..count).filter(|slot| dag.dependents.row(*slot).is_empty());
    if leaves.eq(dag.targets.iter().copied()) {
        return None;
    }
    let mut needed = vec![false; dag.tasks.len()];
    for target in &dag.targets {
        if let Some(cell) = needed.get_mut(*target as usize) {
            *cell = true;
        }
    }
    for slot in dag.order.iter().rev() {
        if needed.get(*slot as usize) != Some(&true) {
            continue;
        }
        for need in dag.tasks.get(*slot as usize).into_iter().flat_map(|t| t.needs.slots()) {
            if let Some(cell) = needed.get_mut(need as usize) {
                *cell = true;
            }
        }
    }
    Some(needed)
}
