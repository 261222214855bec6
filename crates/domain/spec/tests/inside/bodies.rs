//! Bodies that are more than one container: sets, gangs; requests, and objects.

use flowforge_model::object::{Action, PatchKind};
use flowforge_model::plan::{Body, OutputSource, Value};
use flowforge_model::text::Text;
use flowforge_model::time::Millis;

use crate::{codes, manifest, ok, problems, secret, template};

#[test]
fn members_of_a_set_wait_for_each_other() {
    let template = template(
        "containerSet:\n  volumeMounts: [{name: v, mountPath: /v}]\n  retryStrategy: {retries: '2', duration: 5s}\n  containers:\n  - {name: a, image: i}\n  - {name: main, image: i, dependencies: [a]}\nvolumes: [{name: v, emptyDir: {}}]\noutputs: {parameters: [{name: o, valueFrom: {path: /v/o}}]}",
    );
    let Body::ContainerSet(set) = template.body else { panic!() };
    assert_eq!(set.after, [Box::from([]), Box::from([0])]);
    assert_eq!((set.retries, set.wait), (2, Millis(5000)));
    assert!(set.members.iter().all(|m| m.container.mounts.len() == 1));
}

#[test]
fn a_set_that_cannot_run_is_refused() {
    let rows = [
        (
            "containerSet: {containers: [{name: a, image: i, dependencies: [b]}, {name: b, image: i, dependencies: [a]}]}",
            "cycle",
        ),
        ("containerSet: {containers: [{name: a, image: i, dependencies: [x]}]}", "unknown_task"),
        (
            "containerSet: {containers: [{name: a, image: i}, {name: a, image: i}]}",
            "duplicate_name",
        ),
        ("containerSet: {containers: []}", "empty"),
        (
            "containerSet: {containers: [{name: a, image: i}]}\noutputs: {parameters: [{name: o, valueFrom: {path: /o}}]}",
            "missing_main",
        ),
    ];
    for (body, code) in rows {
        assert_eq!(codes(&manifest(body)), [code], "{body}");
    }
}

#[test]
fn a_gang_is_as_large_as_it_says() {
    let gang = |body: &str| template(body).gang;
    assert_eq!(gang("container: {image: i}\ngang: {replicas: 2}"), Some(2));
    assert_eq!(gang("script: {image: i, source: x}\ngang: {replicas: '256'}"), Some(256));
    assert_eq!(gang("container: {image: i}"), None);
    let apart = "gang: {replicas: 3}\ninitContainers: []\ndaemon: false\nretryStrategy: {limit: 1}";
    assert_eq!(gang(&format!("container: {{image: i}}\n{apart}")), Some(3));
    let sized = "spec:\n  arguments: {parameters: [{name: n, value: 7}]}\n";
    let source = manifest("container: {image: i}\ngang: {replicas: '{{workflow.parameters.n}}'}");
    let plan = ok(&source.replace("spec:\n", sized)).plan;
    assert_eq!((plan.templates[0].gang, plan.templates[0].pods()), (Some(7), 7));
}

#[test]
fn a_gang_that_cannot_run_is_refused() {
    let rows = [
        ("container: {image: i}\ngang: {}", "missing_field"),
        ("container: {image: i}\ngang: {replicas: 1}", "out_of_range"),
        ("container: {image: i}\ngang: {replicas: 257}", "out_of_range"),
        ("container: {image: i}\ngang: {replicas: 2.5}", "wrong_type"),
        ("container: {image: i}\ngang: 2", "wrong_type"),
        ("container: {image: i}\ngang: {replicas: 2, minimum: 1}", "unknown_field"),
        ("container: {image: i}\ngang: {replicas: '{{inputs.parameters.n}}'}", "unsupported"),
        ("containerSet: {containers: [{name: main, image: i}]}\ngang: {replicas: 2}", "conflict"),
        ("suspend: {}\ngang: {replicas: 2}", "conflict"),
        ("http: {url: 'http://x'}\ngang: {replicas: 2}", "conflict"),
        ("steps: []\ngang: {replicas: 2}", "conflict"),
        (
            "container: {image: i}\ngang: {replicas: 2}\ninitContainers: [{name: b, image: i}]",
            "conflict",
        ),
    ];
    for (body, code) in rows {
        assert!(codes(&manifest(body)).contains(&code), "{body}: {:?}", codes(&manifest(body)));
    }
    let at = "container: {image: i}\ngang: {replicas: 2}\ninitContainers: [{name: b, image: i}]";
    assert_eq!(
        problems(&manifest(at)),
        ["conflict 9:21 a gang has no initContainers: each member is one container"]
    );
}

/// Argo's defaults reach templates of every kind.
#[test]
fn a_gang_among_defaults_is_for_templates_of_one_container() {
    let source = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: a\n  templateDefaults: {gang: {replicas: 2}}\n  templates:\n  - {name: a, steps: [[{name: b, template: b}]]}\n  - {name: b, container: {image: i}}\n";
    let gangs: Vec<_> = ok(source).plan.templates.iter().map(|one| one.gang).collect();
    assert_eq!(gangs, [None, Some(2)]);
}

#[test]
fn a_request_has_argos_defaults() {
    let template = template(
        "http:\n  url: 'https://x/{{workflow.name}}'\n  headers:\n  - {name: A, value: b}\n  - {name: T, valueFrom: {secretKeyRef: {name: s, key: k}}}\n  successCondition: response.statusCode == 201",
    );
    let Body::Http(http) = template.body else { panic!() };
    assert_eq!(http.method, Text::plain("GET"));
    assert_eq!(http.timeout, Millis(30_000));
    assert_eq!(http.headers[1], ("T".into(), Value::Secret(secret("s", "k"))));
    assert_eq!(http.success, Some(Text::plain("response.statusCode == 201")));
}

#[test]
fn a_request_that_could_not_be_sent_is_refused() {
    let rows = [
        ("http: {url: 'ftp://x'}", "bad_url"),
        ("http: {url: 'http:///x'}", "bad_url"),
        ("http: {url: 'http://x y'}", "bad_url"),
        ("http: {url: 'http://x', method: 'GET /'}", "bad_value"),
        ("http: {url: 'http://x', headers: [{name: 'a b', value: c}]}", "bad_name"),
        ("http: {url: 'http://x', headers: [{name: a, value: \"b\\r\\nc: d\"}]}", "bad_value"),
        (
            "http: {url: 'http://x', successCondition: 'response.body == \"{{workflow.name}}\"'}",
            "unsupported",
        ),
        ("http: {url: 'http://x', successCondition: 'env.HOME == 1'}", "unknown_reference"),
        ("http: {url: 'http://x', successCondition: '1 +'}", "bad_expression"),
        ("http: {}", "missing_field"),
    ];
    for (body, code) in rows {
        assert_eq!(codes(&manifest(body)), [code], "{body}");
    }
}

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

#[test]
fn an_object_that_could_not_be_asked_for_is_refused() {
    let rows = [
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
    for (body, code) in rows {
        assert!(codes(&manifest(body)).contains(&code), "{body}: {:?}", codes(&manifest(body)));
    }
}
