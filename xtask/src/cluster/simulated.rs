//! Nodes that only pretend: their pods start and end as their annotations say, without a process.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::config::NODE;
use super::kubectl::Kubectl;

/// How a simulated node and its pods go from one state to the next.
pub(super) const STAGES: &str = include_str!("../../../test/cluster/stages.yaml");
/// Makes a node one of them, as an annotation; keeps other pods away, as a taint; chooses them, as a
/// label.
const MARK: &str = "kwok.x-k8s.io/node";

/// Sees to so many of them. More than so many stay.
pub(super) fn add(kubectl: &Kubectl, nodes: u32, patience: Duration) -> anyhow::Result<()> {
    let all: Vec<Value> = (0..nodes).map(node).collect();
    kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": all}))?;
    kubectl
        .wait(&["nodes", &format!("--selector={MARK}=fake")], "condition=Ready", patience)
        .context("wait for the simulated nodes")
}

fn node(number: u32) -> Value {
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": format!("kwok-{number}"),
            "annotations": {MARK: "fake"},
            "labels": {MARK: "fake", "kubernetes.io/hostname": format!("kwok-{number}")},
        },
        "spec": {"taints": [{"key": MARK, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    })
}

/// Sends all pods to them, also those that ask for nothing.
pub(super) fn take_all(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.read(&["cordon", NODE])?;
    let (all, taint) = (format!("--selector={MARK}=fake"), format!("{MARK}-"));
    kubectl.read(&["taint", "nodes", &all, &taint]).map(drop)
}

/// What a pod needs to run on one.
pub(super) fn choose(pod: &mut Value) {
    pod["spec"]["nodeSelector"] = json!({MARK: "fake"});
    pod["spec"]["tolerations"] = json!([{"key": MARK, "operator": "Exists"}]);
}
