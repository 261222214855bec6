//! Tenants, departments, groups, projects and quotas.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::server::{Answer, Server, get, post, request};

const JSON: Option<&str> = Some("application/json");

fn patch(path: &str, body: &str) -> Request<Body> {
    request(Method::PATCH, path, JSON, body)
}

fn put(path: &str, body: &str) -> Request<Body> {
    request(Method::PUT, path, JSON, body)
}

fn delete(path: &str) -> Request<Body> {
    request(Method::DELETE, path, None, "")
}

fn matching(mut request: Request<Body>, etag: &str) -> Request<Body> {
    request.headers_mut().insert("if-match", etag.parse().unwrap());
    request
}

async fn create(server: &Server, kind: &str, body: Value) -> Value {
    let made = server.send(post(&format!("/api/v1/{kind}"), &body.to_string())).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("etag"), "\"1\"");
    made.json()
}

/// `acme/research/genomics/etl` with 8, 4, 2 and 1 cores.
async fn acme(server: &Server) {
    create(server, "tenants", json!({"name": "acme"})).await;
    create(server, "departments", json!({"name": "research", "parent_id": "acme"})).await;
    create(server, "groups", json!({"name": "genomics", "parent_id": "acme/research"})).await;
    create(server, "projects", json!({"name": "etl", "parent_id": "acme/research/genomics"})).await;
    for (path, cores) in [
        ("tenants/acme", 8),
        ("departments/research", 4),
        ("groups/genomics", 2),
        ("projects/etl", 1),
    ] {
        let body = json!({"cpu_limit": cores * 1000}).to_string();
        let set = server.send(put(&format!("/api/v1/{path}/quota"), &body)).await;
        assert_eq!(set.status, 200, "{}", set.text());
    }
}

fn names(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().unwrap().clone();
    items.iter().map(|one| one["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn entities_are_created_shown_listed_and_found_by_path() {
    let server = Server::new();
    acme(&server).await;
    let etl = server.send(get("/api/v1/projects/acme%2Fresearch%2Fgenomics%2Fetl")).await.json();
    assert_eq!(etl["path"], "acme/research/genomics/etl");
    assert_eq!((&etl["level"], &etl["status"]), (&json!("project"), &json!("ACTIVE")));
    let group = server.send(get("/api/v1/groups/genomics")).await.json();
    assert_eq!(etl["parent_id"], group["id"]);
    let tenant = server.send(get("/api/v1/tenants/acme")).await.json();
    assert_eq!((&etl["tenant_id"], &tenant["parent_id"]), (&tenant["id"], &Value::Null));
    let id = etl["id"].as_str().unwrap();
    assert_eq!(server.send(get(&format!("/api/v1/projects/{id}"))).await.json(), etl);
    // An id of another level is not there.
    server.send(get(&format!("/api/v1/groups/{id}"))).await.is_problem(404, "not_found");
    let list = |query: &str| {
        let request = get(&format!("/api/v1/{query}"));
        async { names(&server.send(request).await) }
    };
    assert_eq!(list("tenants").await, ["default", "acme"]);
    assert_eq!(list("projects").await, ["default/default", "acme/research/genomics/etl"]);
    assert_eq!(list("projects?tenant_id=default").await, ["default/default"]);
    assert_eq!(list("groups?parent_id=acme/research").await, ["acme/research/genomics"]);
    assert!(list("departments?parent_id=acme/research").await.is_empty());
    assert_eq!(list("tenants?name=a").await, ["acme"]);
    server.send(get("/api/v1/groups?parent_id=nope")).await.is_problem(400, "bad_parameter");
    let first = server.send(get("/api/v1/tenants?limit=1")).await;
    assert_eq!(names(&first), ["default"]);
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = server.send(get(&format!("/api/v1/tenants?limit=1&cursor={cursor}"))).await;
    assert_eq!(names(&second), ["acme"]);
    assert_eq!(second.json()["next_cursor"], Value::Null);
    server
        .send(get(&format!("/api/v1/groups?cursor={cursor}")))
        .await
        .is_problem(400, "bad_cursor");
}

#[tokio::test]
async fn a_quota_is_put_in_parts_and_never_above_an_ancestor() {
    let server = Server::new();
    acme(&server).await;
    let none = server.send(get("/api/v1/tenants/default/quota")).await;
    assert_eq!(none.header("etag"), "\"0\"");
    let none = none.json();
    assert_eq!((&none["id"], &none["cpu_limit"]), (&Value::Null, &Value::Null));
    // The first has what a new one has where nothing is said; after that, what was said.
    let tenant = server.send(get("/api/v1/tenants/acme/quota")).await.json();
    assert_eq!(tenant["cpu_limit"], 8000);
    assert_eq!((&tenant["memory_limit"], &tenant["storage_limit"]), (&json!(8192), &json!(100)));
    let body = r#"{"memory_limit":"6Gi","max_concurrent_pods":null,"priority_weight":7}"#;
    let set = server.send(put("/api/v1/projects/etl/quota", body)).await;
    assert_eq!(set.header("etag"), "\"2\"");
    let set = set.json();
    assert_eq!((&set["cpu_limit"], &set["memory_limit"]), (&json!(1000), &json!(6144)));
    assert_eq!((&set["max_concurrent_pods"], &set["priority_weight"]), (&Value::Null, &json!(7)));
    let above = server.send(put("/api/v1/projects/etl/quota", r#"{"cpu_limit":"2.5"}"#)).await;
    let problem = above.is_problem(422, "limit_above_ancestor");
    let one = &problem["errors"][0];
    assert_eq!(one["pointer"], "/cpu_limit");
    let said = one["detail"].as_str().unwrap();
    assert!(said.contains("acme/research/genomics/etl is 2500 thousandths of a core"), "{said}");
    assert!(said.contains("2000 thousandths of a core of acme/research/genomics"), "{said}");
    // All who would be above are named; on request they are lowered instead.
    let lower = r#"{"cpu_limit":1500}"#;
    let refused = server.send(put("/api/v1/tenants/acme/quota", lower)).await;
    let problem = refused.is_problem(422, "limit_above_ancestor");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    let lowered = server.send(put("/api/v1/tenants/acme/quota?clamp=true", lower)).await.json();
    let clamped = lowered["clamped"].as_array().unwrap();
    let shown: Vec<String> = clamped
        .iter()
        .map(|one| format!("{} {} {} {}", one["path"], one["field"], one["from"], one["to"]))
        .collect();
    assert_eq!(
        shown,
        [
            r#""acme/research" "cpu_limit" 4000 1500"#,
            r#""acme/research/genomics" "cpu_limit" 2000 1500"#
        ]
    );
    let group = server.send(get("/api/v1/groups/genomics/quota")).await.json();
    assert_eq!(group["cpu_limit"], 1500);
    // Where nothing is said, a new one has no more than fits.
    create(&server, "projects", json!({"name": "new", "parent_id": "acme"})).await;
    let set = server.send(put("/api/v1/projects/new/quota", r#"{"gpu_limit":0}"#)).await.json();
    assert_eq!((&set["cpu_limit"], &set["cpu_request"]), (&json!(1500), &json!(2000)));
}

#[tokio::test]
async fn quotas_with_names_are_shared() {
    let server = Server::new();
    acme(&server).await;
    let small = create(
        &server,
        "quotas",
        json!({"name": "small", "tenant_id": "acme", "cpu_limit": "500m", "gpu_limit": 0}),
    )
    .await;
    assert_eq!((&small["cpu_limit"], &small["max_concurrent_workflows"]), (&json!(500), &json!(5)));
    for path in ["/api/v1/projects/etl", "/api/v1/groups/genomics"] {
        let set = server.send(patch(path, r#"{"quota_id":"acme/small"}"#)).await;
        assert_eq!(set.json()["quota_id"], small["id"], "{}", set.text());
    }
    server.send(delete("/api/v1/quotas/small")).await.is_problem(409, "in_use");
    let other = r#"{"quota_id":"acme/small"}"#;
    let foreign = server.send(patch("/api/v1/projects/default", other)).await;
    foreign.is_problem(422, "other_tenant");
    let changed =
        server.send(patch("/api/v1/quotas/small", r#"{"name":"tiny","cpu_limit":1}"#)).await;
    assert_eq!((&changed.json()["name"], &changed.json()["version"]), (&json!("tiny"), &json!(2)));
    let project = server.send(get("/api/v1/projects/etl/quota")).await.json();
    assert_eq!(project["cpu_limit"], 1);
    // Limits for one of them alone leave the others theirs.
    server.send(put("/api/v1/projects/etl/quota", r#"{"cpu_limit":0}"#)).await;
    let group = server.send(get("/api/v1/groups/genomics/quota")).await.json();
    assert_eq!((&group["name"], &group["cpu_limit"]), (&json!("tiny"), &json!(1)));
    server.send(patch("/api/v1/groups/genomics", r#"{"quota_id":null}"#)).await;
    assert_eq!(server.send(delete("/api/v1/quotas/acme%2Ftiny")).await.status, 204);
    server.send(get("/api/v1/quotas/tiny")).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_change_for_an_older_version_is_refused_and_without_one_made() {
    let server = Server::new();
    acme(&server).await;
    let path = "/api/v1/projects/etl/quota";
    let etag = server.send(get(path)).await.header("etag").to_owned();
    let body = r#"{"cpu_limit":5}"#;
    let set = server.send(matching(put(path, body), &etag)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    server.send(matching(put(path, body), &etag)).await.is_problem(412, "precondition_failed");
    assert_eq!(server.send(matching(put(path, body), "*")).await.status, 200);
    assert_eq!(server.send(put(path, r#"{"cpu_limit":6}"#)).await.status, 200);
    for bad in ["1", "W/\"1\"", "\"x\"", "\"1\", \"2\"", "\"-1\""] {
        server.send(matching(put(path, body), bad)).await.is_problem(400, "bad_request");
    }
    let rename = || patch("/api/v1/groups/genomics", r#"{"name":"g"}"#);
    server.send(matching(rename(), "\"9\"")).await.is_problem(412, "precondition_failed");
    server
        .send(matching(delete("/api/v1/projects/etl"), "\"9\""))
        .await
        .is_problem(412, "precondition_failed");
    assert_eq!(server.send(rename()).await.json()["path"], "acme/research/g");
}

#[tokio::test]
async fn what_cannot_stand_there_is_refused() {
    let server = Server::new();
    acme(&server).await;
    create(&server, "departments", json!({"name": "lab", "parent_id": "acme/research"})).await;
    create(&server, "tenants", json!({"name": "globex"})).await;
    for (path, body, status, code) in [
        ("departments/research", r#"{"parent_id":"acme/research/lab"}"#, 422, "cycle"),
        ("departments/research", r#"{"parent_id":"globex"}"#, 422, "other_tenant"),
        ("projects/etl", r#"{"parent_id":"acme/research"}"#, 422, "misplaced"),
        ("tenants/acme", r#"{"parent_id":"globex"}"#, 422, "other_tenant"),
        ("groups/genomics", r#"{"parent_id":"nope"}"#, 422, "unknown_reference"),
        ("groups/genomics", r#"{"quota_id":"nope"}"#, 422, "unknown_reference"),
        ("departments/lab", r#"{"name":"genomics"}"#, 409, "conflict"),
        ("departments/lab", r#"{"name":"-"}"#, 400, "invalid_request"),
        ("departments/lab", r#"{"name":"a/b"}"#, 400, "invalid_request"),
        ("departments/lab", r#"{"nam":"x"}"#, 400, "invalid_request"),
        ("departments/lab", r#"{"name":7}"#, 400, "invalid_request"),
        ("departments/nope", r#"{"name":"x"}"#, 404, "not_found"),
    ] {
        server.send(patch(&format!("/api/v1/{path}"), body)).await.is_problem(status, code);
    }
    let mut parent = "acme/research/lab".to_owned();
    for level in 4..=8 {
        let body = json!({"name": "d", "parent_id": parent});
        create(&server, "departments", body).await;
        parent = format!("{parent}/d");
        assert_eq!(parent.split('/').count(), level);
    }
    let body = json!({"name": "d", "parent_id": parent}).to_string();
    server.send(post("/api/v1/departments", &body)).await.is_problem(422, "too_deep");
    let below_tenant = json!({"name": "x", "parent_id": "acme/research"}).to_string();
    server.send(post("/api/v1/projects", &below_tenant)).await.is_problem(422, "misplaced");
    server.send(post("/api/v1/tenants", &below_tenant)).await.is_problem(422, "misplaced");
}

#[tokio::test]
async fn limits_that_are_none_are_refused_all_at_once() {
    let server = Server::new();
    acme(&server).await;
    let path = "/api/v1/projects/etl/quota";
    let before = server.send(get(path)).await.json();
    for bad in [
        "-1",
        "-0",
        "1.5",
        "1e3",
        "9007199254740993",
        "1152921504606846977",
        "99999999999999999999999",
        "true",
        "[]",
        "{}",
        r#""""#,
        r#""-1""#,
        r#""1.5m""#,
        r#""1E""#,
        r#""1e308""#,
        r#""0.0000001""#,
        r#""NaN""#,
        r#""９""#,
        r#""0x1""#,
        r#""100Ei""#,
    ] {
        let answer = server.send(put(path, &format!(r#"{{"cpu_limit":{bad}}}"#))).await;
        let problem = answer.is_problem(422, "invalid_quota");
        assert_eq!(problem["errors"][0]["pointer"], "/cpu_limit", "{bad}");
        assert_eq!(problem["errors"][0]["column"], 14, "{bad}");
    }
    for bad in ["NaN", "1e400", "Infinity", "0x1", "+1", "01"] {
        let answer = server.send(put(path, &format!(r#"{{"cpu_limit":{bad}}}"#))).await;
        answer.is_problem(400, "malformed_json");
    }
    let body = r#"{"cpu_limit":-1,"priority_weight":0,"storage_limit":"1Mi","gpu_limit":"x"}"#;
    let problem = server.send(put(path, body)).await.is_problem(422, "invalid_quota");
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/cpu_limit", "/priority_weight", "/storage_limit", "/gpu_limit"]);
    server.send(put(path, r#"{"cpus":1}"#)).await.is_problem(400, "invalid_request");
    server.send(put(path, r#"{"name":"x"}"#)).await.is_problem(400, "invalid_request");
    assert_eq!(server.send(get(path)).await.json(), before);
}

#[tokio::test]
async fn a_project_drains_and_a_tenant_with_all_below_it() {
    let server = Server::new();
    acme(&server).await;
    let submit = json!({"project_id": "acme/research/genomics/etl", "dag_spec": DOCUMENT_SPEC});
    let submitted = server.send(post("/api/v1/workflows", &submit.to_string())).await;
    assert_eq!(submitted.status, 201, "{}", submitted.text());
    server.send(delete("/api/v1/projects/etl")).await.is_problem(409, "unfinished_workflows");
    server.send(delete("/api/v1/tenants/acme?drain=true")).await.is_problem(409, "not_empty");
    server.send(delete("/api/v1/tenants/default?cascade=true")).await.is_problem(409, "refused");
    server.send(delete("/api/v1/projects/default?drain=true")).await.is_problem(409, "refused");
    let drains = server.send(delete("/api/v1/tenants/acme?cascade=true")).await;
    assert_eq!(drains.status, 202);
    assert_eq!(drains.json()["status"], "DRAINING");
    let refused = server.send(post("/api/v1/workflows", &submit.to_string())).await;
    let problem = refused.is_problem(409, "refused");
    assert!(problem["detail"].as_str().unwrap().contains("being deleted"), "{problem}");
    let into = json!({"name": "x", "parent_id": "acme"}).to_string();
    server.send(post("/api/v1/departments", &into)).await.is_problem(409, "draining");
    let id: flowforge_model::id::WorkflowId =
        submitted.json()["id"].as_str().unwrap().parse().unwrap();
    server.advance(id, 0, 0, flowforge_model::status::WorkflowStatus::Failed).await;
    assert_eq!(server.send(delete("/api/v1/tenants/acme?cascade=true")).await.status, 204);
    assert_eq!(names(&server.send(get("/api/v1/tenants")).await), ["default"]);
    assert_eq!(names(&server.send(get("/api/v1/projects")).await), ["default/default"]);
    // Its history is there, under its id, and its name is free.
    let project = submitted.json()["project_id"].as_str().unwrap().to_owned();
    let history = server.send(get(&format!("/api/v1/workflows?project_id={project}"))).await.json();
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
    acme(&server).await;
}

#[tokio::test]
async fn projects_of_one_name_are_told_apart() {
    let server = Server::new();
    for tenant in ["acme", "globex"] {
        create(&server, "tenants", json!({"name": tenant})).await;
        create(&server, "projects", json!({"name": "etl", "parent_id": tenant})).await;
        create(&server, "projects", json!({"name": "default", "parent_id": tenant})).await;
    }
    let submit = |project: &str| {
        let body = json!({"project_id": project, "dag_spec": DOCUMENT_SPEC}).to_string();
        post("/api/v1/workflows", &body)
    };
    let problem = server.send(submit("etl")).await.is_problem(422, "invalid_workflow");
    let one = &problem["errors"][0];
    assert_eq!(
        (&one["code"], &one["pointer"]),
        (&json!("ambiguous_project"), &json!("/project_id"))
    );
    let said = one["detail"].as_str().unwrap();
    assert!(said.contains("acme/etl") && said.contains("globex/etl"), "{said}");
    let mine = server.send(submit("acme/etl")).await.json();
    let list = server.send(get("/api/v1/workflows?project_id=globex/etl")).await.json();
    assert!(list["items"].as_array().unwrap().is_empty());
    let list = server.send(get("/api/v1/workflows?project_id=acme/etl")).await.json();
    assert_eq!(list["items"][0]["id"], mine["id"]);
    server.send(get("/api/v1/workflows?project_id=etl")).await.is_problem(400, "bad_parameter");
    // Whoever says `default` means the one there always was.
    let default = server.send(submit("default")).await.json();
    assert_eq!(default["project_id"], "00000000-0000-7000-8000-000000000002");
}

const DOCUMENT_SPEC: &str = "version: \"1.0\"
entrypoint: main
templates:
  main:
    container: {image: busybox, command: [echo]}
";
