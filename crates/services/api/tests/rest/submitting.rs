//! Submitting: documents through the compiler into the database, once.

use axum::http::Method;
use flowforge_model::status::WorkflowStatus;
use serde_json::json;

use crate::server::{Answer, Server, get, post, request};

const GOOD: &str = r#"{"version": "1.0", "entrypoint": "main", "arguments": {"parameters": [{"name": "city", "value": "Oslo"}]}, "templates": {"main": {"container": {"image": "busybox", "command": ["echo", "{{workflow.parameters.city}}"]}}}}"#;
const YAML: &str = "version: \"1.0\"\nentrypoint: main\ntemplates:\n  main:\n    container: {image: busybox, command: [echo]}\n";

async fn submit(server: &Server, body: &str, key: Option<&str>) -> Answer {
    let mut request = post("/api/v1/workflows", body);
    if let Some(key) = key {
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    }
    server.send(request).await
}

#[tokio::test]
async fn a_document_is_accepted_as_object_as_text_and_bare() {
    let server = Server::new();
    let bodies = [
        ("application/json", format!(r#"{{"name":"mine","dag_spec":{GOOD}}}"#)),
        ("application/json", json!({"dag_spec": YAML, "name": "mine"}).to_string()),
        ("application/json; charset=UTF-8", GOOD.to_owned()),
        ("application/yaml", YAML.to_owned()),
        ("text/yaml", YAML.to_owned()),
    ];
    for (kind, body) in &bodies {
        let answer =
            server.send(request(Method::POST, "/api/v1/workflows", Some(kind), body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let made = answer.json();
        let location = answer.header("location");
        assert_eq!(location, format!("/api/v1/workflows/{}", made["id"].as_str().unwrap()));
        assert_eq!(server.send(get(location)).await.json()["id"], made["id"]);
        let report = server.send(request(Method::POST, "/api/v1/lint", Some(kind), body)).await;
        assert_eq!(report.json()["ok"], true, "{}", report.text());
    }
    let nudged = server.nudged.lock().unwrap();
    assert_eq!(nudged.len(), bodies.len(), "lint nudges nobody");
    assert!(nudged.iter().all(|(_, planned)| *planned));
}

#[tokio::test]
async fn what_goes_with_the_document_is_kept() {
    let server = Server::new();
    server.send(post("/api/v1/projects", r#"{"name":"alpha"}"#)).await;
    let body = format!(
        r#"{{"project_id":"alpha","name":"mine","description":"d","dag_spec":{GOOD},"parameters":{{"city":7.50}},"labels":{{"a":"b"}},"priority":-3}}"#
    );
    let made = submit(&server, &body, None).await.json();
    let shown = server
        .send(get(&format!("/api/v1/workflows/{}", made["id"].as_str().unwrap())))
        .await
        .json();
    assert_eq!(made, shown);
    assert_eq!(shown["parameters"], json!({"city": "7.50"}));
    assert_eq!(shown["labels"], json!({"a": "b"}));
    assert_eq!((&shown["priority"], &shown["description"]), (&json!(-3), &json!("d")));
    let project = server.send(get("/api/v1/projects/alpha")).await.json();
    assert_eq!(shown["project_id"], project["id"]);
    let body = format!(r#"{{"project_id":"nope","dag_spec":{GOOD}}}"#);
    let problem = submit(&server, &body, None).await.is_problem(422, "invalid_workflow");
    assert_eq!(problem["errors"][0]["pointer"], "/project_id");
}

#[tokio::test]
async fn all_errors_come_at_once_with_their_places_in_the_body() {
    let server = Server::new();
    let body = "{\n  \"name\": \"a\\nb\",\n  \"dag_spec\": {\"version\": \"1.0\", \"entrypoint\": \"nope\",\n    \"templates\": {\"main\": {\"dag\": {\"tasks\": [{\"name\": \"x\", \"template\": \"gone\"}]}}}}}";
    let problem = submit(&server, body, None).await.is_problem(422, "invalid_workflow");
    let errors = problem["errors"].as_array().unwrap();
    let pointers: Vec<&str> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert!(pointers.contains(&"/name"), "{pointers:?}");
    let at = |pointer: &str| {
        errors.iter().find(|e| e["pointer"] == pointer).unwrap_or_else(|| panic!("{problem:#}"))
    };
    let entrypoint = at("/dag_spec/entrypoint");
    assert_eq!((&entrypoint["line"], &entrypoint["column"]), (&json!(3), &json!(48)));
    let template = at("/dag_spec/templates/main/dag/tasks/0/template");
    assert_eq!(template["line"], 4);
    let list = server.send(get("/api/v1/workflows")).await.json();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_repeated_request_is_done_once() {
    let server = Server::new();
    let first = submit(&server, GOOD, Some("k1")).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let again = submit(&server, GOOD, Some("k1")).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json()["id"], first.json()["id"]);
    let other = format!("{GOOD} ");
    submit(&server, &other, Some("k1")).await.is_problem(422, "idempotency_key_reused");
    assert_eq!(submit(&server, GOOD, Some("k2")).await.status, 201);
    assert_eq!(server.nudged.lock().unwrap().len(), 2);
    let list = server.send(get("/api/v1/workflows")).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_resubmission_repeats_the_document_with_other_values() {
    let server = Server::new();
    let body = format!(
        r#"{{"name":"mine","dag_spec":{GOOD},"parameters":{{"city":"Bergen"}},"labels":{{"a":"b"}}}}"#
    );
    let first = submit(&server, &body, None).await.json();
    let id = first["id"].as_str().unwrap();
    server.advance(id.parse().unwrap(), 0, 1, WorkflowStatus::Failed).await;
    let path = format!("/api/v1/workflows/{id}/resubmit");
    let same = server.send(post(&path, "")).await;
    assert_eq!(same.status, 201, "{}", same.text());
    let same = same.json();
    assert_eq!(same["resubmitted_from"], *id);
    assert_eq!(same["parameters"], json!({"city": "Bergen"}));
    assert_eq!((&same["name"], &same["labels"]), (&json!("mine"), &json!({"a": "b"})));
    let other = server
        .send(post(
            &path,
            r#"{"name":"other","parameters":{"city":"Voss"},"labels":{"c":"d"},"priority":7}"#,
        ))
        .await
        .json();
    assert_eq!(other["parameters"], json!({"city": "Voss"}));
    assert_eq!(other["labels"], json!({"a": "b", "c": "d"}));
    assert_eq!((&other["name"], &other["priority"]), (&json!("other"), &json!(7)));
    server.send(post(&path, r#"{"document":"x"}"#)).await.is_problem(400, "invalid_request");
}
