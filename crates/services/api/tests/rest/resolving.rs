//! Storing templates, and submitting workflows that refer to them.

use axum::http::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, get, post, request};

const STORED: &str = "# Greets.
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: greet
  labels: {team: data}
spec:
  entrypoint: hello
  arguments:
    parameters: [{name: whom, value: world}]
  templates:
  - name: hello
    inputs:
      parameters:
      - name: whom
        value: nobody
    container: {image: busybox, command: [echo, \"hello {{inputs.parameters.whom}}\"]}
  - name: other
    container: {image: busybox, command: [echo, other]}
";
const OUTER: &str = "apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: outer}
spec:
  templates:
  - name: all
    steps:
    - - name: first
        templateRef: {name: greet, template: hello}
";
const VALUES: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: values
  labels: {workflows.argoproj.io/configmap-type: Parameter}
data: {city: Oslo}
";
const WORKFLOW: &str = "apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: refers-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - name: a
        templateRef: {name: outer, template: all}
";

async fn yaml(server: &Server, path: &str, text: &str) -> Answer {
    server.send(request(Method::POST, path, Some("application/yaml"), text)).await
}

async fn apply(server: &Server, text: &str) -> Value {
    let answer = yaml(server, "/api/v1/templates", text).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn document(server: &Server, made: &Answer) -> String {
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/api/v1/workflows/{}/document", made.json()["id"].as_str().unwrap());
    server.send(get(&path)).await.text().to_owned()
}

#[tokio::test]
async fn documents_are_stored_with_their_text_and_labels_and_keep_their_version_if_unchanged() {
    let server = Server::new();
    let said = apply(&server, &format!("{STORED}---\n{VALUES}")).await;
    let item = |kind: &str, name: &str, version: u32, unchanged: bool| json!({"kind": kind, "name": name, "version": version, "unchanged": unchanged});
    let greet = "WorkflowTemplate";
    let first = [item(greet, "greet", 1, false), item("ConfigMap", "values", 1, false)];
    assert_eq!(said["items"], json!(first));
    let said = apply(&server, &format!("{VALUES}---\n{}", STORED.replace("hello {", "hi {"))).await;
    let second = [item("ConfigMap", "values", 1, true), item(greet, "greet", 2, false)];
    assert_eq!(said["items"], json!(second));
    let shown = server.send(get("/api/v1/templates/workflowtemplate/greet?version=1")).await.json();
    assert_eq!(shown["document"], STORED);
    assert_eq!(
        (&shown["labels"], &shown["created_by"]),
        (&json!({"team": "data"}), &json!("local"))
    );
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}, "data": {"a": "1"}});
    let answer = server.send(post("/api/v1/templates", &body.to_string())).await;
    assert_eq!(answer.json()["items"][0]["name"], "j", "{}", answer.text());
}

#[tokio::test]
async fn all_documents_of_a_text_are_stored_or_none_and_every_fault_has_its_line() {
    let server = Server::new();
    let bad = STORED.replace("container:", "contaner:").replace("name: greet", "name: bad");
    let text = format!("{VALUES}---\n{bad}---\n{WORKFLOW}---\n{VALUES}");
    let problem =
        yaml(&server, "/api/v1/templates", &text).await.is_problem(422, "invalid_workflow");
    let errors = problem["errors"].as_array().unwrap();
    let places: Vec<_> =
        errors.iter().map(|e| (e["code"].as_str().unwrap(), e["line"].as_u64().unwrap())).collect();
    let line = |part: &str| {
        let at = text.lines().position(|line| format!("{line} ").contains(part)).unwrap();
        u64::try_from(at).unwrap() + 1
    };
    assert!(places.contains(&("unknown_field", line("contaner:"))), "{places:?}");
    assert!(places.contains(&("unsupported", line("kind: Workflow "))), "{places:?}");
    assert!(places.iter().any(|(code, _)| *code == "duplicate_document"), "{places:?}");
    let list = server.send(get("/api/v1/templates")).await.json();
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_workflow_is_stored_with_everything_it_refers_to_as_it_was_then() {
    let server = Server::new();
    let problem =
        yaml(&server, "/api/v1/workflows", WORKFLOW).await.is_problem(422, "invalid_workflow");
    let error = &problem["errors"][0];
    assert_eq!((&error["code"], &error["line"]), (&json!("missing_template"), &json!(10)));
    assert!(error["hint"].is_string(), "{error}");
    apply(&server, &format!("{STORED}---\n{OUTER}")).await;
    let first = yaml(&server, "/api/v1/workflows", WORKFLOW).await;
    let text = document(&server, &first).await;
    assert!(text.starts_with(WORKFLOW) && text.contains(STORED) && text.contains(OUTER), "{text}");
    apply(&server, &STORED.replace("hello {", "hi {")).await;
    assert_eq!(document(&server, &first).await, text);
    let second = yaml(&server, "/api/v1/workflows", WORKFLOW).await;
    assert!(document(&server, &second).await.contains("hi {{inputs"));
    // Repeating the first one repeats what it was made of.
    let path = format!("/api/v1/workflows/{}/resubmit", first.json()["id"].as_str().unwrap());
    let again = server.send(post(&path, "")).await;
    assert_eq!(document(&server, &again).await, text);
}

#[tokio::test]
async fn what_comes_with_the_workflow_counts_before_what_is_stored() {
    let server = Server::new();
    apply(&server, &format!("{STORED}---\n{OUTER}")).await;
    let own = STORED.replace("hello {", "own {");
    let made = yaml(&server, "/api/v1/workflows", &format!("{WORKFLOW}---\n{own}")).await;
    let text = document(&server, &made).await;
    assert!(text.contains("own {") && !text.contains("hello {") && text.contains("name: outer"));
}

#[tokio::test]
async fn lint_and_json_documents_resolve_as_well() {
    let server = Server::new();
    apply(&server, STORED).await;
    let spec = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "j"},
        "spec": {"workflowTemplateRef": {"name": "greet"}},
    });
    let body = json!({"dag_spec": spec}).to_string();
    let report = server.send(post("/api/v1/lint", &body)).await.json();
    assert_eq!(report["ok"], true, "{report}");
    let made = server.send(post("/api/v1/workflows", &body)).await;
    let path = format!("/api/v1/workflows/{}/document", made.json()["id"].as_str().unwrap());
    let shown = server.send(get(&path)).await;
    assert_eq!(shown.header("content-type"), "application/yaml");
    let missing = body.replace("greet", "absent");
    let report = server.send(post("/api/v1/lint", &missing)).await.json();
    assert_eq!(
        report["errors"][0]["pointer"], "/dag_spec/spec/workflowTemplateRef/name",
        "{report}"
    );
}

#[tokio::test]
async fn values_of_a_stored_config_map_are_found() {
    let server = Server::new();
    apply(&server, VALUES).await;
    let text = "apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec:
  entrypoint: main
  arguments:
    parameters:
    - name: city
      valueFrom: {configMapKeyRef: {name: values, key: city}}
  templates:
  - name: main
    container: {image: busybox, command: [echo, \"{{workflow.parameters.city}}\"]}
";
    let made = yaml(&server, "/api/v1/workflows", text).await;
    assert!(document(&server, &made).await.ends_with(VALUES));
    let absent = text.replace("name: values", "name: other");
    let problem =
        yaml(&server, "/api/v1/workflows", &absent).await.is_problem(422, "invalid_workflow");
    assert_eq!(problem["errors"][0]["line"], 9, "{problem}");
}

#[tokio::test]
async fn a_workflow_is_made_of_a_stored_template() {
    let server = Server::new();
    apply(&server, STORED).await;
    apply(&server, &STORED.replace("hello {", "hi {")).await;
    let submit =
        async |body: Value| server.send(post("/api/v1/workflows", &body.to_string())).await;
    let of = |extra: Value| {
        let mut body = json!({"template": {"kind": "WorkflowTemplate", "name": "greet"}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let made = submit(of(json!({"parameters": {"whom": "you"}, "labels": {"a": "b"}}))).await;
    let text = document(&server, &made).await;
    assert!(text.contains("workflowTemplateRef") && text.contains("hi {"), "{text}");
    let made = made.json();
    assert!(made["name"].as_str().unwrap().starts_with("greet-"), "{made}");
    assert_eq!(made["parameters"], json!({"whom": "you"}));
    let old = submit(json!({"template": {"kind": "workflowtemplate", "name": "greet", "version": 1}, "name": "mine"})).await;
    assert!(document(&server, &old).await.contains("hello {"));
    assert_eq!(old.json()["name"], "mine");
    let other = submit(of(json!({"entrypoint": "other"}))).await;
    assert!(document(&server, &other).await.contains("entrypoint: \"other\""));
    let nudged = server.nudged.lock().unwrap();
    assert!(nudged.len() == 3 && nudged.iter().all(|(_, planned)| *planned));
}

#[tokio::test]
async fn what_is_wrong_with_a_submission_from_a_template_is_said() {
    let server = Server::new();
    apply(&server, STORED).await;
    let greet = json!({"kind": "WorkflowTemplate", "name": "greet"});
    for (body, status, pointer) in [
        (json!({"template": {"kind": "WorkflowTemplate", "name": "nope"}}), 422, "/template/name"),
        (
            json!({"template": {"kind": "ClusterWorkflowTemplate", "name": "greet"}}),
            422,
            "/template/name",
        ),
        (
            json!({"template": {"kind": "WorkflowTemplate", "name": "greet", "version": 9}}),
            422,
            "/template/name",
        ),
        (json!({"template": {"kind": "ConfigMap", "name": "greet"}}), 400, "/template/kind"),
        (json!({"template": "greet"}), 400, "/template"),
        (json!({"template": greet, "dag_spec": "x"}), 400, "/template"),
        (json!({"dag_spec": "x", "entrypoint": "y"}), 400, "/template"),
    ] {
        let answer = server.send(post("/api/v1/workflows", &body.to_string())).await;
        let code = if status == 422 { "invalid_workflow" } else { "invalid_request" };
        let problem = answer.is_problem(status, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    let body = json!({"template": greet, "entrypoint": "nowhere"});
    let answer = server.send(post("/api/v1/workflows", &body.to_string())).await;
    let problem = answer.is_problem(422, "invalid_workflow");
    let error = &problem["errors"][0];
    assert_eq!((&error["code"], &error["line"]), (&json!("unknown_template"), &Value::Null));
    assert_eq!(error["pointer"], "/entrypoint", "{problem}");
}

#[tokio::test]
async fn a_workflow_is_made_of_a_schedule() {
    let server = Server::new();
    let schedule = "apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: [\"0 1 * * *\"]
  workflowSpec:
    workflowTemplateRef: {name: greet}
";
    let problem = yaml(&server, "/api/v1/schedules", schedule).await;
    assert_eq!(problem.is_problem(422, "invalid_workflow")["errors"][0]["line"], 7);
    apply(&server, STORED).await;
    let answer = yaml(&server, "/api/v1/schedules", schedule).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let submit =
        async |body: Value| server.send(post("/api/v1/workflows", &body.to_string())).await;
    let template = json!({"kind": "CronWorkflow", "name": "nightly"});
    let made = submit(json!({"template": template, "parameters": {"whom": "you"}})).await;
    assert!(document(&server, &made).await.contains("hello {{inputs"));
    assert!(made.json()["name"].as_str().unwrap().starts_with("nightly-"));
    let absent = submit(json!({"template": {"kind": "CronWorkflow", "name": "x"}})).await;
    absent.is_problem(422, "invalid_workflow");
    let entry = submit(json!({"template": template, "entrypoint": "other"})).await;
    entry.is_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_fault_in_a_stored_template_says_where_it_is() {
    let server = Server::new();
    // Fine by itself: nothing is missed before it is used.
    let text = OUTER.replace("template: hello", "template: absent");
    apply(&server, &format!("{STORED}---\n{text}")).await;
    let problem =
        yaml(&server, "/api/v1/workflows", WORKFLOW).await.is_problem(422, "invalid_workflow");
    let error = &problem["errors"][0];
    assert_eq!(error["line"], Value::Null, "{error}");
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.starts_with("WorkflowTemplate outer, version 1, line 9: "), "{detail}");
}
