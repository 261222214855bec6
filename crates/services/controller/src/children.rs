//! Workflows that tasks start. No executor has to do with them: the attempt of such a task is admitted
//! as others are and begins here, in the commit that makes its workflow; it ends with a fact that the end
//! of the workflow leaves.

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Failure, FailureClass, Report};
use flowforge_model::event::{Command, Ending, Event, WorkflowState};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::limits::{BODY_BYTES, CHILD_DEPTH};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Admission;
use flowforge_ports::store::{NewWorkflow, Parent, Store, StoreError};
use flowforge_ports::templates::{TemplateId, TemplateKind};
use flowforge_spec::{Bundle, Compiled, Options, Problem};
use serde_json::{Value, json};

use crate::ControllerError;
use crate::controller::Controller;
use crate::guard::guarded;
use crate::live::Live;
use crate::turn::Turn;

impl<S: Store, A: Admission> Controller<S, A> {
    /// The attempt starts a workflow.
    pub(crate) fn starts_workflow(&self, key: AttemptKey) -> bool {
        self.live
            .get(&key.workflow)
            .is_some_and(|live| live.run.starts_workflow(&live.plan, key.node))
    }

    /// Goes on with attempts that were found open: one that has not begun begins, of one whose workflow has
    /// ended the end is taken. The fact that would have said so may be lost with the memory of a controller.
    pub(crate) async fn look_after_children(
        &mut self,
        turn: &mut Turn,
    ) -> Result<(), ControllerError> {
        for key in std::mem::take(&mut self.callers) {
            match self.status_if_open(key) {
                Some(TaskStatus::Queued) => turn.spawns.push_back(key),
                Some(TaskStatus::Running) => self.look_for_end(turn, key).await?,
                _ => {}
            }
        }
        Ok(())
    }

    fn status_if_open(&self, key: AttemptKey) -> Option<TaskStatus> {
        let live = self.live.get(&key.workflow).filter(|live| live.open.contains(&key))?;
        live.run.status(key.node)
    }

    async fn look_for_end(
        &mut self,
        turn: &mut Turn,
        key: AttemptKey,
    ) -> Result<(), ControllerError> {
        let id = key.child();
        let goes_on = |live: &Live| !live.run.state().status.terminal();
        if self.unread.contains(&id) || self.live.get(&id).is_some_and(goes_on) {
            return Ok(());
        }
        match self.store.load(id).await {
            Ok(stored) => {
                if let Some(report) = end_of(&stored.name, id, &stored.state) {
                    self.take_end(turn, key, Box::new(report));
                }
            }
            Err(StoreError::NotFound) => {
                let message = format!("the workflow {id} that it started was deleted");
                let report = failed(turn.now, FailureClass::Error, Reason::ChildFailed, message);
                self.take_end(turn, key, Box::new(report));
            }
            // Left alone until a person has looked, and so is whoever waits for it.
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(workflow = %id, %why, "a workflow that is waited for cannot be read");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Makes the workflow of an attempt that was admitted.
    pub(crate) async fn spawn(
        &mut self,
        turn: &mut Turn,
        key: AttemptKey,
    ) -> Result<(), ControllerError> {
        let queued = self.status_if_open(key) == Some(TaskStatus::Queued);
        let Some(live) = self.live.get(&key.workflow).filter(|live| queued && live.wants(key))
        else {
            return Ok(());
        };
        let made =
            guarded(|| flowforge_engine::child_order(&live.plan, &live.run, key.node, turn.now));
        let Some(made) = made else {
            let why = "panicked while a workflow was prepared".to_owned();
            self.set_aside(turn, key.workflow, why);
            return Ok(());
        };
        let made = match made {
            Ok(order) => match document(&order.manifest) {
                Ok(text) => {
                    let project = live.project;
                    let bundle = self.complete(project, text).await?;
                    self.child(key, bundle, (order.awaited, turn.now))
                }
                Err(failure) => Err(failure),
            },
            Err(failure) => Err(*failure),
        };
        let (class, new) = match made {
            Ok(new) => (None, Some(new)),
            Err(failure) => (Some(failure), None),
        };
        if let Some(failure) = class {
            let Failure { class, reason, message } = failure;
            let report = failed(turn.now, class, reason, message);
            self.take_end(turn, key, Box::new(report));
        }
        if let Some(new) = new {
            self.begin_child(turn, key, new);
        }
        Ok(())
    }

    fn begin_child(&mut self, turn: &mut Turn, key: AttemptKey, new: NewWorkflow) {
        let awaited = new.parent.is_some_and(|parent| parent.root.is_some());
        let told = json_of(&new.name, new.id, &WorkflowState::default());
        tracing::debug!(workflow = %new.id, name = new.name, "a task starts a workflow");
        let at = turn.now;
        let pending = turn.pending(key.workflow);
        pending.children.push(new);
        pending.started.push((key, at));
        let event = Event::Started { node: key.node, number: key.number, at };
        self.apply(turn, key.workflow, &event);
        // It is there to be begun once this is committed.
        self.look = true;
        if !awaited {
            let mut report = succeeded(turn.now);
            report.result = Some(told);
            self.take_end(turn, key, Box::new(report));
        }
    }

    /// A document with what is stored and it refers to.
    async fn complete(&self, project: EntityId, text: String) -> Result<String, ControllerError> {
        let mut bundle = Bundle::new(text);
        loop {
            let missing = bundle.missing();
            if missing.is_empty() {
                return Ok(bundle.into_text());
            }
            for one in missing {
                let Some(kind) = TemplateKind::of_manifest(one.kind.name()) else {
                    bundle.absent(one);
                    continue;
                };
                let id = TemplateId::new(kind, project, &one.name);
                match self.store.referred(id).await {
                    Ok(found) => bundle.add(found.view.to_string(), &found.document),
                    Err(StoreError::NotFound) => bundle.absent(one),
                    Err(other) => return Err(other.into()),
                }
            }
        }
    }

    /// The workflow that an attempt starts.
    fn child(
        &self,
        key: AttemptKey,
        document: String,
        (awaited, now): (bool, Timestamp),
    ) -> Result<NewWorkflow, Failure> {
        let live = self.live.get(&key.workflow).ok_or_else(|| invalid("it is gone".to_owned()))?;
        let above = live.parent.map_or(0, |parent| parent.depth);
        if above >= CHILD_DEPTH {
            let message = format!(
                "at most {CHILD_DEPTH} workflows may start one another, and this one is the last of so many"
            );
            return Err(Failure { reason: Reason::DepthLimit, ..invalid(message) });
        }
        let compiled = compile(&document, &self.config)?;
        let id = key.child();
        let root = live.parent.and_then(|parent| parent.root).unwrap_or(key.workflow);
        let base = compiled.name.unwrap_or_else(|| "workflow-".to_owned());
        Ok(NewWorkflow {
            id,
            project: live.project,
            name: id.name_from(base),
            description: compiled.description.unwrap_or_default(),
            document,
            parameters: Vec::new(),
            labels: compiled.labels,
            priority: compiled.priority.unwrap_or(live.run.context().priority),
            storage: compiled.plan.storage(),
            submitted_by: format!("workflow {}", live.run.context().name),
            resubmitted_from: None,
            at: now,
            idempotency: None,
            parent: Some(Parent {
                attempt: key,
                root: awaited.then_some(root),
                depth: above.saturating_add(1),
            }),
        })
    }

    /// An open attempt that starts a workflow is not wanted any more: its workflow is asked to end, and its
    /// end is that of the attempt. One that has not begun has ended.
    pub(crate) fn stop_child(&mut self, turn: &mut Turn, key: AttemptKey) {
        let Some(live) = self.live.get(&key.workflow) else { return };
        if live.run.status(key.node) != Some(TaskStatus::Running) {
            turn.unbegun.push(key);
            return;
        }
        let command = match live.run.state().ending {
            Some(Ending::Cancel) => Command::Cancel,
            Some(Ending::Terminate) => Command::Terminate,
            // Its exit handlers run, as do those of the workflow around it.
            Some(Ending::Stop | Ending::Deadline) | None => Command::Stop,
        };
        turn.pending(key.workflow).asks.push((key.child(), command));
        self.look = true;
    }

    /// Judges the end of an attempt by the conditions of its task.
    pub(crate) fn judged(&self, key: AttemptKey, report: Box<Report>) -> Box<Report> {
        let Some(live) = self.live.get(&key.workflow) else { return report };
        let object = report.result.as_deref().map(serde_json::from_str::<Value>);
        let Some(Ok(object)) = object else { return report };
        let report = Report { result: None, ..*report };
        let judged = guarded(|| {
            let told = (report.clone(), &object);
            flowforge_engine::child_report(&live.plan, &live.run, key.node, told)
        });
        Box::new(judged.unwrap_or(report))
    }
}

/// What the task that waits for a workflow in memory is told once that has ended.
pub(crate) fn told_of_end(live: &Live) -> Option<Fact> {
    let context = live.run.context();
    told(live.parent, &context.name, context.id, live.run.state())
}

/// The same of any workflow.
pub(crate) fn told(
    parent: Option<Parent>,
    name: &str,
    id: WorkflowId,
    state: &WorkflowState,
) -> Option<Fact> {
    let parent = parent.filter(|parent| parent.root.is_some())?;
    let report = end_of(name, id, state)?;
    Some(Fact { key: parent.attempt, kind: FactKind::Finished(Box::new(report)) })
}

/// The end of a workflow as that of the attempt that started it; none if it has not ended. Its result is the
/// workflow as an object of Argo's kind, for the conditions and outputs of the task.
fn end_of(name: &str, id: WorkflowId, state: &WorkflowState) -> Option<Report> {
    let at = state.finished_at.filter(|_| state.status.terminal())?;
    let mut report = succeeded(at);
    if state.status != WorkflowStatus::Succeeded {
        let status = state.status.as_str();
        let why = state.message.as_deref().or(state.reason.map(Reason::as_str));
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("workflow {name} ({id}) ended {status}{why}");
        let (class, reason) = (FailureClass::User, Reason::ChildFailed);
        report.failure = Some(Failure { class, reason, message });
    }
    report.result = Some(json_of(name, id, state));
    Some(report)
}

/// A workflow as an object of Argo's kind, as far as conditions and outputs may read it.
fn json_of(name: &str, id: WorkflowId, state: &WorkflowState) -> String {
    let phase = match state.status {
        WorkflowStatus::Pending => "Pending",
        WorkflowStatus::Running | WorkflowStatus::Paused => "Running",
        WorkflowStatus::Succeeded => "Succeeded",
        WorkflowStatus::Failed if state.reason == Some(Reason::Quarantined) => "Error",
        WorkflowStatus::Failed | WorkflowStatus::Cancelled => "Failed",
    };
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name, "uid": id.to_string()},
        "status": {
            "phase": phase,
            "message": state.message,
            "startedAt": time(state.started_at),
            "finishedAt": time(state.finished_at),
        },
    })
    .to_string()
}

fn succeeded(at: Timestamp) -> Report {
    Report { failure: None, ..failed(at, FailureClass::User, Reason::Error, String::new()) }
}

fn failed(at: Timestamp, class: FailureClass, reason: Reason, message: String) -> Report {
    Report::failed(at, class, reason, message)
}

fn invalid(message: String) -> Failure {
    Failure { class: FailureClass::Error, reason: Reason::ChildInvalid, message }
}

/// The document that a manifest is, once its values are where they belong.
fn document(manifest: &str) -> Result<String, Failure> {
    let text = flowforge_spec::fill(manifest).map_err(|problem| invalid(said(&[problem], 0)))?;
    if text.len() > BODY_BYTES {
        let message =
            format!("the workflow has {} bytes; at most {BODY_BYTES} are read", text.len());
        return Err(invalid(message));
    }
    Ok(text)
}

fn compile(document: &str, config: &crate::Config) -> Result<Compiled, Failure> {
    let options = Options { parameters: Vec::new(), default_retry: config.default_retry.clone() };
    match guarded(|| flowforge_spec::compile(document, &options)) {
        Some(Ok(compiled)) => Ok(compiled),
        Some(Err(problems)) => Err(invalid(said(&problems.list, problems.omitted))),
        None => Err(invalid("panicked while the workflow was compiled".to_owned())),
    }
}

/// What is wrong with a workflow, in words.
fn said(problems: &[Problem], omitted: usize) -> String {
    let mut all = vec!["the workflow to start has faults".to_owned()];
    for problem in problems {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        all.push(format!("{} {problem}{hint}", problem.pointer));
    }
    if omitted > 0 {
        all.push(format!("and {omitted} more"));
    }
    all.join("\n")
}
