//! `cargo xtask traces DIR`: graphs of real scientific workflows, run with `true` as every body.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::bench::graphs;
use crate::client::Client;
use crate::raw;
use crate::server::Server;
use crate::workspace::{build_release, which};

/// A graph as the files have it; what else is in them is not needed.
#[derive(Debug, Deserialize)]
struct Trace {
    name: String,
    tasks: Vec<TraceTask>,
}

#[derive(Debug, Deserialize)]
struct TraceTask {
    name: String,
    parents: Vec<String>,
}

/// One line of the table.
struct Row {
    name: String,
    tasks: usize,
    edges: usize,
    ours: Duration,
    limit: Duration,
}

/// Runs every file and prints the table.
pub(crate) fn run(directory: &Path) -> anyhow::Result<ExitCode> {
    let files = files(directory)?;
    let release = build_release()?;
    let data_dir = release.with_file_name("traces");
    if data_dir.exists() {
        fs::remove_dir_all(&data_dir).context("remove the last run's data")?;
    }
    let server = Server::start(&release, &data_dir)?;
    let client = Client::new(server.url(), server.token())?;
    println!(
        "{:<44} {:>6} {:>6} {:>10} {:>10} {:>6}",
        "trace", "tasks", "edges", "ours s", "limit s", "ratio"
    );
    for file in &files {
        let row = measure(&client, file).with_context(|| format!("run {}", file.display()))?;
        let (ours, limit) = (row.ours.as_secs_f64(), row.limit.as_secs_f64());
        println!(
            "{:<44} {:>6} {:>6} {ours:>10.3} {limit:>10.3} {:>6.2}",
            row.name,
            row.tasks,
            row.edges,
            limit / ours
        );
    }
    server.stop()?;
    Ok(ExitCode::SUCCESS)
}

fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry.context("list the traces")?.path();
        if path.extension().is_some_and(|end| end == "json") {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{} has no .json file", directory.display());
    files.sort();
    Ok(files)
}

fn measure(client: &Client, file: &Path) -> anyhow::Result<Row> {
    let text = fs::read_to_string(file).context("read")?;
    let trace: Trace = serde_json::from_str(&text).context("parse")?;
    let parents = parents(&trace)?;
    let program = which("true").context("find `true`")?;
    let document = document_of(&trace, &parents, &program).to_string();

    // From submitting to the news of the end, upload and compiling included.
    let begun = Instant::now();
    let id = client.submit(&document)?;
    let status = client.wait(&id)?;
    let ours = begun.elapsed();
    ensure!(status == "SUCCEEDED", "{id} is {status}");
    let workflow = client.json("GET", &format!("/workflows/{id}"), "")?;
    let done = &workflow["task_counts"]["SUCCEEDED"];
    ensure!(*done == parents.len(), "{done} of {} tasks succeeded", parents.len());

    // The better of as few workers as cores here and as many as tasks run at a time there.
    let limit = raw::run(&parents, &program, 2)?.min(raw::run(&parents, &program, 8)?);
    Ok(Row {
        name: trace.name,
        tasks: parents.len(),
        edges: parents.iter().map(Vec::len).sum(),
        ours,
        limit,
    })
}

/// Parents as places in the list of tasks, each once.
fn parents(trace: &Trace) -> anyhow::Result<Vec<Vec<usize>>> {
    let places: BTreeMap<&str, usize> =
        trace.tasks.iter().enumerate().map(|(place, task)| (task.name.as_str(), place)).collect();
    ensure!(places.len() == trace.tasks.len(), "two tasks have the same name");
    trace
        .tasks
        .iter()
        .map(|task| {
            let found: Option<BTreeSet<usize>> =
                task.parents.iter().map(|parent| places.get(parent.as_str()).copied()).collect();
            found
                .map(|set| set.into_iter().collect())
                .with_context(|| format!("{} has a parent that is not there", task.name))
        })
        .collect()
}

fn document_of(trace: &Trace, parents: &[Vec<usize>], program: &Path) -> serde_json::Value {
    let names: Vec<String> =
        trace.tasks.iter().enumerate().map(|(place, task)| name(place, &task.name)).collect();
    graphs::named(parents, &names, &program.to_string_lossy())
}

/// A name that our documents allow: `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`, made unique by the
/// place of the task.
fn name(place: usize, theirs: &str) -> String {
    let mut ours = format!("t{place}-");
    for c in theirs.chars().take(40) {
        ours.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    }
    ours.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Trace, document_of, name, parents};

    const TRACE: &str = r#"{"name": "x", "more": 1, "tasks": [
        {"name": "A_1", "program": "p", "runtime_s": 1.5, "parents": []},
        {"name": "B.2", "parents": ["A_1", "A_1"]}]}"#;

    #[test]
    fn a_trace_becomes_a_document_with_each_edge_once() {
        let trace: Trace = serde_json::from_str(TRACE).unwrap();
        let parents = parents(&trace).unwrap();
        assert_eq!(parents, [vec![], vec![0]]);
        let document = document_of(&trace, &parents, "/bin/true".as_ref());
        let tasks = &document["templates"]["main"]["dag"]["tasks"];
        assert_eq!(tasks[1]["name"], "t1-b-2");
        assert_eq!(tasks[1]["dependencies"][0], "t0-a-1");
    }

    #[test]
    fn names_are_legal_however_odd_theirs_are() {
        assert_eq!(name(7, "NFCORE_RNASEQ.X:Y"), "t7-nfcore-rnaseq-x-y");
        assert_eq!(name(7, "___"), "t7");
        assert!(name(1_000_000, &"é".repeat(99)).len() <= 63);
    }

    #[test]
    fn an_unknown_parent_is_refused() {
        let mut trace: Trace = serde_json::from_str(TRACE).unwrap();
        trace.tasks[1].parents.push("C".to_owned());
        assert!(parents(&trace).is_err());
    }
}
