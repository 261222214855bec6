//! How many tasks a second a store takes through `commit`, and what the bare machine does.
//!
//! `cargo run --release -p flowforge-store --example commit_speed [TASKS [DIRECTORY | URL]]`
//!
//! With a directory it is SQLite, beside the disk's own speed; with a URL of PostgreSQL a database
//! whose tables it drops in the end, beside the speed of one statement that inserts the same task
//! rows and nothing else.
//!
//! Every task is inserted, made runnable, admitted, started and ended, its row is updated twice and
//! three records are written: one commit carries the three steps of three batches at once, as a
//! busy controller's does.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod raw;
mod workload;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowforge_model::id::InstanceId;
use flowforge_ports::store::{Commit, Store};
use flowforge_store::{PostgresConfig, PostgresStore, SqliteStore};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use workload::{AT, Running};

/// Workflows that share a commit.
const WORKFLOWS: u32 = 10;
/// Tasks of a commit.
const BATCHES: [u32; 3] = [10, 100, 1000];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let tasks: u32 = args.next().map_or(Ok(200_000), |arg| arg.parse())?;
    let place = args.next().unwrap_or_else(|| ".".to_owned());
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!("{:>12} {:>10} {:>10} {:>10}  tasks/s", "tasks/commit", "p50 ms", "p99 ms", "max ms");
    if place.starts_with("postgres") {
        postgres(&runtime, tasks, &place)
    } else {
        sqlite(&runtime, tasks, Path::new(&place))
    }
}

fn sqlite(runtime: &Runtime, tasks: u32, under: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(under)
        .with_context(|| format!("make a directory in {}", under.display()))?;
    for batch in BATCHES {
        let sync = raw::disk(dir.path())?;
        let store = SqliteStore::open(&dir.path().join(format!("{batch}.db")))?;
        let raw = format!("fdatasync of 4 KiB: p50 {sync:.2} ms");
        measure(runtime, &store, tasks, batch, &raw)?;
    }
    Ok(())
}

fn postgres(runtime: &Runtime, tasks: u32, url: &str) -> Result<()> {
    let config = PostgresConfig::parse(url)?;
    let store = PostgresStore::connect(config)?;
    let done = runtime.block_on(store.migrate_up())?;
    ensure!(done.first() == Some(&1), "the database is not empty: this wants one of its own");
    let all = BATCHES.iter().try_for_each(|batch| {
        let rows = runtime.block_on(raw::inserts(url, *batch))?;
        measure(runtime, &store, tasks, *batch, &format!("one INSERT of them: {rows:.0} rows/s"))
    });
    runtime.block_on(store.migrate_down(0))?;
    all
}

/// One line: how a store takes `tasks` tasks, `batch` a commit.
fn measure(runtime: &Runtime, store: &impl Store, tasks: u32, batch: u32, raw: &str) -> Result<()> {
    let count = if batch < 100 { tasks / 5 } else { tasks };
    let mut spans = commits(runtime, store, count, batch)?;
    let total: Duration = spans.iter().sum();
    spans.sort_unstable();
    println!(
        "{batch:>12} {:>10.2} {:>10.2} {:>10.2}  {:.0}   ({raw})",
        millis(&spans, 50),
        millis(&spans, 99),
        millis(&spans, 100),
        f64::from(count) / total.as_secs_f64(),
    );
    Ok(())
}

/// A percentile of sorted spans.
fn millis(spans: &[Duration], percent: usize) -> f64 {
    let at = (spans.len() * percent / 100).min(spans.len().saturating_sub(1));
    spans.get(at).map_or(0.0, |span| span.as_secs_f64() * 1000.0)
}

/// The spans of all commits.
fn commits(runtime: &Runtime, store: &impl Store, tasks: u32, batch: u32) -> Result<Vec<Duration>> {
    let mut runs: Vec<Running> = (0..WORKFLOWS).map(|_| Running::default()).collect();
    for run in &runs {
        now(runtime, store.insert(run.new_workflow()))?;
    }
    let instance = InstanceId(Uuid::now_v7());
    let epoch = now(runtime, store.take_over(instance))?;
    let share = batch / WORKFLOWS;
    let mut spans = Vec::new();
    for _ in 0..tasks / batch {
        let mut commit = Commit { epoch, instance: Some(instance), at: AT, ..Commit::default() };
        for run in &mut runs {
            run.turn(share, &mut commit);
        }
        let start = Instant::now();
        now(runtime, store.commit(commit))?;
        spans.push(start.elapsed());
    }
    Ok(spans)
}

fn now<T, E>(runtime: &Runtime, future: impl Future<Output = Result<T, E>>) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    Ok(runtime.block_on(future)?)
}
