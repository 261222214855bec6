//! `cargo xtask demo`: from a clone to a finished pipeline and its report, by one command.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use crate::examples::Workflow;
use crate::server::Server;
use crate::test::postgres;
use crate::workspace::{build_release, describe, need, output, root, succeed};
use crate::{cluster, dist};

const PIPELINE: &str = "examples/pipeline.yaml";

/// Shows the demo. On a terminal the server stays until Enter or Ctrl-C.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let stays = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    need("cc", "gcc")?;
    need("python3", "python3")?;
    eprintln!("building; the first time takes a few minutes ...");
    let release = build_release()?;
    let data_dir = Path::new(".flowforge/demo");
    let server = Server::start(&release, &root().join(data_dir))?;
    let workflow = play(&server, data_dir)?;
    if stays {
        stay(&server, &workflow)?;
    }
    server.stop()?;
    let program = shown(&release.join("flowforge"));
    println!("again     {} dev --data-dir {}", program.display(), data_dir.display());
    Ok(if workflow.status == "SUCCEEDED" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same pipeline with a pod for each task. The cluster goes on afterwards: `cargo xtask cluster down`.
pub(crate) fn on_cluster() -> anyhow::Result<ExitCode> {
    let stays = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if let Some(missing) = postgres::missing() {
        bail!("{missing}: pods need servers with PostgreSQL");
    }
    need("cc", "gcc")?;
    eprintln!("building; the first time takes ten minutes or more ...");
    let release = build_release()?;
    let runner = dist::pod()?;
    let kubeconfig = cluster::ready(runner)?;
    let database = postgres::Server::start()?;
    let data_dir = Path::new(".flowforge/demo-cluster");
    let server = pods(&release, &root().join(data_dir), (&database, &kubeconfig))?;
    let workflow = play(&server, data_dir)?;
    if stays {
        stay(&server, &workflow)?;
    }
    server.stop()?;
    Ok(if workflow.status == "SUCCEEDED" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A server of all roles whose tasks are pods of a cluster on this machine.
fn pods(
    release: &Path,
    data_dir: &Path,
    (database, kubeconfig): (&postgres::Server, &Path),
) -> anyhow::Result<Server> {
    let mut command = Command::new(release.join("flowforge"));
    command.env("FLOWFORGE_DATABASE_URL", database.url());
    cluster::run_in_pods(&mut command, kubeconfig, cluster::free_port()?);
    command.env("FLOWFORGE_KUBERNETES_PULL_POLICY", "if-not-present");
    Server::start_all(command, release, data_dir)
}

fn stay(server: &Server, workflow: &Workflow) -> anyhow::Result<()> {
    show_around(server, workflow);
    println!("\nThe server goes on. Enter or Ctrl-C ends it; its data stays.");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("wait for Enter")?;
    Ok(())
}

/// The demo as a test: it succeeds, its flaky task was tried twice, and the report is a page.
pub(crate) fn test() -> anyhow::Result<String> {
    need("python3", "python3")?;
    let release = build_release()?;
    let data_dir = release.with_file_name("e2e-demo");
    let server = Server::start(&release, &data_dir).context("demo")?;
    let workflow = play(&server, &data_dir).context("demo")?;
    let page = fs::read_to_string(data_dir.join("report.html")).context("demo: read the report")?;
    ensure!(workflow.status == "SUCCEEDED", "demo: {}", workflow.status);
    let tries = workflow.task("lookup").context("demo")?.attempts.len();
    ensure!(tries == 2, "demo: lookup was tried {tries} times, not twice");
    ensure!(page.contains("</svg>"), "demo: the report has no chart");
    ensure!(page.contains("an El Niño year"), "demo: the report has no verdict");
    server.stop().context("demo")?;
    Ok("cargo xtask demo".to_owned())
}

/// Runs the pipeline with a live view, saves its report and says where everything is.
fn play(server: &Server, data_dir: &Path) -> anyhow::Result<Workflow> {
    println!("server    {}", server.url());
    println!("pipeline  {PIPELINE}\n");
    let begun = Instant::now();
    let submitted: Workflow =
        serde_json::from_str(&output(server.ffctl().args(["submit", PIPELINE, "-o", "json"]))?)
            .context("read what ffctl submit printed")?;
    // A failed workflow makes `watch` fail; what became of it is asked for below.
    let mut watch = server.ffctl();
    watch.args(["watch", &submitted.id]);
    let watched = succeed(&mut watch);
    let took = begun.elapsed();
    let workflow: Workflow =
        serde_json::from_str(&output(server.ffctl().args(["get", &submitted.id, "-o", "json"]))?)
            .context("read what ffctl get printed")?;
    if workflow.status == "SUCCEEDED" {
        watched?;
    }
    println!("\n{} after {:.1} s", workflow.status, took.as_secs_f64());
    if let Ok(report) = workflow.task("report").and_then(|task| task.output("report")) {
        let path = save(&root().join(data_dir), report)?;
        println!("report    {}", shown(&path).display());
    }
    println!("data      {}", shown(&root().join(data_dir)).display());
    Ok(workflow)
}

/// What a person can do while the server is there.
fn show_around(server: &Server, workflow: &Workflow) {
    println!("API       {}/api/v1/workflows/{}", server.url(), workflow.id);
    println!("look      {}", by_hand(server, &["list"]));
    println!("          {}", by_hand(server, &["get", &workflow.id]));
    println!("          {}", by_hand(server, &["logs", &workflow.id]));
}

fn save(data_dir: &Path, report: &str) -> anyhow::Result<PathBuf> {
    let path = data_dir.join("report.html");
    fs::write(&path, report).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// A path as a person at the root of the workspace would write it.
fn shown(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_path_buf()
}

/// A client's command line to copy.
fn by_hand(server: &Server, arguments: &[&str]) -> String {
    let root = format!("{}/", root().display());
    let mut command = server.ffctl();
    command.args(arguments);
    let program = shown(Path::new(command.get_program()));
    let line = describe(&command).replace(&root, "");
    line.replacen("ffctl", &program.to_string_lossy(), 1)
}
