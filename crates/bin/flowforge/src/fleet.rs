//! Roles that are servers of their own, or all of them in one process: PostgreSQL remembers, Redis
//! carries. Any number of each may run; any of them may die at any moment.

mod beats;
mod collector;
mod explain;
mod logs;
mod parts;
mod pods;
mod told;

pub(crate) use pods::keeps_projects_apart;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use flowforge_ports::queue::{Dispatches, Heartbeats, Hints};
use flowforge_queue::{LocalQueue, RedisConfig, RedisQueue};
use flowforge_store::PostgresStore;
use tokio::runtime::{Builder, Runtime};

use crate::config::{QueueSettings, Settings};
use crate::data_dir::DataDir;
use crate::database;
use crate::failpoints;
use crate::start::{self, Options};
use crate::stop::Stop;
use crate::telemetry;

/// Threads that wait for the database and the queue; blocking work has threads of its own.
const THREADS: usize = 2;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) name: &'static str,
    pub(crate) api: bool,
    pub(crate) controller: bool,
    pub(crate) scheduler: bool,
    pub(crate) executor: bool,
    pub(crate) logs: bool,
    pub(crate) collector: bool,
}

impl Roles {
    const NONE: Self = Self {
        name: "",
        api: false,
        controller: false,
        scheduler: false,
        executor: false,
        logs: false,
        collector: false,
    };
    pub(crate) const ALL: Self = Self {
        name: "all",
        api: true,
        controller: true,
        scheduler: true,
        executor: true,
        logs: true,
        collector: true,
    };
    pub(crate) const API_SERVER: Self = Self { name: "api-server", api: true, ..Self::NONE };
    pub(crate) const CONTROLLER: Self = Self { name: "controller", controller: true, ..Self::NONE };
    pub(crate) const SCHEDULER: Self = Self { name: "scheduler", scheduler: true, ..Self::NONE };
    pub(crate) const EXECUTOR: Self = Self { name: "executor", executor: true, ..Self::NONE };
    pub(crate) const LOG_AGGREGATOR: Self =
        Self { name: "log-aggregator", logs: true, ..Self::NONE };
    pub(crate) const STATUS_COLLECTOR: Self =
        Self { name: "status-collector", collector: true, ..Self::NONE };

    /// Whether it writes, reads or deletes output of tasks that may be kept elsewhere.
    fn uses_logs(self) -> bool {
        self.api || self.controller || self.executor
    }

    /// Flags of parts that this role does not have are mistakes.
    fn refuse(self, options: &Options) -> anyhow::Result<()> {
        let misplaced = [
            (options.listen.is_some() && !self.api, "--listen", "api-server"),
            (options.token.is_some() && !self.api, "--token", "api-server"),
            (options.concurrency.is_some() && !self.executor, "--concurrency", "executor"),
            (options.no_op_executor && !self.executor, "--no-op-executor", "executor"),
        ];
        match misplaced.iter().find(|(given, ..)| *given) {
            Some((_, flag, of)) => bail!("{flag} is for `flowforge {of}` and `flowforge all`"),
            None => Ok(()),
        }
    }
}

/// Everything that the parts of one process share.
pub(crate) struct Ground<'a, Q> {
    pub(crate) roles: Roles,
    pub(crate) settings: &'a Settings,
    pub(crate) options: &'a Options,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) data: DataDir,
    pub(crate) store: Arc<PostgresStore>,
    pub(crate) queue: Q,
    pub(crate) stop: Stop,
}

/// Runs until told to stop.
pub(crate) fn run(roles: Roles, options: &Options) -> anyhow::Result<ExitCode> {
    let mut environment = start::environment();
    failpoints::take(&mut environment)?;
    let config = start::read_config(options, &environment)?;
    if options.print_config {
        return crate::say(&config.print());
    }
    roles.refuse(options)?;
    if roles.api {
        config.refuse_non_loopback()?;
    }
    let settings = &config.settings;
    collector::refuse(roles, settings)?;
    telemetry::start(settings)?;
    let queue = redis(&settings.queue)?;
    if queue.is_none() && roles != Roles::ALL {
        bail!(
            "`flowforge {}` needs Redis beside the other roles: set queue.addresses \
             (FLOWFORGE_QUEUE_ADDRESSES)",
            roles.name
        );
    }
    let data = DataDir::open(&start::data_dir(options, &environment)?)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name(roles.name)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let stop = Stop::new();
    {
        let _inside = runtime.enter();
        stop.on_signal()?;
    }
    if options.exit_on_stdin_close {
        stop.on_stdin_close()?;
    }
    let store = Arc::new(open(&runtime, settings, roles)?);
    let done = match queue {
        Some(queue) => {
            let ground = Ground { roles, settings, options, environment, data, store, queue, stop };
            parts::run(&runtime, &ground)
        }
        None => {
            let queue = LocalQueue::default();
            let ground = Ground { roles, settings, options, environment, data, store, queue, stop };
            parts::run(&runtime, &ground)
        }
    };
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
}

fn open(runtime: &Runtime, settings: &Settings, roles: Roles) -> anyhow::Result<PostgresStore> {
    let Some(config) = database::postgres(&settings.database)? else {
        bail!(
            "`flowforge {}` needs PostgreSQL: set database.url (FLOWFORGE_DATABASE_URL); \
             `flowforge dev` is the one that does without",
            roles.name
        );
    };
    let place = config.place();
    runtime
        .block_on(PostgresStore::open(config))
        .with_context(|| format!("cannot open the database {place}"))
}

/// The configured Redis; none if none is configured.
fn redis(settings: &QueueSettings) -> anyhow::Result<Option<RedisQueue>> {
    if settings.addresses.is_empty() {
        return Ok(None);
    }
    let mut config = RedisConfig {
        addresses: settings.addresses.clone(),
        cluster: settings.in_cluster,
        ..RedisConfig::default()
    };
    if !settings.prefix.is_empty() {
        config.prefix.clone_from(&settings.prefix);
    }
    if !settings.password_file.is_empty() {
        config.password = Some(database::secret(&settings.password_file)?);
    }
    Ok(Some(RedisQueue::new(&config)?))
}

/// A queue that all parts of a process may hold.
pub(crate) trait Shared: Dispatches + Hints + Heartbeats + Clone {}
impl<Q: Dispatches + Hints + Heartbeats + Clone> Shared for Q {}
