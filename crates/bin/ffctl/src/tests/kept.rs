//! Templates, locks, memos, artifacts.

use serde_json::{Value, json};

use super::{Fake, ID, Say, ffctl, problem, task, workflow};

const AT: &str = "2026-01-31T12:00:00.000Z";

#[expect(clippy::needless_pass_by_value, reason = "each caller makes one for it")]
fn page(items: Value) -> Say {
    Say::Json(200, json!({"items": items}))
}

fn user(name: &str, task: &str, node: u32) -> Value {
    let id = if name == "demo" { ID } else { "01890a5d-ac96-774b-bcce-b302099a8058" };
    json!({"workflow_id": id, "workflow_name": name, "task": task, "node": node, "since": AT})
}

#[test]
fn files_are_applied_one_by_one_and_say_what_became_of_each_document() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, "kind: ConfigMap\n").unwrap();
        path.to_str().unwrap().to_owned()
    };
    let item = |name: &str, version: u32, unchanged: bool| json!({"kind": "ConfigMap", "name": name, "version": version, "unchanged": unchanged});
    let bad = json!({
        "type": "x", "title": "T", "status": 422, "detail": "d", "code": "invalid_workflow",
        "request_id": "r", "errors": [{"pointer": "/kind", "detail": "no", "line": 1, "column": 7,
            "code": "unsupported", "hint": "write another"}],
    });
    let server = Fake::new([
        Say::Json(422, bad),
        page(json!([item("a\u{1b}[2J", 1, false), item("b", 7, false), item("c", 2, true)])),
    ]);
    let line = format!("template apply {} {} --project p", file("bad.yaml"), file("good.yaml"));
    let (exit, out, err) = ffctl(&server.url, &line);
    assert_eq!(exit, 2);
    insta::assert_snapshot!(out, @r"
    ConfigMap/a\u{1b}[2J version 1 created
    ConfigMap/b version 7 changed
    ConfigMap/c version 2 unchanged
    ");
    assert!(err.contains("bad.yaml:1:7: error: no [unsupported]"), "{err}");
    let asked = server.asked();
    assert!(asked[1].line.starts_with("POST /api/v1/templates?project_id=p "), "{}", asked[1].line);
    assert!(asked[1].headers.iter().any(|header| header == "content-type: application/yaml"));
    assert_eq!(asked[1].body, "kind: ConfigMap\n");
}

#[test]
fn a_template_is_named_by_kind_and_name_and_shown_with_its_document() {
    let found = json!({
        "kind": "ClusterWorkflowTemplate", "name": "a", "version": 3, "labels": {"team": "x"},
        "created_at": AT, "created_by": "ada", "document": "a: 1\nb: \u{1b}\n",
    });
    let server = Fake::new([Say::Json(200, found.clone()), Say::Json(200, found)]);
    let (exit, out, _) = ffctl(&server.url, "template get cwftmpl/a --version 3");
    assert_eq!(exit, 0);
    assert!(out.starts_with("Kind        ClusterWorkflowTemplate\nName        a\nVersion     3\n"));
    assert!(out.ends_with("Labels      team=x\n\na: 1\nb: \u{1b}\n"), "{out}");
    let (_, out, _) = ffctl(&server.url, "template get cwftmpl/a --document");
    assert_eq!(out, "a: 1\nb: \u{1b}\n", "as it is, if no terminal reads it");
    let line = &server.asked()[0].line;
    assert!(
        line.starts_with("GET /api/v1/templates/clusterworkflowtemplate/a?version=3 "),
        "{line}"
    );
}

#[test]
fn a_diff_is_printed_as_the_server_made_it() {
    let text = "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n";
    let server = Fake::new([Say::Text("text/plain", text.to_owned())]);
    let (exit, out, _) = ffctl(&server.url, "template diff wftmpl/a --from 1 --to 2");
    assert_eq!((exit, &*out), (0, text));
    let line = &server.asked()[0].line;
    assert!(
        line.starts_with("GET /api/v1/templates/workflowtemplate/a/diff?from=1&to=2 "),
        "{line}"
    );
}

#[test]
fn templates_that_are_deleted_say_so_and_absent_ones_are_not_found() {
    let server = Fake::new([Say::Json(204, json!(null)), problem(404, "not_found")]);
    let (exit, out, err) = ffctl(&server.url, "template delete a cm/b");
    assert_eq!((exit, &*out), (3, "workflowtemplate/a deleted\n"));
    assert!(err.contains("not_found"));
    assert!(server.asked()[1].line.starts_with("DELETE /api/v1/templates/configmap/b "));
}

#[test]
fn locks_are_a_table_of_those_who_hold_and_those_who_wait() {
    let lock = json!({
        "key": "mutex/default/m", "limit": 1, "holding": 1, "waiting": 3,
        "holders": [user("demo", "a.b", 3)],
        "waiters": [user("other", "x", 1), user("demo", "", 0)],
    });
    let server = Fake::new([page(json!([lock]))]);
    let (exit, out, _) = ffctl(&server.url, "locks");
    assert_eq!(exit, 0);
    // How long ago it was changes.
    let since = out.find("SINCE").unwrap();
    let lines = out.lines().map(|line| line.get(..since).unwrap_or(line).trim_end());
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    LOCK              HELD   STATE        WORKFLOW   TASK
    mutex/default/m   1/1    held         demo       a.b
                             waits, 1.    other      x
                             waits, 2.    demo       (workflow)
                             and 1 more
    ");
}

#[test]
fn get_says_what_tasks_and_groups_wait_for() {
    let mut waiting = task("a", "QUEUED");
    waiting["reason"] = json!("lock");
    let lock = |key: &str, waiters: Value| {
        json!({"key": key, "limit": 1, "holding": 5, "waiting": 2, "waiters": waiters,
            "holders": [user("demo", "b", 2), user("other", "x", 1)]})
    };
    let server = Fake::new([
        Say::Json(200, workflow("RUNNING")),
        page(json!([waiting])),
        page(json!([
            lock("mutex/default/m", json!([user("demo", "a", 1), user("demo", "group", 7)])),
            lock("configmap/default/c/k", json!([user("demo", "group", 7)])),
        ])),
    ]);
    let (exit, out, _) = ffctl(&server.url, &format!("get {ID} -o wide"));
    assert_eq!(exit, 0);
    let waits = "waiting for mutex/default/m, held by b, other/x and 3 more";
    assert!(out.contains(&format!("{waits}   t\n")), "{out}");
    let group =
        format!("Waits       group is {waits} and configmap/default/c/k, held by b, other/x");
    assert!(out.contains(&group), "{out}");
    assert!(server.asked()[2].line.contains(&format!("/locks?limit=1000&workflow_id={ID}")));
}

#[test]
fn artifacts_of_tasks_are_listed_and_are_in_the_object() {
    let mut made = task("a", "SUCCEEDED");
    made["artifacts"] = json!([{"name": "data", "store": "repository", "key": "d/a/data.tgz"}]);
    let answers = || [Say::Json(200, workflow("SUCCEEDED")), page(json!([made.clone()]))];
    let server = Fake::new(answers().into_iter().chain(answers()));
    let (_, out, _) = ffctl(&server.url, &format!("get {ID}"));
    assert!(
        out.contains(
            "TASK   ARTIFACT   STORE        KEY\na      data       repository   d/a/data.tgz\n"
        ),
        "{out}"
    );
    let (_, out, _) = ffctl(&server.url, &format!("get {ID} -o json"));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["tasks"][0]["artifacts"][0]["key"], "d/a/data.tgz");
}

#[test]
fn caches_are_listed_and_forgotten() {
    let memo = json!({"key": "k", "at": AT, "workflow_id": ID, "outputs": {"rows": "9"}});
    let server = Fake::new([
        page(json!([{"name": "c", "project_id": "p", "memos": 2, "last_at": AT}])),
        page(json!([memo])),
        Say::Json(200, json!({"forgotten": 2})),
        Say::Json(200, json!({"forgotten": 0})),
    ]);
    let (_, out, _) = ffctl(&server.url, "memo list -o name");
    assert_eq!(out, "c\n");
    let (_, out, _) = ffctl(&server.url, "memo list c/d");
    assert!(out.contains("rows=9"), "{out}");
    let (exit, out, _) = ffctl(&server.url, "memo forget c --all");
    assert_eq!((exit, &*out), (0, "2 forgotten\n"));
    let (exit, _, err) = ffctl(&server.url, "memo forget c k");
    assert_eq!(exit, 3, "{err}");
    let asked = server.asked();
    assert!(asked[1].line.starts_with("GET /api/v1/memos/c%2Fd?limit=1000 "), "{}", asked[1].line);
    assert!(asked[3].line.starts_with("DELETE /api/v1/memos/c?key=k "), "{}", asked[3].line);
}

#[test]
fn an_artifact_is_saved_and_overwrites_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("out.bin");
    let (path, bytes) = (to.to_str().unwrap(), "\u{0}data");
    let get = || Say::Json(200, workflow("SUCCEEDED"));
    let body = || Say::Text("application/octet-stream", bytes.to_owned());
    let server = Fake::new([get(), body(), get(), body(), get(), body()]);
    let line = format!("artifact get {ID} a.b my/art --to {path}");
    let (exit, out, err) = ffctl(&server.url, &line);
    assert_eq!((exit, &*out), (0, ""), "{err}");
    assert!(err.contains("(5 bytes)"), "{err}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), bytes);
    let (exit, _, err) = ffctl(&server.url, &line);
    assert_eq!(exit, 5);
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(ffctl(&server.url, &format!("{line} --force")).0, 0);
    let line = &server.asked()[1].line;
    assert!(line.starts_with(&format!("GET /api/v1/workflows/{ID}/tasks/a.b/artifacts/my%2Fart ")));
}

#[test]
fn an_artifact_that_is_not_there_names_those_that_are() {
    let mut made = task("a", "SUCCEEDED");
    made["artifacts"] = json!([{"name": "data", "store": "raw"}]);
    let server = Fake::new([
        Say::Json(200, workflow("SUCCEEDED")),
        problem(404, "not_found"),
        Say::Json(200, made),
    ]);
    let (exit, _, err) = ffctl(&server.url, &format!("artifact get {ID} a dat"));
    assert_eq!(exit, 3);
    assert!(err.contains("the task `a` gave no artifact `dat`"), "{err}");
    assert!(err.contains("it gave data"), "{err}");
}

#[test]
fn a_workflow_is_submitted_from_what_is_stored() {
    let server = Fake::new([Say::Json(201, workflow("PENDING"))]);
    let line = "submit --from cwftmpl/a --from-version 3 --entrypoint e -p k=v --name n -o name";
    let (exit, out, err) = ffctl(&server.url, line);
    assert_eq!((exit, out.trim()), (0, ID), "{err}");
    let body: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    let template = json!({"kind": "ClusterWorkflowTemplate", "name": "a", "version": 3});
    assert_eq!(
        body,
        json!({"name": "n", "template": template, "entrypoint": "e", "parameters": {"k": "v"}})
    );
}
