//! Steps: groups of tasks, one after the other.

use std::ops::Range;

use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Steps};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};

use crate::flow::Step;
use crate::groups::forgiven;
use crate::run::Run;
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
        let absent = self.run.node(ix)?.absent();
        for slot in from..group_end(steps, from) {
            let child = self.run.child(ix, slot).ok_or(StepError::Bug("no such step"))?;
            if self.run.status(child) == Some(TaskStatus::Pending) {
                open = open.saturating_add(1);
                self.run.node_mut(child)?.waiting = absent;
                if absent == 0 {
                    self.release(child);
                }
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
        let last = steps.group_ends.last().copied().unwrap_or(0);
        let mut begin = self.run.node(ix)?.group;
        let culprit = loop {
            let end = group_end(steps, begin);
            // A daemon of an earlier group may have failed since.
            let from = if self.run.node(ix)?.failing { 0 } else { begin };
            let culprit = self.run.bad_step(ix, steps, from..end)?;
            if culprit.is_some() || end as usize >= steps.steps.len() {
                break culprit;
            }
            if self.run.halting(self.plan, ix)? {
                // The steps that will not run any more are cancelled, and so is the template.
                break self.run.bad_step(ix, steps, end..last)?;
            }
            if self.begin_step_group(ix, steps, end)? {
                return Ok(());
            }
            begin = end;
        };
        // Close the group first: the ends of the steps that never ran must not wake it again.
        if self.dismiss_all(ix)? {
            self.run.node_mut(ix)?.group = group_begin(steps, last);
        } else {
            let culprit = match culprit {
                Some(culprit) => Some(culprit),
                None => self.run.bad_step(ix, steps, 0..last)?,
            };
            self.end_group(ix, culprit)?;
        }
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
}

impl Run {
    /// The first step among `slots` that fails the template.
    pub(crate) fn bad_step(
        &self,
        ix: NodeIx,
        steps: &Steps,
        slots: Range<u32>,
    ) -> Result<Option<NodeIx>> {
        for slot in slots {
            let (Some(child), Some(step)) = (self.child(ix, slot), steps.steps.get(slot as usize))
            else {
                return Err(StepError::Bug("no such step"));
            };
            let node = self.node(child)?;
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

/// The slot at which the group of steps begins that `end` is the end of.
pub(crate) fn group_begin(steps: &Steps, end: u32) -> u32 {
    let at = steps.group_ends.partition_point(|&other| other < end);
    at.checked_sub(1).and_then(|at| steps.group_ends.get(at)).copied().unwrap_or(0)
}
