//! Images from a registry that is there, and from one that is away for a while.

use std::thread;
use std::time::Instant;

use anyhow::ensure;
use serde_json::Value;

use super::fleet::{Fleet, PATIENCE};
use super::harm::ends;
use crate::cluster::{Held, Kubectl};
use crate::roles::GLANCE;

const DOCUMENT: &str = "xtask/src/test/cluster/pulled.yaml";

pub(super) fn judge(fleet: &Fleet, cluster: &Held) -> anyhow::Result<()> {
    good(fleet, &fleet.submit(DOCUMENT)?)?;
    cluster.lose_registry()?;
    let id = fleet.submit(DOCUMENT)?;
    let lacking = waits(&cluster.kubectl()?, &id);
    // Others need it, too.
    cluster.mend()?;
    lacking?;
    good(fleet, &id)
}

/// One attempt, which is patient.
fn good(fleet: &Fleet, id: &str) -> anyhow::Result<()> {
    ends(&fleet.end_of(id)?, "main", "SUCCEEDED", &[""])
}

/// Waits until a pod of the workflow waits for its image.
fn waits(kubectl: &Kubectl, id: &str) -> anyhow::Result<()> {
    let of_it = format!("--selector=flowforge.io/workflow-id={id}");
    let lacks = |pod: &Value| {
        let container = &pod["status"]["containerStatuses"][0];
        let reason = container["state"]["waiting"]["reason"].as_str();
        ["ErrImagePull", "ImagePullBackOff"].contains(&reason.unwrap_or_default())
    };
    let begun = Instant::now();
    loop {
        let pods = kubectl.json(&["get", "pods", "--all-namespaces", &of_it])?;
        if pods["items"].as_array().is_some_and(|pods| pods.iter().any(lacks)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "its image came from nowhere: {pods}");
        thread::sleep(GLANCE);
    }
}
