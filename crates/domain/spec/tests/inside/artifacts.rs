//! Artifacts: where they come from and where they are kept.

use flowforge_model::artifact::Archive;
use flowforge_model::plan::{
    ArtifactRef, ArtifactSource, Body, OutputArtifactSource, Place, PlaceKind,
};
use flowforge_model::text::{Reference, Segment, Text};

use crate::{codes, manifest, ok, secret, template};

/// A manifest of two templates, `give` and `take`, and a `main` that passes an artifact on.
fn passing(arguments: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: main\n  templates:\n  - name: main\n    dag:\n      tasks:\n      - {{name: g, template: give}}\n      - name: t\n        template: take\n        dependencies: [g]\n        arguments: {{artifacts: [{arguments}]}}\n  - name: give\n    container: {{image: i}}\n    outputs: {{artifacts: [{{name: o, path: /o, archive: {{none: {{}}}}, globalName: g}}]}}\n  - name: take\n    container: {{image: i, args: ['{{{{inputs.artifacts.i.path}}}}']}}\n    inputs: {{artifacts: [{{name: i, path: /i, mode: 0644, recurseMode: true}}]}}\n"
    )
}

#[test]
fn artifacts_go_from_task_to_task() {
    let compiled = ok(&passing("{name: i, from: '{{tasks.g.outputs.artifacts.o}}', subPath: a/b}"));
    let task = &compiled.plan.templates[0].body.tasks()[1];
    let from = ArtifactSource::From(
        ArtifactRef::Sibling { slot: 0, name: "o".into() },
        Some(Text::plain("a/b")),
    );
    assert_eq!(task.artifacts, [("i".into(), from)]);
    let given = &compiled.plan.templates[1].artifacts_out[0];
    assert_eq!(given.global_name.as_deref(), Some("g"));
    let kept =
        OutputArtifactSource::Path { path: Text::plain("/o"), keep: None, archive: Archive::None };
    assert_eq!(given.source, kept);
    let taken = &compiled.plan.templates[2].artifacts_in[0];
    assert_eq!((taken.mode, taken.recurse, taken.optional), (Some(0o644), true, false));
    let Body::Container(container) = &compiled.plan.templates[2].body else { panic!() };
    let path = Segment::Reference(Reference::InputArtifactPath("i".into()));
    assert_eq!(container.args, [Text::Parts([path].into())]);
}

#[test]
fn artifacts_that_nobody_gives_are_named() {
    let rows = [
        ("", "missing_argument"),
        ("{name: i, from: '{{tasks.g.outputs.artifacts.x}}'}", "unknown_output"),
        ("{name: i, from: '{{tasks.h.outputs.artifacts.o}}'}", "unknown_task"),
        ("{name: i, from: '{{inputs.artifacts.x}}'}", "unknown_artifact"),
        ("{name: i, from: '{{workflow.outputs.artifacts.x}}'}", "unknown_output"),
        ("{name: i, from: x}", "unknown_reference"),
        ("{name: i, fromExpression: \"tasks['g'].outputs.artifacts.x\"}", "unknown_output"),
        ("{name: i}", "missing_field"),
        ("{name: i, raw: {data: a}, http: {url: 'http://x'}}", "conflict"),
        ("{name: i, raw: {data: '{{tasks.g.outputs.artifacts.o}}'}}", "unknown_reference"),
    ];
    for (arguments, code) in rows {
        assert_eq!(codes(&passing(arguments)), [code], "{arguments}");
    }
}

#[test]
fn places_of_artifacts_are_read() {
    let place = |place: &str| {
        let template = template(&format!(
            "container: {{image: i}}\ninputs: {{artifacts: [{{name: x, path: /x, {place}}}]}}"
        ));
        match template.artifacts_in[0].default.clone() {
            Some(ArtifactSource::Place(place)) => place,
            other => panic!("{other:?}"),
        }
    };
    let Place { kind, archive, .. } = place("raw: {data: 'hi {{workflow.name}}'}");
    assert!(matches!(kind, PlaceKind::Raw(Text::Parts(_))));
    assert_eq!(archive, Archive::None);
    assert_eq!(place("s3: {key: a/b/}").kind, PlaceKind::Repository(Text::plain("a/b")));
    let bucket = "s3: {endpoint: 'h:9000', bucket: b, insecure: true, key: k, accessKeySecret: {name: s, key: a}}";
    let PlaceKind::S3(location, key) = place(bucket).kind else { panic!() };
    assert_eq!(location.access_key, Some(secret("s", "a")));
    assert!(location.insecure);
    assert_eq!(key, Text::plain("k"));
    assert_eq!(place("http: {url: 'http://x/y'}, archive: {zip: {}}").archive, Archive::Zip);
}

/// H97: what is known of a key stays below the root of its store.
#[test]
fn keys_of_artifacts_stay_below_their_root() {
    let long = "k".repeat(1025);
    let keys = [
        "a/../../b",
        "..",
        ".",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "//",
        "",
        "a\\\\b",
        "a\\nb",
        "{{workflow.name}}/../x",
        "../{{workflow.name}}",
        "a/{{workflow.name}}/..",
        &long,
    ];
    for key in keys {
        let source = manifest(&format!(
            "container: {{image: i}}\noutputs: {{artifacts: [{{name: x, path: /x, s3: {{key: \"{key}\"}}}}]}}"
        ));
        assert_eq!(codes(&source), ["bad_key"], "{key}");
    }
}
