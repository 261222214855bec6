//! Hooks, exit handlers and what a spec says of the workflow as a whole.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as it should be stops the test"
)]

use flowforge_model::plan::{Call, Hook, Plan};
use flowforge_model::text::{Reference, SiblingField, Text};
use flowforge_model::time::Millis;
use flowforge_spec::{Compiled, Options, compile};

fn ok(source: &str) -> Compiled {
    let result = compile(source, &Options::default());
    let result = result.map_err(|p| p.list.iter().map(ToString::to_string).collect::<Vec<_>>());
    result.unwrap_or_else(|problems| panic!("{problems:#?}\n{source}"))
}

/// `code line:column` of every problem.
fn problems(source: &str) -> Vec<String> {
    let list = compile(source, &Options::default()).map(|c| c.plan).expect_err(source).list;
    list.iter().map(|p| format!("{} {}:{}", p.code, p.line, p.column)).collect()
}

/// A workflow of one step `a`, with more fields of the spec and of the step.
fn workflow(spec: &str, step: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  entrypoint: main\n{spec}  templates:\n  - name: main\n    steps:\n    - - name: before\n        template: say\n    - - name: a\n        template: say\n{step}  - name: say\n    inputs: {{parameters: [{{name: m, default: d}}]}}\n    outputs: {{parameters: [{{name: o, valueFrom: {{path: /o}}}}]}}\n    container: {{image: i, args: ['{{{{inputs.parameters.m}}}}']}}\n  - name: needs\n    inputs: {{parameters: [{{name: p}}]}}\n    container: {{image: i, args: ['{{{{inputs.parameters.p}}}}']}}\n"
    )
}

fn hooks(plan: &Plan) -> &[Hook] {
    &plan.templates[0].body.tasks()[1].hooks
}

fn callee<'p>(plan: &'p Plan, call: &Call) -> &'p str {
    &plan.template(call.template).unwrap().name
}

#[test]
fn a_hook_of_a_step_may_name_the_step_itself() {
    let source = workflow(
        "",
        "        hooks:\n          exit: {template: needs, arguments: {parameters: [{name: p, value: '{{steps.a.outputs.parameters.o}}'}]}}\n          running: {template: say, expression: 'steps[\"a\"].status == \"Running\" && steps.before.status == workflow.status'}\n",
    );
    // What a hook calls may ask for the status of the workflow.
    let source = source.replace("{{inputs.parameters.p}}", "{{workflow.status}}");
    let plan = ok(&source).plan;
    let [exit, running] = hooks(&plan) else { panic!() };
    assert_eq!((&*exit.name, callee(&plan, &exit.call)), ("exit", "needs"));
    assert_eq!(exit.expression, None);
    let value = exit.call.arguments[0].1.as_reference();
    let own = SiblingField::Output("o".into());
    assert_eq!(value, Some(&Reference::Sibling { slot: 1, field: own }));
    assert_eq!((&*running.name, callee(&plan, &running.call)), ("running", "say"));
    assert!(running.expression.as_ref().unwrap().contains("Running"));
}

#[test]
fn an_exit_handler_without_arguments_is_given_parameters_of_the_workflow() {
    let parameters = "  arguments: {parameters: [{name: p, value: x}]}\n";
    for step in ["        onExit: needs\n", "        hooks: {exit: {template: needs}}\n"] {
        let plan = ok(&workflow(parameters, step)).plan;
        let [exit] = hooks(&plan) else { panic!() };
        let value = exit.call.arguments[0].1.as_reference();
        assert_eq!(value, Some(&Reference::WorkflowParameter("p".into())));
        assert_eq!(problems(&workflow("", step)).len(), 1);
    }
    for spec in ["  onExit: needs\n", "  hooks: {exit: {template: needs}}\n"] {
        let plan = ok(&workflow(&format!("{parameters}{spec}"), "")).plan;
        assert_eq!(callee(&plan, plan.on_exit.as_ref().unwrap()), "needs");
        assert!(problems(&workflow(spec, ""))[0].starts_with("missing_argument"));
    }
}

#[test]
fn hooks_of_the_workflow_have_arguments_and_conditions() {
    let source = workflow(
        "  hooks:\n    exit: {template: needs, arguments: {parameters: [{name: p, value: '{{workflow.status}}'}]}}\n    failed: {expression: 'workflow.status == \"Failed\"', template: say}\n",
        "",
    );
    let plan = ok(&source).plan;
    assert!(matches!(plan.on_exit.as_ref().unwrap().arguments[0].1, Text::Parts(_)));
    let [failed] = &plan.hooks[..] else { panic!() };
    assert_eq!((&*failed.name, callee(&plan, &failed.call)), ("failed", "say"));
}

#[test]
fn hooks_are_checked() {
    let rows = [
        ("        hooks: {x: {template: say}}\n", "missing_field 12:20"),
        ("        hooks: {x: {template: sya, expression: 'true'}}\n", "unknown_template 12:31"),
        ("        hooks: {x: {template: say, expression: '1 +'}}\n", "bad_expression 12:48"),
        (
            "        hooks: {x: {template: say, expression: 'steps.b.status == \"\"'}}\n",
            "unknown_task 12:48",
        ),
        (
            "        hooks: {x: {template: say, expression: 'tasks.a.status == \"\"'}}\n",
            "unknown_reference 12:48",
        ),
        ("        hooks: {exit: {template: say, expression: 'true'}}\n", "unsupported 12:51"),
        ("        hooks: {exit: {template: needs, arguments: {}}}\n", "missing_argument 12:23"),
        ("        hooks: {exit: {inline: {suspend: {}}}}\n", "unknown_field 12:24"),
        ("        hooks: [say]\n", "wrong_type 12:16"),
        ("        hooks: {exit: {template: say}}\n        onExit: say\n", "conflict 12:17"),
        ("        hooks: {exit: {template: main}}\n", "recursion 6:5"),
        (
            "        hooks: {exit: {templateRef: {name: x, template: y}}}\n",
            "missing_template 12:44",
        ),
    ];
    for (step, expected) in rows {
        assert_eq!(problems(&workflow("", step))[0], expected, "{step}");
    }
    // A hook with a condition may end.
    ok(&workflow(
        "",
        "        hooks: {x: {template: main, expression: 'steps.a.status == \"Failed\"'}}\n",
    ));
}

#[test]
fn the_legacy_time_to_live_is_read() {
    let ttl = ok(&workflow("  ttlSecondsAfterFinished: 60\n", "")).plan.ttl;
    assert_eq!(ttl.completion, Some(Millis::from_secs(60)));
    let both = "  ttlSecondsAfterFinished: 60\n  ttlStrategy: {secondsAfterSuccess: 1}\n";
    assert_eq!(problems(&workflow(both, "")), ["conflict 5:28"]);
}

#[test]
fn labels_and_annotations_of_a_workflow_come_from_its_spec_too() {
    let source = workflow(
        "  arguments: {parameters: [{name: team, value: red}]}\n  workflowMetadata:\n    labels: {a: b}\n    annotations: {note: text}\n    labelsFrom: {team: {expression: \"workflow.parameters.team + '-' + workflow.labels.a\"}}\n",
        "",
    );
    let compiled = ok(&source);
    let labels: Vec<(&str, &str)> =
        compiled.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "b"), ("team", "red-b")]);
    assert_eq!(compiled.plan.annotations, [("note".into(), "text".into())]);
    let bad = source.replace("workflow.labels.a", "1");
    assert_eq!(problems(&bad), ["bad_expression 9:37"]);
}

#[test]
fn what_only_a_pod_has_is_accepted_by_name() {
    let source = workflow(
        "  serviceAccountName: bot\n  podGC: {strategy: OnPodCompletion}\n  metrics: {prometheus: []}\n",
        "",
    );
    let compiled = ok(&source);
    assert_eq!(compiled.plan.service_account.as_deref(), Some("bot"));
    let lines: Vec<(&str, u32)> = compiled.warnings.iter().map(|w| (w.code, w.line)).collect();
    assert_eq!(lines, [("no_effect", 6), ("no_effect", 7)]);
}

#[test]
fn branches_stop_early_in_argo_unless_told_otherwise() {
    let dag = |head: &str, field: &str| {
        let Compiled { plan, .. } = ok(&format!(
            "{head}\n  entrypoint: m\n  templates:\n  - name: m\n    dag: {{{field}tasks: [{{name: a, inline: {{suspend: {{}}}}}}]}}\n"
        ));
        let flowforge_model::plan::Body::Dag(dag) = &plan.templates[0].body else { panic!() };
        dag.fail_fast
    };
    let argo = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:";
    assert!(dag(argo, "") && dag(argo, "failFast: true, ") && !dag(argo, "failFast: false, "));
}

#[test]
fn a_condition_may_hold_tags_and_look_beyond_its_task() {
    let source = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n  hooks: {now: {template: t, expression: \"workflow.status == 'Running'\"}, out: {template: t, expression: \"workflow.outputs.parameters.x == '1'\"}}\n  templates:\n  - name: main\n    dag:\n      tasks:\n      - name: a\n        template: t\n        hooks:\n          own: {template: t, expression: \"'{{tasks.a.status}}' == 'Failed'\"}\n          other: {template: t, expression: \"tasks['b'].status == 'Failed'\"}\n          all: {template: t, expression: \"workflow.status == 'Failed'\"}\n        depends: b\n      - {name: b, template: t}\n  - {name: t, container: {image: i, command: [x]}}\n";
    let plan = compile(source, &Options::default()).unwrap().plan;
    let wide = |hooks: &[Hook]| -> Vec<(String, bool)> {
        hooks.iter().map(|hook| (hook.name.to_string(), hook.wide)).collect()
    };
    assert_eq!(wide(&plan.hooks), [("now".to_owned(), false), ("out".to_owned(), true)]);
    let hooks = &plan.templates[0].body.tasks()[0].hooks;
    let expected =
        [("own".to_owned(), false), ("other".to_owned(), true), ("all".to_owned(), true)];
    assert_eq!(wide(hooks), expected);
    assert_eq!(
        hooks[0].expression.as_deref(),
        Some("('' + string(tasks[\"a\"][\"status\"]) + '') == 'Failed'")
    );
}
