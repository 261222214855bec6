//! The engine alone: tasks that end the moment they begin, everything else as always: parsing,
//! deciding, scheduling and durable SQLite.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::graphs;
use super::{Row, median};
use crate::client::Client;
use crate::server::Server;

const SUITE: &str = "engine";
const ROUNDS: usize = 3;

pub(super) fn run(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let cases = [
        ("chain of 1,000", graphs::chain(1000), 1),
        ("500 workflows of 20", graphs::chain(20), 500),
        ("1-5,000-1", graphs::fan(5000), 1),
        ("100x100, degree 2", degree_two(100, 100), 1),
        ("1-10,000-1", graphs::fan(10_000), 1),
        ("1-100,000-1", graphs::fan(100_000), 1),
    ];
    for (name, graph, copies) in cases {
        let document = graphs::document(&graph, "true");
        // A server of its own, so that memory is that of this case.
        let server = Server::start_with(
            release,
            &scratch.join("engine"),
            &["--no-op-executor", "--concurrency", "1000"],
        )?;
        let client = Client::new(server.url(), server.token())?;
        let begun = Instant::now();
        client.json("POST", "/lint", &document)?;
        let parse = begun.elapsed();
        let times: Vec<Duration> =
            (0..ROUNDS).map(|_| client.makespan(&document, copies)).collect::<Result<_, _>>()?;
        let took = median(&times).context("no round was run")?.as_secs_f64();
        let tasks = f64::from(u32::try_from(graph.len() * copies).context("a count")?);
        rows.push(Row::plain(SUITE, name, ("throughput", "tasks/s"), tasks / took));
        rows.push(Row::plain(SUITE, name, ("submit to finished", "s"), took));
        rows.push(Row::plain(SUITE, name, ("upload, parse to plan", "s"), parse.as_secs_f64()));
        rows.push(Row::plain(SUITE, name, ("peak memory", "MiB"), server.peak_memory_mib()?));
        server.stop()?;
        std::fs::remove_dir_all(scratch).context("remove the data")?;
    }
    rows.extend(lazy(release, scratch)?);
    Ok(rows)
}

/// A loop of 100,000 numbers beside the same graph written out: the rate of the loop, with that of
/// the graph as its limit.
fn lazy(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    const ITEMS: usize = 100_000;
    let server = Server::start_with(
        release,
        &scratch.join("engine"),
        &["--no-op-executor", "--concurrency", "1000"],
    )?;
    let client = Client::new(server.url(), server.token())?;
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    let written = graphs::document(&graphs::fan(ITEMS), "true");
    for _ in 0..ROUNDS {
        ours.push(client.makespan(&graphs::sequence(ITEMS, "true"), 1)?);
        limit.push(client.makespan(&written, 1)?);
    }
    let times =
        (median(&ours).context("no round was run")?, median(&limit).context("no round was run")?);
    server.stop()?;
    std::fs::remove_dir_all(scratch).context("remove the data")?;
    Ok(vec![Row::rate(SUITE, "sequence of 100,000", ITEMS, times)])
}

/// Layers in which each task follows two of the layer before.
pub(super) fn degree_two(depth: usize, width: usize) -> graphs::Graph {
    let mut graph = vec![Vec::new(); width];
    for layer in 1..depth {
        let base = (layer - 1) * width;
        graph.extend((0..width).map(|task| vec![base + task, base + (task + 1) % width]));
    }
    graph
}
