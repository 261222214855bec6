//! A real cluster, and a runner that tells a test what it reports.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use flowforge_model::attempt::{AttemptKey, Main, Object, Process, Program, Work};
use flowforge_model::id::{EntityId, NodeIx};
use flowforge_ports::clock::SystemClock;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::Api;
use kube::api::ListParams;
use uuid::Uuid;

use super::*;
use crate::pod::tests::{order, placement};
use crate::project::{Asked, Project};
use crate::{Access, Endpoints, Grants, Pull, Sdk, Security};

pub(super) struct Real {
    pub(super) cluster: Cluster,
    pub(super) project: Project,
    id: EntityId,
    attempts: AtomicU32,
}

struct One(EntityId, Project);

impl Projects for One {
    fn project(&self, id: EntityId) -> Asked<'_> {
        let found = (id == self.0).then(|| self.1.clone());
        Box::pin(async move { Ok(found) })
    }
}

impl Real {
    pub(super) async fn new() -> Self {
        let path = std::env::var_os("FLOWFORGE_TEST_KUBECONFIG").expect("the path of a kubeconfig");
        Self::at(&PathBuf::from(path)).await
    }

    /// The cluster of a kubeconfig.
    pub(super) async fn at(path: &Path) -> Self {
        let access = Access::Kubeconfig(path.to_owned());
        let project = Project {
            tenant: EntityId(Uuid::from_u128(1)),
            names: ("acme".to_owned(), "etl".to_owned()),
            security: Security::Restricted,
            grants: Grants::default(),
            pull_secrets: Vec::new(),
            redis: false,
            limits: Limits::default(),
        };
        Self {
            cluster: Cluster::connect(&access).await.expect("a cluster"),
            project,
            id: EntityId(Uuid::now_v7()),
            attempts: AtomicU32::new(0),
        }
    }

    pub(super) fn runner(&self, bounds: Bounds) -> Told {
        let config = ClusterConfig {
            name: "test".to_owned(),
            sdk: Sdk {
                image: "busybox".to_owned(),
                command: vec!["test".to_owned(), "-d".to_owned()],
            },
            endpoints: Endpoints::default(),
            pull: Pull::IfNotPresent,
            entrypoints: Vec::new(),
            grace: placement().grace.min(Millis(2000)),
            bounds,
            requests_per_second: 50,
            burst: 50,
            forbidden: vec!["10.99.0.0/16".to_owned()],
        };
        let (facts, told) = mpsc::unbounded_channel();
        let sink = move |fact: Fact| drop(facts.send(fact));
        let ports = ClusterPorts {
            facts: Arc::new(sink),
            clock: Arc::new(SystemClock),
            projects: Arc::new(One(self.id, self.project.clone())),
        };
        let mut desk = Desk::new(self.cluster.clone(), config, ports);
        desk.dress = |pod: &mut Pod| {
            let main = &mut pod.spec.as_mut().expect("a spec").containers[0];
            let vars = main.env.iter().flatten();
            let script = vars.filter(|var| var.name == "SCRIPT").find_map(|var| var.value.clone());
            let script = script.unwrap_or_default().replace("$$", "$");
            main.command = Some(["sh", "-c", &script].map(str::to_owned).to_vec());
        };
        Told { runner: ClusterRunner::at(desk, &Handle::current()), told }
    }

    /// An attempt of its own that runs a script.
    pub(super) fn order(&self, script: &str) -> Arc<WorkOrder> {
        let mut process = process();
        process.env.push(("SCRIPT".to_owned(), Given::Text(script.to_owned())));
        self.order_of(process)
    }

    pub(super) fn order_of(&self, process: Process) -> Arc<WorkOrder> {
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let mut order = order(process);
        let workflow = flowforge_model::id::WorkflowId(self.id.0);
        order.key = AttemptKey { workflow, node: NodeIx(1), number };
        order.attempt = order.key.id();
        order.task = workflow.task(NodeIx(1));
        order.project = self.id;
        Arc::new(order)
    }

    /// An attempt that runs a script in several pods.
    pub(super) fn gang(&self, script: &str, size: u32) -> Arc<WorkOrder> {
        let mut order = (*self.order(script)).clone();
        let process = order.main().cloned().expect("a process");
        let main = Main::Gang { process, size };
        let (init, sidecars) = (Vec::new(), Vec::new());
        order.work = Work::Run(Box::new(Program { init, main, sidecars }));
        Arc::new(order)
    }

    /// An attempt of its own that asks for an object.
    pub(super) fn object(&self, object: Object) -> Arc<WorkOrder> {
        let mut order = (*self.order("")).clone();
        order.work = Work::Object(Box::new(object));
        Arc::new(order)
    }

    pub(super) fn namespace(&self) -> String {
        self.id.namespace()
    }

    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.id.namespace())
    }

    pub(super) fn name(&self, order: &WorkOrder) -> String {
        order.pod_name(None)
    }

    pub(super) async fn uid(&self, order: &WorkOrder) -> Option<String> {
        self.pods().get(&self.name(order)).await.expect("a pod").metadata.uid
    }

    /// What tasks may have of the largest node, in bytes.
    pub(super) async fn memory(&self) -> u64 {
        let all: Api<Node> = Api::all(self.cluster.client.clone());
        let nodes = all.list(&ListParams::default()).await.expect("nodes").items;
        let memory = |node: Node| {
            let text = node.status?.allocatable?.get("memory")?.0.clone();
            match text.strip_suffix("Ki") {
                Some(kibi) => kibi.parse::<u64>().ok()?.checked_mul(1024),
                None => text.parse().ok(),
            }
        };
        nodes.into_iter().filter_map(memory).max().expect("a node with memory")
    }

    /// Waits until the attempt's pod is not there; the test's time limit bounds it.
    pub(super) async fn gone(&self, order: &WorkOrder) {
        self.name_gone(&self.name(order)).await;
    }

    pub(super) async fn name_gone(&self, name: &str) {
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.pods().get_opt(name).await.expect("an answer").is_some() {
            assert!(tokio::time::Instant::now() < until, "the pod stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes the namespace away, without waiting for it.
    pub(super) async fn end(self) {
        let all: Api<Namespace> = Api::all(self.cluster.client.clone());
        drop(all.delete(&self.id.namespace(), &DeleteParams::default()).await.expect("a delete"));
    }
}

/// An end in a few words.
pub(super) fn line(report: &Report) -> String {
    let code = report.exit_code.map_or(String::new(), |code| format!(" {code}"));
    match &report.failure {
        None => format!("success{code}"),
        Some(f) => format!("{:?} {}{code}", f.class, f.reason.as_str()),
    }
}

/// A runner and what it reports.
pub(super) struct Told {
    pub(super) runner: ClusterRunner,
    told: mpsc::UnboundedReceiver<Fact>,
}

impl Told {
    async fn fact(&mut self) -> (AttemptId, String) {
        let fact = tokio::time::timeout(Duration::from_secs(120), self.told.recv()).await;
        let fact = fact.expect("a fact within two minutes").expect("a fact");
        let line = match fact.kind {
            FactKind::Started(_) => "started".to_owned(),
            FactKind::Ready { .. } => "ready".to_owned(),
            FactKind::Finished(report) => line(&report),
        };
        (fact.key.id(), line)
    }

    /// The next fact.
    pub(super) async fn next(&mut self) -> String {
        self.fact().await.1
    }

    /// All that the next end says.
    pub(super) async fn report(&mut self) -> Report {
        loop {
            let fact = tokio::time::timeout(Duration::from_secs(120), self.told.recv()).await;
            let fact = fact.expect("a fact within two minutes").expect("a fact");
            if let FactKind::Finished(report) = fact.kind {
                return *report;
            }
        }
    }

    /// The next end.
    pub(super) async fn end(&mut self) -> String {
        self.end_of().await.1
    }

    /// The next end, and whose.
    pub(super) async fn end_of(&mut self) -> (AttemptId, String) {
        loop {
            let (id, line) = self.fact().await;
            if line != "started" {
                return (id, line);
            }
        }
    }

    /// Ends the runner as if it had died: what it told and nobody has heard is lost with it.
    pub(super) async fn die(self) {
        let runner = self.runner;
        tokio::task::spawn_blocking(move || runner.shut_down()).await.expect("an end");
    }

    /// Shuts the runner down; nothing may be told after that, nor twice before.
    pub(super) async fn close(self) {
        let Self { runner, mut told } = self;
        let runner = tokio::task::spawn_blocking(move || {
            runner.shut_down();
            runner
        });
        drop(runner.await.expect("an end"));
        assert_eq!(told.recv().await, None, "more was told");
    }
}
