//! A cluster that something happens to as a whole, while tasks run.

use std::time::Duration;

use anyhow::ensure;

use super::fleet::Fleet;
use super::harm::{ends, runs};
use crate::cluster::Held;

const DOCUMENT: &str = "xtask/src/test/cluster/struck.yaml";
/// The task whose first pod's node dies.
const STRANDED: &str = "stranded";
const OF_IT: &str = "--selector=flowforge.io/task-name=stranded";
/// Those that end while there is no API server, or just after.
const STEADY: [&str; 4] = ["steady(0:0)", "steady(1:1)", "steady(2:2)", "steady(3:3)"];
/// A cluster looks for nodes that are no more every 20 s, and waits 40 s for one to come back.
const NODE: Duration = Duration::from_secs(180);

pub(super) fn judge(fleet: &Fleet, cluster: &Held) -> anyhow::Result<()> {
    let id = fleet.submit(DOCUMENT)?;
    let all = || STEADY.into_iter().chain([STRANDED]);
    fleet.wait_for(&id, "all that run", |tasks| {
        all().all(|name| tasks.iter().any(|task| runs(task, name)))
    })?;
    cluster.replace_api_server()?;
    fleet.wait_for(&id, "the end of those that go on", |tasks| {
        let done =
            |name| tasks.iter().any(|task| task["name"] == name && task["status"] != "RUNNING");
        STEADY.into_iter().all(done)
    })?;
    cluster.lose_node()?;
    let pods = ["pods", "--all-namespaces", OF_IT];
    cluster.kubectl()?.wait(&pods, "delete", NODE)?;
    cluster.mend()?;
    let workflow = fleet.end_of(&id)?;
    ensure!(workflow.status == "SUCCEEDED", "it is {}", workflow.status);
    // A second attempt would be a second pod.
    STEADY.into_iter().try_for_each(|name| ends(&workflow, name, "SUCCEEDED", &[""]))?;
    ends(&workflow, STRANDED, "SUCCEEDED", &["node_lost", ""])
}
