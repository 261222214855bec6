//! The runner of tasks: local processes, or none for measurements.

use std::sync::Arc;

use anyhow::Context;
use flowforge_model::attempt::WorkOrder;
use flowforge_model::id::{AttemptId, InstanceId};
use flowforge_model::time::Millis;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::logs::LogStore;
use flowforge_ports::runner::{FactSink, Runner};
use flowforge_process::{ProcessConfig, ProcessRunner};

use crate::data_dir::DataDir;
use crate::noop::NoOp;

/// From the polite signal to the hard one, when a task is stopped.
const GRACE: Millis = Millis::from_secs(10);
/// What a task sees of the server's environment: where programs are, and how people write.
const INHERITED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ"];

/// What runs tasks.
pub(crate) enum AnyRunner {
    Process(ProcessRunner),
    NoOp(NoOp),
}

/// What the runner has to know.
pub(crate) struct Surroundings<'a> {
    pub(crate) data: &'a DataDir,
    pub(crate) instance: InstanceId,
    pub(crate) concurrency: u32,
    pub(crate) url: &'a str,
    pub(crate) environment: &'a [(String, String)],
}

impl AnyRunner {
    /// Runs tasks as local processes.
    pub(crate) fn processes(
        around: &Surroundings<'_>,
        logs: Arc<dyn LogStore>,
        sink: Arc<dyn FactSink>,
    ) -> anyhow::Result<Self> {
        let inherit_env = around
            .environment
            .iter()
            .filter(|(name, _)| INHERITED.contains(&name.as_str()))
            .cloned()
            .collect();
        let config = ProcessConfig {
            work_dir: around.data.work(),
            concurrency: usize::try_from(around.concurrency).unwrap_or(usize::MAX),
            grace: GRACE,
            instance: around.instance,
            data_dir_id: around.data.id().to_string(),
            api_endpoint: around.url.to_owned(),
            log_endpoint: around.url.to_owned(),
            tenant_id: "default".to_owned(),
            project_id: "default".to_owned(),
            inherit_env,
        };
        let runner = ProcessRunner::new(config, sink, logs, Arc::new(SystemClock))
            .context("cannot run tasks")?;
        Ok(Self::Process(runner))
    }
}

impl Runner for AnyRunner {
    fn start(&self, order: Arc<WorkOrder>) {
        match self {
            Self::Process(runner) => runner.start(order),
            Self::NoOp(runner) => runner.start(order),
        }
    }

    fn stop(&self, attempt: AttemptId) {
        match self {
            Self::Process(runner) => runner.stop(attempt),
            Self::NoOp(runner) => runner.stop(attempt),
        }
    }

    fn shut_down(&self) {
        match self {
            Self::Process(runner) => runner.shut_down(),
            Self::NoOp(runner) => runner.shut_down(),
        }
    }
}
