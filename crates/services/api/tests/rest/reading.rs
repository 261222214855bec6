//! Lists, single things, actions.

use axum::http::Method;
use flowforge_model::event::Command;
use flowforge_model::id::NodeIx;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_ports::store::Store as _;

use crate::server::{DOCUMENT, Server, get, post, request};

#[tokio::test]
async fn workflows_are_listed_newest_first_page_by_page_under_one_filter() {
    let server = Server::new();
    let mut ids = Vec::new();
    for n in 0..5 {
        let name = if n == 2 { "other" } else { "same" };
        ids.push(server.workflow(name).await.to_string());
    }
    server.advance(ids[4].parse().unwrap(), 0, 1, WorkflowStatus::Running).await;
    let mut path = "/api/v1/workflows?name=same&limit=3".to_owned();
    let first = server.send(get(&path)).await.json();
    let listed = |page: &serde_json::Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&first), [&*ids[4], &ids[3], &ids[1]]);
    assert!(first["items"][0].get("task_counts").is_none());
    let cursor = first["next_cursor"].as_str().unwrap();
    path = format!("{path}&cursor={cursor}");
    let second = server.send(get(&path)).await.json();
    assert_eq!(listed(&second), [&*ids[0]]);
    assert!(second.get("next_cursor").is_none());

    let elsewhere = format!("/api/v1/workflows?limit=3&cursor={cursor}");
    server.send(get(&elsewhere)).await.is_problem(400, "bad_cursor");
    let label = server.send(get("/api/v1/workflows?label=team=other")).await.json();
    assert_eq!(listed(&label), [&*ids[2]]);
    let running = server.send(get("/api/v1/workflows?status=RUNNING,FAILED")).await.json();
    assert_eq!(listed(&running), [&*ids[4]]);
    let project = first["items"][0]["project_id"].as_str().unwrap();
    for by in [project, "default"] {
        let path = format!("/api/v1/workflows?project_id={by}");
        assert_eq!(listed(&server.send(get(&path)).await.json()).len(), 5);
    }
    let none = server.send(get("/api/v1/workflows?project_id=nope")).await.json();
    assert_eq!(listed(&none).len(), 0);
}

#[tokio::test]
async fn a_workflow_is_shown_whole_and_not_again_until_it_changes() {
    let server = Server::new();
    let id = server.workflow("a").await;
    let path = format!("/api/v1/workflows/{id}");
    server.advance(id, 0, 3, WorkflowStatus::Running).await;
    let answer = server.send(get(&path)).await;
    let etag = answer.header("etag").to_owned();
    let shown = answer.json();
    assert_eq!(shown["status"], "RUNNING");
    assert_eq!(shown["task_counts"]["QUEUED"], 3);
    assert_eq!(shown["created_at"], "1970-01-01T00:00:01.000Z");
    let again = |etag: &str| {
        let mut request = get(&path);
        request.headers_mut().insert("if-none-match", etag.parse().unwrap());
        request
    };
    let same = server.send(again(&etag)).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    server.advance(id, 5, 3, WorkflowStatus::Succeeded).await;
    let changed = server.send(again(&etag)).await.json();
    assert_eq!(changed["status"], "SUCCEEDED");
    assert_eq!(changed["outputs"]["answer"], "42");
    let outputs = server.send(get(&format!("{path}/outputs"))).await.json();
    assert_eq!(outputs, serde_json::json!({"answer": "42", "result": "bye"}));
    let document = server.send(get(&format!("{path}/document"))).await;
    assert_eq!(document.text(), DOCUMENT);
    assert_eq!(document.header("content-type"), "application/yaml");
}

#[tokio::test]
async fn tasks_are_leaves_with_their_attempts_and_found_by_name_or_id() {
    let server = Server::new();
    let id = server.workflow("a").await;
    server.advance(id, 0, 5, WorkflowStatus::Running).await;
    server.admit(id, 7, 2).await;
    let base = format!("/api/v1/workflows/{id}/tasks");
    let first = server.send(get(&format!("{base}?limit=2"))).await.json();
    let nodes = |page: &serde_json::Value| -> Vec<u64> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|one| one["node"].as_u64().unwrap()).collect()
    };
    assert_eq!(nodes(&first), [1, 2]);
    assert_eq!(first["items"][0]["attempts"], serde_json::json!([]));
    assert_eq!(first["items"][1]["attempts"][0]["number"], 1);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = server.send(get(&format!("{base}?cursor={cursor}"))).await.json();
    assert_eq!(nodes(&rest), [3, 4, 5]);
    let all = server.send(get(&format!("{base}?all=true"))).await.json();
    assert_eq!(nodes(&all), [0, 1, 2, 3, 4, 5]);
    server
        .send(get(&format!("{base}?all=true&cursor={cursor}")))
        .await
        .is_problem(400, "bad_cursor");

    let by_name = server.send(get(&format!("{base}/task-2(0:a%2Fb)"))).await.json();
    let by_id = server.send(get(&format!("{base}/{}", id.task(NodeIx(2))))).await.json();
    assert_eq!(by_name, by_id);
    assert_eq!(by_name["parent"], 0);
    for absent in [id.task(NodeIx(6)).to_string(), "task-2".to_owned(), id.to_string()] {
        server.send(get(&format!("{base}/{absent}"))).await.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn pages_of_tasks_are_bounded_in_rows_and_in_bytes() {
    let server = Server::new();
    let id = server.workflow("a").await;
    server.advance(id, 0, 250, WorkflowStatus::Running).await;
    for node in 1..=12 {
        server.give(id, 252, node, 1024 * 1024).await;
    }
    let (mut sizes, mut nodes, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/workflows/{id}/tasks?limit=120{cursor}");
        let page = server.send(get(&path)).await.json();
        let items = page["items"].as_array().unwrap();
        sizes.push(items.len());
        nodes.extend(items.iter().map(|one| one["node"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(sizes, [8, 120, 120, 2]);
    assert_eq!(nodes, (1..=250).collect::<Vec<u64>>());
}

#[tokio::test]
async fn events_come_in_pages_and_the_place_is_checked() {
    let server = Server::new();
    let id = server.workflow("a").await;
    let base = format!("/api/v1/workflows/{id}/events");
    let empty = server.send(get(&base)).await.json();
    assert_eq!(empty, serde_json::json!({"items": [], "next": 0, "end": true}));
    server.advance(id, 0, 3, WorkflowStatus::Running).await;
    let page = server.send(get(&format!("{base}?after=1&limit=3"))).await.json();
    assert_eq!(page["items"][0]["seq"], 2);
    assert_eq!(page["items"][0]["task"], "task-1(0:a/b)");
    assert_eq!((&page["next"], &page["end"]), (&4.into(), &false.into()));
    let page = server.send(get(&format!("{base}?after=4"))).await.json();
    assert_eq!(page["items"][0]["type"], "workflow");
    assert_eq!((&page["next"], &page["end"]), (&5.into(), &true.into()));
    server.send(get(&format!("{base}?after=6"))).await.is_problem(400, "bad_cursor");
}

#[tokio::test]
async fn actions_store_a_wish_and_nudge_the_controller() {
    let server = Server::new();
    let id = server.workflow("a").await;
    let base = format!("/api/v1/workflows/{id}");
    server.store.intents(ShardSet::ALL, 0, 10).await.unwrap();
    let asked = [
        ("pause", "", Command::Pause),
        ("resume", "", Command::Resume { task: None, outputs: Vec::new() }),
        ("stop", "{}", Command::Stop),
        ("terminate", "", Command::Terminate),
        ("cancel", "", Command::Cancel),
    ];
    for (action, body, _) in &asked {
        let answer = server.send(post(&format!("{base}/{action}"), body)).await;
        assert_eq!(answer.status, 202, "{action}: {}", answer.text());
        assert_eq!(answer.json()["status"], "PENDING");
    }
    let intents = server.store.intents(ShardSet::ALL, 0, 10).await.unwrap();
    let stored: Vec<_> = intents.into_iter().filter_map(|one| one.command).collect();
    assert_eq!(stored, asked.map(|(_, _, command)| command));
    assert_eq!(server.nudged.lock().unwrap().len(), 5);

    let refused = server.send(post(&format!("{base}/retry"), "")).await;
    refused.is_problem(409, "refused");
    for (action, body) in
        [("cancel", r#"{"x":1}"#), ("resume", r#"{"outputs":{"a":"b"}}"#), ("pause", "[]")]
    {
        let answer = server.send(post(&format!("{base}/{action}"), body)).await;
        answer.is_problem(400, "invalid_request");
    }
    server.advance(id, 0, 1, WorkflowStatus::Failed).await;
    for action in ["cancel", "pause", "resume", "stop", "terminate"] {
        let answer = server.send(post(&format!("{base}/{action}"), "")).await;
        answer.is_problem(409, "refused");
    }
    let answer = server.send(request(Method::DELETE, &base, None, "")).await;
    answer.is_problem(409, "refused");
    let retried = server.send(post(&format!("{base}/retry"), "")).await;
    assert_eq!(retried.status, 202);
}

/// A wish that nothing would come of is refused, not stored.
#[tokio::test]
async fn only_a_waiting_suspension_is_resumed_by_name_with_outputs_it_has() {
    let server = Server::new();
    let id = server.workflow_of(SUSPENSION).await;
    let path = format!("/api/v1/workflows/{id}/resume");
    let resume = async |body: &str| server.send(post(&path, body)).await;
    let there = r#"{"task":"wait","outputs":{"n":1,"s":"x"}}"#;
    resume(there).await.is_problem(404, "not_found");
    server.suspend(id, TaskStatus::Pending).await;
    let early = resume(there).await.is_problem(409, "refused");
    assert_eq!(early["detail"], "the task `wait` is not suspended: it is PENDING");
    server.suspend(id, TaskStatus::Running).await;
    server.store.intents(ShardSet::ALL, 0, 10).await.unwrap();
    resume(r#"{"task":"nope"}"#).await.is_problem(404, "not_found");
    resume(r#"{"task":"task-1(0:a/b)"}"#).await.is_problem(409, "refused");
    let strange = resume(r#"{"task":"wait","outputs":{"m":1}}"#).await;
    let strange = strange.is_problem(400, "invalid_request");
    assert_eq!(strange["errors"][0]["pointer"], "/outputs/m");
    assert_eq!(strange["detail"], "unknown output `m`; known: n, s, d");
    let choice = resume(r#"{"task":"wait","outputs":{"n":3,"s":"x"}}"#).await;
    let choice = choice.is_problem(400, "invalid_request");
    assert_eq!(choice["detail"], "`3` is not one of 1, 2 of `n`");
    for lacking in [r#"{"task":"wait"}"#, r#"{"task":"wait","outputs":{"n":1}}"#, "{}", ""] {
        let detail = resume(lacking).await.is_problem(409, "refused")["detail"].to_string();
        assert!(detail.contains("the suspension `wait` needs a value for "), "{detail}");
    }
    let nudges = server.nudged.lock().unwrap().len();
    assert_eq!(resume(there).await.status, 202);
    let by_id = format!(r#"{{"task":"{}","outputs":{{"n":"2","s":"x"}}}}"#, id.task(NodeIx(2)));
    assert_eq!(resume(&by_id).await.status, 202);
    assert_eq!(server.nudged.lock().unwrap().len(), nudges + 2);
    let commands = server
        .store
        .intents(ShardSet::ALL, 0, 10)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|i| i.command);
    let task = Some("wait".to_owned());
    let outputs = |n: &str| vec![("n".to_owned(), n.to_owned()), ("s".to_owned(), "x".to_owned())];
    assert_eq!(
        commands.collect::<Vec<_>>(),
        [
            Command::Resume { task: task.clone(), outputs: outputs("1") },
            Command::Resume { task, outputs: outputs("2") }
        ]
    );
    server.suspend(id, TaskStatus::Succeeded).await;
    resume(there).await.is_problem(409, "refused");
}

const SUSPENSION: &str = "version: '1.0'
entrypoint: wait
templates:
  wait:
    suspend: {}
    inputs:
      parameters: [{name: n, default: \"2\", enum: [\"1\", \"2\"]}]
    outputs:
      parameters:
      - {name: n, valueFrom: {supplied: {}}}
      - {name: s, valueFrom: {supplied: {}}}
      - {name: d, valueFrom: {supplied: {}, default: none}}
";

#[tokio::test]
async fn projects_are_created_once() {
    let server = Server::new();
    let made = server.send(post("/api/v1/projects", r#"{"name":"alpha"}"#)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/projects/{id}"));
    for path in [&*id, "alpha"] {
        let shown = server.send(get(&format!("/api/v1/projects/{path}"))).await.json();
        assert_eq!(shown["name"], "alpha");
    }
    server.send(post("/api/v1/projects", r#"{"name":"alpha"}"#)).await.is_problem(409, "conflict");
    for bad in
        [r#"{"name":"A"}"#, r#"{"name":"-a"}"#, r#"{"name":""}"#, "{}", r#"{"name":"b","id":"x"}"#]
    {
        server.send(post("/api/v1/projects", bad)).await.is_problem(400, "invalid_request");
    }
    let all = server.send(get("/api/v1/projects")).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    server.send(get("/api/v1/projects/nope")).await.is_problem(404, "not_found");
}
