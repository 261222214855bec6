//! Real processes: `true` as every body, everything captured and durable, against a program that
//! only spawns them.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::graphs::{self, Graph};
use super::{Row, median, percentile};
use crate::client::Client;
use crate::raw;
use crate::server::Server;
use crate::workspace::{cargo, succeed, which};

/// Rounds of each case; their median counts.
const ROUNDS: usize = 7;
const SUITE: &str = "process";

pub(super) fn run(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let program = which("true").context("find `true`")?;
    let server = Server::start(release, &scratch.join("process"))?;
    let client = Client::new(server.url(), server.token())?;
    let mut rows = Vec::new();
    let cases: [(&str, Graph, usize); 4] = [
        ("W1 chain of 100", graphs::chain(100), 1),
        ("W2 1-500-1", graphs::fan(500), 1),
        ("W3 10x50 all-to-all", graphs::layers(10, 50), 1),
        ("W4 20 workflows of 10", graphs::chain(10), 20),
    ];
    for (name, graph, copies) in cases {
        let command = program.to_str().context("a path in UTF-8")?;
        let document = graphs::document(&graph, command);
        let (mut ours, mut limits) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(client.makespan(&document, copies)?);
            limits.push(limit(&graph, copies, &program)?);
        }
        let times = (known(median(&ours))?, known(median(&limits))?);
        rows.push(Row::rate(SUITE, name, graph.len() * copies, times));
        if copies == 1 && graph.iter().all(|parents| parents.len() <= 1) && graph.len() == 100 {
            let synced = median_of(|| raw::run_synced(&graph, &program, scratch))?;
            rows.push(Row::rate(SUITE, "W1, limit with fdatasync", 100, (times.0, synced)));
        }
    }
    rows.extend(latency(&client, release, scratch)?);
    server.stop()?;
    rows.push(one_task(release, scratch)?);
    Ok(rows)
}

fn known<T>(value: Option<T>) -> anyhow::Result<T> {
    value.context("no round was run")
}

fn median_of(mut one: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Duration> {
    let all: Vec<Duration> = (0..ROUNDS).map(|_| one()).collect::<Result<_, _>>()?;
    known(median(&all))
}

/// The better of as many workers as cores, and of eight.
fn limit(graph: &Graph, copies: usize, program: &Path) -> anyhow::Result<Duration> {
    let mut whole = Graph::new();
    for _ in 0..copies {
        let base = whole.len();
        whole.extend(graph.iter().map(|parents| parents.iter().map(|p| p + base).collect()));
    }
    Ok(raw::run(&whole, program, 2)?.min(raw::run(&whole, program, 8)?))
}

/// From the end of a task's process to the start of its dependent's, by the processes' own clock.
fn latency(client: &Client, release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    succeed(cargo().args([
        "build",
        "--release",
        "-p",
        "flowforge-testkit",
        "--bin",
        "flowforge-stamp",
    ]))?;
    let stamp = release.join("flowforge-stamp");
    let stamp = stamp.to_str().context("a path in UTF-8")?;
    let id = client.submit(&graphs::document(&graphs::chain(400), stamp))?;
    ensure!(client.wait(&id)? == "SUCCEEDED", "the chain of stamps failed");
    let page = client.json("GET", &format!("/workflows/{id}/tasks?limit=1000"), "")?;
    let mut stamps = Vec::new();
    for task in page["items"].as_array().context("tasks")? {
        stamps.push(stamps_of(task)?);
    }
    stamps.sort_unstable();
    let gaps: Vec<f64> = stamps.windows(2).map(|w| millis(w[1].0.saturating_sub(w[0].1))).collect();
    let syncs = fdatasync(scratch)?;
    let metric = |metric| (metric, "ms");
    let row = |name, value: Option<f64>| -> anyhow::Result<Row> {
        Ok(Row::plain(SUITE, "end to dependent's start", metric(name), known(value)?))
    };
    Ok(vec![
        row("latency p50", median(&gaps))?,
        row("latency p99", percentile(&gaps, 99))?,
        row("fdatasync p50 beside it", median(&syncs))?,
    ])
}

fn stamps_of(task: &Value) -> anyhow::Result<(u64, u64)> {
    let result = task["outputs"]["result"].as_str().context("a stamp")?;
    let (start, end) = result.split_once(' ').context("two stamps")?;
    Ok((start.parse().context("a stamp")?, end.parse().context("a stamp")?))
}

/// Nanoseconds as milliseconds; a gap is far below what an f64 holds exactly.
fn millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1000.0
}

/// What this disk takes to make 4 KiB durable.
fn fdatasync(scratch: &Path) -> anyhow::Result<Vec<f64>> {
    let mut file = File::create(scratch.join("sync")).context("create a file")?;
    let block = [7_u8; 4096];
    let mut times = Vec::new();
    for _ in 0..500 {
        file.write_all(&block).context("write")?;
        let begun = Instant::now();
        file.sync_data().context("sync")?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

/// `ffctl run` of a file with one task: the whole command, server included.
fn one_task(release: &Path, scratch: &Path) -> anyhow::Result<Row> {
    let file = scratch.join("one.json");
    let document = graphs::document(&vec![Vec::new()], "true");
    std::fs::write(&file, document).context("write a workflow")?;
    let took = median_of(|| {
        let begun = Instant::now();
        let mut command = std::process::Command::new(release.join("ffctl"));
        command.arg("run").arg(&file).args(["-o", "json"]);
        crate::workspace::output(&mut command)?;
        Ok(begun.elapsed())
    })?;
    let ms = took.as_secs_f64() * 1000.0;
    Ok(Row::plain(SUITE, "ffctl run, one task", ("wall", "ms"), ms))
}
