//! Commands that are handed files.

use std::fs;

use serde_json::{Value, json};

use super::{Fake, ID, Say, ffctl, problem, workflow};

const NOWHERE: &str = "http://127.0.0.1:1";
const WORKFLOW: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: w-}\nspec:\n  entrypoint: m\n  templates:\n  - name: m\n    steps: [[{name: s, templateRef: {name: lib, template: t}}]]\n";
const LIBRARY: &str = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: lib}\nspec:\n  podGC: {strategy: OnPodSuccess}\n  templates:\n  - name: t\n    container: {image: i}\n";

/// A folder with `w.yaml` and `lib.yaml`, and their paths.
fn folder(library: &str) -> (tempfile::TempDir, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (workflow, library) = (path("w.yaml", WORKFLOW), path("lib.yaml", library));
    (dir, workflow, library)
}

#[test]
fn files_are_checked_together_and_named_apart() {
    let (_dir, w, lib) = folder(LIBRARY);
    let (exit, out, _) = ffctl(NOWHERE, &format!("lint {w} {lib}"));
    let warning = format!("{lib}:5:3: warning:");
    assert!(out.starts_with(&format!("{w}: valid\n{warning}")), "{out}");
    assert_eq!(exit, 0);
    let (exit, out, _) = ffctl(NOWHERE, &format!("lint {w}"));
    assert_eq!(exit, 2);
    assert!(out.contains(&format!("{w}:8:44: error: there is no WorkflowTemplate 'lib'")), "{out}");
    let (_dir, w, lib) = folder(&LIBRARY.replace("name: t", "name: u"));
    let (_, out, _) = ffctl(NOWHERE, &format!("-o json lint {lib} {w}"));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&all[0]["ok"], &all[1]["ok"]), (&json!(true), &json!(false)));
    assert_eq!(all[1]["errors"][0]["line"], 8);
    let (_dir, w, broken) = folder("a: [");
    let (exit, out, _) = ffctl(NOWHERE, &format!("lint {broken} {w}"));
    assert_eq!(exit, 2);
    assert!(out.contains(&format!("{broken}:")) && out.contains("missing_template"), "{out}");
}

#[test]
fn a_workflow_is_submitted_with_what_it_refers_to() {
    let (_dir, w, lib) = folder(LIBRARY);
    let server = Fake::new([Say::Json(201, workflow("PENDING"))]);
    let (exit, _, err) = ffctl(&server.url, &format!("submit {w} {lib}"));
    assert_eq!((exit, &*err), (0, ""));
    let body: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!(body["dag_spec"], format!("{WORKFLOW}---\n{LIBRARY}"));
    // The lines of an answer are those of the whole text.
    let Say::Json(_, mut refusal) = problem(422, "invalid_workflow") else { unreachable!() };
    refusal["errors"] =
        json!([{"pointer": "/x", "detail": "no", "line": 12, "column": 3, "code": "x"}]);
    let server = Fake::new([Say::Json(422, refusal)]);
    let (exit, _, err) = ffctl(&server.url, &format!("submit {w} {lib}"));
    assert_eq!(exit, 2);
    assert!(err.starts_with(&format!("{lib}:3:3: error: no")), "{err}");
}

/// What a server says that has checked a workflow.
fn report(errors: &Value) -> Say {
    let ok = errors.as_array().is_none_or(Vec::is_empty);
    Say::Json(200, json!({"ok": ok, "errors": errors, "warnings": []}))
}

#[test]
fn several_workflows_are_submitted_in_order() {
    let (_dir, w, lib) = folder(&format!("{LIBRARY}---\n{}", WORKFLOW.replace("w-", "second-")));
    let fine = || [report(&json!([])), report(&json!([]))];
    let submitted = || Say::Json(201, workflow("PENDING"));
    let server = Fake::new(fine().into_iter().chain([submitted(), submitted()]));
    let (exit, out, err) =
        ffctl(&server.url, &format!("submit {w} {lib} --idempotency-key k --project p"));
    assert_eq!((exit, &*err, out.matches(ID).count()), (0, "", 2));
    let asked = server.asked();
    let lines: Vec<&str> = asked.iter().map(|one| one.line.split(' ').nth(1).unwrap()).collect();
    let (lint, submit) = ("/api/v1/lint", "/api/v1/workflows");
    assert_eq!(lines, [lint, lint, submit, submit]);
    for (one, (beginning, key)) in asked[2..].iter().zip([("w-", "k-1"), ("second-", "k-2")]) {
        let body: Value = serde_json::from_str(&one.body).unwrap();
        let text = body["dag_spec"].as_str().unwrap();
        assert_eq!(text.matches("kind: Workflow\n").count(), 1);
        assert!(text.contains(beginning) && text.contains(LIBRARY), "{text}");
        assert_eq!(body["project_id"], "p");
        assert!(one.headers.contains(&format!("idempotency-key: {key}")), "{:?}", one.headers);
    }
    let (exit, _, err) = ffctl(&server.url, &format!("submit {w} {lib} --name n"));
    assert_eq!(exit, 2);
    assert!(err.contains("--name"), "{err}");
}

#[test]
fn of_several_workflows_none_is_submitted_if_one_is_invalid() {
    let (_dir, w, lib) = folder(&format!("{LIBRARY}---\n{}", WORKFLOW.replace("w-", "second-")));
    // The second text is that of the library, then the workflow.
    let errors = json!([{"pointer": "/x", "detail": "no", "line": 10, "column": 1, "code": "x"}]);
    let server = Fake::new([report(&json!([])), report(&errors)]);
    let (exit, _, err) = ffctl(&server.url, &format!("submit {w} {lib}"));
    assert_eq!(exit, 2);
    assert!(err.starts_with(&format!("{lib}:10:1: error: no")), "{err}");
    assert!(err.ends_with("nothing was submitted\n"), "{err}");
    assert_eq!(server.asked().len(), 2);
    // It may still change its mind.
    let fine = [report(&json!([])), report(&json!([])), Say::Json(201, workflow("PENDING"))];
    let server = Fake::new(fine.into_iter().chain([problem(404, "not_found")]));
    let (exit, out, err) = ffctl(&server.url, &format!("submit {w} {lib}"));
    assert_ne!(exit, 0);
    assert_eq!(out.matches(ID).count(), 1);
    assert!(err.contains("1 of 2 workflows were submitted"), "{err}");
}

#[test]
fn a_template_is_run_by_a_workflow_of_its_own() {
    let (_dir, _, lib) = folder(LIBRARY);
    let server = Fake::new([Say::Json(201, workflow("PENDING"))]);
    let (exit, out, err) = ffctl(&server.url, &format!("submit {lib}"));
    assert_eq!((exit, &*err), (0, "running the WorkflowTemplate lib by itself\n"));
    assert!(out.contains(ID), "{out}");
    let body: Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert!(body["dag_spec"].as_str().unwrap().contains("workflowTemplateRef"));
}

#[test]
fn import_says_what_becomes_of_each_construct() {
    let (_dir, w, lib) = folder(&LIBRARY.replace("container: {image: i}", "plugin: {}"));
    let (exit, out, _) = ffctl(NOWHERE, &format!("import argo {w} {lib}"));
    assert_eq!(exit, 1);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[0],
        format!("{w}: 13 constructs supported, 0 emulated, 0 without effect, 0 unsupported")
    );
    assert!(out.contains(&format!("{lib}:5:3")) && out.contains("no effect"), "{out}");
    assert!(out.contains(&format!("{lib}:8:5")) && out.contains("template.plugin"), "{out}");
    let (exit, out, _) = ffctl(NOWHERE, &format!("-o json import argo {w}"));
    let all: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &all[0]["unsupported"]), (0, &json!(0)));
    assert_eq!(all[0]["constructs"][0]["construct"], "manifest.apiVersion");
    let (_dir, _, broken) = folder("a: [");
    let (exit, _, _) = ffctl(NOWHERE, &format!("import argo {broken} {w}"));
    assert_eq!(exit, 2);
}
