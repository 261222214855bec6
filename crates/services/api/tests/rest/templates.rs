//! Stored templates: reading, comparing, deleting.

use axum::http::Method;
use flowforge_model::id::EntityId;
use flowforge_model::time::Timestamp;
use flowforge_ports::templates::{NewTemplate, TemplateId, TemplateKind, Templates as _};
use serde_json::json;

use crate::server::{Server, get, post, request};

impl Server {
    async fn put(&self, kind: TemplateKind, name: &str, document: &str) {
        let new = NewTemplate {
            id: TemplateId::new(kind, EntityId::DEFAULT_PROJECT, name),
            document: document.to_owned(),
            labels: vec![("team".to_owned(), name.to_owned())],
            by: "ada".to_owned(),
            at: Timestamp(5000),
        };
        self.store.put(vec![new]).await.unwrap();
    }
}

#[tokio::test]
async fn a_template_is_shown_in_each_of_its_versions() {
    let server = Server::new();
    server.put(TemplateKind::WorkflowTemplate, "a", "one").await;
    server.put(TemplateKind::WorkflowTemplate, "a", "two").await;
    let shown = server.send(get("/api/v1/templates/workflowtemplate/a")).await.json();
    let project = server.send(get("/api/v1/projects/default")).await.json();
    assert_eq!(
        shown,
        json!({
            "kind": "WorkflowTemplate", "name": "a", "project_id": project["id"], "version": 2,
            "labels": {"team": "a"}, "created_at": "1970-01-01T00:00:05.000Z",
            "created_by": "ada", "document": "two",
        })
    );
    let first = server.send(get("/api/v1/templates/workflowtemplate/a?version=1")).await.json();
    assert_eq!((&first["document"], &first["version"]), (&json!("one"), &json!(1)));
    for (path, detail) in [
        ("workflowtemplate/a?version=3", "there is no WorkflowTemplate `a` in version 3"),
        ("workflowtemplate/b", "there is no WorkflowTemplate `b`"),
        ("configmap/a/versions", "there is no ConfigMap `a`"),
        ("clusterworkflowtemplate/a/diff", "there is no ClusterWorkflowTemplate `a`"),
    ] {
        let answer = server.send(get(&format!("/api/v1/templates/{path}"))).await;
        assert_eq!(answer.is_problem(404, "not_found")["detail"], detail);
    }
    let answer = server.send(get("/api/v1/templates/WorkflowTemplate/a")).await;
    let problem = answer.is_problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("known: clusterworkflowtemplate"));
    for bad in ["version=0x1", "version=-1", "project_id=nope"] {
        let answer = server.send(get(&format!("/api/v1/templates/workflowtemplate/a?{bad}")));
        answer.await.is_problem(400, "bad_parameter");
    }
}

#[tokio::test]
async fn templates_are_listed_in_pages_and_filtered() {
    let server = Server::new();
    server.send(post("/api/v1/projects", r#"{"name":"alpha"}"#)).await;
    for name in ["b", "a", "ab"] {
        server.put(TemplateKind::WorkflowTemplate, name, "one").await;
    }
    server.put(TemplateKind::ConfigMap, "c", "values").await;
    server.put(TemplateKind::ClusterWorkflowTemplate, "d", "shared").await;
    let list = async |query: &str| {
        let mut names = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/templates?limit=2&{query}{cursor}");
            let page = server.send(get(&path)).await.json();
            for item in page["items"].as_array().unwrap() {
                assert!(item["document"].is_null());
                names.push(item["name"].as_str().unwrap().to_owned());
            }
            let Some(next) = page["next_cursor"].as_str() else {
                return names.join(" ");
            };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(list("").await, "d c a ab b");
    assert_eq!(list("kind=workflowtemplate").await, "a ab b");
    assert_eq!(list("kind=configmap,clusterworkflowtemplate").await, "d c");
    assert_eq!(list("name=a").await, "a ab");
    assert_eq!(list("label=team%3Dab").await, "ab");
    assert_eq!(list("project_id=alpha").await, "d");
    server.send(get("/api/v1/templates?kind=pod")).await.is_problem(400, "bad_parameter");
    let page = server.send(get("/api/v1/templates?limit=1")).await.json();
    let stolen =
        format!("/api/v1/templates?name=a&cursor={}", page["next_cursor"].as_str().unwrap());
    server.send(get(&stolen)).await.is_problem(400, "bad_cursor");
}

#[tokio::test]
async fn versions_are_listed_newest_first_and_compared() {
    let server = Server::new();
    for text in ["a: 1\nb: 2\n", "a: 1\nb: 3\n", "a: 1\nb: 3\nc: 4"] {
        server.put(TemplateKind::ConfigMap, "c", text).await;
    }
    let path = "/api/v1/templates/configmap/c";
    let page = server.send(get(&format!("{path}/versions?limit=2"))).await.json();
    let numbers = |page: &serde_json::Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["version"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&page), [3, 2]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = server.send(get(&format!("{path}/versions?limit=2&cursor={cursor}"))).await.json();
    assert_eq!(numbers(&page), [1]);
    let diff = async |query: &str| {
        let answer = server.send(get(&format!("{path}/diff?{query}"))).await;
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        answer.text().to_owned()
    };
    assert_eq!(
        diff("").await,
        "--- ConfigMap/c version 2\n+++ ConfigMap/c version 3\n@@ -1,2 +1,3 @@\n a: 1\n b: 3\n+c: 4\n\\ No newline at end of file\n"
    );
    assert_eq!(
        diff("from=1&to=2").await,
        "--- ConfigMap/c version 1\n+++ ConfigMap/c version 2\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
    );
    assert!(
        diff("to=1").await.starts_with("--- ConfigMap/c version 0\n+++ ConfigMap/c version 1\n")
    );
    assert_eq!(diff("from=2&to=2").await, "");
    server.send(get(&format!("{path}/diff?from=9"))).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_comparison_of_large_strange_documents_is_bearable() {
    let server = Server::new();
    let lines = |seed: u64| {
        let mut text = String::new();
        let mut state = seed;
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(&format!("{}\n", state >> 40));
        }
        text
    };
    server.put(TemplateKind::ConfigMap, "c", &lines(1)).await;
    server.put(TemplateKind::ConfigMap, "c", &lines(2)).await;
    let answer = server.send(get("/api/v1/templates/configmap/c/diff")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 500_000);
}

#[tokio::test]
async fn a_deleted_template_is_gone() {
    let server = Server::new();
    server.put(TemplateKind::WorkflowTemplate, "a", "one").await;
    let path = "/api/v1/templates/workflowtemplate/a";
    let answer = server.send(request(Method::DELETE, path, None, "")).await;
    assert_eq!(answer.status, 204);
    assert!(answer.body.is_empty());
    server.send(get(path)).await.is_problem(404, "not_found");
    server.send(request(Method::DELETE, path, None, "")).await.is_problem(404, "not_found");
}
