//! Objects that tasks ask for, by an executor that has the rights of the file that is shipped and no others.

use std::thread;
use std::time::Instant;

use anyhow::{Context, ensure};

use super::fleet::{Fleet, NAMESPACE, PATIENCE};
use super::harm::ends;
use crate::cluster::Kubectl;
use crate::roles::GLANCE;

const DOCUMENT: &str = "xtask/src/test/cluster/objects.yaml";
/// What asks for a service, and finds it by its name.
const NAMES: &str = "xtask/src/test/cluster/names.yaml";

/// Twice: nobody has bound anything to the project's account at first.
pub(super) fn judge(fleet: &Fleet, kubectl: &Kubectl) -> anyhow::Result<()> {
    let unbind = ["delete", "rolebinding", "tasks", "--namespace", NAMESPACE];
    // A cluster that stays may have that of an earlier run.
    kubectl.read(&[&unbind[..], &["--ignore-not-found"]].concat())?;
    let refused = fleet.end_of(&fleet.submit(DOCUMENT)?)?;
    ends(&refused, "make", "FAILED", &["forbidden"])?;
    let account = format!("{NAMESPACE}:flowforge-task");
    let who = ["--namespace", NAMESPACE, "--clusterrole", "edit", "--serviceaccount", &account];
    kubectl.read(&[&["create", "rolebinding", "tasks"][..], &who].concat())?;
    heard(kubectl, &account)?;
    let named = fleet.submit(NAMES)?;
    let workflow = fleet.end_of(&fleet.submit(DOCUMENT)?)?;
    for name in ["make", "change", "look", "remove"] {
        ends(&workflow, name, "SUCCEEDED", &[""])?;
    }
    ends(&workflow, "fails", "FAILED", &["object_failed"])?;
    ends(&workflow, "elsewhere", "FAILED", &["object_refused"])?;
    ends(&workflow, "rights", "FAILED", &["forbidden"])?;
    let jobs = kubectl.json(&["get", "jobs", "--namespace", NAMESPACE])?;
    let names = jobs["items"].as_array().context("jobs")?.iter();
    let names: Vec<&str> = names.filter_map(|job| job["metadata"]["name"].as_str()).collect();
    ensure!(names.iter().all(|name| name.starts_with("fails-")), "jobs are left: {names:?}");
    kubectl.read(&["delete", "jobs", "--all", "--namespace", NAMESPACE])?;
    let named = fleet.end_of(&named)?;
    ends(&named, "ask", "SUCCEEDED", &[""])?;
    let answer = named.task("ask")?.output("result")?;
    ensure!(answer == "here", "behind the name of a service is {answer:?}");
    let made = ["delete", "pods,services", "--selector=made-for=names", "--grace-period=1"];
    kubectl.read(&[&made[..], &["--namespace", NAMESPACE]].concat())?;
    kubectl.read(&unbind).map(drop)
}

/// Waits until whoever decides about rights has heard of them.
fn heard(kubectl: &Kubectl, account: &str) -> anyhow::Result<()> {
    let who = format!("--as=system:serviceaccount:{account}");
    let question = ["auth", "can-i", "create", "jobs.batch", "--namespace", NAMESPACE, &who];
    let begun = Instant::now();
    while let Err(error) = kubectl.read(&question) {
        if begun.elapsed() > PATIENCE {
            return Err(error.context("wait for rights"));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}
