//! The end of a workflow: the exit handler, then the last status.

use flowforge_model::event::{Effect, Ending, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::status::{Reason, TaskStatus, WorkflowChange, WorkflowStatus};

use crate::Result;
use crate::flow::Step;

impl Step<'_> {
    /// The entrypoint or the exit handler has ended.
    pub(crate) fn root_ended(&mut self, ix: NodeIx) -> Result {
        // A cancel or terminate ends at once; after a stop or a deadline the handler still runs.
        let skip = matches!(self.run.state.ending, Some(Ending::Cancel | Ending::Terminate));
        let handler = self.plan.on_exit.as_ref().filter(|_| ix == NodeIx::ROOT && !skip);
        let (Some(handler), None) = (handler, self.run.exit) else {
            return self.end_workflow();
        };
        let template = handler.template;
        let generation = self.run.state.generation;
        let exit = self.add(None, generation, template, None)?;
        self.run.exit = Some(exit);
        if self.run.state.ending.is_some() {
            self.open_gate();
        }
        self.begin(exit);
        Ok(())
    }

    fn end_workflow(&mut self) -> Result {
        let root = self.run.node(NodeIx::ROOT)?;
        let (main, outputs) = (root.status, root.outputs().cloned());
        let exit = self.run.exit.and_then(|exit| self.run.status(exit));
        let fine = matches!(main, TaskStatus::Succeeded | TaskStatus::Skipped);
        let (change, reason, message) = match self.run.state.ending {
            Some(Ending::Cancel) => (WorkflowChange::Cancel, Some(Reason::Cancelled), None),
            Some(Ending::Terminate) => (WorkflowChange::Fail, Some(Reason::Terminated), None),
            Some(Ending::Stop) => (WorkflowChange::Fail, Some(Reason::Stopped), None),
            Some(Ending::Deadline) => (
                WorkflowChange::Fail,
                Some(Reason::Deadline),
                Some("the workflow ran longer than its activeDeadlineSeconds".to_owned()),
            ),
            None if !fine => {
                let message = match root.message() {
                    Some(message) => message.to_owned(),
                    None => self.blame(NodeIx::ROOT)?,
                };
                (WorkflowChange::Fail, root.reason.or(Some(Reason::Children)), Some(message))
            }
            None if exit.is_some_and(|status| {
                status != TaskStatus::Succeeded && status != TaskStatus::Skipped
            }) =>
            {
                let message = self.run.exit.map(|exit| self.blame(exit)).transpose()?;
                (WorkflowChange::Fail, Some(Reason::ExitHandler), message)
            }
            None => (WorkflowChange::Succeed, None, None),
        };
        let status = self.workflow_change(change)?;
        if !self.plan.locks.is_empty() {
            self.effect(Effect::Release { node: NodeIx::ROOT });
        }
        let now = self.now;
        let state = &mut self.run.state;
        state.reason = reason;
        state.message = message;
        state.finished_at = Some(now);
        if let Some(outputs) = outputs {
            let all = state.outputs.get_or_insert_default();
            for (name, value) in outputs.parameters {
                all.parameters.retain(|(known, _)| *known != name);
                all.parameters.push((name, value));
            }
            for (name, artifact) in outputs.artifacts {
                all.artifacts.retain(|(known, _)| *known != name);
                all.artifacts.push((name, artifact));
            }
            all.result = outputs.result;
        }
        self.set_last_timers(status);
        Ok(())
    }

    pub(crate) fn set_last_timers(&mut self, status: WorkflowStatus) {
        if self.plan.active_deadline.is_some() {
            self.effect(Effect::ClearTimer { node: NodeIx::ROOT, timer: Timer::Deadline });
        }
        let ttl = self.plan.ttl;
        let own = if status == WorkflowStatus::Succeeded { ttl.success } else { ttl.failure };
        if let Some(span) = own.or(ttl.completion) {
            self.set_timer(NodeIx::ROOT, Timer::Ttl, span);
        }
    }
}
