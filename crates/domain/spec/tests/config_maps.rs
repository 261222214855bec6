//! Values of `ConfigMap`s are settled when a workflow is compiled.

use flowforge_model::plan::{Body, Container, Lock, Value, VolumeSource};
use flowforge_model::text::Text;
use flowforge_spec::{Compiled, Options, Problem, compile};

/// A manifest with this spec and one `ConfigMap` `c`.
fn manifest(spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec:\n  {spec}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{limit: '3', word: 'hi {{{{x}}}}', 'file.txt': text}}\n"
    )
}

/// A spec of one container.
fn leaf(container: &str, more: &str) -> String {
    manifest(&format!(
        "entrypoint: a\ntemplates:\n- name: a\n  container: {{image: i{container}}}{more}"
    ))
}

fn ok(source: &str) -> Compiled {
    let result = compile(source, &Options::default());
    result.map_err(|p| p.list.iter().map(ToString::to_string).collect::<Vec<_>>()).expect(source)
}

fn first_problem(source: &str) -> Problem {
    compile(source, &Options::default()).map(|c| c.plan).expect_err(source).list.remove(0)
}

fn container(source: &str) -> Container {
    let Body::Container(container) = ok(source).plan.templates.remove(0).body else {
        unreachable!("{source}")
    };
    container
}

#[test]
fn parameters_take_their_values() {
    let from = |more: &str| {
        manifest(&format!(
            "arguments: {{parameters: [{{name: p, valueFrom: {{configMapKeyRef: {{name: c, {more}}}}}]}}\nentrypoint: a\ntemplates: [{{name: a, suspend: {{}}}}]"
        ))
    };
    let compiled = ok(&from("key: word}"));
    assert_eq!(compiled.plan.parameter("p"), Some("hi {{x}}"));
    let warned: Vec<_> = compiled.warnings.iter().map(|p| p.code).collect();
    assert_eq!(warned, ["unlabelled"]);
    assert_eq!(ok(&from("key: none}, default: d")).plan.parameter("p"), Some("d"));
    let options = Options { parameters: vec![("p".into(), "mine".into())], ..Options::default() };
    let given = compile(&from("key: none}"), &options).unwrap();
    assert_eq!(given.plan.parameter("p"), Some("mine"));
    let missing = first_problem(&from("key: wrod}"));
    assert_eq!(
        missing.to_string(),
        "4:82: the ConfigMap 'c' has no key 'wrod' [missing_config_map]"
    );
    assert_eq!(missing.hint.as_deref(), Some("did you mean word?"));
}

#[test]
fn arguments_and_inputs_take_their_values() {
    let plan = ok(&manifest(
        "entrypoint: m\ntemplates:\n- name: m\n  steps: [[{name: s, template: a, arguments: {parameters: [{name: p, valueFrom: {configMapKeyRef: {name: c, key: word}}}]}}]]\n- name: a\n  suspend: {}\n  inputs:\n    parameters:\n    - {name: p}\n    - {name: q, valueFrom: {configMapKeyRef: {name: c, key: limit}}}\n    - {name: r, default: d, valueFrom: {configMapKeyRef: {name: c, key: none}}}",
    ))
    .plan;
    let step = &plan.templates[0].body.tasks()[0];
    assert_eq!(step.arguments, [("p".into(), Text::plain("hi {{x}}"))]);
    let defaults: Vec<_> = plan.templates[1].inputs.iter().map(|i| i.default.clone()).collect();
    assert_eq!(defaults, [None, Some(Text::plain("3")), Some(Text::plain("d"))]);
}

#[test]
fn the_environment_takes_its_values() {
    let source = leaf(
        ", envFrom: [{configMapRef: {name: c}, prefix: C_}, {configMapRef: {name: no, optional: true}}], env: [{name: C_limit, value: own}, {name: W, valueFrom: {configMapKeyRef: {name: c, key: word}}}, {name: N, valueFrom: {configMapKeyRef: {name: c, key: none, optional: true}}}]",
        "",
    );
    let plain = |text: &str| Value::Text(Text::plain(text));
    assert_eq!(
        container(&source).env,
        [
            ("C_limit".into(), plain("own")),
            ("C_word".into(), plain("hi {{x}}")),
            ("C_file.txt".into(), plain("text")),
            ("W".into(), plain("hi {{x}}")),
        ]
    );
}

#[test]
fn volumes_hold_the_files() {
    let volumes = |source: &str| {
        let mut plan =
            ok(&leaf("", &format!("\n  volumes: [{{name: v, configMap: {source}}}]"))).plan;
        plan.templates.remove(0).volumes.remove(0).source
    };
    let file = |path: &str, text: &str| (Box::from(path), Box::from(text));
    assert_eq!(
        volumes("{name: c}"),
        VolumeSource::Files(vec![
            file("limit", "3"),
            file("word", "hi {{x}}"),
            file("file.txt", "text")
        ])
    );
    assert_eq!(
        volumes("{name: c, items: [{key: word, path: a/b}]}"),
        VolumeSource::Files(vec![file("a/b", "hi {{x}}")])
    );
    assert_eq!(volumes("{name: no, optional: true}"), VolumeSource::Files(Vec::new()));
    let source = leaf("", "\n  volumes: [{name: v, configMap: {name: no}}]");
    assert_eq!(first_problem(&source).code, "missing_config_map");
    let source = leaf(
        "",
        "\n  volumes: [{name: v, configMap: {name: c, items: [{key: word, path: ../x}]}}]",
    );
    assert_eq!(first_problem(&source).code, "bad_path");
}

#[test]
fn semaphores_take_their_limits() {
    let lock = |scope: &str, name: &str, limit| Lock {
        scope: scope.into(),
        name: Text::plain(name),
        limit,
    };
    let source =
        leaf("", "\n  synchronization: {semaphore: {configMapKeyRef: {name: c, key: limit}}}");
    assert_eq!(ok(&source).plan.templates[0].locks, [lock("configmap/c", "limit", 3)]);
    let source =
        leaf("", "\n  synchronization: {semaphores: [{configMapKeyRef: {name: c, key: word}}]}");
    assert_eq!(first_problem(&source).code, "bad_value");
    let database = leaf("", "\n  synchronization: {semaphores: [{database: {key: limit}}]}");
    let missing = first_problem(&database);
    assert_eq!(missing.code, "missing_config_map");
    assert_eq!(
        missing.hint.as_deref(),
        Some("add the ConfigMap flowforge-semaphores with limit: \"N\", behind a line ---")
    );
    let source = database.replace("{name: c}", "{name: flowforge-semaphores}");
    assert_eq!(ok(&source).plan.templates[0].locks, [lock("database", "limit", 3)]);
}
