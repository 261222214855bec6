//! Workflows, commits and their parts in few words.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use flowforge_model::attempt::{AttemptKey, Failure, FailureClass, Report};
use flowforge_model::event::{
    NodeKind, Outputs, Record, TaskShape, TaskState, TaskWrite, WorkflowState,
};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::quota::Level;
use flowforge_model::resources::Bytes;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_organization::Edit;
use flowforge_ports::organization::Organizations;
use flowforge_ports::store::{
    Commit, LockRow, LockWrite, NewWorkflow, RunChanges, Store, StoreError,
};
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) const DEFAULT: EntityId = EntityId::DEFAULT_PROJECT;
/// What the claims of a workflow ask for.
pub(crate) const STORAGE: Bytes = Bytes(3 << 30);
/// No project.
pub(crate) const NOWHERE: EntityId = EntityId(Uuid::from_u128(0x77));

/// A new project `other` below the default tenant.
pub(crate) fn other_project(store: &impl Organizations) -> EntityId {
    let id = EntityId(Uuid::from_u128(0x88));
    let edit = Edit::Create {
        id,
        level: Level::Project,
        parent: Some(EntityId::DEFAULT_TENANT),
        name: "other".to_owned(),
        quota: None,
        cluster: None,
    };
    now(store.edit(edit, AT)).unwrap().unwrap();
    id
}

/// The value of a future; those of most stores never wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

pub(crate) fn instance() -> InstanceId {
    InstanceId(Uuid::from_u128(0x77))
}

pub(crate) fn workflow(number: u32) -> WorkflowId {
    let base = 0x0189_0a5d_ac96_774b_bcce_b302_0000_0000_u128;
    WorkflowId(Uuid::from_u128(base + u128::from(number)))
}

pub(crate) fn new_workflow(id: WorkflowId) -> NewWorkflow {
    NewWorkflow {
        id,
        project: EntityId::DEFAULT_PROJECT,
        name: "etl".to_owned(),
        description: "what it is for".to_owned(),
        document: "entrypoint: main\n".repeat(20),
        parameters: vec![("z".to_owned(), "1".to_owned()), ("a".to_owned(), "ü\n\"".to_owned())],
        labels: vec![("team".to_owned(), "data".to_owned())],
        priority: -3,
        storage: STORAGE,
        submitted_by: "ada".to_owned(),
        resubmitted_from: None,
        at: AT,
        idempotency: None,
        parent: None,
    }
}

/// A controller that has just begun a workflow.
pub(crate) struct Held<'s, S: Store> {
    pub(crate) store: &'s S,
    pub(crate) epoch: u64,
    pub(crate) id: WorkflowId,
    pub(crate) seq: u64,
}

impl<'s, S: Store> Held<'s, S> {
    /// Inserts workflow `number`, takes over and moves it to RUNNING.
    pub(crate) fn begin(store: &'s S, number: u32) -> Self {
        let id = workflow(number);
        now(store.insert(new_workflow(id))).unwrap();
        let epoch = now(store.take_over(instance())).unwrap();
        let mut held = Self { store, epoch, id, seq: 0 };
        let mut commit = held.commit();
        commit.intents_done = now(store.intents(ShardSet::ALL, 0, 100))
            .unwrap()
            .iter()
            .map(|intent| intent.id)
            .collect();
        commit.runs[0].state = Some(state(WorkflowStatus::Running, 1));
        commit.runs[0].records = vec![workflow_record(WorkflowStatus::Running, 1)];
        held.write(commit).unwrap();
        held
    }

    /// A commit with empty changes of the workflow.
    pub(crate) fn commit(&self) -> Commit {
        Commit {
            epoch: self.epoch,
            instance: Some(instance()),
            at: AT,
            runs: vec![self.changes()],
            ..Commit::default()
        }
    }

    pub(crate) fn changes(&self) -> RunChanges {
        RunChanges { workflow: Some(self.id), seq_before: self.seq, ..RunChanges::default() }
    }

    /// Commits; the attempts that were refused.
    pub(crate) fn write(&mut self, commit: Commit) -> Result<Vec<AttemptKey>, StoreError> {
        let own = commit.runs.iter().find(|run| run.workflow == Some(self.id));
        let records = own.map_or(0, |run| run.records.len());
        let done = now(self.store.commit(commit))?;
        self.seq += u64::try_from(records).unwrap();
        Ok(done.refused)
    }

    pub(crate) fn key(&self, node: u32, number: u32) -> AttemptKey {
        key(self.id, node, number)
    }

    /// Task `node` becomes QUEUED and attempt `number` runnable, and is admitted if asked.
    pub(crate) fn queue(&mut self, node: u32, number: u32, admit: bool) -> Vec<AttemptKey> {
        let mut commit = self.commit();
        commit.runs[0].tasks.push(task(node, TaskStatus::Queued, number, number == 1));
        commit.runs[0].records.push(task_record(node, TaskStatus::Queued, number));
        commit.runs[0].runnable.push(self.key(node, number));
        if admit {
            commit.admissions.push(self.key(node, number));
        }
        self.write(commit).unwrap()
    }

    /// Ends the attempt and the task.
    pub(crate) fn finish(&mut self, node: u32, number: u32) {
        let mut commit = self.commit();
        commit.runs[0].tasks.push(task(node, TaskStatus::Succeeded, number, false));
        commit.runs[0].records.push(task_record(node, TaskStatus::Succeeded, number));
        commit.runs[0].ended.push((self.key(node, number), report(None)));
        self.write(commit).unwrap();
    }

    /// Moves the workflow.
    pub(crate) fn become_(
        &mut self,
        status: WorkflowStatus,
        generation: u32,
    ) -> Result<(), StoreError> {
        let mut commit = self.commit();
        commit.runs[0].state = Some(state(status, generation));
        commit.runs[0].records.push(workflow_record(status, generation));
        self.write(commit).map(|_| ())
    }
}

pub(crate) fn key(workflow: WorkflowId, node: u32, number: u32) -> AttemptKey {
    AttemptKey { workflow, node: NodeIx(node), number }
}

pub(crate) fn state(status: WorkflowStatus, generation: u32) -> WorkflowState {
    WorkflowState {
        status,
        generation,
        started_at: (status != WorkflowStatus::Pending).then_some(AT),
        finished_at: status.terminal().then_some(AT),
        ..WorkflowState::default()
    }
}

pub(crate) fn workflow_record(status: WorkflowStatus, generation: u32) -> Record {
    Record::Workflow { status, reason: None, message: None, generation }
}

pub(crate) fn task(node: u32, status: TaskStatus, attempt: u32, new: bool) -> TaskWrite {
    TaskWrite {
        node: NodeIx(node),
        shape: new.then(|| TaskShape {
            parent: (node > 0).then_some(NodeIx::ROOT),
            // As hooks have it: all bits count.
            slot: node | 1 << 31,
            kind: NodeKind::Leaf,
            name: format!("task-{node}"),
            template: "main".to_owned(),
            item: (node % 2 == 1).then(|| serde_json::json!({"n": node})),
        }),
        state: TaskState {
            status,
            attempt,
            exit_code: status.terminal().then_some(0),
            outputs: status.terminal().then(|| Outputs {
                parameters: vec![("rows".to_owned(), "9".to_owned())],
                result: Some("last line".to_owned()),
                ..Outputs::default()
            }),
            queued_at: Some(AT),
            finished_at: status.terminal().then_some(AT),
            ..TaskState::default()
        },
    }
}

pub(crate) fn task_record(node: u32, status: TaskStatus, attempt: u32) -> Record {
    Record::Task {
        node: NodeIx(node),
        status,
        reason: None,
        message: None,
        attempt,
        exit_code: status.terminal().then_some(0),
    }
}

/// Locks of a task, with their limits.
pub(crate) fn locks(node: u32, keys: &[(&str, u32)], held: bool) -> LockWrite {
    let row = |(key, limit): &(&str, u32)| LockRow {
        node: NodeIx(node),
        key: (*key).to_owned(),
        limit: *limit,
        held,
        since: Timestamp(AT.0 + i64::from(node)),
    };
    LockWrite { node: NodeIx(node), rows: keys.iter().map(row).collect() }
}

pub(crate) fn report(failure: Option<Reason>) -> Report {
    Report {
        started_at: None,
        finished_at: Timestamp(AT.0 + 5),
        exit_code: Some(i32::from(failure.is_some())),
        failure: failure.map(|reason| Failure {
            class: FailureClass::User,
            reason,
            message: "it ended with 1".to_owned(),
        }),
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    }
}
