//! `cargo xtask cluster check`: whether pods run, fail, are limited and go, as they should.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::kubectl::Kubectl;
use super::simulated;

/// A pod takes two seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
const IMAGE: &str = "flowforge-test/busybox";

/// One pod, and how it must end.
struct Case {
    name: &'static str,
    pod: fn() -> Value,
    phase: &'static str,
    code: u64,
    reason: &'static str,
    log: Option<&'static str>,
}

const CASES: [Case; 2] = [
    Case {
        name: "check-exit-code",
        pod: || container(&["sh", "-c", "echo said; exit 3"], &json!({})),
        phase: "Failed",
        code: 3,
        reason: "Error",
        log: Some("said\n"),
    },
    Case {
        name: "check-memory",
        pod: || container(&["tail", "/dev/zero"], &json!({"limits": {"memory": "16Mi"}})),
        phase: "Failed",
        code: 137,
        reason: "OOMKilled",
        log: None,
    },
];
const SIMULATED: Case = Case {
    name: "check-simulated",
    pod: simulated_pod,
    phase: "Failed",
    code: 4,
    reason: "Error",
    log: None,
};

pub(super) fn run(kubectl: &Kubectl) -> anyhow::Result<ExitCode> {
    let nodes = kubectl.json(&["get", "nodes", "--selector=kwok.x-k8s.io/node=fake"])?;
    let any = nodes["items"].as_array().is_some_and(|nodes| !nodes.is_empty());
    for case in CASES.iter().chain(any.then_some(&SIMULATED)) {
        let begun = Instant::now();
        let outcome = end(kubectl, case);
        let gone = kubectl.read(&[
            "delete",
            "pod",
            case.name,
            "--ignore-not-found",
            "--grace-period=1",
            "--timeout=60s",
        ]);
        let said = outcome.with_context(|| case.name)?;
        gone?;
        println!("ok {} in {:.1} s: {said}", case.name, begun.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}

fn end(kubectl: &Kubectl, case: &Case) -> anyhow::Result<String> {
    let mut pod = (case.pod)();
    pod["metadata"]["name"] = json!(case.name);
    kubectl.apply(&pod)?;
    let object = format!("pod/{}", case.name);
    let phase = format!("jsonpath={{.status.phase}}={}", case.phase);
    kubectl.wait(&[&object], &phase, PATIENCE)?;
    let pod = kubectl.json(&["get", &object])?;
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    let (code, reason) = (&ended["exitCode"], &ended["reason"]);
    ensure!(
        *code == case.code && *reason == case.reason,
        "ended with {code}, {reason}; expected {}, {}",
        case.code,
        case.reason
    );
    if let Some(expected) = case.log {
        let log = kubectl.read(&["logs", case.name])?;
        ensure!(log == expected, "its log is {log:?}; expected {expected:?}");
    }
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    Ok(format!("{} on {node}, exit code {code}, {}", case.phase, case.reason))
}

fn container(command: &[&str], resources: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "resources": resources,
            }],
        },
    })
}

fn simulated_pod() -> Value {
    let mut pod = container(&["true"], &json!({}));
    pod["metadata"]["annotations"] =
        json!({"flowforge-test/exit-code": "4", "flowforge-test/runs-for": "100ms"});
    simulated::choose(&mut pod);
    pod
}
