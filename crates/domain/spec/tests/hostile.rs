//! H23 to H33 in Argo's form: texts that want to be expensive are refused quickly, by name.
//!
//! What is bounded is the work, not the clock: accepted texts of twice the size may take about
//! twice as long, refused ones end at a limit.

use std::time::{Duration, Instant};

use flowforge_spec::{Options, census, compile, lint, missing, template};

fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

fn dag(tasks: &str) -> String {
    let spec = format!(
        "  entrypoint: m\n  templates:\n  - {{name: a, suspend: {{}}}}\n  - name: m\n    dag:\n      tasks:\n{tasks}"
    );
    manifest("Workflow", "w", &spec)
}

/// The codes of a refusal.
#[expect(clippy::disallowed_methods, reason = "refusing must be quick")]
fn refused(text: &str) -> Vec<&'static str> {
    let shown: String = text.chars().take(300).collect();
    let look = || {
        let started = Instant::now();
        let problems = compile(text, &Options::default()).map(|c| c.plan).expect_err(&shown);
        (started.elapsed(), problems)
    };
    let (mut took, problems) = look();
    // Unoptimised builds take as long as they take; others may be disturbed, but not every time.
    // What can only be refused after it was read takes the time of reading, which is linear.
    let reading = Duration::from_micros(u64::try_from(text.len()).unwrap_or(u64::MAX) / 5);
    let optimised = Duration::from_millis(50) + reading;
    let most = if cfg!(debug_assertions) { Duration::from_secs(10) } else { optimised };
    for _ in 0..2 {
        if took > most {
            took = took.min(look().0);
        }
    }
    assert!(took < most, "slow, {took:?}: {shown}");
    assert!(problems.list.iter().all(|p| p.line > 0), "{:?}", problems.list);
    problems.list.iter().map(|p| p.code).collect()
}

fn first(text: &str) -> &'static str {
    refused(text)[0]
}

#[test]
fn h23_floods_of_documents_and_aliases_are_refused() {
    let one = manifest("ConfigMap", "c", "").replace("spec:\n", "");
    assert_eq!(first(&format!("{one}---\n").repeat(10_000)), "too_large");
    assert_eq!(first(&"---\n{\"a\": 1}\n".repeat(10_000)), "too_large");
    assert_eq!(first(&dag("      - &x {name: t, template: a}\n      - *x\n")), "yaml_alias");
    let items = "- {kind: ConfigMap, apiVersion: v1, metadata: {name: c}}\n".repeat(2_000);
    assert_eq!(first(&format!("kind: List\napiVersion: v1\nitems:\n{items}")), "too_large");
}

#[test]
fn h24_tags_merge_keys_and_doubles_are_refused() {
    for (from, to, code) in [
        ("metadata:", "metadata: !!map", "yaml_tag"),
        ("{name: w}", "{<<: {name: w}}", "merge_key"),
        ("{name: w}", "{name: w, name: v}", "duplicate_key"),
    ] {
        let text = dag("      - {name: t, template: a}\n").replacen(from, to, 1);
        assert_eq!(first(&text), code, "{to}");
    }
}

#[test]
fn h26_large_graphs_are_refused_over_the_limit_and_fine_below() {
    let flood: String =
        (0..200_000).map(|at| format!("      - {{name: t{at}, template: a}}\n")).collect();
    // Larger than a text may be, or with more values.
    assert_eq!(first(&dag(&flood.repeat(4))), "too_large");
    let chain: String = (0..20_000)
        .map(|at| match at {
            0 => "      - {name: t0, template: a}\n".to_owned(),
            at => format!("      - {{name: t{at}, template: a, depends: t{}}}\n", at - 1),
        })
        .collect();
    assert!(compile(&dag(&chain), &Options::default()).is_ok());
    let layer: String =
        (0..2_000).map(|at| format!("      - {{name: l{at}, template: a}}\n")).collect();
    let all: Vec<String> = (0..2_000).map(|at| format!("l{at}")).collect();
    let all = all.join(", ");
    let right: String = (0..150)
        .map(|at| format!("      - {{name: r{at}, template: a, dependencies: [{all}]}}\n"))
        .collect();
    assert!(compile(&dag(&(layer + &right)), &Options::default()).is_ok());
}

#[test]
fn h27_cycles_are_named_wherever_they_go() {
    let task = |rest: &str| format!("      - {{name: t, {rest}}}\n");
    assert_eq!(first(&dag(&task("template: a, depends: t"))), "cycle");
    assert_eq!(first(&dag(&task("template: m"))), "recursion");
    assert_eq!(first(&dag(&task("template: a, onExit: m"))), "recursion");
    assert_eq!(first(&dag(&task("template: a, hooks: {exit: {template: m}}"))), "recursion");
    let inline = "inline: {dag: {tasks: [{name: x, inline: {steps: [[{name: y, template: m}]]}}]}}";
    assert_eq!(first(&dag(&task(inline))), "recursion");
    let call = |to: &str| {
        format!(
            "  templates:\n  - name: t\n    steps: [[{{name: s, templateRef: {{name: {to}, template: t}}}}]]\n"
        )
    };
    let text = dag(&task("templateRef: {name: one, template: t}"))
        + "---\n"
        + &manifest("WorkflowTemplate", "one", &call("two"))
        + "---\n"
        + &manifest("WorkflowTemplate", "two", &call("one"));
    assert_eq!(first(&text), "recursion");
    let itself = manifest("Workflow", "w", "  workflowTemplateRef: {name: lib}\n")
        + "---\n"
        + &manifest("WorkflowTemplate", "lib", "  workflowTemplateRef: {name: lib}\n");
    assert!(refused(&itself).contains(&"missing_field"));
}

#[test]
fn h28_h29_h30_names_and_edges_are_checked() {
    let rows = [
        ("      - {name: t, template: a, depends: u}\n", "unknown_task"),
        ("      - {name: t, template: a, dependencies: [u]}\n", "unknown_task"),
        (
            "      - {name: t, template: a, depends: t2, dependencies: [t2]}\n      - {name: t2, template: a}\n",
            "conflict",
        ),
        ("      - {name: t, template: a}\n      - {name: t, template: a}\n", "duplicate_name"),
        ("      - {name: 't ', template: a}\n", "bad_name"),
        ("      - {name: \"t\\u200b\", template: a}\n", "bad_name"),
        ("      - {name: -t, template: a}\n", "bad_name"),
        ("      - {name: .., template: a}\n", "bad_name"),
        (
            "      - {name: 1t, template: a}\n      - {name: t, template: a, depends: 1t}\n",
            "bad_name",
        ),
    ];
    for (tasks, code) in rows {
        assert_eq!(first(&dag(tasks)), code, "{tasks}");
    }
    let nothing = dag("").replace("tasks:\n", "tasks: []\n");
    assert_eq!(first(&nothing), "empty");
    let long = "t".repeat(129);
    assert_eq!(first(&dag(&format!("      - {{name: {long}, template: a}}\n"))), "bad_name");
    let fine =
        "      - {name: 1t, template: a}\n      - {name: _T, template: a, dependencies: [1t]}\n";
    assert!(compile(&dag(fine), &Options::default()).is_ok());
    let dotted =
        dag(fine).replace("name: a,", "name: a.b_c,").replace("template: a", "template: a.b_c");
    assert!(compile(&dotted, &Options::default()).is_ok());
}

#[test]
fn h31_loops_are_capped_before_they_are_unrolled() {
    let task = |rest: &str| format!("      - {{name: t, template: a, {rest}}}\n");
    assert_eq!(first(&dag(&task("withSequence: {count: 1000000000}"))), "out_of_range");
    let items = "{a: {b: [1, 2, 3]}},".repeat(10_000);
    let plan = compile(&dag(&task(&format!("withItems: [{items}]"))), &Options::default()).unwrap();
    assert_eq!(plan.plan.templates.len(), 2);
}

#[test]
fn h32_nesting_is_bounded() {
    let deep = format!("inline: {}", "{dag: {tasks: [{name: x, inline: ".repeat(40));
    let close = "}]}}".repeat(40);
    let task = format!("      - {{name: t, {deep}{{suspend: {{}}}}{close}}}\n");
    assert_eq!(first(&dag(&task)), "too_deep");
    // A long way through templates is no recursion; how far a run may go is decided there.
    let templates: String = (0..1_000)
        .map(|at| format!("  - {{name: t{at}, steps: [[{{name: s, template: t{}}}]]}}\n", at + 1))
        .collect();
    let spec =
        format!("  entrypoint: t0\n  templates:\n{templates}  - {{name: t1000, suspend: {{}}}}\n");
    assert!(compile(&manifest("Workflow", "w", &spec), &Options::default()).is_ok());
}

#[test]
fn h33_retries_and_spans_are_in_range() {
    for (field, code) in [
        ("retryStrategy: {limit: 2147483648}", "out_of_range"),
        ("retryStrategy: {limit: '-1'}", "out_of_range"),
        ("retryStrategy: {backoff: {duration: '1s', factor: 1e308}}", "out_of_range"),
        ("retryStrategy: {backoff: {duration: -1s}}", "bad_duration"),
        ("timeout: 1e18", "bad_duration"),
        ("activeDeadlineSeconds: 0", "out_of_range"),
        ("activeDeadlineSeconds: 9223372036854775808", "out_of_range"),
    ] {
        let spec = format!(
            "  entrypoint: a\n  templates:\n  - name: a\n    container: {{image: i}}\n    {field}\n"
        );
        assert_eq!(first(&manifest("Workflow", "w", &spec)), code, "{field}");
    }
}

/// H25: what YAML reads as something else is the text Argo makes of it.
#[test]
fn h25_scalars_of_parameters_are_what_argo_reads() {
    for (written, read) in [
        ("no", "false"),
        ("010", "8"),
        ("0x1F", "31"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("'010'", "010"),
        ("2024-01-02", "2024-01-02"),
        ("1:30", "1:30"),
        ("'{\"a\": 1}'", "{\"a\": 1}"),
    ] {
        let spec = format!(
            "  entrypoint: a\n  arguments: {{parameters: [{{name: p, value: {written}}}]}}\n  templates: [{{name: a, suspend: {{}}}}]\n"
        );
        let text = manifest("Workflow", "w", &spec);
        let plan = compile(&text, &Options::default()).map(|c| c.plan);
        let value = plan.map(|plan| plan.parameters[0].1.to_string()).map_err(|p| p.list);
        assert_eq!(value.as_deref(), Ok(read), "{written}");
    }
}

/// H35, H36, H52, H97: spans, quantities, conditions and keys that want to be expensive or get out.
#[test]
fn h35_h36_h52_h97_what_stands_in_a_template_is_bounded() {
    let deep = format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let long = "a".repeat(1_000_000);
    let nested = "[".repeat(5_000);
    let rows = [
        ("timeout: P1Y".to_owned(), "bad_duration"),
        ("timeout: 9999999999h".to_owned(), "bad_duration"),
        ("timeout: ' 5 m'".to_owned(), "bad_duration"),
        ("timeout: '{{=1'".to_owned(), "unsupported"),
        ("activeDeadlineSeconds: '{{=nothing.x}}'".to_owned(), "unknown_reference"),
        ("retryStrategy: {limit: '{{inputs.parameters.x}}'}".to_owned(), "unknown_parameter"),
        (format!("retryStrategy: {{expression: '{deep}'}}"), "bad_expression"),
        (format!("retryStrategy: {{expression: '{nested}'}}"), "bad_expression"),
        (format!("retryStrategy: {{expression: '{long}'}}"), "bad_expression"),
        ("memoize: {key: '{{=1 +}}', cache: {configMap: {name: c}}}".to_owned(), "bad_tag"),
        ("outputs: {artifacts: [{name: x, path: /x, s3: {key: a/../../b}}]}".to_owned(), "bad_key"),
        ("outputs: {artifacts: [{name: x, path: /x, s3: {key: a//b}}]}".to_owned(), "bad_key"),
    ];
    for (field, code) in rows {
        let spec = format!(
            "  entrypoint: a\n  templates:\n  - name: a\n    container: {{image: i}}\n    {field}\n"
        );
        let shown: String = field.chars().take(80).collect();
        assert_eq!(first(&manifest("Workflow", "w", &spec)), code, "{shown}");
    }
    for quantity in ["1e308", "-1", "9223372036854775807Ki", "0x1", "\u{ff11}"] {
        let spec = format!(
            "  entrypoint: a\n  templates:\n  - name: a\n    container: {{image: i, resources: {{limits: {{memory: '{quantity}'}}}}}}\n"
        );
        assert_eq!(first(&manifest("Workflow", "w", &spec)), "bad_quantity", "{quantity}");
    }
}

/// A chain of templates that all want one lock is walked once for each, not once for each pair.
#[test]
fn locks_of_many_templates_are_looked_at_in_bounded_time() {
    let template = |at: u32| {
        let lock = format!("synchronization: {{mutexes: [{{name: m{}}}]}}", at % 7);
        format!("  - {{name: t{at}, {lock}, steps: [[{{name: s, template: t{}}}]]}}\n", at + 1)
    };
    let chain: String = (0..90).map(template).collect();
    let last = "  - {name: t90, container: {image: i}}\n";
    let codes = refused(&manifest(
        "Workflow",
        "w",
        &format!("  entrypoint: t0\n  templates:\n{chain}{last}"),
    ));
    assert!(codes.iter().all(|code| *code == "lock_held"), "{codes:?}");
    assert_eq!(codes.len(), 83);
}

/// However a text is looked at.
#[test]
fn every_reader_bears_hostile_texts() {
    let call = "      - {name: t, templateRef: {name: one, template: t}}\n";
    let list = "kind: List\napiVersion: v1\nitems: [".to_owned() + &"[".repeat(50);
    for text in
        [dag(call), dag(&call.repeat(200)), list, "---\n".repeat(100_000), dag("      - &x [*x]\n")]
    {
        let _found = (missing(&text), template(&text).is_ok(), census(&text).is_ok());
        assert!(!lint(&text, &Options::default()).problems.list.is_empty());
    }
}

/// What is laid under every template is paid for once for each: that is bounded too.
#[test]
fn defaults_cannot_multiply_without_end() {
    let env: String = (0..200).map(|at| format!("{{name: A{at}, value: x}},")).collect();
    let templates: String =
        (0..20_000).map(|at| format!("  - {{name: t{at}, container: {{image: i}}}}\n")).collect();
    let spec = format!(
        "  entrypoint: t0\n  templateDefaults: {{container: {{env: [{env}]}}}}\n  templates:\n{templates}"
    );
    assert_eq!(refused(&manifest("Workflow", "w", &spec)), ["too_large"]);
}

/// So is a patch of the workflow, which is laid over every template, and what is wrong with it.
#[test]
fn patches_cannot_multiply_without_end() {
    let with = |patch: &str| {
        let templates: String = (0..16_000)
            .map(|at| format!("  - {{name: t{at}, container: {{image: i}}}}\n"))
            .collect();
        let spec =
            format!("  entrypoint: t0\n  podSpecPatch: '{patch}'\n  templates:\n{templates}");
        refused(&manifest("Workflow", "w", &spec))
    };
    let amount = "resources: {limits: {memory: lots}}";
    let many: String = (0..9).map(|at| format!("{{name: c{at}, {amount}}},")).collect();
    assert_eq!(with(&format!("containers: [{many}]")), ["unknown_container"]);
    assert_eq!(with(&format!("containers: [{{name: main, {amount}}}]")), ["bad_quantity"]);
    let strange: String = (0..60).map(|at| format!("k{at}: 1,")).collect();
    let codes = with(&format!("containers: [{{name: main, {strange}}}]"));
    assert_eq!(codes, ["unsupported"; 60]);
    assert_eq!(with(&format!("nodeSelector: {{disk: {}}}", "x".repeat(600))), ["too_large"]);
}
