//! What stands inside the templates of Argo manifests: bodies, volumes, artifacts, locks.

mod artifacts;
mod bodies;
mod bounds;
mod children;
mod daemons;
mod locks;
mod objects;
mod patches;
mod pods;
mod variables;
mod volumes;

use flowforge_model::artifact::SecretKey;
use flowforge_model::plan::{Body, Container, Template};
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
