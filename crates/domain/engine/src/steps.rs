//! Steps: groups of tasks, one after the other.

use std::ops::Range;

use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Steps};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::flow::Step;
use crate::groups::forgiven;
use crate::{Result, StepError};

impl Step<'_> {
    /// Releases the steps of the group that begins at slot `from`; false if none of them is left
    /// to run (in a later generation).
    pub(crate) fn begin_step_group(
        &mut self,
        ix: NodeIx,
        steps: &Steps,
        from: u32,
    ) -> Result<bool> {
        let mut open = 0_u32;
        for slot in from..group_end(steps, from) {
            let child = self.run.child(ix, slot).ok_or(StepError::Bug("no such step"))?;
            if self.run.status(child) == Some(TaskStatus::Pending) {
                open = open.saturating_add(1);
                self.release(child);
            }
        }
        let node = self.run.node_mut(ix)?;
        node.group = from;
        node.waiting = open;
        Ok(open > 0)
    }

    /// The current step group has ended: the next one with something left to do begins, or the
    /// template ends.
    pub(crate) fn step_group_ended(&mut self, ix: NodeIx) -> Result {
        let Body::Steps(steps) = &self.run.template(self.plan, ix)?.body else {
            return Err(StepError::Bug("a steps node without steps"));
        };
        let mut begin = self.run.node(ix)?.group;
        let culprit = loop {
            let end = group_end(steps, begin);
            let culprit = self.bad_step(ix, steps, begin..end)?;
            if culprit.is_some() || end as usize >= steps.steps.len() {
                break culprit;
            }
            if self.run.halting(self.plan, ix)? {
                // The steps that will not run any more are cancelled, and so is the template.
                let last = steps.group_ends.last().copied().unwrap_or(end);
                break self.bad_step(ix, steps, end..last)?;
            }
            if self.begin_step_group(ix, steps, end)? {
                return Ok(());
            }
            begin = end;
        };
        // Close the group first: the ends of the steps that never ran must not wake it again.
        self.end_group(ix, culprit)?;
        for child in self.run.node(ix)?.child_ixs() {
            if self.run.node(child)?.status == TaskStatus::Pending {
                if self.run.halting(self.plan, ix)? {
                    self.end_early(child)?;
                } else {
                    self.end(child, TaskChange::Skip, Some(Reason::Omitted), None)?;
                }
            }
        }
        Ok(())
    }

    /// The first step among `slots` that fails the template.
    fn bad_step(&self, ix: NodeIx, steps: &Steps, slots: Range<u32>) -> Result<Option<NodeIx>> {
        for slot in slots {
            let (Some(child), Some(step)) =
                (self.run.child(ix, slot), steps.steps.get(slot as usize))
            else {
                return Err(StepError::Bug("no such step"));
            };
            let node = self.run.node(child)?;
            let failed = node.status == TaskStatus::Failed && !forgiven(node, step.continue_on);
            if failed || node.status == TaskStatus::Cancelled {
                return Ok(Some(child));
            }
        }
        Ok(None)
    }
}

/// The slot after the group of steps that begins at `from`.
pub(crate) fn group_end(steps: &Steps, from: u32) -> u32 {
    let at = steps.group_ends.partition_point(|&end| end <= from);
    steps.group_ends.get(at).copied().unwrap_or(from)
}
