//! Texts of several documents: a workflow and what it refers to.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what is not as it should be stops the test"
)]

use flowforge_model::plan::{Body, Plan, Task};
use flowforge_spec::{Compiled, Options, compile};

fn workflow(spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: w}}\nspec:\n{spec}"
    )
}

fn stored(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

fn ok(source: &str) -> Compiled {
    let result = compile(source, &Options::default());
    let result = result.map_err(|p| p.list.iter().map(ToString::to_string).collect::<Vec<_>>());
    result.unwrap_or_else(|problems| panic!("{problems:#?}\n{source}"))
}

/// `code line:column pointer` of every problem.
fn problems(source: &str) -> Vec<String> {
    let list = compile(source, &Options::default()).map(|c| c.plan).expect_err(source).list;
    list.iter().map(|p| format!("{} {}:{} {}", p.code, p.line, p.column, p.pointer)).collect()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.templates.iter().map(|template| &*template.name).collect()
}

/// Which templates the tasks of a template call, by their names in the plan.
fn callees<'p>(plan: &'p Plan, template: &str) -> Vec<&'p str> {
    let found = plan.templates.iter().find(|t| &*t.name == template).unwrap();
    let name = |task: &Task| &*plan.template(task.template).unwrap().name;
    found.body.tasks().iter().map(name).collect()
}

const MAIN: &str = "  entrypoint: main\n  templates:\n  - name: main\n    steps:\n";
const SAY: &str = "  - {name: say, inputs: {parameters: [{name: m, default: d}]}, container: {image: i, command: [echo, '{{inputs.parameters.m}}']}}\n";

#[test]
fn names_in_a_stored_template_mean_its_own_templates() {
    let source = workflow(&format!(
        "{MAIN}    - - {{name: a, template: say}}\n    - - {{name: b, templateRef: {{name: lib, template: both}}}}\n    - - {{name: c, templateRef: {{name: lib, template: say, clusterScope: true}}}}\n{SAY}"
    )) + &stored(
        "WorkflowTemplate",
        "lib",
        &format!(
            "  templates:\n  - name: both\n    dag: {{tasks: [{{name: x, template: say}}, {{name: y, template: quiet, dependencies: [x]}}]}}\n  - {{name: quiet, suspend: {{}}}}\n  - {{name: unused, script: {{}}}}\n{SAY}"
        ),
    ) + &stored("ClusterWorkflowTemplate", "lib", &format!("  templates:\n{SAY}"));
    let plan = ok(&source).plan;
    assert_eq!(
        names(&plan),
        ["main", "say", "lib/both", "cluster:lib/say", "lib/say", "lib/quiet"]
    );
    assert_eq!(callees(&plan, "main"), ["say", "lib/both", "cluster:lib/say"]);
    assert_eq!(callees(&plan, "lib/both"), ["lib/say", "lib/quiet"]);
}

#[test]
fn a_stored_template_names_parameters_of_the_workflow_that_calls_it() {
    let call = format!("{MAIN}    - - {{name: a, templateRef: {{name: lib, template: t}}}}\n");
    let library = |name: &str| {
        let spec = format!(
            "  arguments: {{parameters: [{{name: own, value: x}}]}}\n  templates:\n  - {{name: t, container: {{image: '{{{{workflow.parameters.{name}}}}}'}}}}\n"
        );
        stored("WorkflowTemplate", "lib", &spec)
    };
    let given = "  arguments: {parameters: [{name: theirs, value: v}]}\n";
    assert_eq!(
        ok(&(workflow(&(call.clone() + given)) + &library("theirs"))).plan.parameters.len(),
        1
    );
    let source = workflow(&(call + given)) + &library("own");
    assert_eq!(problems(&source), ["unknown_parameter 18:34 /spec/templates/0/container/image"]);
}

#[test]
fn references_that_lead_nowhere_are_named() {
    let call = |reference: &str| {
        workflow(&format!("{MAIN}    - - {{name: a, templateRef: {{{reference}}}}}\n"))
    };
    let library = stored("WorkflowTemplate", "lib", &format!("  templates:\n{SAY}"));
    let rows = [
        ("name: lib, template: sya", "unknown_template 9:54"),
        ("name: lob, template: say", "missing_template 9:39"),
        ("name: lib, template: say, clusterScope: true", "missing_template 9:39"),
        ("name: lib", "missing_field 9:32"),
        ("name: '{{x}}', template: say", "unsupported 9:39"),
        ("name: lib, template: say, x: y", "unknown_field 9:59"),
    ];
    for (reference, expected) in rows {
        let found = problems(&(call(reference) + &library));
        assert!(found[0].starts_with(expected), "{reference}: {found:?}");
    }
}

#[test]
fn a_workflow_may_be_all_of_a_stored_spec_but_what_it_says_itself() {
    let spec = "  workflowTemplateRef: {name: lib}\n  arguments: {parameters: [{name: b, value: mine}]}\n  parallelism: 2\n";
    let library = "  entrypoint: main\n  parallelism: 7\n  suspend: true\n  arguments: {parameters: [{name: a, value: '1'}, {name: b, value: '2', enum: ['2', mine]}]}\n  templates:\n  - {name: main, container: {image: i}}\n";
    let plan = ok(&(workflow(spec) + &stored("WorkflowTemplate", "lib", library))).plan;
    assert_eq!(names(&plan), ["main"]);
    assert_eq!((plan.parameter("a"), plan.parameter("b")), (Some("1"), Some("mine")));
    assert_eq!((plan.parallelism, plan.suspend), (Some(2), true));
    let source = workflow("  workflowTemplateRef: {name: lib, clusterScope: true}\n")
        + &stored("WorkflowTemplate", "lib", library);
    assert_eq!(problems(&source), ["missing_template 5:31 /spec/workflowTemplateRef/name"]);
    // Problems of what was merged are shown where they stand.
    let source = workflow(spec)
        + &stored("WorkflowTemplate", "lib", &library.replace("name: main,", "name: mian,"));
    assert_eq!(problems(&source), ["unknown_template 13:15 /spec/entrypoint"]);
}

#[test]
fn templates_may_stand_where_they_are_called() {
    let source = workflow(&format!(
        "{MAIN}    - - {{name: a, inline: {{container: {{image: i}}}}}}\n      - name: b\n        inline: {{dag: {{tasks: [{{name: x, inline: {{suspend: {{}}}}}}, {{name: y, template: main, when: 'a == b'}}]}}}}\n"
    ));
    let plan = ok(&source).plan;
    assert_eq!(names(&plan), ["main", "main.a", "main.b", "main.b.x"]);
    assert_eq!(callees(&plan, "main.b"), ["main.b.x", "main"]);
    let twice = source.replace("{name: a, inline:", "{name: a, template: main, inline:");
    assert_eq!(problems(&twice), ["conflict 9:43 /spec/templates/0/steps/0/0/inline"]);
}

#[test]
fn defaults_are_laid_under_every_template() {
    let source = workflow(
        "  entrypoint: a\n  templateDefaults:\n    timeout: 30s\n    retryStrategy: {limit: 3}\n    container: {image: base, env: [{name: A, value: '1'}, {name: B, value: '2'}]}\n  templates:\n  - name: a\n    container: {command: [x], env: [{name: B, value: mine}]}\n  - name: b\n    retryStrategy: {retryPolicy: Always}\n    script: {image: own, source: x}\n  - name: c\n    steps: [[{name: s, inline: {container: {args: [y]}}}]]\n",
    );
    let plan = ok(&source).plan;
    let [a, b, c, inline] = &plan.templates[..] else { panic!() };
    let Body::Container(container) = &a.body else { panic!() };
    assert_eq!(container.image.as_plain(), Some("base"));
    let env: Vec<&str> = container.env.iter().map(|(name, _)| &**name).collect();
    assert_eq!(env, ["A", "B"]);
    assert!(format!("{:?}", container.env[1].1).contains("mine"));
    assert!(matches!(b.body, Body::Script(..)));
    let retry = b.retry.as_ref().unwrap();
    assert_eq!((retry.limit, format!("{:?}", retry.policy).as_str()), (Some(3), "Always"));
    assert!(c.timeout.is_none() && a.timeout.is_some());
    let Body::Container(container) = &inline.body else { panic!() };
    assert_eq!(container.image.as_plain(), Some("base"));
}

#[test]
fn other_documents_are_refused_by_name() {
    let spec = "  entrypoint: a\n  templates: [{name: a, suspend: {}}]\n";
    let base = workflow(spec);
    let rows = [
        ("---\nkind: Secret\napiVersion: v1\n".to_owned(), "unsupported 8:7 /kind"),
        ("---\nkind: Deployment\n".to_owned(), "unsupported 8:7 /kind"),
        (format!("---\n{base}"), "several_documents 8:1 "),
        ("---\nversion: '1.0'\nentrypoint: a\n".to_owned(), "several_documents 8:1 "),
        (
            stored("WorkflowTemplate", "x", spec) + &stored("WorkflowTemplate", "x", spec),
            "duplicate_document 17:18 /metadata/name",
        ),
    ];
    for (more, expected) in rows {
        assert_eq!(problems(&(base.clone() + &more)), [expected], "{more}");
    }
}

#[test]
fn json_yaml_and_lists_may_stand_in_one_text() {
    let library = r#"{"kind": "WorkflowTemplate", "apiVersion": "argoproj.io/v1alpha1", "metadata": {"name": "lib"},
      "spec": {"templates": [{"name": "t", "container": {"image": "\ud83d\ude00"}}]}}"#;
    let call =
        workflow(&format!("{MAIN}    - - {{name: a, templateRef: {{name: lib, template: t}}}}\n"));
    for source in [
        format!("{library}\n---\n{call}"),
        format!("---\n# the templates\n---\n{call}\n---\n{library}\n---\n"),
        format!(
            "%YAML 1.2\n---\n{call}...\n---\nkind: List\napiVersion: v1\nitems:\n- {library}\n"
        )
        .replace("\\ud83d\\ude00", "x"),
    ] {
        assert_eq!(names(&ok(&source).plan), ["main", "lib/t"], "{source}");
    }
    let bad = library.replace("\"image\"", "\"imagine\"");
    assert_eq!(
        problems(&format!("{call}---\n{bad}")),
        [
            "missing_field 12:57 /spec/templates/0/container",
            "unknown_field 12:58 /spec/templates/0/container/imagine"
        ]
    );
}

#[test]
fn templates_that_call_each_other_across_documents_for_ever_are_refused() {
    let source = workflow(&format!(
        "{MAIN}    - - {{name: a, templateRef: {{name: lib, template: t}}}}\n"
    )) + &stored(
        "WorkflowTemplate",
        "lib",
        "  templates:\n  - name: t\n    steps: [[{name: s, templateRef: {name: lib, template: t}}]]\n",
    );
    assert_eq!(problems(&source), ["recursion 16:5 /spec/templates/0"]);
    let guarded = source.replace("{name: s,", "{name: s, when: 'a == b',");
    assert_eq!(names(&ok(&guarded).plan), ["main", "lib/t"]);
}

#[test]
fn lines_inside_of_quotes_and_brackets_may_stand_anywhere() {
    let source = workflow(
        "  entrypoint: a\n  templates:\n  - name: a\n    container:\n      image: i\n      args: ['\n  one \"x\"\n two'' é\n', \"a\n\\\"b\", [\n ]]\n      nope: x\n",
    );
    assert_eq!(
        problems(&source),
        [
            "wrong_type 14:7 /spec/templates/0/container/args/2",
            "unknown_field 16:7 /spec/templates/0/container/nope"
        ]
    );
    let fine = source.replace(", [\n ]]\n      nope: x", "\n]");
    let plan = ok(&fine).plan;
    let Body::Container(container) = &plan.templates[0].body else { panic!() };
    let args: Vec<_> = container.args.iter().map(|text| text.as_plain().unwrap()).collect();
    assert_eq!(args, [" one \"x\" two' é ", "a \"b"]);
}

#[test]
fn the_target_of_a_dag_may_be_a_parameter() {
    let dag = |target: &str| {
        let source = workflow(&format!(
            "  entrypoint: a\n  arguments: {{parameters: [{{name: t, value: y x}}]}}\n  templates:\n  - name: a\n    inputs: {{parameters: [{{name: t, default: d}}]}}\n    dag:\n      target: '{target}'\n      tasks: [{{name: x, inline: {{suspend: {{}}}}}}, {{name: y, inline: {{suspend: {{}}}}}}, {{name: z, inline: {{suspend: {{}}}}}}]\n"
        ));
        compile(&source, &Options::default()).map(|compiled| {
            let Body::Dag(dag) = &compiled.plan.templates[0].body else { panic!() };
            dag.targets.clone()
        })
    };
    assert_eq!(dag("{{workflow.parameters.t}}").unwrap(), [0, 1]);
    assert_eq!(dag("z {{workflow.parameters.t}}").unwrap(), [0, 1, 2]);
    assert_eq!(dag("{{workflow.name}}").unwrap_err().list[0].code, "unsupported");
    assert!(dag("{{inputs.parameters.t}}").is_err());
}
