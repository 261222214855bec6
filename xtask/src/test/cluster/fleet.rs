//! Roles that are servers of their own, whose tasks are pods.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::granted;
use crate::client::Client;
use crate::cluster::{self, COLLECTOR as COLLECTOR_ACCOUNT, EXECUTOR as EXECUTOR_ACCOUNT, Held};
use crate::examples::Workflow;
use crate::roles::{self, API, GLANCE, Redis, Role, TOKEN};
use crate::test::postgres;
use crate::workspace::{output, root};

/// The project that every installation has.
const DEFAULT_PROJECT: &str = "00000000-0000-7000-8000-000000000002";
/// The namespace of its pods.
pub(super) const NAMESPACE: &str = "flowforge-00000000-0000-7000-8000-000000000002";
/// Longer than anything here takes on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);
/// What all of them are, from the first to start to the last.
const ROLES: [&str; 4] = ["api-server", "controller", "scheduler", EXECUTOR];
const EXECUTOR: &str = "executor";
const COLLECTOR: &str = "status-collector";

pub(crate) struct Fleet {
    release: PathBuf,
    directory: PathBuf,
    database: postgres::Server,
    redis: Redis,
    /// Where pods reach the API server.
    port: u16,
    members: Vec<Role>,
}

impl Fleet {
    /// Executors have the rights that they are given where they are deployed, and what is asked of them here.
    pub(crate) fn start(
        release: PathBuf,
        cluster: &Held,
        database: postgres::Server,
        executor: &[&str],
    ) -> anyhow::Result<Self> {
        let directory = release.with_file_name("fleet-cluster");
        if directory.exists() {
            fs::remove_dir_all(&directory).context("remove the last run's data")?;
        }
        fs::create_dir_all(&directory).context("create the data directory")?;
        let redis = Redis::start(&directory)?;
        let port = cluster::free_port()?;
        let mut fleet = Self { release, directory, database, redis, port, members: Vec::new() };
        let kubeconfig = fleet.kubeconfig();
        cluster.kubectl()?.grant(EXECUTOR_ACCOUNT, &kubeconfig)?;
        for role in ROLES {
            let arguments = match role {
                "api-server" => &API[..],
                EXECUTOR => executor,
                _ => &[],
            };
            fleet.spawn((role, arguments), &kubeconfig, None)?;
        }
        fleet.client()?;
        Ok(fleet)
    }

    fn spawn(
        &mut self,
        (role, arguments): (&'static str, &[&str]),
        kubeconfig: &Path,
        numbers: Option<u16>,
    ) -> anyhow::Result<()> {
        let home = self.directory.join(role);
        let mut command = roles::command(&self.release, role, &home)?;
        command.args(arguments);
        cluster::run_in_pods(&mut command, kubeconfig, self.port);
        if let Some(port) = numbers {
            command.env("FLOWFORGE_SERVER_METRICS_LISTEN", format!("127.0.0.1:{port}"));
        }
        command
            .env("FLOWFORGE_DATABASE_URL", self.database.url())
            .env("FLOWFORGE_QUEUE_ADDRESSES", self.redis.address())
            // Examples write where only root may.
            .env("FLOWFORGE_KUBERNETES_BASELINE_PROJECTS", DEFAULT_PROJECT)
            // There are no registries but the cluster's own.
            .env("FLOWFORGE_KUBERNETES_PULL_POLICY", "if-not-present")
            // So long that a registry can come back, and no longer.
            .env("FLOWFORGE_KUBERNETES_PULL_TIMEOUT", "45s")
            .env("FLOWFORGE_KUBERNETES_NODE_TIMEOUT", "10s")
            .envs(granted::GRANTS);
        self.members.push(Role::start(command, role, home)?);
        Ok(())
    }

    /// Starts a status collector, which has the rights of one. Where it answers with its numbers.
    pub(super) fn collect(&mut self, cluster: &Held) -> anyhow::Result<Client> {
        let (kubeconfig, port) =
            (self.directory.join("kubeconfig-collector"), cluster::free_port()?);
        cluster.kubectl()?.grant(COLLECTOR_ACCOUNT, &kubeconfig)?;
        self.spawn((COLLECTOR, &[]), &kubeconfig, Some(port))?;
        let numbers = Client::new(&format!("http://127.0.0.1:{port}"), TOKEN)?;
        let begun = Instant::now();
        while numbers.text("/readyz").is_err() {
            ensure!(begun.elapsed() < PATIENCE, "no collector watches:\n{}", self.last_words());
            thread::sleep(GLANCE);
        }
        Ok(numbers)
    }

    /// The executor dies, and has no successor.
    pub(super) fn kill_executor(&mut self) -> anyhow::Result<()> {
        let found = self.members.iter().position(|member| member.role == EXECUTOR);
        self.members.remove(found.context("an executor")?).kill()
    }

    /// Another executor.
    pub(super) fn start_executor(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self.kubeconfig();
        self.spawn((EXECUTOR, &[]), &kubeconfig, None)
    }

    /// A client of the API server, once it says where it is.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let begun = Instant::now();
        loop {
            let mut clients = self.members.iter().filter_map(Role::client);
            if let Some(client) = clients.next() {
                return Ok(client.patience(PATIENCE));
            }
            ensure!(begun.elapsed() < PATIENCE, "the API does not answer:\n{}", self.last_words());
            thread::sleep(GLANCE);
        }
    }

    fn ffctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let url = roles::url(&roles::endpoint(&self.directory.join("api-server")));
        let url = url.context("find the API")?;
        let mut ffctl = Command::new(self.release.join("ffctl"));
        ffctl.args(["--server", &url, "--token", TOKEN]).args(arguments).current_dir(root());
        output(&mut ffctl)
    }

    /// Waits until the tasks of a workflow are as they should be.
    pub(super) fn wait_for(
        &self,
        id: &str,
        what: &str,
        good: impl Fn(&[Value]) -> bool,
    ) -> anyhow::Result<()> {
        let client = self.client()?;
        let begun = Instant::now();
        loop {
            let page = client.json("GET", &format!("/workflows/{id}/tasks?limit=100"), "")?;
            if good(page["items"].as_array().context("tasks")?) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{what} is waited for in vain: {page}");
            thread::sleep(GLANCE);
        }
    }

    /// The way into the cluster that an executor has.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The process of the executor.
    pub(crate) fn executor(&self) -> anyhow::Result<u32> {
        let found = self.members.iter().find(|member| member.role == EXECUTOR);
        Ok(found.context("an executor")?.pid())
    }

    /// Submits a file; its id.
    pub(super) fn submit(&self, file: &str) -> anyhow::Result<String> {
        self.submit_with(file, &[])
    }

    /// The same, with more to say.
    pub(super) fn submit_with(&self, file: &str, more: &[&str]) -> anyhow::Result<String> {
        let said = self.ffctl(&[&["submit", file, "--output", "json"], more].concat())?;
        let workflow: Workflow = serde_json::from_str(&said).context("read what ffctl printed")?;
        Ok(workflow.id)
    }

    pub(super) fn cancel(&self, id: &str) -> anyhow::Result<()> {
        self.ffctl(&["cancel", id]).map(drop)
    }

    /// A workflow as it is when it has ended.
    pub(super) fn end_of(&self, id: &str) -> anyhow::Result<Workflow> {
        self.client()?.wait(id).with_context(|| self.last_words())?;
        let said = self.ffctl(&["get", id, "--output", "json"])?;
        serde_json::from_str(&said).context("read what ffctl printed")
    }

    fn last_words(&self) -> String {
        let words = self.members.iter().map(|member| {
            let said = member.said();
            let lines: Vec<&str> = said.lines().collect();
            let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default();
            format!("{}:\n{}\n", member.role, last.join("\n"))
        });
        words.collect()
    }

    /// All end when they are asked to, and leave rows that no invariant forbids.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        roles::end(self.members.iter_mut())?;
        let mut doctor = Command::new(self.release.join("flowforge"));
        doctor.arg("doctor").env("FLOWFORGE_DATABASE_URL", self.database.url());
        cluster::hide_ours(&mut doctor);
        output(doctor.current_dir(&self.directory)).map(drop)
    }
}
