//! Bodies that are more than one container: sets, gangs; and requests.

use flowforge_model::plan::{Body, PullPolicy, Value};
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
fn an_image_is_pulled_when_its_container_says() {
    let pull = |policy: &str| {
        let body = format!("container: {{image: i, imagePullPolicy: {policy}}}");
        let Body::Container(container) = template(&body).body else { panic!() };
        container.pull
    };
    assert_eq!(pull("Always"), Some(PullPolicy::Always));
    assert_eq!(pull("IfNotPresent"), Some(PullPolicy::IfNotPresent));
    assert_eq!(pull("Never"), Some(PullPolicy::Never));
    assert_eq!(
        codes(&manifest("container: {image: i, imagePullPolicy: Sometimes}")),
        ["bad_value"]
    );
}

#[test]
fn what_pods_are_to_have_is_kept_with_its_tags() {
    let template = template(
        "container: {image: i}\nnodeSelector: {disk: '{{workflow.name}}'}\ntolerations: [{key: gpu, operator: Exists, tolerationSeconds: 30}]\naffinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: zone, operator: In, values: [a]}]}}]}}\npodSpecPatch: 'dnsPolicy: {{workflow.name}}'",
    );
    let pod = format!("{:?}", template.pod.expect("a pod"));
    for part in ["nodeSelector", "Reference(Workflow(Name))", "Number(30)", "Number(1)", "values"] {
        assert!(pod.contains(part), "{part}: {pod}");
    }
    assert_eq!(template.pod_patches.len(), 1);
    let rows = [
        ("tolerations: [{keys: gpu}]", "unknown_field"),
        ("tolerations: {key: gpu}", "wrong_type"),
        ("nodeSelector: {disk: '{{inputs.parameters.none}}'}", "unknown_parameter"),
        (
            "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: h, namespaces: [a]}]}}",
            "unsupported",
        ),
        ("schedulerName: [a]", "wrong_type"),
        ("nodeSelector: [a]", "wrong_type"),
        ("nodeSelector: {disk: [a]}", "wrong_type"),
    ];
    for (field, code) in rows {
        assert_eq!(
            codes(&manifest(&format!("container: {{image: i}}\n{field}"))),
            [code],
            "{field}"
        );
    }
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
