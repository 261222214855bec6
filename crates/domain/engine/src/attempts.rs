//! Attempts of leaves: started, finished, tried again; and the timers of single tasks.

use flowforge_model::attempt::{FailureClass, Report};
use flowforge_model::event::{Effect, NodeKind, Outputs, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::limits;
use flowforge_model::plan::{RetryPolicy, RetryStrategy};
use flowforge_model::status::{Reason, TaskChange, TaskStatus};
use flowforge_model::time::{Millis, Timestamp};

use crate::flow::{Step, cut};
use crate::node::is_error;
use crate::retry::backoff;
use crate::scope::{Retried, View};
use crate::settings::{settings_of, with_amounts};
use crate::{Result, StepError};

impl Step<'_> {
    pub(crate) fn started(&mut self, ix: NodeIx, number: u32, at: Timestamp) -> Result {
        let node = self.run.node(ix).map_err(|_| StepError::Stale("no such task"))?;
        if node.kind != NodeKind::Leaf
            || node.waits_for_locks()
            || node.attempt != number
            || node.status != TaskStatus::Queued
        {
            return Err(StepError::Stale("not the queued attempt"));
        }
        let node = self.change(ix, TaskChange::Start)?;
        node.started_at = node.started_at.or(Some(at));
        // What the attempt before this one said is over; that time is up is not.
        if node.reason != Some(Reason::Timeout) {
            node.reason = None;
            if let Some(extra) = &mut node.extra {
                extra.message = None;
            }
        }
        self.look_at_hooks(ix)
    }

    pub(crate) fn finished(&mut self, ix: NodeIx, number: u32, report: &Report) -> Result {
        let node = self.run.node(ix).map_err(|_| StepError::Stale("no such task"))?;
        let live = matches!(node.status, TaskStatus::Queued | TaskStatus::Running)
            && !node.waits_for_locks();
        if node.kind != NodeKind::Leaf || node.attempt != number || !live {
            return Err(StepError::Stale("not the current attempt"));
        }
        if let (TaskStatus::Queued, Some(at)) = (node.status, report.started_at) {
            self.started(ix, number, at)?;
        }
        if self.run.needless(ix)? {
            return self.dismissed(ix);
        }
        self.leaves(ix)?;
        let node = self.run.node_mut(ix)?;
        node.exit_code = report.exit_code;
        self.take_outputs(ix, report)?;
        match &report.failure {
            None => self.attempt_succeeded(ix),
            Some(failure) => {
                let message = cut(failure.message.clone(), limits::MESSAGE_BYTES);
                self.attempt_failed(ix, failure.class, failure.reason, message)
            }
        }
    }

    /// What the attempt gave, also if it failed: whoever goes on in spite of that may use it.
    fn take_outputs(&mut self, ix: NodeIx, report: &Report) -> Result {
        let given = !report.outputs.is_empty() || !report.artifacts.is_empty();
        let ip = self.run.node(ix)?.outputs().and_then(|outputs| outputs.ip.clone());
        if given || report.result.is_some() || ip.is_some() {
            let outputs = Outputs {
                parameters: report.outputs.clone(),
                artifacts: report.artifacts.clone(),
                result: report.result.clone(),
                ip,
            };
            self.run.node_mut(ix)?.extra().outputs = Some(outputs);
            self.touch(ix);
            return self.export_globals(ix);
        }
        // Not those of the attempt before this one.
        if let Some(extra) = &mut self.run.node_mut(ix)?.extra {
            extra.outputs = None;
        }
        Ok(())
    }

    fn attempt_succeeded(&mut self, ix: NodeIx) -> Result {
        if self.run.node(ix)?.status == TaskStatus::Queued {
            // An executor that reports no start (nothing ran): the table knows no short cut.
            self.change(ix, TaskChange::Start)?;
        }
        self.end(ix, TaskChange::Succeed, None, None)
    }

    fn attempt_failed(
        &mut self,
        ix: NodeIx,
        class: FailureClass,
        reason: Reason,
        message: String,
    ) -> Result {
        if self.run.halting(self.plan, ix)? {
            return self.end_early(ix);
        }
        let node = self.run.node_mut(ix)?;
        let failures = node.failures.saturating_add(1);
        if node.reason == Some(Reason::Timeout) {
            self.run.set_failures(ix, failures)?;
            let message = "it took longer than its timeout".to_owned();
            return self.end(ix, TaskChange::Fail, Some(Reason::Timeout), Some(message));
        }
        match class {
            FailureClass::Lost => {
                node.losses = node.losses.saturating_add(1);
                if node.losses > limits::INFRASTRUCTURE_RETRIES {
                    self.run.set_failures(ix, failures)?;
                    return self.end(ix, TaskChange::Fail, Some(Reason::Lost), Some(message));
                }
                self.queue_attempt(ix)
            }
            FailureClass::Stopped => {
                self.run.set_failures(ix, failures)?;
                self.end(ix, TaskChange::Fail, Some(reason), Some(message))
            }
            FailureClass::User | FailureClass::Transient | FailureClass::Error => {
                self.run.set_failures(ix, failures)?;
                match self.next_try(ix, class, reason, &message)? {
                    Ok(after) => self.try_again(ix, reason, message, after),
                    Err(no_more) => {
                        let (reason, message) = no_more.told(reason, message);
                        self.end(ix, TaskChange::Fail, Some(reason), Some(message))
                    }
                }
            }
        }
    }

    /// How long to wait before the next try, or why there is none.
    pub(crate) fn next_try(
        &self,
        ix: NodeIx,
        class: FailureClass,
        reason: Reason,
        message: &str,
    ) -> Result<std::result::Result<Millis, NoMore>> {
        let node = self.run.node(ix)?;
        let settings = settings_of(self.plan, self.run, ix, self.now)?.ok();
        let Some(strategy) = settings.as_ref().and_then(|settings| settings.retry.as_deref())
        else {
            return Ok(Err(NoMore::Plain));
        };
        if !covers(strategy.policy, class) {
            return Ok(Err(NoMore::Plain));
        }
        if strategy.limit.is_some_and(|limit| node.failures > limit) {
            let quiet = strategy.limit == Some(0);
            let why = NoMore::Because("no more retries left");
            return Ok(Err(if quiet { NoMore::Plain } else { why }));
        }
        match self.retry_expression(ix, strategy, reason, message)? {
            Ok(true) => {}
            Ok(false) => return Ok(Err(NoMore::Because("retryStrategy.expression is false"))),
            Err(()) => return Ok(Err(NoMore::Because("retryStrategy.expression failed"))),
        }
        let Some(wait) = self.wait(ix, strategy)? else {
            return Ok(Err(NoMore::Because("the backoff's maxDuration has passed")));
        };
        // The failure that is looked at counts among them already.
        let most = self.plan.max_retries.unwrap_or(limits::WORKFLOW_RETRIES);
        Ok(if self.run.retries > most { Err(NoMore::Spent(most)) } else { Ok(wait) })
    }

    /// Whether `retryStrategy.expression` allows another try; an error if it does not come out true
    /// or false.
    fn retry_expression(
        &self,
        ix: NodeIx,
        strategy: &RetryStrategy,
        reason: Reason,
        message: &str,
    ) -> Result<std::result::Result<bool, ()>> {
        let Some(source) = &strategy.expression else {
            return Ok(Ok(true));
        };
        let node = self.run.node(ix)?;
        let view = View::new(self.plan, self.run, ix, node.inputs(), self.now);
        let ran = self.now.since(node.started_at.unwrap_or(self.now));
        let env = Retried {
            view: &view,
            exit_code: node.exit_code.unwrap_or(-1).to_string(),
            status: if is_error(reason) { "Error" } else { "Failed" },
            duration: (ran.0 / 1000).to_string(),
            message,
            retries: node.failures.saturating_sub(1).to_string(),
        };
        Ok(flowforge_expr::decide(source, &env).map_err(drop))
    }

    /// The wait before the next try; none if `maxDuration` leaves no room for it.
    fn wait(&self, ix: NodeIx, strategy: &RetryStrategy) -> Result<Option<Millis>> {
        let node = self.run.node(ix)?;
        let Some(rule) = &strategy.backoff else {
            return Ok(Some(Millis(0)));
        };
        let number = if node.kind == NodeKind::Leaf { node.attempt } else { node.children };
        let seed = self.run.context.id.attempt(ix, number);
        let wait = backoff(rule, node.failures, seed);
        let begun = node.started_at.or(node.queued_at).unwrap_or(self.now);
        let over = rule.max_duration.is_some_and(|max| self.now.plus(wait).since(begun) > max);
        Ok((!over).then_some(wait))
    }

    pub(crate) fn try_again(
        &mut self,
        ix: NodeIx,
        reason: Reason,
        message: String,
        after: Millis,
    ) -> Result {
        let node = self.change(ix, TaskChange::Retry)?;
        node.reason = Some(reason);
        node.extra().message = Some(message);
        if after == Millis(0) {
            return self.retry_due(ix);
        }
        self.set_timer(ix, Timer::Retry, after);
        Ok(())
    }

    pub(crate) fn retry_due(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix).map_err(|_| StepError::Stale("no such task"))?;
        if node.status != TaskStatus::Retrying {
            return Err(StepError::Stale("not waiting for a retry"));
        }
        if node.kind == NodeKind::Leaf {
            if let Err(fault) = with_amounts(self.plan, self.run, ix)? {
                return self.fail(ix, fault);
            }
            return self.queue_attempt(ix);
        }
        self.change(ix, TaskChange::Ready)?;
        self.change(ix, TaskChange::Start)?;
        self.add_try(ix)
    }

    /// A try of a group has ended.
    pub(crate) fn try_ended(&mut self, ix: NodeIx, child: NodeIx) -> Result {
        let node = self.run.node(child)?;
        let (status, reason) = (node.status, node.reason.unwrap_or(Reason::Children));
        let message = node.message().unwrap_or_default().to_owned();
        let class = if node.errored() { FailureClass::Error } else { FailureClass::User };
        if status == TaskStatus::Succeeded {
            let outputs = node.outputs().cloned();
            if outputs.is_some() {
                self.run.node_mut(ix)?.extra().outputs = outputs;
            }
            return self.end(ix, TaskChange::Succeed, None, None);
        }
        if self.run.halting(self.plan, ix)? {
            return self.end_early(ix);
        }
        let failures = self.run.node(ix)?.failures.saturating_add(1);
        self.run.set_failures(ix, failures)?;
        match self.next_try(ix, class, reason, &message)? {
            Ok(after) => self.try_again(ix, reason, message, after),
            Err(no_more @ NoMore::Spent(_)) => {
                let (reason, message) = no_more.told(reason, message);
                self.end(ix, TaskChange::Fail, Some(reason), Some(message))
            }
            Err(NoMore::Plain | NoMore::Because(_)) => {
                self.end(ix, TaskChange::Fail, Some(reason), Some(message))
            }
        }
    }

    /// A task's `timeout` has passed: what runs is stopped, what waits fails.
    pub(crate) fn timed_out(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node_mut(ix).map_err(|_| StepError::Stale("no such task"))?;
        if node.waits_for_locks() || node.recalling {
            let message = "it took longer than its timeout".to_owned();
            return self.end(ix, TaskChange::Fail, Some(Reason::Timeout), Some(message));
        }
        match node.status {
            TaskStatus::Queued | TaskStatus::Running if node.kind == NodeKind::Leaf => {
                if self.run.needless(ix)? {
                    return Err(StepError::Stale("it is stopped already"));
                }
                self.leaves(ix)?;
                let node = self.run.node_mut(ix)?;
                node.reason = Some(Reason::Timeout);
                let number = node.attempt;
                self.touch(ix);
                self.effect(Effect::Stop { node: ix, number });
                Ok(())
            }
            TaskStatus::Retrying => {
                self.effect(Effect::ClearTimer { node: ix, timer: Timer::Retry });
                let message = "it took longer than its timeout".to_owned();
                self.end(ix, TaskChange::Fail, Some(Reason::Timeout), Some(message))
            }
            TaskStatus::Queued
            | TaskStatus::Running
            | TaskStatus::Pending
            | TaskStatus::Succeeded
            | TaskStatus::Failed
            | TaskStatus::Skipped
            | TaskStatus::Cancelled => Err(StepError::Stale("nothing to time out")),
        }
    }

    pub(crate) fn suspension_over(&mut self, ix: NodeIx) -> Result {
        let node = self.run.node(ix).map_err(|_| StepError::Stale("no such task"))?;
        if node.kind != NodeKind::Suspend || node.status != TaskStatus::Running {
            return Err(StepError::Stale("not suspended"));
        }
        self.supply(ix, &[])?;
        self.end(ix, TaskChange::Succeed, None, None)
    }
}

/// Why there is no other try.
pub(crate) enum NoMore {
    /// None was asked for.
    Plain,
    /// The task's own bounds.
    Because(&'static str),
    /// Its workflow has made this many retries, as many as it may.
    Spent(u32),
}

impl NoMore {
    /// What is said of the failure. What is an error stays one, for those who ask for `Errored`.
    fn told(&self, reason: Reason, message: String) -> (Reason, String) {
        match self {
            Self::Plain => (reason, message),
            Self::Because(why) => (reason, format!("{message} ({why})")),
            Self::Spent(most) => {
                let said = format!(
                    "{message} (not tried again: the workflow has made all {most} retries that its \
                     maxRetries allows)"
                );
                (if is_error(reason) { reason } else { Reason::RetriesSpent }, said)
            }
        }
    }
}

/// Whether a policy tries such a failure again.
fn covers(policy: RetryPolicy, class: FailureClass) -> bool {
    match policy {
        RetryPolicy::Always => true,
        RetryPolicy::OnFailure => matches!(class, FailureClass::User | FailureClass::Transient),
        RetryPolicy::OnError => matches!(class, FailureClass::Error | FailureClass::Transient),
        RetryPolicy::OnTransient => class == FailureClass::Transient,
        RetryPolicy::Never => false,
    }
}
