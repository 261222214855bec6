//! Prints how long documents of 100,000 tasks take to compile.
//!
//! `cargo run --release -p flowforge-spec --example compile_speed`
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measuring program: it prints, reads the clock and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::time::Instant;

const TASKS: usize = 100_000;

fn main() {
    for (shape, needs) in [
        ("fan-out", (|at| (at > 0).then_some(0)) as fn(usize) -> Option<usize>),
        ("chain", |at: usize| at.checked_sub(1)),
    ] {
        let yaml = document(needs);
        let started = Instant::now();
        let compiled = flowforge_spec::compile(&yaml, &flowforge_spec::Options::default())
            .expect("the document is valid");
        let tasks = compiled.plan.templates.first().map_or(0, |t| t.body.tasks().len());
        println!(
            "{shape}: {tasks} tasks, {} bytes of YAML: {} ms",
            yaml.len(),
            started.elapsed().as_millis()
        );
    }
}

/// A dag in which each task waits for the one `needs` names and reads its output.
fn document(needs: fn(usize) -> Option<usize>) -> String {
    let mut out = String::from(
        "version: \"1.0\"\nentrypoint: main\ntemplates:\n  main:\n    dag:\n      tasks:\n",
    );
    for at in 0..TASKS {
        write!(out, "        - name: t{at}\n          template: sh\n").expect("to a string");
        if let Some(need) = needs(at) {
            write!(
                out,
                "          dependencies: [t{need}]\n          arguments: {{parameters: [{{name: x, value: \"{{{{tasks.t{need}.outputs.x}}}}\"}}]}}\n"
            )
            .expect("to a string");
        }
    }
    out.push_str(
        "  sh:\n    inputs: {parameters: [{name: x, default: a}]}\n    container: {image: busybox, command: [sh, -c, \"echo {{inputs.parameters.x}}\"]}\n    outputs: {parameters: [{name: x, valueFrom: {path: /tmp/x}}]}\n",
    );
    out
}
