//! The work: workflows that grow, and tasks that pass through them.

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::{
    NodeKind, Outputs, Record, TaskShape, TaskState, TaskWrite, WorkflowState,
};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Commit, NewWorkflow, RunChanges};
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

/// A workflow that grows by some tasks each turn.
pub(crate) struct Running {
    id: WorkflowId,
    seq: u64,
    next: u32,
}

impl Default for Running {
    fn default() -> Self {
        Self { id: WorkflowId(Uuid::now_v7()), seq: 0, next: 0 }
    }
}

impl Running {
    pub(crate) fn new_workflow(&self) -> NewWorkflow {
        NewWorkflow {
            id: self.id,
            project: EntityId::DEFAULT_PROJECT,
            name: "speed".to_owned(),
            description: String::new(),
            document: "templates: {}".to_owned(),
            parameters: Vec::new(),
            labels: Vec::new(),
            priority: 0,
            submitted_by: "local".to_owned(),
            storage: Bytes(0),
            resubmitted_from: None,
            at: AT,
            idempotency: None,
            parent: None,
        }
    }

    /// New tasks are admitted, those of the last turn start, those before them end.
    pub(crate) fn turn(&mut self, share: u32, commit: &mut Commit) {
        let mut run =
            RunChanges { workflow: Some(self.id), seq_before: self.seq, ..RunChanges::default() };
        if self.next == 0 {
            run.state = Some(WorkflowState {
                status: WorkflowStatus::Running,
                generation: 1,
                started_at: Some(AT),
                ..WorkflowState::default()
            });
        }
        for node in self.next..self.next + share {
            let key = self.key(node);
            step(&mut run, node, TaskStatus::Queued, Some(shape(node)));
            run.runnable.push(key);
            commit.admissions.push(key);
        }
        if let Some(first) = self.next.checked_sub(share) {
            for node in first..self.next {
                step(&mut run, node, TaskStatus::Running, None);
                run.started.push((self.key(node), AT));
            }
        }
        if let Some(first) = self.next.checked_sub(2 * share) {
            for node in first..first + share {
                step(&mut run, node, TaskStatus::Succeeded, None);
                run.ended.push((self.key(node), report()));
            }
        }
        self.next += share;
        self.seq += u64::try_from(run.records.len()).unwrap_or(0);
        commit.runs.push(run);
    }

    fn key(&self, node: u32) -> AttemptKey {
        AttemptKey { workflow: self.id, node: NodeIx(node), number: 1 }
    }
}

pub(crate) fn shape(node: u32) -> TaskShape {
    TaskShape {
        parent: (node > 0).then_some(NodeIx::ROOT),
        slot: node,
        kind: NodeKind::Leaf,
        name: format!("transform({node}:part-{node})"),
        template: "transform".to_owned(),
        item: Some(serde_json::Value::from(format!("part-{node}"))),
    }
}

fn step(run: &mut RunChanges, node: u32, status: TaskStatus, shape: Option<TaskShape>) {
    let ended = status.terminal();
    let started = status != TaskStatus::Queued;
    run.tasks.push(TaskWrite {
        node: NodeIx(node),
        shape,
        state: TaskState {
            status,
            attempt: 1,
            exit_code: ended.then_some(0),
            outputs: ended.then(|| Outputs {
                parameters: vec![("rows".to_owned(), "1000".to_owned())],
                ..Outputs::default()
            }),
            queued_at: Some(AT),
            started_at: started.then_some(AT),
            finished_at: ended.then_some(AT),
            ..TaskState::default()
        },
    });
    run.records.push(Record::Task {
        node: NodeIx(node),
        status,
        reason: None,
        message: None,
        attempt: 1,
        exit_code: ended.then_some(0),
    });
}

fn report() -> Report {
    Report {
        started_at: Some(AT),
        finished_at: AT,
        exit_code: Some(0),
        failure: None,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    }
}
