//! Workflows that tasks start.

use flowforge_model::plan::Body;

use super::{codes, manifest, template};

#[test]
fn a_resource_that_is_a_workflow_is_started() {
    let child = |body: &str| {
        let Body::Child(child) = template(body).body else { panic!("{body}") };
        *child
    };
    let head =
        "apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {name: '{{workflow.name}}'}";
    let plain = child(&format!("resource: {{action: create, manifest: \"{{{head}}}\"}}"));
    assert!(!plain.awaited());
    let awaited = child(&format!(
        "resource: {{action: apply, successCondition: status.phase == Succeeded, manifest: \"{{{head}}}\"}}"
    ));
    assert!(awaited.awaited());
    assert!(child("resource:\n  action: create\n  manifest: |\n    version: '1.0'\n    entrypoint: {{workflow.name}}").manifest.as_plain().is_none());
    // Others of the same group are a cluster's.
    let other = template(
        "resource: {action: create, manifest: '{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: a}}'}",
    );
    assert!(matches!(other.body, Body::Object(_)));
    for (body, code) in [
        (
            "resource: {action: get, manifest: '{apiVersion: argoproj.io/v1alpha1, kind: Workflow}'}",
            "unsupported",
        ),
        (
            "resource: {action: delete, manifest: '{apiVersion: argoproj.io/v1alpha1, kind: Workflow}'}",
            "unsupported",
        ),
        (
            "resource: {action: create, manifest: '{apiVersion: argoproj.io/v1alpha1, kind: CronWorkflow}'}",
            "unsupported",
        ),
        (
            "activeDeadlineSeconds: 5\nresource: {action: create, manifest: '{apiVersion: argoproj.io/v1alpha1, kind: Workflow}'}",
            "unsupported",
        ),
    ] {
        assert_eq!(codes(&manifest(body)), [code], "{body}");
    }
}

#[test]
fn what_is_put_into_a_manifest_stays_in_its_scalar() {
    let fill = |value: &str| {
        let marked = flowforge_model::text::mark(value);
        flowforge_spec::fill(&format!(
            "a: {marked}\nb: \"x{marked}\"\nc: [{marked}, 1]\nd: |\n  - {marked}\n"
        ))
        .unwrap()
    };
    assert_eq!(fill("5"), "a: 5\nb: \"x5\"\nc:\n  - 5\n  - 1\nd: \"- 5\\n\"\n");
    // Whatever it holds, the keys are those of the manifest, and what is read back is what was put in.
    let odd = "e: 1\nf: [\"'# ";
    let again = fill(odd).replace("\\n", "\u{1}");
    let keys: Vec<_> = again.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(keys.len(), 4, "{again}");
    for (line, key) in keys.iter().zip(["a:", "b:", "c:", "d:"]) {
        assert!(line.starts_with(key), "{again}");
    }
}
