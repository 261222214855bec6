//! `cargo xtask chaos`: the real server, real processes, and `kill -9` at random points.
//!
//! Task bodies write into a witness file of their own, so that what ran is known independently of
//! what the server says about it.

pub(crate) mod fleet;
mod locks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bench::graphs;
use crate::client::Client;
use crate::server::Server;
use crate::workspace::{build_release, root};

/// The server is killed at a random moment of its first seconds with work.
const LIFE_MS: u64 = 1500;

/// Workflows of one round; the first of them writes the witness.
const PER_ROUND: usize = 4;

/// Kills the server `kills` times; every round restarts it and looks at everything.
pub(crate) fn run(kills: u32, seed: u64) -> anyhow::Result<ExitCode> {
    let release = build_release()?;
    let data_dir = release.with_file_name("chaos");
    if data_dir.exists() {
        fs::remove_dir_all(&data_dir).context("remove the last run's data")?;
    }
    fs::create_dir_all(&data_dir).context("create the data directory")?;
    let witness = data_dir.join("witness");
    let locked = data_dir.join("witness-of-locks");
    let mut chance = Chance(seed);
    let mut server = Server::start(&release, &data_dir)?;
    let mut ids = Vec::new();
    let mut recoveries = Vec::new();
    for round in 1..=kills {
        let client = Client::new(server.url(), server.token())?;
        ids.push(client.submit(&witnessed(&witness, 120)?)?);
        ids.push(client.submit(&graphs::document(&graphs::fan(500), "true"))?);
        ids.push(client.submit_yaml(&pipeline()?)?);
        ids.push(client.submit_yaml(&locks::document(&locked))?);
        let life = Duration::from_millis(chance.below(LIFE_MS));
        // The moment of death is the experiment.
        thread::sleep(life);
        server.kill()?;
        let begun = Instant::now();
        server = Server::start(&release, &data_dir)?;
        recoveries.push(begun.elapsed());
        no_orphans(&server)?;
        println!(
            "kill {round:>3} after {:>4} ms, ready again after {:>4} ms",
            life.as_millis(),
            begun.elapsed().as_millis()
        );
    }
    let client = Client::new(server.url(), server.token())?;
    for id in &ids {
        let status = client.wait(id)?;
        ensure!(status == "SUCCEEDED", "{id} is {status}");
        success_is_final(&client, id)?;
    }
    let (started, tasks) = check_witness(&client, &witness, ids.iter().step_by(PER_ROUND))?;
    let alone = locks::check(&locked)?;
    doctor(&release, &data_dir)?;
    server.stop()?;
    doctor(&release, &data_dir)?;
    recoveries.sort();
    let middle = recoveries.get(recoveries.len() / 2).copied().unwrap_or_default();
    println!(
        "{kills} kills: {} workflows finished; {started} processes for {tasks} witnessed tasks, {alone} alone under a mutex; ready again after {} ms (median); doctor is green",
        ids.len(),
        middle.as_millis()
    );
    println!("{kills} passed, 0 failed");
    Ok(ExitCode::SUCCESS)
}

fn pipeline() -> anyhow::Result<String> {
    fs::read_to_string(root().join("examples/pipeline.yaml")).context("read the demo's pipeline")
}

/// A fan whose bodies say when they begin and end.
fn witnessed(witness: &Path, width: usize) -> anyhow::Result<String> {
    let mut document: Value =
        serde_json::from_str(&graphs::document(&graphs::fan(width), "unused"))
            .context("a document")?;
    let script = "echo \"$FLOWFORGE_ATTEMPT_ID start\" >> \"$WITNESS\"; sleep 0.05; echo \"$FLOWFORGE_ATTEMPT_ID end\" >> \"$WITNESS\"";
    document["templates"]["body"]["container"] = json!({
        "image": "busybox",
        "command": ["sh", "-c", script],
        "env": [{"name": "WITNESS", "value": witness}],
    });
    Ok(document.to_string())
}

/// No process of an earlier server is left.
fn no_orphans(server: &Server) -> anyhow::Result<()> {
    let marker =
        fs::read_to_string(server.data_dir().join("id")).context("read the directory's id")?;
    let mut instances = BTreeSet::new();
    for entry in fs::read_dir("/proc").context("list processes")? {
        let path = entry.context("list processes")?.path();
        // Processes end while we look.
        let Ok(bytes) = fs::read(path.join("environ")) else { continue };
        let variables: BTreeMap<_, _> = bytes
            .split(|byte| *byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok()?.split_once('='))
            .collect();
        if variables.get("FLOWFORGE_DATA_DIR_ID") == Some(&marker.trim()) {
            instances.extend(variables.get("FLOWFORGE_INSTANCE_ID").map(|id| (*id).to_owned()));
        }
    }
    ensure!(instances.len() <= 1, "processes of {} servers run at once", instances.len());
    Ok(())
}

/// In the history of a workflow no task does anything after it succeeded.
fn success_is_final(client: &Client, id: &str) -> anyhow::Result<()> {
    let mut done = BTreeSet::new();
    let mut after = 0;
    loop {
        let page =
            client.json("GET", &format!("/workflows/{id}/events?after={after}&limit=1000"), "")?;
        let items = page["items"].as_array().context("events")?;
        for event in items {
            let seq = event["seq"].as_u64().context("a number")?;
            ensure!(seq == after + 1, "{id}: record {seq} follows {after}");
            after = seq;
            if event["type"] == "task" {
                let name = event["node"].to_string();
                ensure!(!done.contains(&name), "{id}: {event} after its success");
                if event["status"] == "SUCCEEDED" {
                    done.insert(name);
                }
            }
        }
        if items.is_empty() {
            return Ok(());
        }
    }
}

/// What the bodies wrote fits what the server says: every task ended once more than it had to at
/// the most, in an attempt that is known.
fn check_witness<'i>(
    client: &Client,
    witness: &Path,
    ids: impl IntoIterator<Item = &'i String>,
) -> anyhow::Result<(usize, usize)> {
    let text = fs::read_to_string(witness).context("read the witness file")?;
    let started = text.lines().filter(|line| line.ends_with("start")).count();
    let mut ended = BTreeSet::new();
    for line in text.lines() {
        if let Some(attempt) = line.strip_suffix(" end") {
            ensure!(ended.insert(attempt.to_owned()), "attempt {attempt} ran twice");
        }
    }
    let (mut attempts, mut tasks) = (0, 0);
    for id in ids {
        let page = client.json("GET", &format!("/workflows/{id}/tasks?limit=1000"), "")?;
        for task in page["items"].as_array().context("tasks")? {
            tasks += 1;
            attempts += task["attempts"].as_array().map_or(0, Vec::len);
        }
    }
    ensure!(started <= attempts, "{started} processes began, {attempts} attempts are known");
    ensure!(ended.len() >= tasks, "{} bodies ended, {tasks} tasks succeeded", ended.len());
    Ok((started, tasks))
}

fn doctor(release: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(release.join("flowforge"));
    command.arg("doctor").arg("--data-dir").arg(data_dir);
    let output = command.output().context("start flowforge doctor")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "flowforge doctor:\n{said}");
    Ok(())
}

/// A stream of numbers that follows from its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}
