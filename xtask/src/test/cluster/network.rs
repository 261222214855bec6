//! What `flowforge doctor --network` says of the cluster for tests, whose network takes policies and does nothing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::cluster::{self, Held};

pub(super) fn judge(release: &Path, cluster: &Held) -> anyhow::Result<()> {
    let mut doctor = Command::new(release.join("flowforge"));
    doctor.args(["doctor", "--network"]).env_remove("FLOWFORGE_DATABASE_URL");
    // Where servers would be found: nobody asks for one.
    cluster::run_in_pods(&mut doctor, cluster.kubeconfig(), 1);
    let output = doctor.output().context("start the doctor")?;
    let (said, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let found = said.contains("VIOLATED") && said.contains("not enforced here");
    ensure!(found && output.status.code() == Some(1), "{}: {said}{why}", output.status);
    let ours = "--selector=app.kubernetes.io/managed-by=flowforge";
    let all = cluster.kubectl()?.json(&["get", "namespaces", ours])?;
    for namespace in all["items"].as_array().context("namespaces")? {
        let metadata = &namespace["metadata"];
        let left = metadata["annotations"]["flowforge.io/tenant-name"] == "doctor"
            && metadata["deletionTimestamp"].is_null();
        ensure!(!left, "a namespace is left: {metadata}");
    }
    Ok(())
}
