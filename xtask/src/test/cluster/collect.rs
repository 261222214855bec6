//! A status collector: silent while an executor lives, and the only one who tells when none does.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::fleet::Fleet;
use super::harm::{delete, ends, runs};
use crate::client::Client;
use crate::cluster::Held;

const DOCUMENT: &str = "xtask/src/test/cluster/orphaned.yaml";
const MEMORY: &str = "hungry";
const DELETED: &str = "removed";
const STRANDED: &str = "marooned";
const OF_IT: &str = "--selector=flowforge.io/task-name=marooned";
/// A cluster looks for nodes that are no more every 20 s, and waits 40 s for one to come back.
const NODE: Duration = Duration::from_secs(180);
const FACTS: &str = "flowforge_collector_facts_total{reason=\"";

/// It watches, and has not written down anything.
pub(super) fn nothing(numbers: &Client) -> anyhow::Result<()> {
    let text = numbers.text("/metrics")?;
    ensure!(text.contains("\nflowforge_collector_watches 1\n"), "it does not watch: {text}");
    ensure!(facts(&text).is_empty(), "it has written something down: {text}");
    Ok(())
}

/// The executor dies while three pods run. One needs too much memory, one is deleted, the node of one dies: all
/// three have ended, for their reasons, before there is another executor.
pub(super) fn judge(fleet: &mut Fleet, cluster: &Held, numbers: &Client) -> anyhow::Result<()> {
    let id = fleet.submit(DOCUMENT)?;
    let all = [MEMORY, DELETED, STRANDED];
    fleet.wait_for(&id, "all that run", |tasks| {
        all.iter().all(|name| tasks.iter().any(|task| runs(task, name)))
    })?;
    fleet.kill_executor()?;
    delete(fleet, &cluster.kubectl()?, (&id, DELETED))?;
    let over = |tasks: &[Value], name| {
        tasks.iter().any(|task| task["name"] == name && task["status"] != "RUNNING")
    };
    fleet.wait_for(&id, "the ends of two pods", |tasks| {
        [MEMORY, DELETED].into_iter().all(|name| over(tasks, name))
    })?;
    cluster.lose_node()?;
    let pods = ["pods", "--all-namespaces", OF_IT];
    cluster.kubectl()?.wait(&pods, "delete", NODE)?;
    fleet.wait_for(&id, "the end of a pod without a node", |tasks| over(tasks, STRANDED))?;
    let text = numbers.text("/metrics")?;
    // The other two may have told it themselves before they were gone.
    let node = facts(&text).into_iter().find(|(reason, _)| *reason == "node_lost");
    ensure!(node == Some(("node_lost", "1")), "who told of the node? {text}");
    cluster.mend()?;
    fleet.start_executor()?;
    let workflow = fleet.end_of(&id)?;
    ensure!(workflow.status == "SUCCEEDED", "it is {}", workflow.status);
    ends(&workflow, MEMORY, "SUCCEEDED", &["oom_killed", ""])?;
    ends(&workflow, DELETED, "SUCCEEDED", &["lost|pod_deleted", ""])?;
    ends(&workflow, STRANDED, "SUCCEEDED", &["node_lost", ""]).context("the node")
}

/// Reasons, and how many were written down.
fn facts(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(FACTS));
    lines.filter_map(|line| line.split_once("\"} ")).collect()
}
