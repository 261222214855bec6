//! Documents that are refused, and what is said about them.

use std::time::{Duration, Instant};

use flowforge_spec::{Options, Problems, compile};

#[expect(clippy::disallowed_methods, reason = "refusing must be quick")]
fn refuse(source: &str) -> Problems {
    let started = Instant::now();
    let result = compile(source, &Options::default());
    let shown: String = source.chars().take(200).collect();
    // Unoptimised builds on a busy machine: the bound for a release build is 50 ms.
    assert!(started.elapsed() < Duration::from_secs(2), "slow: {shown}");
    result.map(|c| c.plan).expect_err(&shown)
}

/// `code line:column pointer` of every problem.
fn places(source: &str) -> Vec<String> {
    let list = refuse(source).list;
    list.iter().map(|p| format!("{} {}:{} {}", p.code, p.line, p.column, p.pointer)).collect()
}

fn codes(source: &str) -> Vec<&'static str> {
    refuse(source).list.iter().map(|p| p.code).collect()
}

/// A document with one leaf `a` and a dag `m` of these tasks.
fn dag(tasks: &str) -> String {
    format!(
        "version: '1.0'\nentrypoint: m\ntemplates:\n  a: {{container: {{image: i}}, inputs: {{parameters: [{{name: x, default: d}}]}}, outputs: {{parameters: [{{name: o, valueFrom: {{path: /o}}}}]}}}}\n  m:\n    dag:\n      tasks:\n{tasks}\n"
    )
}

/// A document whose only leaf has this body.
fn leaf(body: &str) -> String {
    format!("version: '1.0'\nentrypoint: a\ntemplates:\n  a:\n    {body}\n")
}

/// What can never have a value is said when the document is read.
#[test]
fn types_and_functions_of_expressions_are_checked() {
    let cases = [
        ("{{='1' == 1}}", Some("mismatched types string and int")),
        ("{{=retries + 1}}", Some("mismatched types string and int")),
        ("{{=asInt(retries) + 1}}", None),
        ("{{=nope('a')}}", Some("there is no function nope")),
        ("{{=sprig.bcrypt('a')}}", Some("there is no function sprig.bcrypt")),
        ("{{=true ? 'a' : sprig.trim(' b ')}}", None),
        ("{{=trim(1)}}", Some("trim does not take (int)")),
    ];
    for (tag, expected) in cases {
        let source = leaf(&format!("container: {{image: i, args: [\"{tag}\"]}}"));
        match expected {
            Some(expected) => {
                let problems = refuse(&source).list;
                assert_eq!(problems.len(), 1, "{tag}");
                assert!(problems[0].message.contains(expected), "{}", problems[0].message);
            }
            None => assert!(compile(&source, &Options::default()).is_ok(), "{tag}"),
        }
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let problems = refuse(include_str!("documents/bad.yaml"));
    let mut out = String::new();
    for p in &problems.list {
        out.push_str(&format!("{p}\n    at {}\n", p.pointer));
        if let Some(hint) = &p.hint {
            out.push_str(&format!("    {hint}\n"));
        }
    }
    insta::assert_snapshot!(out, @r#"
    1:10: version '1.1' is not known [unsupported_version]
        at /version
        write version: "1.0"
    2:13: there is no template 'mian' [unknown_template]
        at /entrypoint
        did you mean main?
    3:9: there is no template 'bye' [unknown_template]
        at /onExit
    6:27: 'Rome' is not one of the allowed values [not_in_enum]
        at /arguments/parameters/0/value
        allowed: Oslo, Bergen
    11:11: 'fetch' gives no value for the input 'cmd' of the template 'sh' [missing_argument]
        at /templates/main/dag/tasks/0
        add it to arguments.parameters of fetch, or give it a default
    13:11: a task has no field 'argumets' [unknown_field]
        at /templates/main/dag/tasks/0/argumets
        did you mean arguments?
    16:26: there is no task 'fetsh' to depend on [unknown_task]
        at /templates/main/dag/tasks/1/dependencies/0
        did you mean fetch?
    17:17: {{tasks.fetch.outputs.parameters.out}}: the template 'sh' has no output 'out' [unknown_output]
        at /templates/main/dag/tasks/1/when
        declare it in outputs.parameters of that template
    18:55: {{workflow.parameters.town}}: the workflow has no parameter 'town' [unknown_parameter]
        at /templates/main/dag/tasks/1/arguments/parameters/0/value
        declare it in arguments.parameters
    21:44: there is no type of dependency 'finished' [bad_value]
        at /templates/main/dag/tasks/2/dependencies/0/type
        types are success, completion and failure
    22:55: {{tasks.big.outputs.out}}: the template 'sh' has no output 'out' [unknown_output]
        at /templates/main/dag/tasks/2/arguments/parameters/0/value
        declare it in outputs.parameters of that template
    27:16: command must be a list of strings, found 'sh -c "{{inputs.parameters.cmd}}"' [wrong_type]
        at /templates/sh/container/command
        write it as a list; no shell splits it for you
    28:7: volumeDevices of a container is not supported: devices are not handed to local processes [unsupported]
        at /templates/sh/container/volumeDevices
        remove it: a field is never ignored
    29:18: memory requests more than its limit [request_over_limit]
        at /templates/sh/container/resources
        raise the limit or lower the request
    29:35: '100x' is no quantity: expected a number and perhaps a suffix [bad_quantity]
        at /templates/sh/container/resources/requests/cpu
        write it like 500m, 0.5, 2 (cpu) or 256Mi, 1Gi (memory)
    30:14: '5 minutes' is no duration: expected numbers with units, or seconds [bad_duration]
        at /templates/sh/timeout
        write it like 30s, 5m, 1h30m, or as a number of seconds
    "#);
}

#[test]
fn a_cycle_is_named() {
    let source = include_str!("documents/two-tasks.yaml").replace(
        "          template: python\n        - name: task2",
        "          template: python\n          dependencies: [task2]\n        - name: task2",
    );
    let problems = refuse(&source);
    assert_eq!(problems.list.len(), 1);
    assert_eq!(problems.list[0].code, "cycle");
    assert_eq!(problems.list[0].message, "the tasks wait for each other: task1 -> task2 -> task1");
}

/// H17, H18, H23, H24: shapes that are not read.
#[test]
fn hostile_texts_are_refused_where_they_are() {
    let bomb: String =
        (0..10).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n.max(1) - 1)).collect();
    let mut wrong = Vec::new();
    let rows: Vec<(String, &str)> = vec![
        ("".to_owned(), "empty_document 1:1 "),
        ("\u{feff}# nothing\n".to_owned(), "empty_document 1:1 "),
        ("a\u{0}b".to_owned(), "nul 1:2 "),
        ("x: \"\\u0000\"\n".to_owned(), "nul 1:4 /x"),
        ("{\"version\": \"\\u0000\"}".to_owned(), "nul 1:14 /version"),
        ("{\"version\": \"\\ud800\"}".to_owned(), "json 1:14 /version"),
        ("{\"a\": 1} x".to_owned(), "json 1:10 "),
        ("{\"a\": 1, // c\n\"b\": 2}".to_owned(), "json 1:10 "),
        ("{\"a\": NaN}".to_owned(), "json 1:7 /a"),
        ("{\"a\": 0x10}".to_owned(), "json 1:7 /a"),
        ("{\"a\": 01}".to_owned(), "json 1:7 /a"),
        ("{\"a\": [1,]}".to_owned(), "json 1:10 /a/1"),
        ("{\"a\": \"x".to_owned(), "json 1:9 /a"),
        ("[".repeat(1 << 20), "wrong_type 1:1 "),
        (format!("{{\"a\": {}", "[".repeat(1 << 20)), "too_deep 1:70 /a/0"),
        (format!("{{\"a\": [{}", "1,".repeat(7_000_000)), "too_large 1:32776 /a/16384"),
        ("- 1\n".repeat(4_000_000), "wrong_type 1:1 "),
        (format!("a: '{}", "x\n".repeat(60_000)), "yaml 1:4 /a"),
        (format!("a:\n{}", "- 1\n".repeat(4_000_000)), "too_large 16386:3 /a/16384"),
        (format!("a: {}", "[".repeat(1 << 20)), "yaml 1:259 /a/0"),
        ("{\"a\":".repeat(100_000), "too_deep 1:321 "),
        ("- ".repeat(1 << 19), "wrong_type 1:1 "),
        ("? ".repeat(1 << 19), ""),
        ("a: &x 1\n".to_owned(), "yaml_alias 1:4 /a"),
        ("a: *x\n".to_owned(), "yaml 1:4 /a"),
        (bomb, "yaml_alias"),
        ("a: !!python/object:os.system x\n".to_owned(), "yaml_tag"),
        ("a: !!binary aGk=\n".to_owned(), "yaml_tag"),
        ("<<: {a: b}\n".to_owned(), "merge_key 1:1 "),
        ("--- a\n".repeat(10_000), "too_large 1001:5 "),
        ("a: [1, 2\n".to_owned(), "yaml"),
        ("? [a, b]\n: c\n".to_owned(), "bad_key"),
        (format!("a: {}", "x".repeat(17 << 20)), "too_large 1:1 "),
    ];
    for (source, expected) in rows {
        let places = places(&source);
        if !places[0].starts_with(expected) {
            let shown: String = source.chars().take(40).collect();
            wrong.push(format!("{shown}: {places:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// H18, H20, H28, H29: fields and names.
#[test]
fn fields_and_names_are_checked() {
    let rows: Vec<(String, &[&str])> = vec![
        ("x: 1\nx: 2\n".to_owned(), &["unknown_field 1:1 /x", "missing_field 1:1 ", "missing_field 1:1 ", "missing_field 1:1 ", "duplicate_key 2:1 /x", "unknown_field 2:1 /x"]),
        ("[1]".to_owned(), &["wrong_type 1:1 "]),
        ("version: '2.0'\nentrypoint: a\ntemplates: {a: {suspend: }}\n".to_owned(), &["unsupported_version 1:10 /version"]),
        ("version: '1.0'\nentrypoint: b\ntemplates: {a: {suspend: }}\n".to_owned(), &["unknown_template 2:13 /entrypoint"]),
        ("version: '1.0'\ntemplates: {a: {suspend: }}\n".to_owned(), &["missing_field 1:1 "]),
        (leaf("container: {image: i}\n    script: {image: i, source: x}"), &["conflict 6:5 /templates/a/script"]),
        (leaf("timeout: 1s"), &["missing_field 5:5 /templates/a"]),
        (leaf("container: {image: null}"), &["missing_field 5:16 /templates/a/container"]),
        (leaf("container: {image: ''}"), &["bad_image 5:24 /templates/a/container/image"]),
        (leaf("container: {image: 'http://x/y'}"), &["bad_image 5:24 /templates/a/container/image"]),
        (leaf("container: {image: 'a b'}"), &["bad_image 5:24 /templates/a/container/image"]),
        (leaf("container: {image: i, command: sh}"), &["wrong_type 5:36 /templates/a/container/command"]),
        (leaf("container: {image: i, command: ['']}"), &["empty 5:36 /templates/a/container/command"]),
        (leaf("container: {image: i, env: [{name: A, value: 1}, {name: A}]}"), &["duplicate_name 5:61 /templates/a/container/env/1/name"]),
        (leaf("container: {image: i, env: [{name: FLOWFORGE_TASK_ID}]}"), &["reserved_name 5:40 /templates/a/container/env/0/name"]),
        (leaf("container: {image: i, env: [{name: 'A=B'}]}"), &["bad_name 5:40 /templates/a/container/env/0/name"]),
        (leaf("container: {image: i, volumeDevices: []}"), &["unsupported 5:27 /templates/a/container/volumeDevices"]),
        (leaf("container: {image: i}\n    resourceClaims: []\n    hostNetwork: true"), &["unsupported 6:5 /templates/a/resourceClaims", "unknown_field 7:5 /templates/a/hostNetwork"]),
        (leaf("container: {image: i}\n    parallelism: 2"), &["conflict 6:18 /templates/a/parallelism"]),
        (leaf("container: {image: i}\n    activeDeadlineSeconds: 0"), &["out_of_range 6:28 /templates/a/activeDeadlineSeconds"]),
        (leaf("container: {image: i}\n    activeDeadlineSeconds: 1.5"), &["wrong_type 6:28 /templates/a/activeDeadlineSeconds"]),
        (leaf("container: {image: i}\n    activeDeadlineSeconds: 1000000000000000000"), &["out_of_range 6:28 /templates/a/activeDeadlineSeconds"]),
        (leaf("container: {image: i}\n    timeout: -1s"), &["bad_duration 6:14 /templates/a/timeout"]),
        (leaf("container: {image: i}\n    retryStrategy: {limit: 2147483648}"), &["out_of_range 6:28 /templates/a/retryStrategy/limit"]),
        (leaf("container: {image: i}\n    retryStrategy: {limit: -0}"), &["wrong_type 6:28 /templates/a/retryStrategy/limit"]),
        (leaf("container: {image: i}\n    retryStrategy: {limit: -1}"), &["out_of_range 6:28 /templates/a/retryStrategy/limit"]),
        (leaf("container: {image: i}\n    retryStrategy: {backoff: {duration: 1s, factor: 1e308}}"), &["out_of_range 6:53 /templates/a/retryStrategy/backoff/factor"]),
        ("version: '1.0'\nentrypoint: a\nmaxRetries: 100001\ntemplates: {a: {suspend: }}\n".to_owned(), &["out_of_range 3:13 /maxRetries"]),
        ("version: '1.0'\nentrypoint: a\nmaxRetries: -1\ntemplates: {a: {suspend: }}\n".to_owned(), &["out_of_range 3:13 /maxRetries"]),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {entrypoint: a, maxRetries: 1, templates: [{name: a, suspend: {}}]}\n".to_owned(), &["unknown_field 3:23 /spec/maxRetries"]),
        (leaf("container: {image: i}\n    failFast: 'true'"), &["wrong_type 6:15 /templates/a/failFast"]),
        ("version: '1.0'\nentrypoint: a\ntemplates: [{name: a, suspend: }, {name: a, suspend: }]\n".to_owned(), &["duplicate_name 3:42 /templates/1/name"]),
        ("version: '1.0'\nentrypoint: A\ntemplates: {A: {suspend: }}\n".to_owned(), &["bad_name 3:16 /templates/A"]),
        ("apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nspec: {}\n".to_owned(), &["no_workflow 1:1 "]),
        ("apiVersion: v1\nkind: Secret\n".to_owned(), &["unsupported 2:7 /kind"]),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {workflowTemplateRef: {name: x}}\n".to_owned(), &["missing_template 3:36 /spec/workflowTemplateRef/name"]),
    ];
    for (source, expected) in rows {
        assert_eq!(places(&source), expected, "{source}");
    }
}

/// H19, H36: resources.
#[test]
fn quantities_are_checked() {
    let resources = |text: &str| leaf(&format!("container: {{image: i, resources: {text}}}"));
    for bad in ["-1", "0x1", "'１'", "9223372036854775807Ki", "1e308", "100Ei", "1Gb", "NaN", "''"]
    {
        let source = resources(&format!("{{memory: {bad}}}"));
        assert_eq!(codes(&source), ["bad_quantity"], "{bad}");
    }
    assert_eq!(codes(&resources("{requests: {cpu: 2}, limits: {cpu: 1}}")), ["request_over_limit"]);
    assert_eq!(codes(&resources("{requests: {memory: 1Gi}, cpu: 1}")), ["conflict"]);
    assert_eq!(codes(&resources("{nvidia.com/gpu: 0.5}")), ["bad_quantity"]);
    assert_eq!(codes(&resources("{amd.com/gpu: 1}")), ["unsupported"]);
    assert_eq!(codes(&resources("{cpus: 1}")), ["unknown_field"]);
    assert_eq!(codes(&resources("{cpu: '{{inputs.parameters.x}}'}")), ["unsupported"]);
}

/// H26 to H29, H31: graphs and references.
#[test]
fn graphs_and_references_are_checked() {
    let rows: Vec<(&str, &[&str])> = vec![
        ("        []", &["empty"]),
        ("        - {name: t, template: a, dependencies: [u]}", &["unknown_task"]),
        ("        - {name: t, template: a, dependencies: [t]}", &["cycle"]),
        ("        - {name: t, template: a}\n        - {name: t, template: a}", &["duplicate_name"]),
        ("        - {name: T, template: a}", &["bad_name"]),
        ("        - {name: t, template: b}", &["unknown_template"]),
        ("        - {name: t}", &["missing_field"]),
        ("        - {name: t, template: a, depends: 'u && t.Failed'}", &["unknown_task"]),
        ("        - {name: t, template: a, depends: 't'}", &["cycle"]),
        ("        - {name: t, template: a, depends: 't &'}", &["bad_condition"]),
        (
            "        - {name: s, template: a}\n        - {name: t, template: a, depends: s, dependencies: [s]}",
            &["conflict"],
        ),
        (
            "        - {name: t, template: a, arguments: {parameters: [{name: y, value: 1}]}}",
            &["unknown_argument"],
        ),
        ("        - {name: t, template: a, when: 'a =='}", &["bad_condition"]),
        ("        - {name: t, template: a, when: '{{item}}'}", &["unknown_reference"]),
        ("        - {name: t, template: a, when: '{{tasks.s.status}} == x'}", &["unknown_task"]),
        (
            "        - {name: s, template: a}\n        - {name: t, template: a, when: '{{tasks.s.status}} == x'}",
            &["not_a_dependency"],
        ),
        (
            "        - {name: s, template: a}\n        - {name: t, template: a, dependencies: [s], when: '{{tasks.s.outputs.p}} == x'}",
            &["unknown_output"],
        ),
        (
            "        - {name: s, template: a}\n        - {name: t, template: a, dependencies: [s], when: '{{steps.s.status}} == x'}",
            &["unknown_reference"],
        ),
        (
            "        - {name: t, template: a, when: '{{workflow.parameters.x}} == x'}",
            &["unknown_parameter"],
        ),
        (
            "        - {name: t, template: a, when: '{{inputs.parameters.x}} == x'}",
            &["unknown_parameter"],
        ),
        (
            "        - {name: t, template: a, when: '{{workflow.status}} == x'}",
            &["unknown_reference"],
        ),
        ("        - {name: t, template: a, when: '{{foo == x'}", &["bad_tag"]),
        ("        - {name: t, template: a, when: '{{=1 +}}'}", &["bad_tag"]),
        ("        - {name: t, template: a, when: '{{=foo}}'}", &["unknown_reference"]),
        ("        - {name: t, template: a, when: '{{=tasks.s.status}}'}", &["unknown_task"]),
        ("        - {name: t, template: a, withItems: [1], withParam: x}", &["conflict"]),
        ("        - {name: t, template: a, withSequence: {count: 1000000000}}", &["out_of_range"]),
        (
            "        - {name: t, template: a, withSequence: {count: 2, format: '%s'}}",
            &["bad_format"],
        ),
        ("        - {name: t, templateRef: {name: x, template: y}}", &["missing_template"]),
        ("        - {name: t, template: m}", &["recursion"]),
        (
            "        - {name: s, template: a}\n        - {name: t, template: a, dependencies: [s, {task: s, type: failure}]}",
            &["conflict"],
        ),
        ("        - {name: t, template: a}\n      target: u", &["unknown_task"]),
    ];
    for (tasks, expected) in rows {
        assert_eq!(codes(&dag(tasks)), expected, "{tasks}");
    }
}

#[test]
fn an_indirect_dependency_is_enough_for_a_reference() {
    let tasks = "        - {name: r, template: a}\n        - {name: s, template: a, dependencies: [r]}\n        - {name: t, template: a, dependencies: [s], when: '{{tasks.r.outputs.o}} == x'}";
    assert!(compile(&dag(tasks), &Options::default()).is_ok());
}

#[test]
fn recursion_that_may_end_is_fine() {
    let tasks = "        - {name: t, template: m, when: '{{workflow.name}} == x'}";
    assert!(compile(&dag(tasks), &Options::default()).is_ok());
}

#[test]
fn steps_only_see_earlier_groups() {
    let source = "version: '1.0'\nentrypoint: m\ntemplates:\n  a: {container: {image: i}}\n  m:\n    steps:\n    - [{name: r, template: a}, {name: s, template: a, when: '{{steps.r.status}} == x'}]\n    - {name: t, template: a, when: '{{steps.r.status}} == {{steps.t.status}}'}\n";
    assert_eq!(
        places(source),
        [
            "not_a_dependency 7:61 /templates/m/steps/0/1/when",
            "not_a_dependency 8:36 /templates/m/steps/1/when"
        ]
    );
}

#[test]
fn parameters_of_the_submission_are_checked() {
    let source = "version: '1.0'\nentrypoint: a\narguments: {parameters: [{name: x}, {name: y, enum: [a, b]}]}\ntemplates: {a: {suspend: }}\n";
    assert_eq!(codes(source), ["missing_value", "missing_value"]);
    let options = |list: &[(&str, &str)]| Options {
        parameters: list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        default_retry: None,
    };
    assert!(compile(source, &options(&[("x", "{{y}}\n\""), ("y", "a")])).is_ok());
    let problems = compile(source, &options(&[("x", "1"), ("y", "c"), ("z", "1")])).unwrap_err();
    let codes: Vec<_> = problems.list.iter().map(|p| p.code).collect();
    assert_eq!(codes, ["unknown_parameter", "not_in_enum"]);
}

#[test]
fn only_the_first_hundred_problems_are_listed() {
    let tasks: String = (0..1000)
        .map(|n| format!("        - {{name: t{n}, template: nope, dependencies: [x{n}]}}\n"))
        .collect();
    let problems = refuse(&dag(&tasks));
    assert_eq!(problems.list.len(), 100);
    assert_eq!(problems.omitted, 1900);
    assert_eq!(problems.list[0].line, 8);
    assert_eq!(problems.list[99].line, 57);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    const SEEDS: [&str; 4] = [
        include_str!("documents/native.yaml"),
        include_str!("documents/argo.yaml"),
        include_str!("documents/two-tasks.json"),
        include_str!("documents/bad.yaml"),
    ];

    proptest! {
        #[test]
        fn no_text_panics(source in "([a-z:\\-\\[\\]{},\"'#&*!|>%@ \\n]|\\PC){0,80}") {
            if let Err(problems) = compile(&source, &Options::default()) {
                prop_assert!(!problems.list.is_empty());
            }
        }

        /// Lines and pieces of real documents in any order, cut anywhere.
        #[test]
        fn no_mutated_document_panics(
            seed in 0..SEEDS.len(),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\PC\\n]{0,3}"), 1..6),
        ) {
            let mut chars: Vec<char> = SEEDS[seed].chars().collect();
            for (from, length, insert) in cuts {
                if chars.is_empty() { break; }
                let from = from.index(chars.len());
                let length = length.index(12);
                let to = (from + length).min(chars.len());
                chars.splice(from..to, insert.chars());
            }
            let source: String = chars.into_iter().collect();
            if let Err(problems) = compile(&source, &Options::default()) {
                prop_assert!(!problems.list.is_empty());
                prop_assert!(problems.list.is_sorted_by_key(|p| (p.line, p.column)));
            }
        }
    }
}
