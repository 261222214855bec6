//! Rows of the store as JSON.

use std::collections::BTreeMap;

use crate::backend::{Answer, Backend};
use flowforge_model::artifact::{Archive, Artifact, Location};
use flowforge_model::event::{Outputs, Record, TaskRow, WorkflowState};
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::catalog::{AttemptView, EventView, LockUser, LockView, WorkflowView};
use flowforge_ports::store::{NewWorkflow, Parent};
use flowforge_wire::{
    Attempt, Event, Lock, LockUser as WireLockUser, Task, TaskArtifact, Time, Workflow,
    WorkflowParent,
};

fn time(at: Option<Timestamp>) -> Option<Time> {
    at.map(Time)
}

fn code(reason: Option<Reason>) -> Option<String> {
    reason.map(|reason| reason.as_str().to_owned())
}

/// Outputs as one map; the end of standard output as `result`, unless a parameter is called so.
pub(crate) fn outputs(outputs: Option<Outputs>) -> BTreeMap<String, String> {
    let Outputs { parameters, result, artifacts: _, ip: _ } = outputs.unwrap_or_default();
    let result = result.map(|text| ("result".to_owned(), text));
    result.into_iter().chain(parameters).collect()
}

/// A workflow as lists show it: without outputs and counts.
pub(crate) fn workflow(view: WorkflowView) -> Workflow {
    Workflow {
        id: view.id.to_string(),
        name: view.name,
        project_id: view.project.to_string(),
        description: view.description,
        status: view.state.status.as_str().to_owned(),
        reason: code(view.state.reason),
        message: view.state.message,
        generation: view.state.generation,
        priority: view.priority,
        labels: view.labels.into_iter().collect(),
        parameters: view.parameters.into_iter().collect(),
        submitted_by: view.submitted_by,
        resubmitted_from: view.resubmitted_from.map(|id| id.to_string()),
        parent: view.parent.map(parent),
        created_at: Time(view.created_at),
        started_at: time(view.state.started_at),
        finished_at: time(view.state.finished_at),
        task_counts: BTreeMap::new(),
        outputs: BTreeMap::new(),
        warnings: Vec::new(),
        seq: view.seq,
    }
}

fn parent(parent: Parent) -> WorkflowParent {
    let Parent { attempt, root, depth } = parent;
    WorkflowParent {
        workflow_id: attempt.workflow.to_string(),
        task_id: attempt.workflow.task(attempt.node).to_string(),
        node: attempt.node.0,
        attempt: attempt.number,
        root_id: root.map(|id| id.to_string()),
        depth,
    }
}

/// A workflow as it is stored at first. Whoever reads it back may find that it began.
pub(crate) fn new_workflow(new: &NewWorkflow) -> Workflow {
    let state = WorkflowState { generation: 1, ..WorkflowState::default() };
    let view = WorkflowView {
        id: new.id,
        project: new.project,
        name: new.name.clone(),
        description: new.description.clone(),
        parameters: new.parameters.clone(),
        labels: new.labels.clone(),
        priority: new.priority,
        submitted_by: new.submitted_by.clone(),
        resubmitted_from: new.resubmitted_from,
        parent: new.parent,
        created_at: new.at,
        state,
        seq: 0,
    };
    workflow(view)
}

/// A workflow in full, as it is stored.
pub(crate) fn whole_workflow(backend: &dyn Backend, mut view: WorkflowView) -> Answer<Workflow> {
    let counts = backend.task_counts(view.id)?;
    let outputs = outputs(view.state.outputs.take());
    let counts = counts.into_iter().filter(|&(_, count)| count > 0);
    Ok(Workflow {
        outputs,
        task_counts: counts.map(|(status, count)| (status.as_str().to_owned(), count)).collect(),
        ..workflow(view)
    })
}

/// A task with its attempts, which are in order.
pub(crate) fn task(id: WorkflowId, row: TaskRow, attempts: Vec<AttemptView>) -> Task {
    let TaskRow { node, shape, mut state } = row;
    let artifacts = state.outputs.as_mut().map(|outputs| std::mem::take(&mut outputs.artifacts));
    Task {
        id: id.task(node).to_string(),
        node: node.0,
        name: shape.name,
        kind: shape.kind.as_str().to_owned(),
        template: shape.template,
        parent: shape.parent.map(|parent| parent.0),
        status: state.status.as_str().to_owned(),
        reason: code(state.reason),
        message: state.message,
        attempt: state.attempt,
        exit_code: state.exit_code,
        attempts: attempts.into_iter().map(|one| attempt(id, one)).collect(),
        outputs: outputs(state.outputs),
        artifacts: artifacts.unwrap_or_default().into_iter().map(artifact).collect(),
        queued_at: time(state.queued_at),
        started_at: time(state.started_at),
        finished_at: time(state.finished_at),
    }
}

/// An artifact and where it is kept. Headers of requests and names of secrets stay inside.
pub(crate) fn artifact((name, artifact): (String, Artifact)) -> TaskArtifact {
    let (store, key) = match artifact.location {
        Location::Repository { key } => ("repository", key),
        Location::S3(at) => ("s3", format!("{}/{}", at.bucket, at.key)),
        Location::Http(at) => ("http", at.url),
        Location::Raw { .. } => ("raw", String::new()),
    };
    let archive = match artifact.archive {
        Archive::None => "none",
        Archive::TarGz => "tar_gz",
        Archive::Zip => "zip",
    };
    TaskArtifact { name, store: store.to_owned(), key, archive: archive.to_owned() }
}

fn attempt(id: WorkflowId, view: AttemptView) -> Attempt {
    Attempt {
        id: id.attempt(view.node, view.number).to_string(),
        number: view.number,
        admitted_at: Some(Time(view.admitted_at)),
        started_at: time(view.started_at),
        finished_at: time(view.finished_at),
        exit_code: view.exit_code,
        reason: code(view.reason),
        message: view.message,
        workflow_id: view.started.map(|id| id.to_string()),
    }
}

/// A line of history.
pub(crate) fn event(view: EventView) -> Event {
    let (seq, at, name) = (view.seq, Time(view.at), view.task_name);
    match view.record {
        Record::Workflow { status, reason, message, generation } => Event {
            seq,
            at,
            r#type: "workflow".to_owned(),
            status: status.as_str().to_owned(),
            reason: code(reason),
            message,
            generation: Some(generation),
            task: None,
            node: None,
            attempt: None,
            exit_code: None,
        },
        Record::Task { node: NodeIx(node), status, reason, message, attempt, exit_code } => Event {
            seq,
            at,
            r#type: "task".to_owned(),
            status: status.as_str().to_owned(),
            reason: code(reason),
            message,
            generation: None,
            task: name,
            node: Some(node),
            attempt: Some(attempt),
            exit_code,
        },
    }
}

/// A lock with those who hold it and those who wait.
pub(crate) fn lock(view: LockView) -> Lock {
    let users = |users: Vec<LockUser>| users.into_iter().map(lock_user).collect();
    Lock {
        key: view.key,
        limit: view.limit,
        holding: view.holding,
        waiting: view.waiting,
        holders: users(view.holders),
        waiters: users(view.waiters),
    }
}

fn lock_user(user: LockUser) -> WireLockUser {
    WireLockUser {
        workflow_id: user.workflow.to_string(),
        workflow_name: user.workflow_name,
        task: user.task_name.unwrap_or_default(),
        node: user.node.0,
        since: Time(user.since),
    }
}
