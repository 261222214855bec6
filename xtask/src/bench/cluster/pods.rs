//! Pods as the cluster has them: those of ours that are taken as a model, those that are made after it, and what is seen
//! of both.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::cluster::Kubectl;
use crate::workspace::{cargo, succeed};

/// Where pods are that are not ours.
pub(super) const NAMESPACE: &str = "flowforge-raw";
/// A variable that simulated nodes read.
pub(super) const RUNS_FOR: &str = "RUNS_FOR";
const OURS: &str = "--selector=app.kubernetes.io/managed-by=flowforge";
/// How often it is looked for pods that are to come.
const GLANCE: Duration = Duration::from_secs(1);
/// Who asks the cluster for pods here, us and the loop, and what the API server counts it by.
const ACCOUNT: [&str; 2] = ["flowforge-executor", "flowforge-system"];

/// What was seen of some pods.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// From the first to appear to the last to go.
    pub(super) seconds: f64,
    /// From the end of one to the next to appear, the middle of them.
    pub(super) gap_ms: f64,
    /// What was asked of the API server by the executor, or by the loop; both with a watch beside.
    pub(super) requests: f64,
}

/// The program that watches pods, and makes them, with the rights of an executor: a cluster serves others first who
/// may do everything.
pub(super) struct Speed {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Speed {
    pub(super) fn build(release: &Path, kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "-p", "flowforge-cluster"]);
        succeed(build.args(["--example", "pods_speed"]))?;
        Ok(Self { program: release.join("examples/pods_speed"), kubeconfig })
    }

    fn command(&self, what: &str, (namespace, count): (&str, usize)) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(what).arg(&self.kubeconfig).arg(namespace).arg(count.to_string());
        command
    }

    /// Looks on while something makes so many pods, until all have gone.
    pub(super) fn watch(
        &self,
        pods: (&str, usize),
        run: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Seen> {
        let mut watch = self.command("watch", pods);
        let mut child = watch.stdout(Stdio::piped()).spawn().context("start pods_speed")?;
        let mut lines = BufReader::new(child.stdout.take().context("listen to it")?).lines();
        let mut line = || lines.next().context("pods_speed has ended")?.context("listen to it");
        ensure!(line()? == "watching", "pods_speed does not watch");
        run()?;
        let said = line()?;
        child.wait().context("wait for pods_speed")?;
        let (seconds, gap) = said.split_once('\t').context("two figures")?;
        Ok(Seen { seconds: seconds.parse()?, gap_ms: gap.parse()?, requests: 0.0 })
    }

    /// Makes so many pods, at most so many at a time, and deletes each when it has ended.
    pub(super) fn make(&self, pod: &Value, (pods, width): (usize, usize)) -> anyhow::Result<()> {
        let mut make = self.command("make", (NAMESPACE, pods));
        let make = make.arg(width.to_string()).stdin(Stdio::piped());
        let mut child = make.spawn().context("start pods_speed")?;
        let mut pipe = child.stdin.take().context("speak to it")?;
        pipe.write_all(pod.to_string().as_bytes()).context("speak to it")?;
        drop(pipe);
        let status = child.wait().context("wait for pods_speed")?;
        ensure!(status.success(), "pods_speed: {status}");
        Ok(())
    }
}

/// What is made without us.
pub(super) struct Raw {
    /// The namespace of ours.
    pub(super) ours: String,
    /// A pod as ours are, which does nothing.
    pub(super) pod: Value,
    /// The same without what we put into it.
    pub(super) bare: Value,
}

impl Raw {
    /// Takes the pod of ours that is there as a model, and makes a namespace like its own.
    pub(super) fn like_ours(kubectl: &Kubectl) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let pod = loop {
            let pods = kubectl.json(&["get", "pods", "--all-namespaces", OURS])?;
            if pods["items"][0].is_object() {
                break pods["items"][0].clone();
            }
            ensure!(begun.elapsed() < super::PATIENCE, "no pod of ours is made");
            thread::sleep(GLANCE);
        };
        let ours = pod["metadata"]["namespace"].as_str().context("a namespace")?.to_owned();
        let labels = kubectl.json(&["get", "namespace", &ours])?["metadata"]["labels"].clone();
        let metadata = json!({"name": NAMESPACE, "labels": unwatched(labels)});
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))?;
        let kinds = "serviceaccounts,networkpolicies,limitranges,resourcequotas";
        let mut all = kubectl.json(&["get", kinds, "--namespace", &ours, OURS])?;
        let items = all["items"].as_array_mut().context("what is in the namespace")?;
        ensure!(items.len() == 4, "a namespace of ours has {} things in it", items.len());
        for item in &mut *items {
            item["metadata"] = json!({"name": item["metadata"]["name"], "namespace": NAMESPACE});
            drop(item.as_object_mut().and_then(|item| item.remove("status")));
        }
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        let (pod, bare) = models(&pod)?;
        Ok(Self { ours, pod, bare })
    }
}

/// The executor must not take it for one of its own.
fn unwatched(mut labels: Value) -> Value {
    labels["flowforge.io/cluster"] = json!("raw");
    labels
}

fn models(pod: &Value) -> anyhow::Result<(Value, Value)> {
    let metadata = json!({
        "labels": unwatched(pod["metadata"]["labels"].clone()),
        "annotations": pod["metadata"]["annotations"],
    });
    let mut spec = pod["spec"].clone();
    drop(spec.as_object_mut().context("a spec")?.remove("nodeName"));
    let main = &mut spec["containers"][0];
    // Our runner would ask for an attempt that there is not.
    main["command"] = json!(["true"]);
    let env = main["env"].as_array_mut().context("variables")?;
    env.retain(|variable| variable["name"] != RUNS_FOR);
    let mut container = main.clone();
    for own in ["env", "volumeMounts"] {
        drop(container.as_object_mut().and_then(|container| container.remove(own)));
    }
    let model =
        |spec| json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
    let bare = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "securityContext": spec["securityContext"],
        "containers": [container],
    });
    Ok((model(spec), model(bare)))
}

/// Lets the API server count what the account of an executor asks for apart from all else, where it would have been
/// among what other accounts ask for, and no more urgent.
pub(super) fn count_requests(kubectl: &Kubectl) -> anyhow::Result<()> {
    let [name, namespace] = ACCOUNT;
    let account = json!({"name": name, "namespace": namespace});
    kubectl.apply(&json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": "workload-low"},
            "matchingPrecedence": 500,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "ServiceAccount", "serviceAccount": account}],
                "resourceRules": [{
                    "verbs": ["*"],
                    "apiGroups": ["*"],
                    "resources": ["*"],
                    "clusterScope": true,
                    "namespaces": ["*"],
                }],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }],
        },
    }))
}

/// How often the account of an executor has asked the API server for something: to read, to watch or to write.
pub(super) fn requests(kubectl: &Kubectl) -> anyhow::Result<f64> {
    let counted =
        format!("apiserver_flowcontrol_dispatched_requests_total{{flow_schema=\"{}\",", ACCOUNT[0]);
    let metrics = kubectl.read(&["get", "--raw=/metrics"])?;
    let values = metrics.lines().filter(|line| line.starts_with(&counted));
    let values = values.map(|line| {
        line.rsplit(' ').next().context("a figure")?.parse::<f64>().context("a figure")
    });
    values.sum()
}

/// Waits until so many pods run.
pub(super) fn wait_for_running(
    kubectl: &Kubectl,
    namespace: &str,
    count: usize,
    patience: Duration,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let running = "--field-selector=status.phase=Running";
    while begun.elapsed() < patience {
        let all =
            kubectl.read(&["get", "pods", "--namespace", namespace, running, "--no-headers"])?;
        if all.lines().count() >= count {
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
    bail!("not all of {count} pods run")
}
