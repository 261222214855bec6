//! The runner of tasks: local processes or pods, and HTTP requests, or none for measurements.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use flowforge_cluster::ClusterRunner;
use flowforge_http::{Client, HttpRunner, HttpSetup};
use flowforge_model::attempt::{Work, WorkOrder};
use flowforge_model::id::{AttemptId, InstanceId};
use flowforge_model::time::Millis;
use flowforge_ports::artifacts::Artifacts;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::LogStore;
use flowforge_ports::runner::{FactSink, Runner};
use flowforge_process::{DirectorySecrets, ProcessConfig, ProcessPorts, ProcessRunner};

use crate::EXEC_TASK;
use crate::artifacts;
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::noop::NoOp;

/// From the polite signal to the hard one, when a task is stopped.
pub(crate) const GRACE: Millis = Millis::from_secs(10);
/// What a task sees of the server's environment: where programs are, and how people write.
const INHERITED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ"];

/// What runs tasks.
pub(crate) enum AnyRunner {
    Local(Local),
    Pods(ClusterRunner, HttpRunner),
    NoOp(NoOp),
}

/// Sends each attempt to what can run its work.
pub(crate) struct Local {
    processes: ProcessRunner,
    requests: HttpRunner,
}

/// What the runner has to know.
pub(crate) struct Surroundings<'a> {
    pub(crate) data: &'a DataDir,
    pub(crate) instance: InstanceId,
    pub(crate) settings: &'a Settings,
    pub(crate) url: &'a str,
    pub(crate) environment: &'a [(String, String)],
}

impl AnyRunner {
    /// Runs tasks on this machine.
    pub(crate) fn local(
        around: &Surroundings<'_>,
        artifacts: Arc<dyn Artifacts>,
        logs: Arc<dyn LogStore>,
        sink: Arc<dyn FactSink>,
    ) -> anyhow::Result<Self> {
        let inherit_env = around
            .environment
            .iter()
            .filter(|(name, _)| INHERITED.contains(&name.as_str()))
            .cloned()
            .collect();
        let settings = around.settings;
        let config = ProcessConfig {
            work_dir: around.data.work(),
            volumes_dir: around.data.volumes(),
            helper: helper(&settings.ff_run)?,
            images: settings.images.clone(),
            concurrency: usize::try_from(settings.concurrency).unwrap_or(usize::MAX),
            grace: GRACE,
            instance: around.instance,
            data_dir_id: around.data.id().to_string(),
            api_endpoint: around.url.to_owned(),
            log_endpoint: around.url.to_owned(),
            tenant_id: "default".to_owned(),
            project_id: "default".to_owned(),
            inherit_env,
        };
        let secrets = artifacts::secrets(settings, around.data);
        let requests =
            requests(settings, Arc::clone(&secrets), Arc::clone(&logs), Arc::clone(&sink));
        let ports =
            ProcessPorts { facts: sink, logs, clock: Arc::new(SystemClock), secrets, artifacts };
        let processes = ProcessRunner::new(config, ports).context("cannot run tasks")?;
        Ok(Self::Local(Local { processes, requests }))
    }

    /// Runs tasks as pods; HTTP requests are sent from here.
    pub(crate) fn pods(
        pods: ClusterRunner,
        (settings, data): (&Settings, &DataDir),
        logs: Arc<dyn LogStore>,
        sink: Arc<dyn FactSink>,
    ) -> Self {
        let requests = requests(settings, artifacts::secrets(settings, data), logs, sink);
        Self::Pods(pods, requests)
    }
}

/// Sends the requests of HTTP tasks, from this process.
fn requests(
    settings: &Settings,
    secrets: Arc<DirectorySecrets>,
    logs: Arc<dyn LogStore>,
    facts: Arc<dyn FactSink>,
) -> HttpRunner {
    let client = Client::new(settings.http_allow.clone());
    HttpRunner::new(HttpSetup { client, secrets, facts, logs, clock: Arc::new(SystemClock) })
}

/// What starts tasks that see paths of their own: what is configured, `ff-run` beside this
/// program, or this program itself.
fn helper(configured: &str) -> anyhow::Result<Vec<String>> {
    let named = |path: &Path, arguments: &[&str]| {
        let path = path.to_string_lossy().into_owned();
        [path].into_iter().chain(arguments.iter().map(|word| (*word).to_owned())).collect()
    };
    match configured {
        "none" => return Ok(Vec::new()),
        "" => {}
        path => return Ok(named(Path::new(path), &[])),
    }
    let this = std::env::current_exe().context("cannot find this program")?;
    let beside = this.with_file_name("ff-run");
    if beside.is_file() { Ok(named(&beside, &[])) } else { Ok(named(&this, &[EXEC_TASK])) }
}

impl Runner for AnyRunner {
    fn start(&self, order: Arc<WorkOrder>) {
        match self {
            Self::Local(runner) => match order.work {
                Work::Run(_) | Work::Object(_) => runner.processes.start(order),
                Work::Request(_) => runner.requests.start(order),
            },
            Self::Pods(pods, requests) => match order.work {
                Work::Run(_) | Work::Object(_) => pods.start(order),
                Work::Request(_) => requests.start(order),
            },
            Self::NoOp(runner) => runner.start(order),
        }
    }

    fn stop(&self, attempt: AttemptId) {
        match self {
            // Each ignores what it does not know.
            Self::Local(runner) => {
                runner.processes.stop(attempt);
                runner.requests.stop(attempt);
            }
            Self::Pods(pods, requests) => {
                pods.stop(attempt);
                requests.stop(attempt);
            }
            Self::NoOp(runner) => runner.stop(attempt),
        }
    }

    fn settled(&self, attempt: AttemptId) {
        if let Self::Pods(pods, _) = self {
            pods.settled(attempt);
        }
    }

    fn takes_more(&self) -> bool {
        match self {
            Self::Pods(pods, _) => pods.takes_more(),
            Self::Local(_) | Self::NoOp(_) => true,
        }
    }

    fn shut_down(&self) {
        match self {
            Self::Local(runner) => {
                runner.requests.shut_down();
                runner.processes.shut_down();
            }
            Self::Pods(pods, requests) => {
                requests.shut_down();
                pods.shut_down();
            }
            Self::NoOp(runner) => runner.shut_down(),
        }
    }
}
