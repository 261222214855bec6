//! A node that is not heard of any more, whose pod goes on.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::fleet::{Fleet, PATIENCE};
use super::harm::{ends, runs};
use crate::cluster::{Held, Kubectl, NODE};
use crate::roles::GLANCE;

const DOCUMENT: &str = "xtask/src/test/cluster/silent.yaml";
const TASK: &str = "main";
const OF_IT: &str = "--selector=flowforge.io/task-name=main,flowforge.io/workflow-id=";

pub(super) fn judge(fleet: &Fleet, cluster: &Held) -> anyhow::Result<()> {
    // A pod that is connected goes on when it is let go of.
    let listener = TcpListener::bind("0.0.0.0:0").context("listen for pods")?;
    let port = listener.local_addr().context("listen for pods")?.port();
    let id = fleet.submit_with(DOCUMENT, &["--parameter", &format!("port={port}")])?;
    fleet.wait_for(&id, "the first pod", |tasks| tasks.iter().any(|task| runs(task, TASK)))?;
    let held = accept(&listener)?;
    let kubectl = cluster.kubectl()?;
    let pods = kubectl.json(&["get", "pods", "--all-namespaces", &format!("{OF_IT}{id}")])?;
    let of = |field: &str| pods["items"][0]["metadata"][field].as_str().context("the first pod");
    let (name, namespace, uid) = (of("name")?, of("namespace")?, of("uid")?);
    let silence = cluster.silence_node()?;
    given_up(&kubectl)?;
    fleet.wait_for(&id, "the second attempt", |tasks| {
        tasks.iter().any(|task| task["name"] == TASK && task["attempt"] == 2)
    })?;
    drop(held);
    // It was heard, and must not count.
    let word = last_word(cluster, uid)?;
    ensure!(word == "reported", "the first pod's last word is {word:?}");
    drop(silence);
    let workflow = fleet.end_of(&id)?;
    ends(&workflow, TASK, "SUCCEEDED", &["node_lost", ""])?;
    let result = workflow.task(TASK)?.output("result")?;
    ensure!(result == "second", "the result is {result:?}, which the lost attempt gave");
    let pod = format!("pod/{name}");
    kubectl.wait(&[&pod, "--namespace", namespace], "delete", PATIENCE)
}

/// Waits until the node counts as away, and does what a cluster then does that has another one: if all are
/// away it takes that for its own fault, and tells no pod to end.
fn given_up(kubectl: &Kubectl) -> anyhow::Result<()> {
    kubectl.wait(&[&format!("node/{NODE}")], "condition=Ready=Unknown", PATIENCE)?;
    kubectl.read(&["taint", "nodes", NODE, "node.kubernetes.io/unreachable:NoExecute"]).map(drop)
}

fn accept(listener: &TcpListener) -> anyhow::Result<TcpStream> {
    listener.set_nonblocking(true).context("listen for pods")?;
    let begun = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("listen for pods"),
        }
        ensure!(begun.elapsed() < PATIENCE, "the first pod connects in vain");
        thread::sleep(GLANCE);
    }
}

/// What its runner leaves when it has told the end.
fn last_word(cluster: &Held, pod: &str) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        let word = cluster.last_word(pod, "main")?;
        if !word.is_empty() {
            return Ok(word);
        }
        ensure!(begun.elapsed() < PATIENCE, "the first pod says nothing");
        thread::sleep(GLANCE);
    }
}
