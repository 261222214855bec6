//! The tier `cluster`: the adapter and whole workflows on a real Kubernetes, which is started here and
//! ended afterwards, whatever becomes of the tests. `FLOWFORGE_TEST_KUBECONFIG` names another one, which
//! has the images of ours and reaches this machine as ours does.

mod collect;
pub(crate) mod fleet;
mod granted;
mod harm;
mod kills;
mod network;
mod objects;
mod pulls;
mod silence;
mod strike;

use anyhow::{Context, ensure};

use self::fleet::Fleet;
use super::{Lack, Programs, Tally, postgres};
use crate::cluster::{self, Held};
use crate::examples::{self, ALL, Workflow};
use crate::workspace::build_release;
use crate::{chaos, dist};

/// Examples whose tasks need what only pods have, or what pods or servers of their own do in their own way.
const EXAMPLES: [&str; 11] = [
    "outputs.yaml",
    "more-memory.yaml",
    "init-container.yaml",
    "container-set.yaml",
    "sidecar.yaml",
    "daemon.yaml",
    "placement.yaml",
    "identity.yaml",
    "child-workflows.yaml",
    "artifacts.yaml",
    "pipeline.yaml",
];
/// More pods at once would only wait for each other on a small machine.
const THREADS: &str = "--test-threads=4";

pub(super) fn missing() -> Option<Lack> {
    if let Some(missing) = chaos::fleet::missing() {
        return Some(Lack::Missing(missing));
    }
    if std::env::var_os(cluster::ELSEWHERE).is_some() { None } else { cluster::lack() }
}

pub(super) fn run() -> anyhow::Result<Tally> {
    let runner = dist::pod()?;
    let release = build_release()?;
    let cluster = Held::take(runner)?;
    let mut tally = adapter(&cluster)?;
    let server = postgres::Server::start()?;
    let mut fleet = Fleet::start(release.clone(), &cluster, server, &[])?;
    let numbers = fleet.collect(&cluster)?;
    let submitted = submit(&fleet);
    let kubectl = cluster.kubectl()?;
    let private = cluster.is_here().then(|| granted::submit(&fleet, &kubectl));
    let harmed = harm::submit(&fleet)
        .and_then(|id| harm::delete(&fleet, &kubectl, (&id, harm::DELETED)).map(|()| id));
    for (name, workflow) in submitted {
        tally.count(workflow.and_then(|id| judge(&fleet, name, &id)).context(name));
    }
    let mut count = |name: &str, outcome: anyhow::Result<()>| {
        tally.count(outcome.map(|()| name.to_owned()).context(name.to_owned()));
    };
    if cluster.is_here() {
        count("images that are pulled", pulls::judge(&fleet, &cluster));
        count("what is asked of pods and granted", granted::judge(&fleet, &cluster));
    }
    if let Some(private) = private {
        let pulled = private.and_then(|pulls| granted::judge_pulls(&fleet, &pulls));
        count("images of a registry that asks who wants them", pulled);
    }
    count("objects that tasks ask for, and their names", objects::judge(&fleet, &kubectl));
    count("pods that are harmed", harmed.and_then(|id| harm::judge(&fleet, &id)));
    count("an executor that is killed again and again", kills::judge(&mut fleet, &kubectl));
    if cluster.is_here() {
        let told = network::judge(&release, &cluster);
        count("a network that heeds no policies is found out", told);
        count("an API server and a node that die", strike::judge(&fleet, &cluster));
        count("a node that is not heard of", silence::judge(&fleet, &cluster));
    }
    count("a status collector writes nothing while an executor lives", collect::nothing(&numbers));
    if cluster.is_here() {
        let collected = collect::judge(&mut fleet, &cluster, &numbers);
        count("ends of pods without an executor", collected);
    }
    count("no pod and no server is left", nothing_is_left(fleet, &cluster));
    cluster.end()?;
    Ok(tally)
}

/// The tests of the adapter that need a cluster.
fn adapter(cluster: &Held) -> anyhow::Result<Tally> {
    let programs = Programs::build()?.within("crates/adapters/cluster").libraries();
    let kubeconfig = cluster.kubeconfig();
    let there = (cluster::ELSEWHERE, kubeconfig.as_os_str());
    let tally = programs.run(&["--ignored", THREADS], &[there])?;
    ensure!(tally.passed + tally.failed > 0, "no test of a cluster ran");
    Ok(tally)
}

/// All at once: their pods take turns.
fn submit(fleet: &Fleet) -> Vec<(&'static str, anyhow::Result<String>)> {
    EXAMPLES.iter().map(|file| (*file, fleet.submit(&format!("examples/{file}")))).collect()
}

fn judge(fleet: &Fleet, file: &str, id: &str) -> anyhow::Result<String> {
    let workflow: Workflow = fleet.end_of(id)?;
    let example = ALL.iter().find(|example| example.file == file).context("an example")?;
    examples::judge(&workflow, example)?;
    Ok(format!("examples/{file} in pods"))
}

/// Every pod of every attempt goes, servers end when they are asked to, and the rows are in order.
fn nothing_is_left(fleet: Fleet, cluster: &Held) -> anyhow::Result<()> {
    const OURS: &str = "--selector=app.kubernetes.io/managed-by=flowforge";
    let kubectl = cluster.kubectl()?;
    let pods = kubectl.json(&["get", "pods", "--all-namespaces", OURS])?;
    if pods["items"].as_array().is_some_and(|pods| !pods.is_empty()) {
        let all = ["pods", "--all-namespaces", OURS];
        kubectl.wait(&all, "delete", fleet::PATIENCE)?;
    }
    let claims = kubectl.json(&["get", "persistentvolumeclaims", "--all-namespaces", OURS])?;
    ensure!(claims["items"].as_array().is_some_and(Vec::is_empty), "claims are left: {claims}");
    fleet.stop()
}
