//! Pods that something happens to: each has the reason that it must have.

use anyhow::{Context, ensure};
use serde_json::Value;

use super::fleet::Fleet;
use crate::cluster::Kubectl;
use crate::examples::{Task, Workflow};

const DOCUMENT: &str = "xtask/src/test/cluster/harmed.yaml";
/// The task whose first pod is deleted by hand.
pub(super) const DELETED: &str = "deleted";

pub(super) fn submit(fleet: &Fleet) -> anyhow::Result<String> {
    fleet.submit(DOCUMENT)
}

pub(super) fn judge(fleet: &Fleet, id: &str) -> anyhow::Result<()> {
    let workflow = fleet.end_of(id)?;
    ensure!(workflow.status == "FAILED", "it is {}", workflow.status);
    // The pod says itself that it was told to end, unless its node is faster.
    ends(&workflow, DELETED, "SUCCEEDED", &["lost|pod_deleted", ""])?;
    ends(&workflow, "memory", "FAILED", &["oom_killed"])?;
    // The registry might have it later, so it is asked for once more.
    ends(&workflow, "image", "FAILED", &["image_pull", "image_pull"])
}

/// Deletes a task's first pod when what it runs has begun.
pub(super) fn delete(
    fleet: &Fleet,
    kubectl: &Kubectl,
    (id, task): (&str, &str),
) -> anyhow::Result<()> {
    fleet.wait_for(id, "the pod to delete", |tasks| tasks.iter().any(|one| runs(one, task)))?;
    let of_it = format!("--selector=flowforge.io/task-name={task}");
    let pods = kubectl.json(&["get", "pods", "--all-namespaces", &of_it])?;
    let place = &pods["items"][0]["metadata"];
    let name = place["name"].as_str().context("the pod to delete")?;
    let namespace = place["namespace"].as_str().context("its namespace")?;
    kubectl.read(&["delete", "pod", name, "--namespace", namespace, "--wait=false"]).map(drop)
}

/// Whether what a task runs has begun and not ended.
pub(super) fn runs(task: &Value, name: &str) -> bool {
    task["name"] == name && task["status"] == "RUNNING" && !task["started_at"].is_null()
}

/// Whether a task ended so, and its attempts for these reasons, one after the other; `|` stands between
/// those that will do.
pub(super) fn ends(
    workflow: &Workflow,
    name: &str,
    status: &str,
    reasons: &[&str],
) -> anyhow::Result<()> {
    let task: &Task = workflow.task(name)?;
    ensure!(task.status == status, "{name} is {}, not {status}", task.status);
    let found: Vec<&str> =
        task.attempts.iter().map(|one| one.reason.as_deref().unwrap_or_default()).collect();
    let fits = |(found, reason): (&&str, &&str)| reason.split('|').any(|one| one == *found);
    let good = found.len() == reasons.len() && found.iter().zip(reasons).all(fits);
    ensure!(good, "attempts of {name} ended for {found:?}, not {reasons:?}");
    Ok(())
}
