//! What users ask of a workflow, and its own deadline.

use std::mem::take;

use flowforge_model::event::{Command, Effect, Ending, NodeKind, Outputs, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{Body, Dag, OutputSource, Steps};
use flowforge_model::status::{Reason, TaskChange, TaskStatus, WorkflowChange, WorkflowStatus};

use crate::dag::needed;
use crate::flow::Step;
use crate::node::Extra;
use crate::{Result, StepError};

impl Step<'_> {
    pub(crate) fn asked(&mut self, command: &Command) -> Result {
        match command {
            Command::Cancel => self.end_by(Ending::Cancel),
            Command::Stop => self.end_by(Ending::Stop),
            Command::Terminate => self.end_by(Ending::Terminate),
            Command::Pause => self.pause(),
            Command::Resume { task, outputs } => self.resume(task.as_deref(), outputs),
            Command::Retry => self.reopen(),
            Command::Delete => self.time_to_live_over(),
        }
    }

    pub(crate) fn deadline_passed(&mut self) -> Result {
        self.end_by(Ending::Deadline)
    }

    pub(crate) fn time_to_live_over(&mut self) -> Result {
        if !self.run.state.status.terminal() {
            return Err(StepError::Stale("not ended"));
        }
        self.effect(Effect::Delete);
        Ok(())
    }

    pub(crate) fn ending_reason(&self) -> Reason {
        match self.run.state.ending {
            Some(Ending::Deadline) => Reason::Deadline,
            Some(Ending::Stop) => Reason::Stopped,
            Some(Ending::Terminate) => Reason::Terminated,
            Some(Ending::Cancel) | None => Reason::Cancelled,
        }
    }

    /// Ends the workflow: what waits is over now, what runs is stopped and ends when it has.
    fn end_by(&mut self, ending: Ending) -> Result {
        if self.run.state.status.terminal() {
            return Err(StepError::Stale("ended already"));
        }
        if self.run.exit.is_some() && ending <= Ending::Stop {
            // The exit handler is all that is left, and it may run.
            if self.run.state.status == WorkflowStatus::Paused {
                self.workflow_change(WorkflowChange::Resume)?;
            }
            self.open_gate();
            return Ok(());
        }
        if self.run.state.ending >= Some(ending) {
            // Who asked once more has closed the gate again, and exit hooks may still need it.
            self.open_gate();
            return Ok(());
        }
        self.run.state.ending = Some(ending);
        self.touch_workflow();
        if self.run.state.status == WorkflowStatus::Paused {
            self.workflow_change(WorkflowChange::Resume)?;
        }
        if self.run.is_empty() {
            return self.end_unbegun(ending);
        }
        // Nothing more is admitted, unless an exit hook needs it.
        self.effect(Effect::CloseGate);
        let mut spared = false;
        for index in 0..self.run.nodes.len() {
            let ix = NodeIx(u32::try_from(index).unwrap_or(u32::MAX));
            if ending <= Ending::Stop && self.run.within_exit_hook(self.plan, ix)? {
                spared |= self.run.node(ix)?.kind == NodeKind::Leaf
                    && !self.run.node(ix)?.status.terminal();
            } else {
                self.end_node(ix)?;
            }
        }
        if spared {
            self.open_gate();
        }
        Ok(())
    }

    /// The wish came before the controller had begun the workflow.
    fn end_unbegun(&mut self, ending: Ending) -> Result {
        let cancel = ending == Ending::Cancel;
        let change = if cancel { WorkflowChange::Cancel } else { WorkflowChange::Fail };
        let status = self.workflow_change(change)?;
        self.run.state.reason = Some(self.ending_reason());
        self.run.state.finished_at = Some(self.now);
        self.set_last_timers(status);
        Ok(())
    }

    fn end_node(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let (kind, number) = (node.kind, node.attempt);
        let asks = node.waits_for_locks() || node.recalling;
        match (node.status, kind) {
            (TaskStatus::Pending, _) => self.end_early(ix),
            (TaskStatus::Queued, _) if asks => self.end_early(ix),
            (TaskStatus::Queued | TaskStatus::Running, NodeKind::Leaf) => {
                self.effect(Effect::Stop { node: ix, number });
                Ok(())
            }
            (TaskStatus::Retrying, _) => {
                self.effect(Effect::ClearTimer { node: ix, timer: Timer::Retry });
                self.end_early(ix)
            }
            (TaskStatus::Running, NodeKind::Suspend) => {
                self.effect(Effect::ClearTimer { node: ix, timer: Timer::Suspend });
                self.end_early(ix)
            }
            // Groups end with their last child.
            _ => Ok(()),
        }
    }

    /// Lets attempts be admitted again, unless the workflow is held or coming to its end. Whoever
    /// asked may have closed the gate before the wish was found to be moot.
    pub(crate) fn open_gate(&mut self) {
        let ends_at_once = self.run.state.ending > Some(Ending::Stop);
        if self.run.state.status == WorkflowStatus::Running && !ends_at_once {
            self.effect(Effect::OpenGate);
        }
    }

    fn pause(&mut self) -> Result {
        if self.run.state.status.after(WorkflowChange::Pause).is_none() {
            return Err(StepError::Stale("cannot be paused"));
        }
        self.workflow_change(WorkflowChange::Pause)?;
        self.effect(Effect::CloseGate);
        Ok(())
    }

    /// Undoes a pause; on a workflow that is not paused, lets suspensions go on.
    fn resume(&mut self, task: Option<&str>, outputs: &[(String, String)]) -> Result {
        if self.run.state.status == WorkflowStatus::Paused && task.is_none() {
            self.workflow_change(WorkflowChange::Resume)?;
            self.open_gate();
            return Ok(());
        }
        let mut resumed = Vec::new();
        for index in 0..self.run.nodes.len() {
            let ix = NodeIx(u32::try_from(index).unwrap_or(u32::MAX));
            let node = self.run.node(ix)?;
            if node.kind == NodeKind::Suspend && node.status == TaskStatus::Running {
                let named = match task {
                    Some(name) => self.run.name(self.plan, ix)? == name,
                    None => true,
                };
                if named {
                    resumed.push(ix);
                }
            }
        }
        if resumed.is_empty() {
            return Err(StepError::Stale("nothing is suspended"));
        }
        for ix in resumed {
            self.supply(ix, outputs)?;
            self.effect(Effect::ClearTimer { node: ix, timer: Timer::Suspend });
            self.end(ix, TaskChange::Succeed, None, None)?;
        }
        Ok(())
    }

    /// Values for the `supplied` outputs of a suspension; others are not its to give.
    pub(crate) fn supply(&mut self, ix: NodeIx, values: &[(String, String)]) -> Result {
        let template = self.run.template(self.plan, ix)?;
        let mut parameters = Vec::new();
        for output in &template.outputs {
            if output.source == OutputSource::Supplied {
                if let Some((name, value)) = values.iter().find(|(name, _)| **name == *output.name)
                {
                    parameters.push((name.clone(), value.clone()));
                } else if let Some(default) = output.default.as_ref().and_then(|d| d.as_plain()) {
                    parameters.push((output.name.to_string(), default.to_owned()));
                }
            }
        }
        if !parameters.is_empty() {
            let outputs = Outputs { parameters, ..Outputs::default() };
            self.run.node_mut(ix)?.extra().outputs = Some(outputs);
            self.export_globals(ix)?;
        }
        Ok(())
    }

    /// Opens the next generation: what did not succeed gets another chance.
    fn reopen(&mut self) -> Result {
        let state = &mut self.run.state;
        if state.status.after(WorkflowChange::Reopen).is_none() {
            return Err(StepError::Stale("only failed or cancelled workflows are retried"));
        }
        state.generation = state.generation.saturating_add(1);
        state.ending = None;
        state.reason = None;
        state.message = None;
        state.finished_at = None;
        self.run.exit = None;
        self.workflow_change(WorkflowChange::Reopen)?;
        self.effect(Effect::OpenGate);
        self.effect(Effect::ClearTimer { node: NodeIx::ROOT, timer: Timer::Ttl });
        self.set_workflow_deadline();
        if self.run.is_empty() {
            self.run.state.started_at = Some(self.now);
            return self.add_root();
        }
        if self.run.status(NodeIx::ROOT) == Some(TaskStatus::Succeeded) {
            return self.tell(NodeIx::ROOT);
        }
        self.reopen_node(NodeIx::ROOT)?;
        self.begin(NodeIx::ROOT);
        Ok(())
    }

    fn reopen_node(&mut self, ix: NodeIx) -> Result {
        self.change(ix, TaskChange::Reopen)?;
        self.run.set_failures(ix, 0)?;
        let node = self.run.node_mut(ix)?;
        node.reason = None;
        node.exit_code = None;
        node.queued_at = None;
        node.started_at = None;
        node.finished_at = None;
        node.losses = 0;
        node.over = false;
        node.bad = false;
        if let Some(extra) = &mut node.extra {
            let (items, hooks) = (take(&mut extra.items), take(&mut extra.hooks));
            **extra = Extra { items, hooks, ..Extra::default() };
        }
        Ok(())
    }

    /// Begins a group that had begun in an earlier generation: what did not succeed in it is
    /// reopened, one level at a time, so that nothing is left open below a group that is skipped.
    pub(crate) fn go_on(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix)?;
        let has_tasks = matches!(node.kind, NodeKind::Dag | NodeKind::Steps);
        let inputs = match has_tasks.then(|| self.inputs(ix)).transpose()? {
            Some(Ok(inputs)) => inputs,
            Some(Err(fault)) => return self.fail(ix, fault),
            None => Box::default(),
        };
        match (node.kind, &self.run.template(self.plan, ix)?.body) {
            (NodeKind::Dag, Body::Dag(dag)) => self.reopen_dag(ix, dag)?,
            (NodeKind::Steps, Body::Steps(steps)) => self.reopen_steps(ix, steps)?,
            (NodeKind::Retry, _) => {
                let latest = NodeIx(node.first_child);
                self.reopen_failed(latest, false)?;
            }
            _ => {
                for child in node.child_ixs() {
                    self.reopen_failed(child, false)?;
                }
            }
        }
        let node = self.run_now(ix)?;
        if !inputs.is_empty() {
            node.extra().inputs = inputs;
        }
        self.run.recount(self.plan, ix)?;
        self.wake(ix)?;
        self.look_at_hooks(ix)
    }

    /// Reopens a node that did not succeed; one skipped by its `when` only if something it depends
    /// on runs again.
    fn reopen_failed(&mut self, ix: NodeIx, again: bool) -> Result<bool> {
        let node = self.run.node(ix)?;
        let reopens = match node.status {
            TaskStatus::Failed | TaskStatus::Cancelled => true,
            TaskStatus::Skipped => again || node.reason != Some(Reason::When),
            TaskStatus::Pending
            | TaskStatus::Queued
            | TaskStatus::Running
            | TaskStatus::Retrying
            | TaskStatus::Succeeded => false,
        };
        if reopens {
            self.reopen_node(ix)?;
        }
        Ok(reopens)
    }

    fn reopen_dag(&mut self, ix: NodeIx, dag: &Dag) -> Result {
        let needed = needed(dag);
        for &slot in &dag.order {
            if needed.as_ref().is_some_and(|needed| needed.get(slot as usize) != Some(&true)) {
                continue;
            }
            let (Some(child), Some(task)) =
                (self.run.child(ix, slot), dag.tasks.get(slot as usize))
            else {
                return Err(StepError::Bug("no such task"));
            };
            let again = task.needs.slots().any(|need| {
                let status = self.run.child(ix, need).and_then(|child| self.run.status(child));
                status == Some(TaskStatus::Pending)
            });
            self.reopen_failed(child, again)?;
        }
        Ok(())
    }

    fn reopen_steps(&mut self, ix: NodeIx, steps: &Steps) -> Result {
        let mut begin = 0;
        let mut again = false;
        for &end in &steps.group_ends {
            let mut any = false;
            for slot in begin..end {
                let child = self.run.child(ix, slot).ok_or(StepError::Bug("no such step"))?;
                any |= self.reopen_failed(child, again)?;
            }
            again |= any;
            begin = end;
        }
        Ok(())
    }
}
