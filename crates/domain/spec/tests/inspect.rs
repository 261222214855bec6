//! What is in a text, without running it.

use flowforge_spec::{
    DocumentKind, Missing, Options, compile, documents, missing, template, workflow_of,
};

const LIBRARY: &str = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata:\n  name: lib\n  labels: {a: b}\n  annotations: {workflows.argoproj.io/description: ' What it does. '}\nspec:\n  entrypoint: t\n  arguments: {parameters: [{name: must}]}\n  templates:\n  - name: t\n    container: {image: '{{workflow.parameters.must}}', args: ['{{workflow.parameters.theirs}}']}\n  - name: u\n    steps: [[{name: s, templateRef: {name: more, template: x, clusterScope: true}}]]\n";

fn kinds(missing: Vec<Missing>) -> Vec<(DocumentKind, String)> {
    missing.into_iter().map(|one| (one.kind, one.name)).collect()
}

#[test]
fn the_documents_of_a_text_are_listed_by_kind_and_name() {
    let text = format!(
        "version: '1.0'\nname: w\n---\n{LIBRARY}---\nkind: Secret\nmetadata: {{generateName: s-}}\n"
    );
    let found = documents(&text).unwrap();
    let rows: Vec<_> =
        found.iter().map(|d| (d.kind, d.kind_name.as_str(), d.name.as_deref(), d.line)).collect();
    assert_eq!(
        rows,
        [
            (DocumentKind::Native, "", Some("w"), 1),
            (DocumentKind::WorkflowTemplate, "WorkflowTemplate", Some("lib"), 4),
            (DocumentKind::Other, "Secret", Some("s-"), 19),
        ]
    );
    assert_eq!(documents("a: [").unwrap_err().list[0].code, "yaml");
}

#[test]
fn what_a_workflow_refers_to_is_found_step_by_step() {
    let workflow = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: m\n  arguments: {parameters: [{name: p, valueFrom: {configMapKeyRef: {name: cm, key: k}}}]}\n  templates:\n  - name: m\n    steps: [[{name: s, templateRef: {name: lib, template: u}}]]\n";
    let lib = (DocumentKind::WorkflowTemplate, "lib".to_owned());
    let config = (DocumentKind::ConfigMap, "cm".to_owned());
    assert_eq!(kinds(missing(workflow)), [lib, config.clone()]);
    let more = (DocumentKind::ClusterWorkflowTemplate, "more".to_owned());
    assert_eq!(kinds(missing(&format!("{workflow}---\n{LIBRARY}"))), [more, config]);
    let other = workflow.replace("template: u", "template: t");
    assert_eq!(missing(&format!("{other}---\n{LIBRARY}")).len(), 1, "only what is used counts");
    assert_eq!(kinds(missing(&workflow_of(DocumentKind::WorkflowTemplate, "lib", None))).len(), 1);
    assert_eq!(missing("templateRef: ["), []);
}

#[test]
fn a_stored_template_is_checked_alone() {
    let stored = template(LIBRARY).unwrap();
    assert_eq!((stored.kind, stored.name.as_str()), (DocumentKind::WorkflowTemplate, "lib"));
    assert_eq!(stored.description.as_deref(), Some("What it does."));
    assert_eq!(stored.labels, [("a".to_owned(), "b".to_owned())]);
    let codes: Vec<_> = stored.warnings.iter().map(|w| (w.code, w.line)).collect();
    assert_eq!(codes, [("missing_template", 14)]);
    let rows = [
        (LIBRARY.replace("name: lib", "generateName: lib-"), "missing_field"),
        (LIBRARY.replace("entrypoint: t", "entrypoint: v"), "unknown_template"),
        (LIBRARY.replace("image:", "imagine:"), "missing_field"),
        (format!("{LIBRARY}---\n{LIBRARY}"), "several_documents"),
        (LIBRARY.replace("kind: WorkflowTemplate", "kind: Workflow"), "unsupported"),
    ];
    for (text, code) in rows {
        assert_eq!(template(&text).unwrap_err().list[0].code, code, "{text}");
    }
}

#[test]
fn values_are_stored_too() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm}\ndata: {a: '1'}\n";
    assert_eq!(template(text).unwrap().kind, DocumentKind::ConfigMap);
    let bad = text.replace("'1'", "[1]");
    assert_eq!(template(&bad).unwrap_err().list[0].code, "wrong_type");
}

#[test]
fn a_stored_template_can_be_run_by_itself() {
    let mut text = workflow_of(DocumentKind::WorkflowTemplate, "lib", None);
    text.push_str("---\n");
    text.push_str(&LIBRARY.replace("name: must", "name: must, value: v").replace("theirs", "must"));
    let text = text
        .replace("- name: u", "- name: u # unused")
        .replace("templateRef: {name: more", "when: 'a == b', templateRef: {name: lib")
        .replace("template: x, clusterScope: true", "template: u");
    let compiled = compile(&text, &Options::default()).unwrap();
    assert_eq!(compiled.name.as_deref(), Some("lib-"));
    assert_eq!(compiled.plan.parameter("must"), Some("v"));
    let other = workflow_of(DocumentKind::ClusterWorkflowTemplate, "lib", Some("u"));
    assert!(other.contains("clusterScope: true") && other.contains("entrypoint: \"u\""), "{other}");
}
