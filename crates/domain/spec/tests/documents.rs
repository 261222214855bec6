//! Documents that compile, and what they compile to.

use flowforge_model::plan::{Body, Condition, DependencyKind, Needs, Outcome, Repeat, RetryPolicy};
use flowforge_model::resources::{Bytes, MilliCpu};
use flowforge_model::text::{Reference, Segment, SiblingField, Text};
use flowforge_model::time::Millis;
use flowforge_spec::{Compiled, Options, compile};

fn ok(source: &str) -> Compiled {
    let result = compile(source, &Options::default());
    let result = result.map_err(|p| p.list.iter().map(ToString::to_string).collect::<Vec<_>>());
    result.expect(source)
}

#[test]
fn the_first_document_of_the_guide_compiles() {
    let yaml = ok(include_str!("documents/two-tasks.yaml"));
    let json = ok(include_str!("documents/two-tasks.json"));
    assert_eq!(yaml.plan, json.plan);
    let dag = match &yaml.plan.templates[0].body {
        Body::Dag(dag) => dag,
        other => panic!("{other:?}"),
    };
    assert_eq!(dag.order, [0, 1]);
    assert_eq!(dag.targets, [1]);
    assert_eq!(dag.dependents.row(0), [1]);
}

#[test]
fn the_second_document_of_the_guide_compiles() {
    let compiled = ok(r#"{"version": "1.0", "entrypoint": "echo", "templates": {"echo":
        {"container": {"image": "alpine:latest", "command": ["echo", "hello"]}}}}"#);
    assert!(compiled.plan.templates[0].body.leaf());
}

#[test]
fn the_native_example_compiles() {
    let compiled = ok(include_str!("documents/native.yaml"));
    let plan = &compiled.plan;
    assert_eq!(plan.parameter("city"), Some("Oslo"));
    let Body::Dag(dag) = &plan.templates[0].body else { panic!() };
    let Needs::All(needs) = &dag.tasks[2].needs else { panic!() };
    assert_eq!(needs[1].slot, 1);
    assert_eq!(needs[1].kind, DependencyKind::Completion);
    let when = dag.tasks[1].when.as_ref().unwrap();
    let Text::Parts(parts) = when else { panic!() };
    assert_eq!(
        parts[0],
        Segment::Reference(Reference::Sibling {
            slot: 0,
            field: SiblingField::Output("out".into())
        })
    );
    let sh = &plan.templates[1];
    let Body::Container(container) = &sh.body else { panic!() };
    assert_eq!(container.resources.requests.cpu, MilliCpu(100));
    assert_eq!(container.resources.limits.memory, Bytes(256 << 20));
    let retry = sh.retry.as_ref().unwrap();
    assert_eq!(retry.limit, Some(2));
    assert_eq!(retry.policy, RetryPolicy::OnFailure);
    let backoff = retry.backoff.unwrap();
    assert_eq!(backoff.duration, Millis(1000));
    assert_eq!(backoff.factor_milli, 2000);
    assert_eq!(backoff.max_duration, Some(Millis(60_000)));
}

#[test]
fn an_argo_manifest_compiles_with_the_same_grammar() {
    let compiled = ok(include_str!("documents/argo.yaml"));
    assert_eq!(compiled.name.as_deref(), Some("everything-"));
    assert_eq!(compiled.labels, [("team".to_owned(), "a".to_owned())]);
    let plan = &compiled.plan;
    assert_eq!(plan.on_exit.as_ref().map(|call| call.template.0), Some(3));
    let Body::Steps(steps) = &plan.templates[0].body else { panic!() };
    assert_eq!(steps.group_ends, [1, 3, 4, 5]);
    let repeats: Vec<_> = steps.steps.iter().map(|s| s.repeat.as_deref()).collect();
    assert!(matches!(repeats[1], Some(Repeat::Items(items)) if items.len() == 3));
    assert!(matches!(repeats[2], Some(Repeat::Param(_))));
    assert!(matches!(repeats[3], Some(Repeat::Sequence(_))));
    let Body::Dag(dag) = &plan.templates[1].body else { panic!() };
    let Needs::Depends { slots, condition } = &dag.tasks[2].needs else { panic!() };
    assert_eq!(**slots, [0, 1]);
    assert_eq!(
        **condition,
        Condition::Or(Box::new(Condition::Bare(0)), Box::new(Condition::Is(1, Outcome::Failed)))
    );
}

#[test]
fn only_native_documents_get_the_default_retry() {
    let retry = flowforge_model::plan::RetryStrategy {
        limit: Some(3),
        policy: RetryPolicy::OnTransient,
        backoff: None,
        expression: None,
    };
    let options = Options {
        parameters: vec![("city".to_owned(), "Bergen".to_owned())],
        default_retry: Some(retry.clone()),
    };
    let native = compile(include_str!("documents/native.yaml"), &options).unwrap();
    assert_eq!(native.plan.default_retry, Some(retry));
    assert_eq!(native.plan.parameter("city"), Some("Bergen"));
    let argo = ok(include_str!("documents/argo.yaml"));
    assert_eq!(argo.plan.default_retry, None);
}

/// H25: the field decides what a scalar is; strings stay as they were written.
#[test]
fn scalars_of_string_fields_stay_as_written() {
    for text in ["no", "010", "1_000", "1:30", "2024-01-02", "1.0", "true", "0x10", "1e3"] {
        let source = format!(
            "version: '1.0'\nentrypoint: a\narguments: {{parameters: [{{name: x, value: {text}}}]}}\n\
             templates: {{a: {{container: {{image: i, args: [{text}]}}}}}}\n"
        );
        let compiled = ok(&source);
        assert_eq!(compiled.plan.parameter("x"), Some(text));
        let Body::Container(container) = &compiled.plan.templates[0].body else { panic!() };
        assert_eq!(container.args, [Text::plain(text)]);
    }
}

#[test]
fn the_short_form_of_resources_sets_requests_and_limits() {
    let source = "version: '1.0'\nentrypoint: a\ntemplates:\n  a:\n    container:\n      image: i\n      \
                  resources: {cpu: 1500m, memory: 2Gi, nvidia.com/gpu: 1}\n";
    let Body::Container(container) = &ok(source).plan.templates[0].body else { panic!() };
    let resources = container.resources;
    assert_eq!(resources.requests, resources.limits);
    assert_eq!(resources.requests.cpu, MilliCpu(1500));
    assert_eq!(resources.requests.gpu, 1);
}

#[test]
fn items_that_are_maps_become_json_that_no_value_can_break() {
    let source = "version: '1.0'\nentrypoint: m\narguments: {parameters: [{name: p, value: v}]}\n\
        templates:\n  m:\n    dag:\n      tasks:\n        - name: t\n          template: a\n          \
        withItems: [{n: 1, s: '01', t: 'x {{workflow.parameters.p}}'}, plain]\n  a:\n    container: {image: i}\n";
    let plan = ok(source).plan;
    let Some(Repeat::Items(items)) = plan.templates[0].body.tasks()[0].repeat.as_deref() else {
        panic!()
    };
    let Text::Parts(parts) = &items[0] else { panic!() };
    assert_eq!(
        **parts,
        [
            Segment::Literal(r#"{"n":1,"s":"01","t":"#.into()),
            Segment::Expression(r#"toJson("x " + string(workflow["parameters"]["p"]))"#.into()),
            Segment::Literal("}".into()),
        ]
    );
    assert_eq!(items[1], Text::plain("plain"));
}

#[test]
fn a_chain_of_100_000_tasks_compiles_without_recursion() {
    let mut source = String::from(
        "{\"version\": \"1.0\", \"entrypoint\": \"m\", \"templates\": {\"a\": {\"container\": {\"image\": \"i\"}}, \"m\": {\"dag\": {\"tasks\": [",
    );
    for at in 0..100_000 {
        let needs = if at == 0 { String::new() } else { format!("\"t{}\"", at - 1) };
        let comma = if at == 0 { "" } else { "," };
        source.push_str(&format!(
            "{comma}{{\"name\": \"t{at}\", \"template\": \"a\", \"dependencies\": [{needs}]}}"
        ));
    }
    source.push_str("]}}}}");
    let plan = ok(&source).plan;
    let Body::Dag(dag) = &plan.templates[1].body else { panic!() };
    assert_eq!(dag.targets, [99_999]);
}
