//! Roles as servers of their own on a PostgreSQL that waits for the disk, with tasks that end the
//! moment they begin. Everything shares this machine: servers, database, Redis and the client.

mod fleet;
mod load;
mod spent;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::fleet::Fleet;
use self::spent::Spent;
use super::engine::degree_two;
use super::{Part, Row, graphs, median, percentile};

const SUITE: &str = "postgres";
const ROUNDS: usize = 3;
/// Tasks of a submission where latencies are measured.
const TASKS: usize = 20;

pub(super) const PARTS: [(&str, Part); 6] = [
    ("throughput", throughput),
    ("latency", latency),
    ("admissions", admissions),
    ("history", history),
    ("memory", memory),
    ("rebuild", rebuild),
];

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
    const FIRST: usize = 50;
    let mut rows = Vec::new();
    let document = graphs::document(&graphs::chain(TASKS), "true");
    for (rate, name) in [(200, "200 submissions/s"), (125, "half load, 2,500 tasks/s")] {
        let mut fleet = fresh(release, scratch)?;
        fleet.add_executor()?;
        let client = fleet.client()?;
        // Connections, plans and caches are made by the first ones.
        client.makespan(&document, FIRST)?;
        let found = load::at_rate(&client, &document, rate, Duration::from_secs(15))?;
        let ms = |percent| percentile(&found.took_ms, percent).context("no submission");
        rows.push(Row::plain(SUITE, name, ("submit p50", "ms"), ms(50)?));
        rows.push(Row::plain(SUITE, name, ("submit p99", "ms"), ms(99)?));
        let [half, most] = percentiles(
            &fleet,
            &format!(
                "SELECT admitted_at - created_at AS gap FROM attempt JOIN workflow ON id = workflow \
                 WHERE node = 1 AND created_at >= (SELECT created_at FROM workflow \
                 ORDER BY created_at OFFSET {FIRST} LIMIT 1)",
            ),
        )?;
        rows.push(Row::plain(SUITE, name, ("submit to admitted p50", "ms"), half));
        rows.push(Row::plain(SUITE, name, ("submit to admitted p99", "ms"), most));
        for (step, from, to) in [
            ("end to dependent admitted", "a.ended_at", "b.admitted_at"),
            ("end to dependent's start", "a.ended_at", "b.started_at"),
        ] {
            let [half, most] = gaps(&fleet, from, to)?;
            rows.push(Row::plain(SUITE, name, (&format!("{step} p50"), "ms"), half));
            rows.push(Row::plain(SUITE, name, (&format!("{step} p99"), "ms"), most));
        }
        fleet.stop()?;
    }
    Ok(rows)
}

/// The median and the 99th of a hundred, in ms, between the attempts of two tasks that follow one another.
fn gaps(fleet: &Fleet, from: &str, to: &str) -> anyhow::Result<[f64; 2]> {
    let gaps = format!(
        "SELECT {to} - {from} AS gap FROM attempt a JOIN attempt b \
         ON b.workflow = a.workflow AND b.node = a.node + 1 WHERE a.node > 0",
    );
    percentiles(fleet, &gaps)
}

/// The median and the 99th of a hundred of what a query finds.
fn percentiles(fleet: &Fleet, gaps: &str) -> anyhow::Result<[f64; 2]> {
    let said = fleet.database.psql(&format!(
        "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY gap), \
         percentile_disc(0.99) WITHIN GROUP (ORDER BY gap) FROM ({gaps}) g",
    ))?;
    let (half, most) = said.split_once('|').context("two figures")?;
    Ok([half.parse()?, most.parse()?])
}

/// A scheduler reserves for all that wait, as fast as it can: there is room for them, and nobody claims them.
fn admissions(release: &Path, scratch: &Path) -> anyhow::Result<Vec<Row>> {
    const WIDE: u32 = 100_000;
    let (mut rates, mut decisions) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let fleet = fresh(release, scratch)?;
        let independent = vec![Vec::new(); usize::try_from(WIDE)?];
        fleet.client()?.submit(&graphs::document(&independent, "true"))?;
        fleet.reaches("SELECT count(*) FROM work_order", WIDE)?;
        let before = fleet.cpu_seconds()?;
        fleet.database.psql(
            "INSERT INTO member (role, instance, until, capacity) \
             VALUES ('executor', gen_random_uuid(), now() + interval '10 minutes', 1000000)",
        )?;
        // The last of them in the order in which they go.
        fleet.reaches(
            &format!(
                "SELECT count(*) FROM attempt WHERE node = {WIDE} \
                 AND workflow = (SELECT id FROM workflow LIMIT 1)"
            ),
            1,
        )?;
        let spent = |all: &[(&str, f64)]| {
            all.iter().find(|(name, _)| *name == "scheduler").map(|(_, seconds)| *seconds)
        };
        let used = spent(&fleet.cpu_seconds()?).zip(spent(&before)).map(|(to, from)| to - from);
        let took: f64 = fleet
            .database
            .psql("SELECT max(admitted_at) - min(admitted_at) FROM attempt")?
            .parse()?;
        rates.push(f64::from(WIDE) * 1000.0 / took);
        decisions.push(f64::from(WIDE) / used.context("a scheduler")?);
        fleet.stop()?;
    }
    let name = "100,000 that wait";
    let middle = |of: &mut Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of.get(of.len() / 2).copied().context("no round was run")
    };
    Ok(vec![
        Row::plain(SUITE, name, ("reservations", "1/s"), middle(&mut rates)?),
        Row::plain(
            SUITE,
            name,
            ("reservations", "1/CPU-s of the scheduler"),
            middle(&mut decisions)?,
        ),
    ])
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
    const WORKFLOWS: u32 = 10_000;
    let fleet = fresh(release, scratch)?;
    let client = fleet.client()?;
    let before = fleet.memory_mib("controller")?;
    load::submit_all(
        &client,
        &graphs::document(&graphs::chain(TASKS), "true"),
        usize::try_from(WORKFLOWS)?,
    )?;
    fleet.reaches("SELECT count(*) FROM workflow WHERE status = 'RUNNING'", WORKFLOWS)?;
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
    const WIDE: u32 = 100_000;
    let mut fleet = fresh(release, scratch)?;
    let independent = vec![Vec::new(); usize::try_from(WIDE)?];
    fleet.client()?.submit(&graphs::document(&independent, "true"))?;
    fleet.reaches("SELECT count(*) FROM work_order", WIDE)?;
    load::multiply(&fleet.database, 1_000_000)?;
    let waiting = fleet.database.psql("SELECT count(*) FROM work_order")?;
    let took = fleet.change_leaders()?.as_secs_f64();
    let name = format!("{waiting} that wait");
    let rows = vec![
        Row::plain(SUITE, &name, ("another scheduler leads", "s"), took),
        Row::plain(SUITE, &name, ("its memory", "MiB"), fleet.memory_mib("standby")?),
    ];
    fleet.stop()?;
    Ok(rows)
}
