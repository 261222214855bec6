//! Pods that something happens to: each has the reason that it must have.

use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::fleet::{Fleet, PATIENCE};
use crate::cluster::Kubectl;
use crate::examples::{Task, Workflow};
use crate::roles::GLANCE;

const DOCUMENT: &str = "xtask/src/test/cluster/harmed.yaml";
/// The task whose first pod is deleted by hand.
const DELETED: &str = "deleted";
const OF_IT: &str = "--selector=flowforge.io/task-name=deleted";

pub(super) fn submit(fleet: &Fleet) -> anyhow::Result<String> {
    fleet.submit(DOCUMENT)
}

pub(super) fn judge(fleet: &Fleet, kubectl: &Kubectl, id: &str) -> anyhow::Result<()> {
    delete(fleet, kubectl, id)?;
    let workflow = fleet.end_of(id)?;
    ensure!(workflow.status == "FAILED", "it is {}", workflow.status);
    // The pod says itself that it was told to end, unless its node is faster.
    ends(&workflow, DELETED, "SUCCEEDED", &["lost|pod_deleted", ""])?;
    ends(&workflow, "memory", "FAILED", &["oom_killed"])?;
    ends(&workflow, "image", "FAILED", &["image_pull"])
}

/// Deletes the task's first pod when what it runs has begun.
fn delete(fleet: &Fleet, kubectl: &Kubectl, id: &str) -> anyhow::Result<()> {
    let client = fleet.client()?;
    let begun = Instant::now();
    let path = format!("/workflows/{id}/tasks?limit=10");
    loop {
        let page = client.json("GET", &path, "")?;
        let mut tasks = page["items"].as_array().context("tasks")?.iter();
        let task = tasks.find(|task| task["name"] == DELETED);
        if task.is_some_and(|task| task["status"] == "RUNNING" && !task["started_at"].is_null()) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "the pod to delete does not run: {page}");
        thread::sleep(GLANCE);
    }
    let pods = kubectl.json(&["get", "pods", "--all-namespaces", OF_IT])?;
    let place = &pods["items"][0]["metadata"];
    let name = place["name"].as_str().context("the pod to delete")?;
    let namespace = place["namespace"].as_str().context("its namespace")?;
    kubectl.read(&["delete", "pod", name, "--namespace", namespace, "--wait=false"]).map(drop)
}

/// Whether a task ended so, and its attempts for these reasons, one after the other; `|` stands between
/// those that will do.
fn ends(workflow: &Workflow, name: &str, status: &str, reasons: &[&str]) -> anyhow::Result<()> {
    let task: &Task = workflow.task(name)?;
    ensure!(task.status == status, "{name} is {}, not {status}", task.status);
    let found: Vec<&str> =
        task.attempts.iter().map(|one| one.reason.as_deref().unwrap_or_default()).collect();
    let fits = |(found, reason): (&&str, &&str)| reason.split('|').any(|one| one == *found);
    let good = found.len() == reasons.len() && found.iter().zip(reasons).all(fits);
    ensure!(good, "attempts of {name} ended for {found:?}, not {reasons:?}");
    Ok(())
}
