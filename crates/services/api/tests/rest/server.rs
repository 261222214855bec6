//! A server in this process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use flowforge_logstore::MemoryLogs;
use flowforge_model::attempt::{AttemptKey, FailureClass, Report};
use flowforge_model::event::{
    NodeKind, Outputs, Record, TaskShape, TaskState, TaskWrite, WorkflowState,
};
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::resources::Bytes;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::catalog::Catalog as _;
use flowforge_ports::store::{Commit, LockWrite, MemoWrite, NewWorkflow, RunChanges, Store as _};
use flowforge_store::SqliteStore;
use flowforge_svc_api::{Api, ApiConfig, Hub};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use uuid::Uuid;

pub(crate) const TOKEN: &str = "the-token";
/// A document whose compilation is of no interest.
pub(crate) const DOCUMENT: &str = "entrypoint: main\n";

pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) logs: Arc<MemoryLogs>,
    pub(crate) hub: Hub,
    pub(crate) nudged: Arc<Mutex<Vec<(WorkflowId, bool)>>>,
    _dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a well-formed problem of this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}

pub(crate) fn get(path: &str) -> Request<Body> {
    request(Method::GET, path, None, "")
}

pub(crate) fn post(path: &str, json: &str) -> Request<Body> {
    request(Method::POST, path, Some("application/json"), json)
}

pub(crate) fn request(method: Method, path: &str, kind: Option<&str>, body: &str) -> Request<Body> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"));
    if let Some(kind) = kind {
        builder = builder.header("content-type", kind);
    }
    builder.body(Body::from(body.to_owned())).unwrap()
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&dir.path().join("flowforge.db")).unwrap());
        let logs = Arc::new(MemoryLogs::new());
        let hub = Hub::default();
        let nudged = Arc::new(Mutex::new(Vec::new()));
        let mut config = ApiConfig::new(TOKEN.to_owned());
        let log = Arc::clone(&nudged);
        config.nudge = Arc::new(move |nudge| {
            log.lock().unwrap().push((nudge.workflow, nudge.plan.is_some()));
        });
        // Streams that are not woken are still there within a test's patience.
        config.limits.reread_logs = Duration::from_millis(5);
        change(&mut config);
        let api = Api::new(Arc::clone(&store), Arc::clone(&logs), hub.clone(), config);
        Self { api, store, logs, hub, nudged, _dir: dir }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.api.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().into(),
        }
    }

    /// A workflow in the database.
    pub(crate) async fn workflow(&self, name: &str) -> WorkflowId {
        self.insert(name, DOCUMENT).await
    }

    /// A workflow in the database, of this document.
    pub(crate) async fn workflow_of(&self, document: &str) -> WorkflowId {
        self.insert("a", document).await
    }

    async fn insert(&self, name: &str, document: &str) -> WorkflowId {
        let new = NewWorkflow {
            id: WorkflowId(Uuid::now_v7()),
            project: EntityId::DEFAULT_PROJECT,
            name: name.to_owned(),
            description: String::new(),
            document: document.to_owned(),
            parameters: Vec::new(),
            labels: vec![("team".to_owned(), name.to_owned())],
            priority: 0,
            submitted_by: "somebody".to_owned(),
            storage: Bytes(0),
            resubmitted_from: None,
            at: Timestamp(1000),
            idempotency: None,
            parent: None,
        };
        self.store.insert(new).await.unwrap().id
    }

    /// Writes what a controller would write: tasks `0` (the root dag) to `n` in a status, one
    /// record each, and one record of the workflow at the end.
    pub(crate) async fn advance(
        &self,
        id: WorkflowId,
        seq_before: u64,
        tasks: u32,
        status: WorkflowStatus,
    ) {
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let fresh = seq_before == 0;
        let done = status.terminal();
        let mut changes = RunChanges {
            workflow: Some(id),
            seq_before,
            state: Some(state(status)),
            ..RunChanges::default()
        };
        for node in 0..=tasks {
            let state = task_state(done);
            changes.records.push(Record::Task {
                node: NodeIx(node),
                status: state.status,
                reason: None,
                message: None,
                attempt: 0,
                exit_code: None,
            });
            changes.tasks.push(TaskWrite {
                node: NodeIx(node),
                shape: fresh.then(|| shape(node)),
                state,
            });
        }
        changes.records.push(Record::Workflow {
            status,
            reason: None,
            message: None,
            generation: 1,
        });
        let records = u64::try_from(changes.records.len()).unwrap();
        let commit =
            Commit { epoch, at: Timestamp(2000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
        self.hub.changed(id, seq_before + records);
    }

    /// Moves a new workflow with one task to its end; the task gave these outputs.
    pub(crate) async fn advance_with(
        &self,
        id: WorkflowId,
        status: WorkflowStatus,
        outputs: Outputs,
    ) {
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let write = |node: u32, outputs: Option<Outputs>| TaskWrite {
            node: NodeIx(node),
            shape: Some(shape(node)),
            state: TaskState { outputs, ..task_state(true) },
        };
        let changes = RunChanges {
            workflow: Some(id),
            state: Some(state(status)),
            tasks: vec![write(0, None), write(1, Some(outputs))],
            ..RunChanges::default()
        };
        let commit =
            Commit { epoch, at: Timestamp(2000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    /// Writes what a controller would write of locks and memos.
    pub(crate) async fn keep(&self, id: WorkflowId, locks: Vec<LockWrite>, memos: Vec<MemoWrite>) {
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let seq_before = self.store.workflow(id).await.unwrap().seq;
        let changes =
            RunChanges { workflow: Some(id), seq_before, locks, memos, ..RunChanges::default() };
        let commit =
            Commit { epoch, at: Timestamp(3000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    /// Puts the suspension `wait` as node 2 into this status. The first time also the nodes
    /// before it.
    pub(crate) async fn suspend(&self, id: WorkflowId, status: TaskStatus) {
        let before = self.store.workflow(id).await.unwrap().seq;
        if before == 0 {
            self.advance(id, 0, 1, WorkflowStatus::Running).await;
        }
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let shape = TaskShape {
            kind: NodeKind::Suspend,
            name: "wait".to_owned(),
            template: "wait".to_owned(),
            ..shape(2)
        };
        let write = TaskWrite {
            node: NodeIx(2),
            shape: (before == 0).then_some(shape),
            state: TaskState { status, ..task_state(status.terminal()) },
        };
        let changes = RunChanges {
            workflow: Some(id),
            seq_before: self.store.workflow(id).await.unwrap().seq,
            state: Some(state(WorkflowStatus::Running)),
            tasks: vec![write],
            ..RunChanges::default()
        };
        let commit =
            Commit { epoch, at: Timestamp(2000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    /// Puts a new workflow into its dag: of three tasks the first has ended, the last one waits.
    pub(crate) async fn wait_in_dag(&self, id: WorkflowId) {
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let task = |node: u32, name: &str, status: TaskStatus| TaskWrite {
            node: NodeIx(node),
            shape: Some(TaskShape {
                slot: node.saturating_sub(1),
                name: name.to_owned(),
                ..shape(node)
            }),
            state: TaskState { status, ..task_state(status.terminal()) },
        };
        let changes = RunChanges {
            workflow: Some(id),
            state: Some(state(WorkflowStatus::Running)),
            tasks: vec![
                task(0, "", TaskStatus::Running),
                task(1, "zero", TaskStatus::Succeeded),
                task(2, "one", TaskStatus::Running),
                task(3, "two", TaskStatus::Pending),
            ],
            ..RunChanges::default()
        };
        let commit =
            Commit { epoch, at: Timestamp(2000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    /// Ends a task with an output of so many bytes.
    pub(crate) async fn give(&self, id: WorkflowId, seq_before: u64, node: u32, bytes: usize) {
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let outputs = Outputs {
            parameters: vec![("large".to_owned(), "x".repeat(bytes))],
            ..Outputs::default()
        };
        let write = TaskWrite {
            node: NodeIx(node),
            shape: None,
            state: TaskState { outputs: Some(outputs), ..task_state(true) },
        };
        let commit = Commit {
            epoch,
            at: Timestamp(4000),
            runs: vec![RunChanges {
                workflow: Some(id),
                seq_before,
                tasks: vec![write],
                ..RunChanges::default()
            }],
            ..Commit::default()
        };
        self.store.commit(commit).await.unwrap();
    }

    /// Admits the first attempt of a task.
    pub(crate) async fn admit(&self, id: WorkflowId, seq_before: u64, node: u32) {
        let instance = InstanceId(Uuid::now_v7());
        let epoch = self.store.take_over(instance).await.unwrap();
        let key = AttemptKey { workflow: id, node: NodeIx(node), number: 1 };
        let changes = RunChanges {
            workflow: Some(id),
            seq_before,
            tasks: vec![TaskWrite {
                node: key.node,
                shape: None,
                state: TaskState { status: TaskStatus::Queued, attempt: 1, ..TaskState::default() },
            }],
            runnable: vec![key],
            ..RunChanges::default()
        };
        let commit = Commit {
            epoch,
            instance: Some(instance),
            at: Timestamp(3000),
            runs: vec![changes],
            admissions: vec![key],
            ..Commit::default()
        };
        self.store.commit(commit).await.unwrap();
    }

    /// Fails a new workflow: the first attempt of its task ended so.
    pub(crate) async fn fail(&self, id: WorkflowId, reason: Reason) {
        self.advance(id, 0, 1, WorkflowStatus::Running).await;
        let before = self.store.workflow(id).await.unwrap().seq;
        self.admit(id, before, 1).await;
        let key = AttemptKey { workflow: id, node: NodeIx(1), number: 1 };
        let report = Report::failed(Timestamp(3500), FailureClass::Lost, reason, String::new());
        let changes = RunChanges {
            workflow: Some(id),
            seq_before: before,
            state: Some(state(WorkflowStatus::Failed)),
            ended: vec![(key, report)],
            ..RunChanges::default()
        };
        let epoch = self.store.take_over(InstanceId(Uuid::now_v7())).await.unwrap();
        let commit =
            Commit { epoch, at: Timestamp(4000), runs: vec![changes], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }
}

fn state(status: WorkflowStatus) -> WorkflowState {
    WorkflowState {
        status,
        generation: 1,
        started_at: Some(Timestamp(1500)),
        finished_at: status.terminal().then_some(Timestamp(2000)),
        outputs: status.terminal().then(|| Outputs {
            parameters: vec![("answer".to_owned(), "42".to_owned())],
            result: Some("bye".to_owned()),
            ..Outputs::default()
        }),
        ..WorkflowState::default()
    }
}

fn task_state(done: bool) -> TaskState {
    TaskState {
        status: if done { TaskStatus::Succeeded } else { TaskStatus::Queued },
        finished_at: done.then_some(Timestamp(2000)),
        ..TaskState::default()
    }
}

fn shape(node: u32) -> TaskShape {
    TaskShape {
        parent: (node > 0).then_some(NodeIx::ROOT),
        slot: node,
        kind: if node == 0 { NodeKind::Dag } else { NodeKind::Leaf },
        name: if node == 0 { String::new() } else { format!("task-{node}(0:a/b)") },
        template: "t".to_owned(),
        item: None,
    }
}
