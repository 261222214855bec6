//! Objects of a cluster as tasks.

use flowforge_model::object::{Action, PatchKind};
use flowforge_model::plan::{Body, OutputSource};
use flowforge_model::text::Text;

use crate::{codes, manifest, template};

#[test]
fn an_object_is_asked_for_as_argo_does() {
    let template = template(
        "resource:\n  action: create\n  successCondition: status.succeeded > 9\n  failureCondition: status.failed > 0\n  setOwnerReference: false\n  manifest: |\n    kind: Job\n    metadata: {name: '{{workflow.name}}'}\noutputs:\n  parameters:\n  - {name: a, valueFrom: {jsonPath: '{.metadata.uid}'}}\n  - {name: b, valueFrom: {jqFilter: .metadata.uid, default: none}}",
    );
    let Body::Object(object) = &template.body else { panic!() };
    assert_eq!((object.action, &object.target), (Action::Create, &None));
    assert_eq!(object.success, Some(Text::plain("status.succeeded > 9")));
    assert!(object.manifest.as_ref().is_some_and(|text| text.as_plain().is_none()));
    let sources: Vec<_> = template.outputs.iter().map(|output| &output.source).collect();
    let json_path = OutputSource::JsonPath(Text::plain("{.metadata.uid}"));
    assert_eq!(sources, [&json_path, &OutputSource::JqFilter(Text::plain(".metadata.uid"))]);
}

#[test]
fn a_patch_names_its_object_in_flags_or_in_itself() {
    let object = |body: &str| {
        let Body::Object(object) = template(body).body else { panic!() };
        *object
    };
    let named =
        object("resource: {action: patch, mergeStrategy: json, flags: [pod, a], manifest: '[]'}");
    assert_eq!(named.action, Action::Patch(PatchKind::Json));
    assert_eq!(named.target, Some((Text::plain("pod"), Text::plain("a"))));
    let plain = object(
        "resource: {action: patch, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}",
    );
    assert_eq!((plain.action, plain.target), (Action::Patch(PatchKind::Strategic), None));
    let gone = object("resource: {action: delete, flags: [--ignore-not-found, pod, a]}");
    assert_eq!((gone.manifest, gone.target.is_some()), (None, true));
}

const REFUSED: &[(&str, &str)] = &[
    ("resource: {manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}", "missing_field"),
    ("resource: {action: create}", "missing_field"),
    ("resource: {action: get}", "missing_field"),
    ("resource: {action: create, manifest: ' '}", "bad_manifest"),
    ("resource: {action: create, manifest: 'kind: A'}", "bad_manifest"),
    ("resource: {action: create, manifest: 'kind: ['}", "bad_manifest"),
    (
        "resource: {action: apply, manifest: '{apiVersion: v1, kind: A, metadata: {generateName: a}}'}",
        "bad_manifest",
    ),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: Secret, metadata: {name: a}}'}",
        "bad_manifest",
    ),
    (
        "resource: {action: exec, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}",
        "bad_value",
    ),
    (
        "resource: {action: '{{workflow.name}}', manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}",
        "bad_value",
    ),
    (
        "resource: {action: patch, mergeStrategy: deep, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}",
        "bad_value",
    ),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', successCondition: 'a ~ b'}",
        "bad_condition",
    ),
    (
        "resource: {action: delete, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', successCondition: a}",
        "conflict",
    ),
    (
        "resource: {action: create, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', flags: [--validate=false]}",
        "unsupported",
    ),
    (
        "resource: {action: create, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', flags: [pod, a]}",
        "unsupported",
    ),
    ("resource: {action: get, flags: [pod]}", "unsupported"),
    ("resource: {action: get, flags: [pod, '{{pod.name}}']}", "unsupported"),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', flags: [--ignore-not-found]}",
        "unsupported",
    ),
    (
        "resource: {action: create, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}', setOwnerReference: true}",
        "unsupported",
    ),
    (
        "resource: {action: create, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}\ngang: {replicas: 2}",
        "conflict",
    ),
    ("resource: {action: create, manifestFrom: {artifact: {name: a}}}", "unsupported"),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}\noutputs: {parameters: [{name: a, valueFrom: {jsonPath: '{.items[?(@.a)]}'}}]}",
        "unsupported",
    ),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}\noutputs: {parameters: [{name: a, valueFrom: {jqFilter: '.a | length'}}]}",
        "unsupported",
    ),
    (
        "resource: {action: get, manifest: '{apiVersion: v1, kind: A, metadata: {name: a}}'}\noutputs: {parameters: [{name: a, valueFrom: {path: /a}}]}",
        "conflict",
    ),
    (
        "container: {image: i}\noutputs: {parameters: [{name: a, valueFrom: {jsonPath: '{.a}'}}]}",
        "conflict",
    ),
];

#[test]
fn an_object_that_could_not_be_asked_for_is_refused() {
    for (body, code) in REFUSED {
        assert!(codes(&manifest(body)).contains(code), "{body}: {:?}", codes(&manifest(body)));
    }
}
