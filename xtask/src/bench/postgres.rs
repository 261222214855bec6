//! Roles as servers of their own on a PostgreSQL that waits for the disk, with tasks that end the
//! moment they begin. Everything shares this machine: servers, database, Redis and the client.

mod fleet;
mod load;
mod spent;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::fleet::Fleet;
use self::spent::Spent;
use super::engine::degree_two;
use super::{Part, Row, graphs, median, percentile};

const SUITE: &str = "postgres";
const ROUNDS: usize = 3;
/// Tasks of a submission where latencies are measured.
const TASKS: usize = 20;

pub(super) const PARTS: [Part; 5] = [throughput, latency, history, memory, rebuild];

/// A fleet in a fresh directory.
fn fresh(release: &Path, scratch: &Path) -> anyhow::Result<Fleet> {
    let directory = scratch.join("postgres");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).context("remove the data of the last case")?;
    }
    Fleet::start(release, &directory)
}

fn throughput(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let cases = [
        ("500 workflows of 20", graphs::chain(TASKS), 500),
        ("1-5,000-1", graphs::fan(5000), 1),
        ("100x100, degree 2", degree_two(100, 100), 1),
        ("1-100,000-1", graphs::fan(100_000), 1),
    ];
    for (name, graph, copies) in cases {
        let mut fleet = fresh(release, scratch)?;
        fleet.add_executor()?;
        let client = fleet.client()?;
        let document = graphs::document(&graph, "true");
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        let mut spent = Spent::default();
        for _ in 0..ROUNDS {
            let before = Spent::so_far(&fleet)?;
            ours.push(client.makespan(&document, copies)?);
            spent = spent.and(&Spent::so_far(&fleet)?, &before);
            limit.push(bare(&fleet, graph.len() * copies)?);
        }
        let times = (
            median(&ours).context("no round was run")?,
            median(&limit).context("no round was run")?,
        );
        rows.push(Row::rate(SUITE, name, graph.len() * copies, times));
        rows.extend(spent.rows(name, graph.len() * copies * ROUNDS));
        fleet.stop()?;
    }
    Ok(rows)
}

/// The limit: one row for each task, as wide as a task's, a thousand to a durable transaction, made by
/// the database itself.
fn bare(fleet: &Fleet, tasks: usize) -> anyhow::Result<Duration> {
    fleet.database.psql(
        "SET client_min_messages = warning; CREATE TABLE IF NOT EXISTS bare (id uuid, node integer, status text, name text, \
         template text, attempt integer, started_at bigint, finished_at bigint, outputs text, \
         PRIMARY KEY (id, node)); TRUNCATE bare",
    )?;
    let begun = Instant::now();
    fleet.database.psql(&format!(
        "DO $$ DECLARE w uuid := gen_random_uuid(); BEGIN FOR b IN 0..{} LOOP \
         INSERT INTO bare SELECT w, n, 'SUCCEEDED', 't' || n, 'body', 1, 1700000000000, \
         1700000000000, NULL FROM generate_series(b * 1000, least(b * 1000 + 999, {})) n; \
         COMMIT; END LOOP; END $$",
        (tasks - 1) / 1000,
        tasks - 1,
    ))?;
    Ok(begun.elapsed())
}

/// Submissions at a fixed rate, and how soon a dependent is dispatched.
fn latency(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let document = graphs::document(&graphs::chain(TASKS), "true");
    for (rate, name) in [(200, "200 submissions/s"), (125, "half load, 2,500 tasks/s")] {
        let mut fleet = fresh(release, scratch)?;
        fleet.add_executor()?;
        let client = fleet.client()?;
        // Connections, plans and caches are made by the first ones.
        client.makespan(&document, 50)?;
        let found = load::at_rate(&client, &document, rate, Duration::from_secs(15))?;
        let ms = |percent| percentile(&found.took_ms, percent).context("no submission");
        rows.push(Row::plain(SUITE, name, ("submit p50", "ms"), ms(50)?));
        rows.push(Row::plain(SUITE, name, ("submit p99", "ms"), ms(99)?));
        let said = fleet.database.psql(
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY gap), \
             percentile_disc(0.99) WITHIN GROUP (ORDER BY gap) FROM \
             (SELECT b.started_at - a.ended_at AS gap FROM attempt a JOIN attempt b \
             ON b.workflow = a.workflow AND b.node = a.node + 1 WHERE a.node > 0) g",
        )?;
        let mut gaps = said.split('|').map(str::parse::<f64>);
        let mut gap = || Ok::<_, anyhow::Error>(gaps.next().context("a figure")??);
        rows.push(Row::plain(SUITE, name, ("end to dependent p50", "ms"), gap()?));
        rows.push(Row::plain(SUITE, name, ("end to dependent p99", "ms"), gap()?));
        fleet.stop()?;
    }
    Ok(rows)
}

/// The same work beside a million tasks that have finished.
fn history(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    const WORKFLOWS: usize = 500;
    let mut fleet = fresh(release, scratch)?;
    fleet.add_executor()?;
    let client = fleet.client()?;
    let document = graphs::document(&graphs::chain(TASKS), "true");
    let once = || client.makespan(&document, WORKFLOWS);
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty.push(once()?);
    }
    let tasks = load::multiply(&fleet.database, 1_000_000)?;
    for _ in 0..ROUNDS {
        full.push(once()?);
    }
    fleet.stop()?;
    let times =
        (median(&full).context("no round was run")?, median(&empty).context("no round was run")?);
    let name = format!("beside {tasks} finished");
    Ok(vec![Row::rate(SUITE, &name, WORKFLOWS * TASKS, times)])
}

/// Workflows that run and wait for an executor.
fn memory(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    const WORKFLOWS: usize = 10_000;
    let fleet = fresh(release, scratch)?;
    let client = fleet.client()?;
    let before = fleet.memory_mib("controller")?;
    load::submit_all(&client, &graphs::document(&graphs::chain(TASKS), "true"), WORKFLOWS)?;
    let begun = Instant::now();
    let running = "SELECT count(*) FROM workflow WHERE status = 'RUNNING'";
    while fleet.database.psql(running)? != WORKFLOWS.to_string() {
        ensure!(begun.elapsed() < Duration::from_secs(120), "not all workflows run");
        std::thread::sleep(Duration::from_millis(100));
    }
    let name = "10,000 running workflows";
    let rows = vec![
        Row::plain(SUITE, name, ("controller, before", "MiB"), before),
        Row::plain(SUITE, name, ("controller", "MiB"), fleet.memory_mib("controller")?),
        Row::plain(SUITE, name, ("scheduler", "MiB"), fleet.memory_mib("scheduler")?),
    ];
    fleet.stop()?;
    Ok(rows)
}

/// A scheduler that stood by leads over a million attempts that wait.
fn rebuild(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let mut fleet = fresh(release, scratch)?;
    fleet.database.psql(
        "CREATE TEMP TABLE w AS SELECT gen_random_uuid() AS id FROM generate_series(1, 1000); \
         INSERT INTO gate SELECT id, FALSE FROM w; \
         INSERT INTO runnable (workflow, node, number) \
         SELECT id, n, 1 FROM w, generate_series(1, 1000) n; \
         INSERT INTO work_order (workflow, node, number, priority, since, cpu, memory, gpu, body) \
         SELECT id, n, 1, 0, 1700000000000, 100, 268435456, 0, '{}' \
         FROM w, generate_series(1, 1000) n; ANALYZE",
    )?;
    let took = fleet.change_leaders()?.as_secs_f64();
    let name = "1,000,000 that wait";
    let rows = vec![
        Row::plain(SUITE, name, ("another scheduler leads", "s"), took),
        Row::plain(SUITE, name, ("its memory", "MiB"), fleet.memory_mib("standby")?),
    ];
    fleet.stop()?;
    Ok(rows)
}
