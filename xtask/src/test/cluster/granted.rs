//! What documents ask of their pods and settings grant: it is in the pod that the cluster has, and works.

use anyhow::{Context, ensure};
use serde_json::json;

use super::fleet::{Fleet, NAMESPACE, PATIENCE};
use super::harm::{ends, runs};
use crate::cluster::{DOOR, Held, Kubectl, PULLER, SECOND};

const DOCUMENT: &str = "xtask/src/test/cluster/granted.yaml";
const PRIVATE: &str = "xtask/src/test/cluster/private.yaml";
const CLASS: &str = "flowforge-test-urgent";
const SECRET: &str = "puller";
/// The environment of executors that grant it.
pub(super) const GRANTS: [(&str, &str); 2] =
    [("FLOWFORGE_KUBERNETES_PRIORITY_CLASSES", CLASS), ("FLOWFORGE_KUBERNETES_SCHEDULERS", SECOND)];

/// Images of a registry that wants to know who asks, asked for by whoever may and by somebody else.
pub(super) struct Pulls {
    good: String,
    refused: String,
}

/// Long before they are judged: it takes a while until a registry that refuses is given up.
pub(super) fn submit(fleet: &Fleet, kubectl: &Kubectl) -> anyhow::Result<Pulls> {
    // An executor makes it before the project's first pod.
    kubectl.wait(&["namespace", NAMESPACE], "create", PATIENCE)?;
    let (username, password) = PULLER;
    let door = json!({"auths": {DOOR.to_string(): {"username": username, "password": password}}});
    kubectl.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": door.to_string()},
    }))?;
    let pull =
        |secret: &str| fleet.submit_with(PRIVATE, &["--parameter", &format!("secret={secret}")]);
    Ok(Pulls { good: pull(SECRET)?, refused: pull("of-nobody")? })
}

pub(super) fn judge_pulls(fleet: &Fleet, pulls: &Pulls) -> anyhow::Result<()> {
    ends(&fleet.end_of(&pulls.good)?, "main", "SUCCEEDED", &[""])?;
    ends(&fleet.end_of(&pulls.refused)?, "main", "FAILED", &["image_pull"])
}

pub(super) fn judge(fleet: &Fleet, cluster: &Held) -> anyhow::Result<()> {
    let kubectl = cluster.kubectl()?;
    kubectl.apply(&json!({
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": CLASS},
        "value": 1000,
    }))?;
    let id = fleet.submit(DOCUMENT)?;
    fleet.wait_for(&id, "the pod to look at", |tasks| tasks.iter().any(|one| runs(one, "main")))?;
    let of_it = format!("--selector=flowforge.io/workflow-id={id}");
    let pods = kubectl.json(&["get", "pods", "--namespace", NAMESPACE, &of_it])?;
    let spec = &pods["items"][0]["spec"];
    ensure!(spec["priorityClassName"] == CLASS && spec["priority"] == 1000, "its priority: {spec}");
    ensure!(spec["schedulerName"] == SECOND, "its scheduler: {spec}");
    let name = pods["items"][0]["metadata"]["name"].as_str().context("the pod's name")?;
    let asked = "cat /etc/resolv.conf";
    let within =
        ["exec", name, "--namespace", NAMESPACE, "--container=main", "--", "sh", "-c", asked];
    let names = kubectl.read(&within)?;
    let lines: Vec<&str> = names.lines().collect();
    ensure!(
        lines.contains(&"nameserver 203.0.113.7") && lines.contains(&"search granted.example"),
        "its names: {names}"
    );
    fleet.cancel(&id)?;
    let workflow = fleet.end_of(&id)?;
    ensure!(workflow.status == "CANCELLED", "it is {}", workflow.status);
    kubectl.wait(&[&format!("pod/{name}"), "--namespace", NAMESPACE], "delete", PATIENCE)
}
