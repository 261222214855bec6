//! Dags: which tasks the end of one frees, and how the whole came out.

use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Condition, ContinueOn, Dag, DependencyKind, Needs, Outcome};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::flow::Step;
use crate::groups::forgiven;
use crate::node::Node;
use crate::{Result, StepError};

impl Step<'_> {
    pub(crate) fn free_dependents(&mut self, group: NodeIx, slot: u32) -> Result {
        let Body::Dag(dag) = &self.run.template(self.plan, group)?.body else {
            return Err(StepError::Bug("a dag node without a dag"));
        };
        for &dependent in dag.dependents.row(slot) {
            let child = self.run.child(group, dependent).ok_or(StepError::Bug("no such task"))?;
            let node = self.run.node_mut(child)?;
            node.waiting = node.waiting.saturating_sub(1);
            if node.waiting == 0 && node.status == TaskStatus::Pending {
                self.decide(group, dag, dependent, child)?;
            }
        }
        Ok(())
    }

    /// All that a dag task waits for has ended: it is released, or can never run.
    pub(crate) fn decide(&mut self, group: NodeIx, dag: &Dag, slot: u32, child: NodeIx) -> Result {
        if self.run.halting() {
            return self.end_early(child);
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
            DependencyKind::Completion => node.status.terminal(),
            DependencyKind::Failure => node.status == TaskStatus::Failed,
            DependencyKind::Success => {
                node.status == TaskStatus::Succeeded
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
        let mut items = node.child_ixs().filter_map(|ix| self.run.status(ix));
        match outcome {
            Outcome::Succeeded => status == TaskStatus::Succeeded,
            Outcome::Failed => status == TaskStatus::Failed && !node.errored(),
            Outcome::Errored => node.errored(),
            Outcome::Skipped => status == TaskStatus::Skipped && node.reason == Some(Reason::When),
            Outcome::Omitted => status == TaskStatus::Skipped && node.reason != Some(Reason::When),
            Outcome::Daemoned => false,
            Outcome::AnySucceeded => items.any(|status| status == TaskStatus::Succeeded),
            Outcome::AllFailed => {
                node.children > 0 && items.all(|status| status == TaskStatus::Failed)
            }
        }
    }

    /// All tasks of a dag have ended. Its targets decide: one that failed fails it, one that was
    /// skipped passes on the worst of what it depended on. A failure that a later task was there
    /// to handle does not fail the dag.
    pub(crate) fn end_dag(&mut self, ix: NodeIx) -> Result {
        let Body::Dag(dag) = &self.run.template(self.plan, ix)?.body else {
            return Err(StepError::Bug("a dag node without a dag"));
        };
        let mut culprit = None;
        if self.any_child_bad(ix)? {
            let bad = self.bad_slots(ix, dag);
            let failed = dag.targets.iter().any(|&t| bad.get(t as usize).copied().unwrap_or(false));
            if failed {
                culprit = self.first_bad_child(ix)?;
            }
        }
        self.end_group(ix, culprit)
    }

    fn bad_slots(&self, ix: NodeIx, dag: &Dag) -> Vec<bool> {
        let mut bad = vec![false; dag.tasks.len()];
        for &slot in &dag.order {
            let Some((node, continue_on)) = self.sibling(ix, dag, slot) else {
                continue;
            };
            let is_bad = match node.status {
                TaskStatus::Failed => !forgiven(node, continue_on),
                TaskStatus::Cancelled => true,
                TaskStatus::Skipped => dag.tasks.get(slot as usize).is_some_and(|task| {
                    task.needs.slots().any(|need| bad.get(need as usize).copied().unwrap_or(false))
                }),
                TaskStatus::Pending
                | TaskStatus::Queued
                | TaskStatus::Running
                | TaskStatus::Retrying
                | TaskStatus::Succeeded => false,
            };
            if let Some(cell) = bad.get_mut(slot as usize) {
                *cell = is_bad;
            }
        }
        bad
    }
}
