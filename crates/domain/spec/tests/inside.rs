//! What stands inside the templates of Argo manifests: bodies, volumes, artifacts, locks.

use flowforge_model::artifact::{Archive, SecretKey, SecretVariables};
use flowforge_model::claim::ClaimTemplate;
use flowforge_model::plan::{
    ArtifactRef, ArtifactSource, Body, Container, Lock, OutputArtifactSource, Place, PlaceKind,
    RetryPolicy, Template, Value, VolumeSource,
};
use flowforge_model::resources::Bytes;
use flowforge_model::text::{Reference, Segment, Text};
use flowforge_model::time::Millis;
use flowforge_spec::{Compiled, Options, compile};

/// A manifest whose only template `a` has this body.
fn manifest(body: &str) -> String {
    let body = body.replace('\n', "\n    ");
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: a\n  templates:\n  - name: a\n    {body}\n"
    )
}

fn ok(source: &str) -> Compiled {
    let result = compile(source, &Options::default());
    let result = result.map_err(|p| p.list.iter().map(ToString::to_string).collect::<Vec<_>>());
    result.expect(source)
}

fn template(body: &str) -> Template {
    ok(&manifest(body)).plan.templates.remove(0)
}

fn container(body: &str) -> Container {
    let Body::Container(container) = template(body).body else { unreachable!("{body}") };
    container
}

/// `code line:column message` of every problem.
fn problems(source: &str) -> Vec<String> {
    let problems = compile(source, &Options::default()).map(|c| c.plan).expect_err(source);
    let show =
        |p: &flowforge_spec::Problem| format!("{} {}:{} {}", p.code, p.line, p.column, p.message);
    problems.list.iter().map(show).collect()
}

fn codes(source: &str) -> Vec<&'static str> {
    let problems = compile(source, &Options::default()).map(|c| c.plan).expect_err(source);
    problems.list.iter().map(|p| p.code).collect()
}

fn warnings(source: &str) -> Vec<String> {
    ok(source)
        .warnings
        .iter()
        .map(|p| format!("{} {}:{} {}", p.code, p.line, p.column, p.message))
        .collect()
}

fn secret(name: &str, key: &str) -> SecretKey {
    SecretKey { name: name.into(), key: key.into(), optional: false }
}

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
        "container: {image: i, ports: [{containerPort: 80}], securityContext: {}}\nmetrics: {prometheus: []}",
    );
    assert_eq!(
        warnings(&source),
        [
            "no_effect 7:27 ports of a container has no effect: local processes have the network of the machine",
            "no_effect 7:57 securityContext of a container has no effect: a local process is started plainly, by the user of the server",
            "no_effect 8:5 metrics of a template has no effect: metrics of documents are not collected",
        ]
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_name_at_its_line() {
    let rows = [
        (
            "resource: {action: create}",
            "unsupported 7:5 resource of a template is not supported: there is no Kubernetes to hold objects",
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
            "unsupported 8:50 jsonPath of valueFrom is not supported: there is no Kubernetes object to read from",
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

#[test]
fn volumes_are_mounted_where_they_are_declared() {
    let source = manifest(
        "container: {image: i, volumeMounts: [{name: own, mountPath: /a, subPath: b, readOnly: true}, {name: shared, mountPath: /c}, {name: made, mountPath: /d}]}\nvolumes: [{name: own, emptyDir: {}}]",
    )
    .replace(
        "spec:\n",
        "spec:\n  volumes:\n  - name: shared\n    persistentVolumeClaim: {claimName: data}\n  - name: keys\n    secret: {secretName: s, items: [{key: k, path: p/q}]}\n  volumeClaimTemplates:\n  - metadata: {name: made}\n    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: fast}\n",
    );
    let compiled = ok(&source);
    let Body::Container(container) = &compiled.plan.templates[0].body else { panic!() };
    let mounts: Vec<String> = container
        .mounts
        .iter()
        .map(|m| format!("{} {:?} {:?} {}", m.volume, m.path, m.sub_path, m.read_only))
        .collect();
    insta::assert_snapshot!(mounts.join("\n"), @r#"
    own Plain("/a") Some(Plain("b")) true
    shared Plain("/c") None false
    made Plain("/d") None false
    "#);
    let sources: Vec<&VolumeSource> = compiled.plan.volumes.iter().map(|v| &v.source).collect();
    let items = vec![("k".into(), "p/q".into())];
    assert_eq!(
        sources,
        [
            &VolumeSource::Claim(Text::plain("data")),
            &VolumeSource::Secret { name: "s".into(), items, optional: false },
            &VolumeSource::WorkflowClaim(ClaimTemplate {
                modes: vec!["ReadWriteOnce".to_owned()],
                storage: Bytes(1 << 30),
                class: Some("fast".to_owned()),
            }),
        ]
    );
    assert_eq!(compiled.plan.templates[0].volumes[0].source, VolumeSource::Empty);
}

#[test]
fn a_mount_of_an_undeclared_volume_suggests_a_name() {
    let source = manifest(
        "container: {image: i, volumeMounts: [{name: wrok, mountPath: /a}]}\nvolumes: [{name: work, emptyDir: {}}]",
    );
    let problems = compile(&source, &Options::default()).map(|c| c.plan).unwrap_err();
    assert_eq!(problems.list[0].to_string(), "7:49: there is no volume 'wrok' [unknown_volume]");
    assert_eq!(problems.list[0].hint.as_deref(), Some("did you mean work?"));
}

#[test]
fn paths_of_mounts_stay_below_their_root() {
    for mount in [
        "mountPath: relative",
        "mountPath: /",
        "mountPath: /a/../b",
        "mountPath: '/a:b'",
        "mountPath: /a, subPath: ../x",
        "mountPath: /a, subPath: /etc",
    ] {
        let source = manifest(&format!(
            "container: {{image: i, volumeMounts: [{{name: v, {mount}}}]}}\nvolumes: [{{name: v, emptyDir: {{}}}}]"
        ));
        assert_eq!(codes(&source), ["bad_path"], "{mount}");
    }
}

#[test]
fn a_sidecar_may_see_the_volumes_of_the_main_container_and_is_counted() {
    let template = template(
        "container: {image: i, volumeMounts: [{name: v, mountPath: /v}], resources: {requests: {cpu: 1}}}\nvolumes: [{name: v, emptyDir: {}}]\nsidecars:\n- {name: one, image: i, mirrorVolumeMounts: true, resources: {requests: {cpu: 2}}}\n- {name: two, image: i}\ninitContainers: [{name: three, image: i}]",
    );
    let seen: Vec<usize> = template.sidecars.iter().map(|c| c.container.mounts.len()).collect();
    assert_eq!(seen, [1, 0]);
    // One that asks for nothing has the default.
    assert_eq!(template.resources().requests.cpu.0, 3100);
    for (name, with) in
        [("main", ""), ("three", "\ninitContainers: [{name: three, image: i}]"), ("init", "")]
    {
        let source =
            format!("container: {{image: i}}\nsidecars: [{{name: {name}, image: i}}]{with}");
        let code = if name == "init" { "bad_name" } else { "duplicate_name" };
        assert_eq!(codes(&manifest(&source)), [code], "{name}");
    }
}

#[test]
fn an_init_container_may_see_the_volumes_of_the_main_one() {
    let template = template(
        "container: {image: i, volumeMounts: [{name: v, mountPath: /v}]}\nvolumes: [{name: v, emptyDir: {}}]\ninitContainers:\n- {name: one, image: i, mirrorVolumeMounts: true}\n- {name: two, image: i}",
    );
    let seen: Vec<usize> = template.init.iter().map(|c| c.container.mounts.len()).collect();
    assert_eq!(seen, [1, 0]);
}

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

#[test]
fn locks_have_a_scope_and_a_name() {
    let template = template(
        "container: {image: i}\nsynchronization:\n  mutex: {name: old}\n  mutexes: [{name: 'c-{{workflow.uid}}', namespace: n}, {name: d, database: true}]",
    );
    let lock =
        |scope: &str, name: &str| Lock { scope: scope.into(), name: Text::plain(name), limit: 1 };
    assert_eq!(template.locks[0], lock("mutex", "old"));
    assert_eq!(template.locks[2], lock("database/mutex", "d"));
    let Text::Parts(parts) = &template.locks[1].name else { panic!() };
    assert_eq!(parts.len(), 4);
}

/// Argo lets a task wait for ever for what holds it.
#[test]
fn a_lock_that_its_caller_holds_is_refused() {
    let with = |spec: &str, main: &str, step: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n  entrypoint: main\n  {spec}\n  templates:\n  - name: main\n    {main}\n    steps: [[{{name: a, template: mid{step}}}]]\n  - {{name: mid, steps: [[{{name: a, template: t}}]]}}\n  - {{name: t, container: {{image: i, command: [x]}}, synchronization: {{mutexes: [{{name: m}}]}}}}\n"
        )
    };
    let lock = "synchronization: {mutex: {name: m}}";
    assert_eq!(codes(&with(lock, "failFast: true", "")), ["lock_held"]);
    assert_eq!(codes(&with("suspend: false", lock, "")), ["lock_held"]);
    ok(&with("onExit: t", "failFast: true", ""));
    assert_eq!(
        codes(&with(&format!("onExit: t\n  {lock}"), lock, ", when: 'a == b'")),
        ["lock_held"]
    );
    for fine in [
        with(lock, "failFast: true", ", when: 'a == b'"),
        with("synchronization: {mutex: {name: other}}", "failFast: true", ""),
        with("suspend: false", "synchronization: {mutex: {name: 'm-{{workflow.uid}}'}}", ""),
        with("suspend: false", "synchronization: {mutex: {name: m, database: true}}", ""),
    ] {
        ok(&fine);
    }
}

#[test]
fn a_memo_has_a_key_and_a_cache() {
    let template = template(
        "container: {image: i}\nmemoize: {key: 'k-{{workflow.name}}', maxAge: 10s, cache: {configMap: {name: c, key: x}}}",
    );
    let memo = template.memoize.unwrap();
    assert_eq!((&*memo.cache, memo.max_age), ("c", Some(Millis(10_000))));
}

fn retry_expression(expression: &str) -> String {
    let template = template(&format!(
        "container: {{image: i}}\ninputs: {{parameters: [{{name: a-b, value: 1}}]}}\nretryStrategy:\n  expression: {expression}"
    ));
    template.retry.and_then(|retry| retry.expression).expect(expression).into()
}

#[test]
fn a_tag_inside_of_an_expression_becomes_a_name() {
    let rows = [
        (
            "'{{inputs.parameters.a-b}} == true'",
            "fromJSON(string(inputs[\"parameters\"][\"a-b\"])) == true",
        ),
        (
            "\"'{{inputs.parameters.a-b}}x' == lastRetry.message\"",
            "('' + string(inputs[\"parameters\"][\"a-b\"]) + 'x') == lastRetry.message",
        ),
        ("\"'{{' == lastRetry.message\"", "'{{' == lastRetry.message"),
        ("\"'{{}}' == '{{ {{x'\"", "'{{}}' == '{{ {{x'"),
    ];
    for (expression, expected) in rows {
        assert_eq!(retry_expression(expression), expected);
    }
}

#[test]
fn an_expression_is_wrong_where_its_names_are() {
    let rows = [
        ("'{{inputs.parameters.x}} == true'", "unknown_parameter"),
        ("'{{=1}} == 1'", "unsupported"),
        ("'tasks.a.status == 1'", "unknown_reference"),
        ("'{{item}} == 1'", "unknown_reference"),
    ];
    for (expression, code) in rows {
        let body = format!("container: {{image: i}}\nretryStrategy: {{expression: {expression}}}");
        assert_eq!(codes(&manifest(&body)), [code], "{expression}");
    }
}

#[test]
fn retries_have_argos_defaults() {
    let retry = |strategy: &str| {
        template(&format!("container: {{image: i}}\nretryStrategy: {strategy}")).retry.unwrap()
    };
    assert_eq!(retry("{}").limit, None);
    assert_eq!(retry("{}").policy, RetryPolicy::OnFailure);
    assert_eq!(retry("{limit: '3'}").limit, Some(3));
    assert_eq!(retry("{expression: 'true'}").policy, RetryPolicy::Always);
    let backoff =
        retry("{backoff: {duration: '1', factor: '2', cap: 1m, maxDuration: 1h}}").backoff.unwrap();
    assert_eq!((backoff.duration, backoff.factor_milli), (Millis(1000), 2000));
    assert!(template("container: {image: i}").retry.is_none());
    assert_eq!(
        warnings(&manifest("container: {image: i}\nretryStrategy: {affinity: {}}")).len(),
        1
    );
}

/// H33, H35: numbers and spans out of bounds, and tags where they would come too late.
#[test]
fn bounds_hold_for_manifests() {
    let rows = [
        ("container: {image: i}\nretryStrategy: {limit: 2147483648}", "out_of_range"),
        ("container: {image: i}\nretryStrategy: {limit: -1}", "out_of_range"),
        ("container: {image: i}\nretryStrategy: {limit: '{{workflow.name}}'}", "unsupported"),
        (
            "container: {image: i}\nretryStrategy: {backoff: {duration: 1s, factor: 1e308}}",
            "out_of_range",
        ),
        ("container: {image: i}\nactiveDeadlineSeconds: 0", "out_of_range"),
        ("container: {image: i}\nactiveDeadlineSeconds: 999999999999", "out_of_range"),
        ("container: {image: i}\nactiveDeadlineSeconds: '{{workflow.name}}'", "unsupported"),
        ("container: {image: i}\ntimeout: -1s", "bad_duration"),
        ("container: {image: i}\ntimeout: P1Y", "bad_duration"),
        ("container: {image: i}\ntimeout: 9999999999h", "bad_duration"),
        ("container: {image: i, resources: {limits: {memory: 1e308}}}", "bad_quantity"),
        ("container: {image: i, resources: {limits: {cpu: -1}}}", "bad_quantity"),
        ("container: {image: i, resources: {limits: {cpu: 0x1}}}", "bad_quantity"),
        (
            "container: {image: i}\nmemoize: {key: k, maxAge: soon, cache: {configMap: {name: c}}}",
            "bad_duration",
        ),
        ("suspend: {duration: ' 5 m'}", "bad_duration"),
        ("suspend: {}\ndaemon: true", "unsupported"),
        (
            "container: {image: i}\nsynchronization: {mutexes: [{name: a}, {name: a}]}",
            "duplicate_name",
        ),
        ("container: {image: i}\nsynchronization: {semaphores: [{}]}", "conflict"),
        (
            "container: {image: i}\nsynchronization: {semaphores: [{database: {key: k}}]}",
            "missing_config_map",
        ),
        ("container: {image: i, env: [{name: 'a=b', value: x}]}", "bad_name"),
        (
            "container: {image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: ../s, key: k}}}]}",
            "bad_name",
        ),
    ];
    for (body, code) in rows {
        assert_eq!(codes(&manifest(body)), [code], "{body}");
    }
}

#[test]
fn a_constant_condition_that_cannot_be_decided_fails_when_it_runs() {
    let source = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: m\n  templates:\n  - name: m\n    steps: [[{name: a, template: w, when: foo-bar == foo-bar}]]\n  - {name: w, suspend: {}}\n";
    assert_eq!(ok(source).warnings[0].code, "bad_condition");
}

#[test]
fn lines_in_quotes_and_brackets_may_be_indented_too_little() {
    let source = manifest(
        "container:\n  image: i\n  command: [sh, -c]\n  args: ['\n  echo \"a b\"\n  '\n  ]\n  env: [{name: A, value: \"x\n y\\\n z\"}]",
    );
    let Body::Container(container) = &ok(&source).plan.templates[0].body else { panic!() };
    assert_eq!(container.args, [Text::plain(" echo \"a b\" ")]);
    assert_eq!(container.env[0].1, Value::Text(Text::plain("x yz")));
    let wrong = source.replace("\n     z\"}]", "\n     z\", nme: y}]");
    assert_ne!(source, wrong);
    assert_eq!(problems(&wrong), ["unknown_field 16:10 a variable has no field 'nme'"]);
    let broken = source.replace("'\n      ]", "'\n      ");
    assert_ne!(source, broken);
    assert_eq!(codes(&broken), ["yaml"]);
}

#[test]
fn numbers_may_come_from_parameters_of_the_workflow() {
    let source = manifest(
        "container: {image: i, resources: {limits: {memory: '{{workflow.parameters.n}}Gi'}}}\nactiveDeadlineSeconds: '{{workflow.parameters.n}}'\ntimeout: '{{workflow.parameters.n}}m'\nretryStrategy: {limit: '{{workflow.parameters.n}}', backoff: {duration: '1', factor: '{{workflow.parameters.n}}'}}",
    )
    .replace("spec:\n", "spec:\n  arguments: {parameters: [{name: n, value: 7}]}\n");
    let template = ok(&source).plan.templates.remove(0);
    assert_eq!(template.active_deadline, Some(Millis(7000)));
    assert_eq!(template.timeout, Some(Millis(420_000)));
    let retry = template.retry.unwrap();
    assert_eq!(retry.limit, Some(7));
    assert_eq!(retry.backoff.unwrap().factor_milli, 7000);
    let Body::Container(container) = template.body else { panic!() };
    assert_eq!(container.resources.limits.memory.0, 7 << 30);
    let options = Options { parameters: vec![("n".into(), "2".into())], ..Options::default() };
    let given = compile(&source, &options).unwrap().plan.templates.remove(0);
    assert_eq!(given.active_deadline, Some(Millis(2000)));
    let options = Options { parameters: vec![("n".into(), "x".into())], ..Options::default() };
    let problems = compile(&source, &options).map(|c| c.plan).unwrap_err();
    let codes: Vec<_> = problems.list.iter().map(|p| p.code).collect();
    assert_eq!(codes, ["bad_quantity", "wrong_type", "bad_duration", "wrong_type", "out_of_range"]);
    let unknown = source.replace("{name: n, value: 7}", "{name: m, value: 7}");
    assert!(self::codes(&unknown).iter().all(|code| *code == "unknown_parameter"));
}

#[test]
fn bounds_of_a_task_may_come_from_its_inputs() {
    let source = manifest(
        "inputs: {parameters: [{name: n, value: 3}]}\ncontainer: {image: i}\nactiveDeadlineSeconds: '{{inputs.parameters.n}}'\ntimeout: '{{inputs.parameters.n}}m'\nretryStrategy: {limit: \"{{=asInt(inputs.parameters.n) + 1}}\", backoff: {duration: '{{inputs.parameters.n}}', factor: 2}}",
    );
    let template = ok(&source).plan.templates.remove(0);
    assert_eq!((template.active_deadline, template.timeout), (None, None));
    let retry = template.retry.unwrap();
    assert_eq!((retry.limit, retry.backoff.unwrap().factor_milli), (None, 2000));
    let late: Vec<&str> = template.late.iter().map(|(setting, _)| setting.field()).collect();
    let bounds = ["activeDeadlineSeconds", "timeout", "retryStrategy.limit"];
    assert_eq!(late, [&bounds[..], &["retryStrategy.backoff.duration"]].concat());
    let unknown = source.replace("{name: n, value", "{name: m, value");
    assert_eq!(codes(&unknown)[0], "unknown_parameter");
    // What is no task's has nobody whose inputs could be meant.
    let whole =
        "retryStrategy: {limit: '{{inputs.parameters.n}}'}\n  activeDeadlineSeconds: '{{=1}}'";
    let whole =
        manifest("container: {image: i}").replace("spec:\n", &format!("spec:\n  {whole}\n"));
    assert_eq!(codes(&whole), ["unsupported", "unsupported"]);
}
