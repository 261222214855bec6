//! Servers and dead letters, over a queue in process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::status::{Reason, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogCursor, LogLine, LogPage, LogQuery, LogStore};
use flowforge_ports::queue::{ClusterName, Dispatch, Dispatches, Heartbeats, Role};
use flowforge_queue::LocalQueue;
use flowforge_svc_api::{Api, ApiConfig, QueueAccess};
use serde_json::json;
use uuid::Uuid;

use crate::server::{Server, TOKEN, get, post};

fn with_queue() -> (Server, LocalQueue) {
    let queue = LocalQueue::default();
    let access = QueueAccess::new(queue.clone(), ClusterName::default());
    (Server::with(|config| config.queue = Some(access)), queue)
}

/// One dead letter for each workflow, with the first attempt of its first task.
async fn bury(queue: &LocalQueue, workflows: &[WorkflowId]) {
    let (cluster, me) = (ClusterName::default(), InstanceId(Uuid::from_u128(1)));
    for (workflow, at) in workflows.iter().zip(1..) {
        let key = AttemptKey { workflow: *workflow, node: NodeIx(1), number: 1 };
        let dispatch = Dispatch { key, epoch: 1, sent_at: Timestamp(at) };
        queue.send(&cluster, &[dispatch]).await.unwrap();
    }
    for delivery in queue.receive(&cluster, me, 100, Duration::ZERO).await.unwrap() {
        queue.bury(&cluster, &delivery.receipt, "taken too often").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_in_pages_and_one_by_one() {
    let (server, queue) = with_queue();
    let id = server.workflow("one").await;
    bury(&queue, &[id; 5]).await;
    let mut path = "/api/v1/dead-letters?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = server.send(get(&path)).await.json();
        let items = page["items"].as_array().unwrap();
        assert!((1..=2).contains(&items.len()));
        seen.extend(items.iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/dead-letters?limit=2&cursor={cursor}");
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[0]["reason"], "taken too often");
    let attempt = json!({"workflow_id": id.to_string(), "node": 1, "attempt": 1,
        "sent_at": "1970-01-01T00:00:00.005Z"});
    assert_eq!(seen[4]["attempts"], json!([attempt]));
    let path = format!("/api/v1/dead-letters/{}", seen[3]["id"].as_str().unwrap());
    assert_eq!(server.send(get(&path)).await.json(), seen[3]);
    for absent in ["nope", "0-0", "-", "%2B"] {
        let path = format!("/api/v1/dead-letters/{absent}");
        server.send(get(&path)).await.is_problem(404, "not_found");
        server.send(post(&format!("{path}/redrive"), "")).await.is_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redriving_retries_what_failed_and_leaves_the_rest_alone() {
    let (server, queue) = with_queue();
    let poisoned = server.workflow("poisoned").await;
    server.fail(poisoned, Reason::DispatchPoisoned).await;
    let by_itself = server.workflow("by-itself").await;
    server.fail(by_itself, Reason::Error).await;
    let mut of = vec![poisoned, by_itself];
    for status in [WorkflowStatus::Failed, WorkflowStatus::Running, WorkflowStatus::Succeeded] {
        let id = server.workflow(status.as_str()).await;
        server.advance(id, 0, 1, status).await;
        of.push(id);
    }
    of.push(WorkflowId(Uuid::from_u128(9)));
    bury(&queue, &of).await;
    let letters = server.send(get("/api/v1/dead-letters")).await.json();
    let mut outcomes = Vec::new();
    for letter in letters["items"].as_array().unwrap() {
        let path = format!("/api/v1/dead-letters/{}/redrive", letter["id"].as_str().unwrap());
        let answer = server.send(post(&path, "{}")).await.json();
        outcomes.push(answer["attempts"][0]["outcome"].as_str().unwrap().to_owned());
        server.send(post(&path, "{}")).await.is_problem(404, "not_found");
    }
    assert_eq!(outcomes, ["retried", "over", "over", "open", "over", "gone"]);
    let nudged = server.nudged.lock().unwrap().clone();
    assert_eq!(nudged, [(poisoned, false)]);
    let left = server.send(get("/api/v1/dead-letters")).await.json();
    assert_eq!(left, json!({"items": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_those_that_live() {
    let (server, queue) = with_queue();
    let (one, two) = (InstanceId(Uuid::from_u128(1)), InstanceId(Uuid::from_u128(2)));
    let long = Duration::from_secs(600);
    let said = r#"{"name":"host:1","version":"9.9","since_ms":1700000000000}"#;
    queue.beat(Role::Executor, two, said, long).await.unwrap();
    queue.beat(Role::Api, one, "not ours", long).await.unwrap();
    queue.beat(Role::Logs, one, said, Duration::ZERO).await.unwrap();
    let page = server.send(get("/api/v1/servers")).await.json();
    let executor = json!({"id": two.to_string(), "role": "executor", "name": "host:1",
        "version": "9.9", "since": "2023-11-14T22:13:20.000Z"});
    let api = json!({"id": one.to_string(), "role": "api", "name": "", "version": ""});
    assert_eq!(page, json!({"items": [api, executor]}));
    let first = server.send(get("/api/v1/servers?limit=1")).await.json();
    assert_eq!(first["items"], json!([api]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = server.send(get(&format!("/api/v1/servers?cursor={cursor}"))).await.json();
    assert_eq!(rest, json!({"items": [executor]}));
}

/// Logs that hang until the other end of this is dropped.
struct Hanging {
    reads: AtomicUsize,
    until: Mutex<Receiver<()>>,
}

impl Hanging {
    fn wait(&self) -> std::io::Error {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(self.until.lock().unwrap().recv().is_err(), "nothing is ever sent");
        std::io::Error::other("away")
    }
}

impl LogStore for Hanging {
    fn append(&self, _: WorkflowId, _: &[LogLine]) -> std::io::Result<()> {
        Ok(())
    }
    fn read(
        &self,
        _: WorkflowId,
        _: &LogQuery,
        _: LogCursor,
        _: usize,
    ) -> std::io::Result<LogPage> {
        Err(self.wait())
    }
    fn seal(&self, _: WorkflowId) -> std::io::Result<()> {
        Ok(())
    }
    fn delete(&self, _: WorkflowId) -> std::io::Result<()> {
        Ok(())
    }
    fn ready(&self) -> std::io::Result<()> {
        Err(self.wait())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_hang_stop_nothing_else_and_are_told() {
    let mut server = Server::new();
    let id = server.workflow("one").await;
    let (open, until) = channel();
    let logs = Arc::new(Hanging { reads: AtomicUsize::new(0), until: Mutex::new(until) });
    let mut config = ApiConfig::new(TOKEN.to_owned());
    (config.limits.calls, config.limits.log_calls) = (2, 2);
    server.api = Api::new(Arc::clone(&server.store), Arc::clone(&logs), server.hub.clone(), config);
    let server = Arc::new(server);
    let path = format!("/api/v1/workflows/{id}/logs");
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (server, path) = (Arc::clone(&server), path.clone());
        readers.spawn(async move { server.send(get(&path)).await });
    }
    while logs.reads.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let listed = server.send(get("/api/v1/workflows"));
    let listed = tokio::time::timeout(Duration::from_secs(30), listed).await.unwrap();
    assert_eq!(listed.status, 200);
    let ready = server.send(get("/readyz")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (200, &json!("degraded")));
    assert_eq!(ready.json()["dependencies"]["logs"], "unavailable");
    drop(open);
    while let Some(answer) = readers.join_next().await {
        answer.unwrap().is_problem(503, "logs_unavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_down_says_so_without_asking_anybody() {
    let mut server = Server::new();
    let (_open, until) = channel();
    let logs = Arc::new(Hanging { reads: AtomicUsize::new(0), until: Mutex::new(until) });
    let config = ApiConfig::new(TOKEN.to_owned());
    server.api = Api::new(Arc::clone(&server.store), Arc::clone(&logs), server.hub.clone(), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    flowforge_svc_api::serve(listener, server.api.clone(), async {}).await.unwrap();
    let ready = server.send(get("/readyz")).await;
    assert_eq!(logs.reads.load(Ordering::SeqCst), 0);
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (503, &json!("draining")));
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_each_dependency() {
    let alone = Server::new().send(get("/readyz")).await.json();
    let all = json!({"database": "ok", "logs": "ok", "queue": "unused"});
    assert_eq!(alone, json!({"status": "ok", "dependencies": all}));
    let (server, _queue) = with_queue();
    let beside = server.send(get("/readyz")).await.json();
    assert_eq!((&beside["status"], &beside["dependencies"]["queue"]), (&json!("ok"), &json!("ok")));
}
