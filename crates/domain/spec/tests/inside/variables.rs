//! What a container finds in its environment, and what only a pod has.

use flowforge_model::artifact::SecretVariables;
use flowforge_model::plan::Value;
use flowforge_model::text::{Reference, Segment, Text};

use crate::{codes, container, manifest, problems, secret, warnings};

#[test]
fn a_container_may_leave_its_command_to_the_image() {
    let container = container("container: {image: 'x:{{workflow.name}}', args: [hi]}");
    assert!(container.command.is_empty());
    assert_eq!(container.args, [Text::plain("hi")]);
}

#[test]
fn secrets_of_the_environment_stay_references() {
    let container = container(
        "container:\n  image: i\n  env:\n  - {name: P, valueFrom: {secretKeyRef: {name: s, key: k}}}\n  - {name: Q, value: 1}",
    );
    assert_eq!(
        container.env,
        [
            ("P".into(), Value::Secret(secret("s", "k"))),
            ("Q".into(), Value::Text(Text::plain("1")))
        ]
    );
}

#[test]
fn fields_of_the_pod_that_an_attempt_has_are_variables() {
    let container = container(
        "container: {image: i, env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}, {name: B, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}",
    );
    let name = Text::Parts([Segment::Reference(Reference::PodName)].into());
    assert_eq!(container.env[0].1, Value::Text(name));
    assert_eq!(container.env[1].1, Value::Text(Text::plain("127.0.0.1")));
}

#[test]
fn a_whole_secret_may_be_variables() {
    let container = container(
        "container: {image: i, envFrom: [{prefix: P_, secretRef: {name: s}}, {secretRef: {name: t, optional: true}}], env: [{name: A, value: x}]}",
    );
    let of = |prefix: &str, name: &str, optional| SecretVariables {
        prefix: prefix.into(),
        name: name.into(),
        optional,
        at: 0,
    };
    assert_eq!(container.secrets, [of("P_", "s", false), of("", "t", true)]);
    assert_eq!(container.env.len(), 1);
    let tagged = manifest("container: {image: i, envFrom: [{secretRef: {name: '{{x}}'}}]}");
    assert_eq!(codes(&tagged), ["unsupported"]);
}

#[test]
fn what_only_a_pod_has_is_named_in_a_warning() {
    let source = manifest(
        "container: {image: i, ports: [{containerPort: 80}], tty: true}\nmetrics: {prometheus: []}",
    );
    assert_eq!(
        warnings(&source),
        [
            "no_effect 7:27 ports of a container has no effect: local processes have the network of the machine",
            "no_effect 7:57 tty of a container has no effect: a local process is started plainly, by the user of the server",
            "no_effect 8:5 metrics of a template has no effect: metrics of documents are not collected",
        ]
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_name_at_its_line() {
    let rows = [
        (
            "resource: {action: get, manifestFrom: {artifact: {name: a}}, manifest: a}",
            "unsupported 7:29 manifestFrom of resource is not supported: write the manifest as a text",
        ),
        (
            "suspend: {}\nsidecars: []",
            "conflict 8:15 sidecars are for templates that run containers",
        ),
        (
            "container: {image: i, env: [{name: A, valueFrom: {fieldRef: {fieldPath: x}}}]}",
            "unsupported 7:77 a local process has no pod with a field 'x'",
        ),
        (
            "container: {image: i}\nvolumes: [{name: v, hostPath: {path: /}}]",
            "unsupported 8:25 hostPath of a volume is not supported: a directory of the host is not handed to tasks",
        ),
        (
            "container: {image: i}\ninputs: {artifacts: [{name: x, path: /x, git: {repo: r}}]}",
            "unsupported 8:46 git of an input artifact is not supported: repositories are not cloned as artifacts; clone in a container",
        ),
        (
            "http: {url: 'http://x', bodyFrom: {bytes: eA==}}",
            "unsupported 7:29 bodyFrom of http is not supported: write the body as a text",
        ),
        (
            "container: {image: i}\noutputs: {parameters: [{name: o, valueFrom: {jsonPath: x}}]}",
            "conflict 8:60 valueFrom.jsonPath is for outputs of a resource",
        ),
        (
            "container: {image: i, resources: {limits: {cpu: '{{inputs.parameters.x}}'}}}\ninputs: {parameters: [{name: x, value: 1}]}",
            "unsupported 7:53 a value that is needed before anything runs can only hold {{workflow.parameters.NAME}}",
        ),
    ];
    for (body, expected) in rows {
        let found = problems(&manifest(body));
        assert!(found.iter().any(|p| p == expected), "{body}: {found:#?}");
    }
}
