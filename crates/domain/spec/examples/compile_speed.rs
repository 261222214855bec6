//! Prints how long documents of 100,000 tasks take to compile, or all manifests of folders.
//!
//! `cargo run --release -p flowforge-spec --example compile_speed [FOLDER...]`
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measuring program: it prints, reads the clock and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

const TASKS: usize = 100_000;

fn main() {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !folders.is_empty() {
        manifests(folders);
        return;
    }
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

/// Parses, checks and plans every manifest below some folders, each for itself.
fn manifests(mut open: Vec<PathBuf>) {
    let mut texts = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
            texts.push(fs::read_to_string(&path).expect("a text"));
        }
    }
    let started = Instant::now();
    let options = flowforge_spec::Options::default();
    let clean = texts.iter().filter(|text| {
        let linted = flowforge_spec::lint(text, &options);
        linted.problems.list.is_empty()
    });
    let (clean, bytes) = (clean.count(), texts.iter().map(String::len).sum::<usize>());
    let took = started.elapsed().as_millis();
    println!("{} files, {bytes} bytes, {clean} without a problem: {took} ms", texts.len());
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
