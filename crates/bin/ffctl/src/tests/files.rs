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
