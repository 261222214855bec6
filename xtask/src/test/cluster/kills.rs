//! An executor that is killed again and again: its pods go on, and nobody makes a second one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde_json::Value;

use super::fleet::{Fleet, NAMESPACE};
use crate::cluster::Kubectl;

const DOCUMENT: &str = "xtask/src/test/cluster/killed.yaml";
const KILLS: usize = 20;
/// Tasks of the document.
const TASKS: usize = 40;

/// Each pod that comes or changes: whose it is, how it is called, which one it is.
const PODS: &str = r#"--output=jsonpath={.metadata.labels.flowforge\.io/workflow-id} {.metadata.name} {.metadata.uid}{"\n"}"#;

pub(super) fn judge(fleet: &mut Fleet, kubectl: &Kubectl) -> anyhow::Result<()> {
    let seen = kubectl.follow(&["get", "pods", "--namespace", NAMESPACE, "--watch", PODS])?;
    let id = fleet.submit(DOCUMENT)?;
    for kill in 0..KILLS {
        // Whatever it does just then: something has begun since the last one.
        fleet.wait_for(&id, "a task that begins", |tasks| begun(tasks) > kill)?;
        fleet.kill_executor()?;
        fleet.start_executor()?;
    }
    let workflow = fleet.end_of(&id)?;
    ensure!(workflow.status == "SUCCEEDED", "it is {}", workflow.status);
    let tasks: Vec<_> = workflow.tasks.iter().filter(|task| !task.attempts.is_empty()).collect();
    ensure!(tasks.len() == TASKS, "{} tasks ran", tasks.len());
    let twice = tasks.iter().find(|task| task.attempts.len() != 1);
    ensure!(twice.is_none(), "attempts of {:?}", twice.map(|task| &task.name));
    let seen = seen.end()?;
    let pods = pods_of(&seen, &id);
    ensure!(pods.len() == TASKS, "{} pods were made", pods.len());
    let twice = pods.iter().find(|(_, uids)| uids.len() != 1);
    ensure!(twice.is_none(), "a pod was made twice: {twice:?}");
    Ok(())
}

fn begun(tasks: &[Value]) -> usize {
    let of_it = |task: &&Value| task["name"].as_str().is_some_and(|name| name.starts_with("task("));
    tasks.iter().filter(of_it).filter(|task| !task["started_at"].is_null()).count()
}

/// The pods of a workflow by name, with all that were made under it.
fn pods_of<'a>(seen: &'a str, workflow: &str) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut pods: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in seen.lines() {
        if let [of, name, uid] = line.split(' ').collect::<Vec<_>>()[..]
            && of == workflow
        {
            pods.entry(name).or_default().insert(uid);
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::pods_of;

    #[test]
    fn a_pod_that_was_made_again_is_seen() {
        let seen = "w a 1\nw a 1\nother a 3\nw b 4\nw b 5\n";
        let pods = pods_of(seen, "w");
        let counts: Vec<_> = pods.iter().map(|(name, uids)| (*name, uids.len())).collect();
        assert_eq!(counts, [("a", 1), ("b", 2)]);
    }
}
