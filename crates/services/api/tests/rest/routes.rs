//! What holds for every route, taken from the description of all of them.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use flowforge_svc_api::openapi_document;
use serde_json::Value;

use crate::server::{Server, TOKEN, get, request};

/// All routes as `(method, path)`.
fn operations() -> Vec<(Method, String, Value)> {
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            all.push((method, path.clone(), operation.clone()));
        }
    }
    all
}

/// Wants the token.
fn closed(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

fn filled(path: &str) -> String {
    path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
        .replace("{task}", "a.b")
        .replace("{kind}", "configmap")
        .replace("{name}", "absent")
        .replace("{cache}", "absent")
        .replace("{code}", "not_found")
}

const ROUTES: &str = "DELETE /api/v1/departments/{id}
DELETE /api/v1/groups/{id}
DELETE /api/v1/memos/{cache}
DELETE /api/v1/projects/{id}
DELETE /api/v1/quotas/{id}
DELETE /api/v1/schedules/{name}
DELETE /api/v1/templates/{kind}/{name}
DELETE /api/v1/tenants/{id}
DELETE /api/v1/workflows/{id}
GET /api/v1/dead-letters
GET /api/v1/dead-letters/{id}
GET /api/v1/departments
GET /api/v1/departments/{id}
GET /api/v1/departments/{id}/quota
GET /api/v1/departments/{id}/usage
GET /api/v1/departments/{id}/usage/history
GET /api/v1/groups
GET /api/v1/groups/{id}
GET /api/v1/groups/{id}/quota
GET /api/v1/groups/{id}/usage
GET /api/v1/groups/{id}/usage/history
GET /api/v1/locks
GET /api/v1/memos
GET /api/v1/memos/{cache}
GET /api/v1/projects
GET /api/v1/projects/{id}
GET /api/v1/projects/{id}/quota
GET /api/v1/projects/{id}/usage
GET /api/v1/projects/{id}/usage/history
GET /api/v1/quotas
GET /api/v1/quotas/{id}
GET /api/v1/schedules
GET /api/v1/schedules/{name}
GET /api/v1/schedules/{name}/document
GET /api/v1/servers
GET /api/v1/tasks/{id}/why
GET /api/v1/templates
GET /api/v1/templates/{kind}/{name}
GET /api/v1/templates/{kind}/{name}/diff
GET /api/v1/templates/{kind}/{name}/versions
GET /api/v1/tenants
GET /api/v1/tenants/{id}
GET /api/v1/tenants/{id}/quota
GET /api/v1/tenants/{id}/usage
GET /api/v1/tenants/{id}/usage/history
GET /api/v1/usage
GET /api/v1/usage/history
GET /api/v1/workflows
GET /api/v1/workflows/{id}
GET /api/v1/workflows/{id}/document
GET /api/v1/workflows/{id}/events
GET /api/v1/workflows/{id}/logs
GET /api/v1/workflows/{id}/outputs
GET /api/v1/workflows/{id}/tasks
GET /api/v1/workflows/{id}/tasks/{task}
GET /api/v1/workflows/{id}/tasks/{task}/artifacts/{name}
GET /api/v1/workflows/{id}/tasks/{task}/why
GET /api/v1/workflows/{id}/why
GET /docs
GET /docs/page.css
GET /docs/page.js
GET /health
GET /livez
GET /metrics
GET /openapi.json
GET /problems/{code}
GET /readyz
GET /version
PATCH /api/v1/departments/{id}
PATCH /api/v1/groups/{id}
PATCH /api/v1/projects/{id}
PATCH /api/v1/quotas/{id}
PATCH /api/v1/tenants/{id}
POST /api/v1/dead-letters/{id}/redrive
POST /api/v1/departments
POST /api/v1/groups
POST /api/v1/lint
POST /api/v1/projects
POST /api/v1/quotas
POST /api/v1/schedules
POST /api/v1/simulate
POST /api/v1/templates
POST /api/v1/tenants
POST /api/v1/workflows
POST /api/v1/workflows/{id}/cancel
POST /api/v1/workflows/{id}/pause
POST /api/v1/workflows/{id}/resubmit
POST /api/v1/workflows/{id}/resume
POST /api/v1/workflows/{id}/retry
POST /api/v1/workflows/{id}/stop
POST /api/v1/workflows/{id}/terminate
PUT /api/v1/departments/{id}/quota
PUT /api/v1/groups/{id}/quota
PUT /api/v1/projects/{id}/quota
PUT /api/v1/schedules/{name}/resume
PUT /api/v1/schedules/{name}/suspend
PUT /api/v1/tenants/{id}/quota";

#[test]
fn the_description_has_every_route() {
    let mut routes: Vec<String> =
        operations().iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    routes.sort();
    assert_eq!(routes.join("\n"), ROUTES);
}

#[test]
fn the_description_is_sound() {
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    assert!(document["components"]["schemas"]["Problem"].is_object());
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "dangling {pointer}");
    }
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations() {
        let name = operation["operationId"].as_str().unwrap().to_owned();
        assert!(names.insert(name), "{method} {path}: {operation}");
        assert!(operation["summary"].is_string(), "{method} {path}");
        assert!(operation["responses"]["default"].is_object(), "{method} {path}");
        let open = operation["security"] == serde_json::json!([{}]);
        assert_eq!(open, !closed(&path), "{method} {path}: {operation}");
        let named = path.matches('{').count();
        let params = operation["parameters"]
            .as_array()
            .map_or(0, |all| all.iter().filter(|one| one["in"] == "path").count());
        assert_eq!(named, params, "{method} {path}");
    }
}

#[tokio::test]
async fn every_route_of_the_api_wants_the_token() {
    let server = Server::new();
    for (method, path, _) in operations() {
        for authorization in [None, Some("Bearer wrong"), Some("Basic dGhlLXRva2Vu"), Some("")] {
            let mut builder = Request::builder().method(method.clone()).uri(filled(&path));
            if let Some(value) = authorization {
                builder = builder.header("authorization", value);
            }
            let answer = server.send(builder.body(Body::empty()).unwrap()).await;
            if closed(&path) {
                answer.is_problem(401, "unauthorized");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            } else {
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
            }
        }
    }
    assert!(server.nudged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_absent_workflow_is_not_found_on_every_route() {
    let server = Server::new();
    for (method, path, _) in operations() {
        if path.contains("/workflows/{id}") {
            let answer = server.send(request(method, &filled(&path), None, "")).await;
            answer.is_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn query_parameters_are_those_of_the_description() {
    let server = Server::new();
    for (method, path, operation) in operations() {
        if !path.starts_with("/api/") {
            continue;
        }
        let uri = format!("{}?nope=1", filled(&path));
        let answer = server.send(request(method.clone(), &uri, None, "")).await;
        let problem = answer.is_problem(400, "bad_parameter");
        assert_eq!(problem["errors"][0]["pointer"], "?nope");
        let detail = problem["detail"].as_str().unwrap();
        let (_, known) = detail.split_once("known: ").unwrap();
        let mut known: Vec<&str> = known.split(", ").filter(|name| *name != "none").collect();
        let mut described: Vec<&str> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["in"] == "query")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        known.sort_unstable();
        described.sort_unstable();
        assert_eq!(known, described, "{method} {path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let server = Server::new();
    for path in [
        "/nope",
        "/api/v1/nope",
        "//api/v1/workflows",
        "/api//v1/workflows",
        "/api/v1/workflows/",
        "/API/v1/workflows",
        "/api/v1/%77orkflows",
        "/api/v1/../v1/workflows",
        "/api/v1/workflows/%2e%2e",
        "/problems/nope",
    ] {
        server.send(get(path)).await.is_problem(404, "not_found");
    }
    let answer = server.send(request(Method::PUT, "/api/v1/workflows", None, "")).await;
    answer.is_problem(405, "method_not_allowed");
    assert!(answer.header("allow").contains("POST"), "{:?}", answer.headers);
    let answer = server.send(request(Method::OPTIONS, "/api/v1/workflows", None, "")).await;
    answer.is_problem(405, "method_not_allowed");
}

#[tokio::test]
async fn every_answer_has_the_common_headers_and_no_other_origin_is_let_in() {
    let server = Server::new();
    for path in ["/health", "/nope", "/api/v1/workflows", "/docs"] {
        let mut request = get(path);
        request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        let answer = server.send(request).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-request-id"), "mine-1");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    for bad in ["", "a b", &"x".repeat(65), "é"] {
        let mut request = get("/health");
        let value = axum::http::HeaderValue::from_bytes(bad.as_bytes()).unwrap();
        request.headers_mut().insert("x-request-id", value);
        let answer = server.send(request).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{bad}");
    }
}

#[tokio::test]
async fn every_kind_of_problem_has_a_text() {
    let server = Server::new();
    let document: Value = serde_json::from_str(&openapi_document()).unwrap();
    let text = document["components"]["responses"]["Problem"]["description"].as_str().unwrap();
    let codes: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    assert!(codes.len() > 15);
    for code in codes {
        let answer = server.send(get(&format!("/problems/{code}"))).await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains(code), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_page_of_the_description_runs_nothing_from_elsewhere() {
    let server = Server::new();
    let page = server.send(get("/docs")).await;
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(!page.text().contains("://"), "no foreign address");
    assert!(!page.text().contains("style="));
    assert!(!TOKEN.is_empty() && !page.text().contains(TOKEN));
}

#[tokio::test]
async fn a_server_that_goes_down_is_alive_but_not_ready() {
    let server = Server::new();
    assert_eq!(server.send(get("/readyz")).await.status, 200);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    flowforge_svc_api::serve(listener, server.api.clone(), async {}).await.unwrap();
    assert_eq!(server.send(get("/readyz")).await.status, 503);
    assert_eq!(server.send(get("/livez")).await.status, 200);
}
