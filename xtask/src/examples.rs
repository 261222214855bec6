//! Every file in examples/ is a test: how it must end is written here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::test::Tally;
use crate::workspace::{build_release, root};

/// How one example must end.
pub(crate) struct Example {
    pub(crate) file: &'static str,
    status: &'static str,
    /// Leaves by dotted path, with their statuses; others may be there as well.
    tasks: &'static [(&'static str, &'static str)],
    /// Task, output parameter, value.
    outputs: &'static [(&'static str, &'static str, &'static str)],
}

const OK: &str = "SUCCEEDED";
const FAILED: &str = "FAILED";
const SKIPPED: &str = "SKIPPED";

/// All of them.
pub(crate) const ALL: &[Example] = &[
    example("hello.yaml", OK, &[], &[("main", "result", "hello")]),
    example(
        "diamond.yaml",
        OK,
        &[("a", OK), ("b", OK), ("c", OK), ("d", OK)],
        &[("d", "result", "last")],
    ),
    example(
        "outputs.yaml",
        OK,
        &[("measure", OK), ("tell", OK)],
        &[("measure", "degrees", "21"), ("tell", "report", "Oslo: 21 degrees, clear; $HOME {{x}}")],
    ),
    example(
        "guide.yaml",
        OK,
        &[("fetch", OK), ("big", OK), ("report", OK)],
        &[("fetch", "out", "Oslo"), ("report", "out", "done")],
    ),
    example("when.yaml", OK, &[("flip", OK), ("heads", OK), ("tails", SKIPPED), ("join", OK)], &[]),
    example(
        "loop.yaml",
        OK,
        &[("square(0:2)", OK), ("square(1:3)", OK), ("square(2:5)", OK)],
        &[("square(2:5)", "result", "25"), ("all", "result", "[\"4\",\"9\",\"25\"]")],
    ),
    example(
        "steps.yaml",
        OK,
        &[("one", OK), ("two-a", OK), ("two-b", OK), ("three", OK)],
        &[("two-a", "result", "after one")],
    ),
    example("retry.yaml", OK, &[("main", OK)], &[]),
    example("more-memory.yaml", OK, &[("sort", OK)], &[("sort", "result", "sorted")]),
    example(
        "retry-cap.yaml",
        FAILED,
        &[("flaky", OK), ("broken", FAILED)],
        &[("broken", "result", "1")],
    ),
    example("suspend.yaml", OK, &[("before", OK), ("after", OK)], &[]),
    example(
        "failure.yaml",
        FAILED,
        &[("work", FAILED), ("usual", SKIPPED), ("alarm", OK), ("always", OK), ("last", SKIPPED)],
        &[],
    ),
    example("timeout.yaml", FAILED, &[("main", FAILED)], &[]),
    example(
        "exit-handler.yaml",
        FAILED,
        &[("main", FAILED), ("onExit", OK)],
        &[("onExit", "result", "the workflow has Failed")],
    ),
    example(
        "hooks.yaml",
        OK,
        &[("work", OK), ("work.hooks.begun", OK), ("work.onExit", OK), ("after", OK)],
        &[("work.onExit", "result", "it gave 42")],
    ),
    example("artifacts.yaml", OK, &[("collect", OK), ("count", OK)], &[("count", "result", "5")]),
    example(
        "mutex.yaml",
        OK,
        &[("careful(0:a)", OK), ("careful(1:b)", OK), ("careful(2:c)", OK)],
        &[("careful(2:c)", "result", "c is done")],
    ),
    example("memoize.yaml", OK, &[("first", OK), ("again", OK)], &[]),
    example("init-container.yaml", OK, &[("main", OK)], &[("main", "result", "7")]),
    example("sidecar.yaml", OK, &[("main", OK)], &[("main", "result", "42")]),
    example(
        "daemon.yaml",
        OK,
        &[("shop", OK), ("price", OK), ("stock", OK)],
        &[("total", "result", "42")],
    ),
    example("placement.yaml", OK, &[("where", OK)], &[]),
    example("identity.yaml", OK, &[("main", OK)], &[("main", "result", "made by another user")]),
    example("container-set.yaml", OK, &[("main", OK)], &[("main", "result", "raw clean ")]),
    example("gang.yaml", OK, &[("main", OK)], &[("main", "result", "the squares below 4 make 14")]),
    example(
        "child-workflows.yaml",
        OK,
        &[("city(0:Oslo)", OK), ("city(1:Rio: de Janeiro)", OK), ("all", OK)],
        &[("city(1:Rio: de Janeiro)", "phase", "Succeeded")],
    ),
    example("library.yaml", OK, &[("greet", OK)], &[("greet", "result", "hello world")]),
    example(
        "pipeline.yaml",
        OK,
        &[
            ("lookup", OK),
            ("decade(6:2010)", OK),
            ("verdict.warm", OK),
            ("verdict.cold", SKIPPED),
            ("report", OK),
        ],
        &[("judge", "kind", "warm"), ("trend", "per-decade", "+0.13")],
    ),
];

const fn example(
    file: &'static str,
    status: &'static str,
    tasks: &'static [(&'static str, &'static str)],
    outputs: &'static [(&'static str, &'static str, &'static str)],
) -> Example {
    Example { file, status, tasks, outputs }
}

/// A workflow as `ffctl ... -o json` prints it.
#[derive(Debug, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) id: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) tasks: Vec<Task>,
}

/// One leaf.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
    #[serde(default)]
    pub(crate) outputs: serde_json::Map<String, serde_json::Value>,
}

/// One try of a leaf.
#[derive(Debug, Deserialize)]
pub(crate) struct Attempt {
    /// Why it failed.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

impl Workflow {
    /// The leaf with this dotted path.
    pub(crate) fn task(&self, name: &str) -> anyhow::Result<&Task> {
        self.tasks
            .iter()
            .find(|task| task.name == name)
            .with_context(|| format!("no task {name:?}"))
    }
}

impl Task {
    /// One output as text.
    pub(crate) fn output(&self, name: &str) -> anyhow::Result<&str> {
        self.outputs
            .get(name)
            .and_then(|value| value.as_str())
            .with_context(|| format!("task {:?} has no output {name:?}", self.name))
    }
}

/// Seconds after which an example hangs; the longest takes three.
const PATIENCE: &str = "120";

/// Runs every example and the document of the README, each with a server of its own.
pub(crate) fn run() -> anyhow::Result<Tally> {
    let release = build_release()?;
    let ffctl = release.join("ffctl");
    let mut tally = Tally::default();
    for example in ALL {
        let name = format!("examples/{}", example.file);
        let outcome = check(&ffctl, &root().join(&name), example);
        tally.count(outcome.map(|()| name.clone()).context(name));
    }
    let document = release.with_file_name("readme.yaml");
    let outcome = readme()
        .and_then(|text| fs::write(&document, text).context("write the document"))
        .and_then(|()| check(&ffctl, &document, &README));
    let name = "the document in README.md";
    tally.count(outcome.map(|()| name.to_owned()).context(name));
    Ok(tally)
}

const README: Example =
    example("hello.yaml", OK, &[], &[("repeat", "result", "hello world, again")]);

/// The first YAML block of the README.
fn readme() -> anyhow::Result<String> {
    let text = fs::read_to_string(root().join("README.md")).context("read README.md")?;
    let (_, rest) = text.split_once("```yaml\n").context("find its YAML")?;
    let (document, _) = rest.split_once("```").context("find the end of its YAML")?;
    Ok(document.to_owned())
}

fn ffctl_run(ffctl: &Path, file: &Path) -> anyhow::Result<Output> {
    Command::new("timeout")
        .args(["--kill-after=10", PATIENCE])
        .arg(ffctl)
        .arg("run")
        .arg(file)
        .args(["-o", "json"])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .context("start ffctl")
}

fn check(ffctl: &Path, file: &Path, example: &Example) -> anyhow::Result<()> {
    let output = ffctl_run(ffctl, file)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let workflow: Workflow = match serde_json::from_slice(&output.stdout) {
        Ok(workflow) => workflow,
        Err(error) => bail!("{}: no JSON ({error}): {}", output.status, errors.trim()),
    };
    judge(&workflow, example).with_context(|| errors.trim().to_owned())?;
    // 0: it succeeded, 1: it did not.
    let expected = i32::from(example.status != OK);
    ensure!(
        output.status.code() == Some(expected),
        "exit code {:?}, not {expected}",
        output.status.code()
    );
    Ok(())
}

/// Whether a workflow ended as its example must.
pub(crate) fn judge(workflow: &Workflow, example: &Example) -> anyhow::Result<()> {
    let (found, expected) = (&workflow.status, example.status);
    ensure!(found == expected, "{found}, not {expected}");
    for (name, status) in example.tasks {
        let task = workflow.task(name)?;
        ensure!(task.status == *status, "{name}: {}, not {status}", task.status);
    }
    for (name, parameter, value) in example.outputs {
        let found = workflow.task(name)?.output(parameter)?;
        ensure!(found == *value, "{name}: {parameter} is {found:?}, not {value:?}");
    }
    Ok(())
}
