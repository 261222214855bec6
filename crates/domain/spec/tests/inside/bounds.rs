//! Retries, time limits, and numbers that come from elsewhere.

use flowforge_model::plan::{Body, RetryPolicy, Value};
use flowforge_model::text::Text;
use flowforge_model::time::Millis;
use flowforge_spec::{Options, compile};

use crate::{codes, manifest, ok, problems, template, warnings};

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
        ("suspend: {}\ndaemon: true", "conflict"),
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
