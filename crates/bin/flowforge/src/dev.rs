//! `flowforge dev`: the whole system in one process.
//!
//! Start-up order matters and is this: take hold of the data directory, listen, end what an
//! earlier server left running, carry workflows on, answer requests, say so. Shut-down runs the
//! other way round.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use flowforge_artifacts::Stores;
use flowforge_logstore::SegmentLogs;
use flowforge_model::id::InstanceId;
use flowforge_model::shard::ShardSet;
use flowforge_ports::catalog::Catalog;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::schedules::Schedules as KeepsSchedules;
use flowforge_ports::store::Store;
use flowforge_ports::templates::Templates;
use flowforge_svc_api::{Api, ApiConfig, Downloads, Hub};
use flowforge_svc_controller::{
    Config as ControllerConfig, ControllerError, Inbox, Mailbox, Serve, mailbox,
};
use flowforge_svc_cron::{Config as CronConfig, Mailbox as Schedules};
use flowforge_svc_executor::{Executor, Ledger};
use flowforge_svc_scheduler::LocalAdmission;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::artifacts;
use crate::banner::Banner;
use crate::claims::Claims;
use crate::config::{Config, ConfigError, Settings, Sources};
use crate::data_dir::DataDir;
use crate::database::Database;
use crate::executors::{AnyRunner, Surroundings};
use crate::keeper::{Announced, Keeper};
use crate::noop::NoOp;
use crate::outlet::HandOut;
use crate::stop::Stop;
use crate::telemetry;

/// Requests under way, and everything else, have this long to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);
/// Threads that answer requests: few, so that idling is cheap; blocking work has threads of its own.
const API_THREADS: usize = 2;

/// Flags of `flowforge dev`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where everything is kept. Created if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where to listen, for example 127.0.0.1:8080; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Tasks that run at a time.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<String>,
    /// The API's bearer token; without it a new one at every start.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// End when standard input is closed.
    #[arg(long)]
    pub(crate) exit_on_stdin_close: bool,
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the configuration, with where each value comes from, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Run nothing: every task succeeds at once. For measurements.
    #[arg(long, hide = true)]
    pub(crate) no_op_executor: bool,
}

/// Runs until told to stop.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let config = read_config(options, &environment)?;
    if options.print_config {
        return crate::say(&config.print());
    }
    config.refuse_non_loopback()?;
    telemetry::start(&config.settings)?;
    let data = DataDir::open(&data_dir(options, &environment)?)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(API_THREADS)
        .thread_name("api")
        .enable_all()
        .build()
        .context("cannot start the threads of the API")?;
    let stop = Stop::new();
    {
        let _inside = runtime.enter();
        stop.on_signal()?;
    }
    if options.exit_on_stdin_close {
        stop.on_stdin_close()?;
    }
    let database = Database::open(&runtime, &config.settings, &data)?;
    let settings = (&config.settings, options);
    let around = (data, environment);
    let server = match database {
        Database::Sqlite(store) => Server::start(&runtime, settings, around, &stop, store),
        Database::Postgres(store) => Server::start(&runtime, settings, around, &stop, store),
    }?;
    let done = server.serve(&runtime, &stop);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
}

/// The environment as text; what is not text is not for us.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where configuration files are looked for.
pub(crate) fn folders() -> Vec<PathBuf> {
    vec![PathBuf::from("/etc/flowforge"), PathBuf::from(".")]
}

pub(crate) fn read_config(
    options: &Options,
    environment: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut flags = Vec::new();
    if let Some(listen) = options.listen {
        flags.push(("--listen", "server.bind", listen.ip().to_string()));
        flags.push(("--listen", "server.http_port", listen.port().to_string()));
    }
    let others = [
        ("--concurrency", "executor.concurrency", &options.concurrency),
        ("--token", "auth.token", &options.token),
    ];
    for (flag, path, value) in others {
        flags.extend(value.clone().map(|value| (flag, path, value)));
    }
    Config::read(&Sources {
        file: options.config.as_deref(),
        folders: folders(),
        environment: environment.to_vec(),
        flags,
    })
}

/// `--data-dir`, or where the system keeps the data of its users.
pub(crate) fn data_dir(
    options: &Options,
    environment: &[(String, String)],
) -> anyhow::Result<PathBuf> {
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let default = || {
        let data = variable("XDG_DATA_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("flowforge"))
    };
    options
        .data_dir
        .clone()
        .or_else(default)
        .ok_or_else(|| anyhow!("there is no HOME to keep data in: say where with --data-dir"))
}

/// The token that is configured, or a new one of 32 random bytes.
pub(crate) fn token(settings: &Settings) -> anyhow::Result<String> {
    if !settings.token.is_empty() {
        return Ok(settings.token.clone());
    }
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn listen(runtime: &Runtime, settings: &Settings) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(settings.bind, settings.http_port);
    runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("cannot listen on {address}"))
}

type Logs = Announced<SegmentLogs>;

/// All parts, running.
struct Server {
    data: DataDir,
    url: String,
    pub(crate) token: String,
    pub(crate) concurrency: u32,
    unfinished: usize,
    listener: TcpListener,
    api: Api,
    executor: Arc<Executor<AnyRunner, SystemClock>>,
    controller: JoinHandle<Result<(), ControllerError>>,
    keeper: JoinHandle<()>,
    schedules: JoinHandle<()>,
}

/// Ends what an earlier server left running, and removes what it left lying.
pub(crate) fn end_earlier(data: &DataDir) {
    let ended = flowforge_process::end_survivors(&data.id().to_string());
    if ended > 0 {
        tracing::warn!(processes = ended, "ended tasks of an earlier server");
    }
    data.clear_work();
}

impl Server {
    /// Everything up to, but without, answering requests.
    fn start(
        runtime: &Runtime,
        (settings, options): (&Settings, &Options),
        (data, environment): (DataDir, Vec<(String, String)>),
        stop: &Stop,
        store: impl Store + Catalog + KeepsSchedules + Templates,
    ) -> anyhow::Result<Self> {
        let listener = listen(runtime, settings)?;
        let url = format!("http://{}", listener.local_addr()?);
        end_earlier(&data);
        let store = Arc::new(store);
        let unfinished = runtime.block_on(store.unfinished(ShardSet::ALL, None, 1000))?.len();
        let hub = Hub::default();
        let logs = Arc::new(Announced {
            logs: SegmentLogs::open(&data.logs()).context("cannot open the logs")?,
            hub: hub.clone(),
        });
        let claims = Claims::new(data.volumes());
        let (keeper, keeper_thread) = Keeper::start(Arc::clone(&logs), Arc::clone(&store), claims)?;
        keeper.sweep(data.logs());
        let (mailbox, inbox) = mailbox();
        let (schedules, due) = flowforge_svc_cron::mailbox();
        let ledger = Arc::new(Ledger::new(mailbox.clone()));
        let instance = InstanceId(Uuid::now_v7());
        let around =
            Surroundings { data: &data, instance, settings, url: &url, environment: &environment };
        let sink = Arc::<Ledger>::clone(&ledger);
        let artifacts = Arc::new(artifacts::open(settings, &data)?);
        let runner = if options.no_op_executor {
            AnyRunner::NoOp(NoOp::new(sink))
        } else {
            let artifacts = Arc::<Stores>::clone(&artifacts);
            AnyRunner::local(&around, artifacts, Arc::<Logs>::clone(&logs), sink)?
        };
        let executor = Arc::new(Executor::new(runner, ledger, SystemClock));
        let (ready, is_ready) = oneshot::channel();
        let outlet = HandOut {
            executor: Arc::clone(&executor),
            hub: hub.clone(),
            keeper,
            schedules: schedules.clone(),
            ready: Mutex::new(Some(ready)),
        };
        let serve = Serve {
            store: Arc::clone(&store),
            config: ControllerConfig {
                instance,
                default_retry: settings.default_retry(),
                one_by_one: false,
            },
            clock: SystemClock,
            outlet,
            admission: admission(settings.concurrency),
        };
        let controller = control(serve, inbox, stop.clone())?;
        if runtime.block_on(is_ready).is_err() {
            return Err(failure(controller));
        }
        let config = CronConfig { default_retry: settings.default_retry() };
        let (look, nudge) = (Arc::clone(&store), mailbox.clone());
        let cron = crate::schedules::start(look, config, nudge, due, stop.clone())?;
        let token = token(settings)?;
        let downloads = Downloads { artifacts, scratch: data.work() };
        let api = api(settings, &token, downloads, (mailbox, schedules), (store, logs, hub));
        Ok(Self {
            data,
            url,
            token,
            concurrency: settings.concurrency,
            unfinished,
            listener,
            api,
            executor,
            controller,
            keeper: keeper_thread,
            schedules: cron,
        })
    }

    /// Answers requests until told to stop, then winds everything down.
    fn serve(self, runtime: &Runtime, stop: &Stop) -> anyhow::Result<()> {
        let endpoint = self.data.publish(&self.url, &self.token)?;
        Banner {
            url: &self.url,
            token: &self.token,
            data: self.data.path(),
            concurrency: self.concurrency,
            unfinished: self.unfinished,
        }
        .print();
        let stopped = stop.clone();
        let serve = flowforge_svc_api::serve(self.listener, self.api, async move {
            stopped.stopped().await;
        });
        let served = runtime.block_on(serve);
        // However serving ended, the rest ends too.
        stop.stop();
        drop(endpoint);
        let controlled = self.controller.join();
        self.executor.shut_down();
        let scheduled = self.schedules.join();
        // The last owner of the keeper's sender is gone with the controller.
        let kept = self.keeper.join();
        served.context("cannot answer requests")?;
        controlled
            .map_err(|_| anyhow!("the controller panicked"))?
            .context("the controller ended")?;
        scheduled.map_err(|_| anyhow!("the thread for schedules panicked"))?;
        kept.map_err(|_| anyhow!("the thread for logs panicked"))
    }
}

/// Makes empty schedulers.
fn admission(concurrency: u32) -> impl Fn() -> LocalAdmission {
    move || LocalAdmission::new(concurrency)
}

/// Starts the controller on a thread of its own: its turns wait for the disk.
fn control<S, F>(
    serve: Serve<S, SystemClock, HandOut<AnyRunner>, F>,
    inbox: Inbox,
    stop: Stop,
) -> anyhow::Result<JoinHandle<Result<(), ControllerError>>>
where
    S: Store,
    F: Fn() -> LocalAdmission + Send + 'static,
{
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .context("cannot start the controller")?;
    std::thread::Builder::new()
        .name("controller".to_owned())
        .spawn(move || {
            // However this thread ends, nothing goes on without it.
            let _guard = stop.clone().on_drop();
            runtime.block_on(async { Box::pin(serve.run(inbox, stop.stopped())).await })
        })
        .context("cannot start the controller")
}

/// Why the controller ended before it was ready.
fn failure(controller: JoinHandle<Result<(), ControllerError>>) -> anyhow::Error {
    match controller.join() {
        Ok(Err(error)) => anyhow!(error).context("cannot carry on with the workflows"),
        Ok(Ok(())) => anyhow!("stopped while starting"),
        Err(_) => anyhow!("the controller panicked"),
    }
}

fn api(
    settings: &Settings,
    token: &str,
    downloads: Downloads,
    (mailbox, schedules): (Mailbox, Schedules),
    (store, logs, hub): (Arc<impl Store + Catalog + KeepsSchedules + Templates>, Arc<Logs>, Hub),
) -> Api {
    let mut config = ApiConfig::new(token.to_owned());
    config.default_retry = settings.default_retry();
    config.downloads = Some(downloads);
    config.limits.drain = DRAIN;
    config.nudge = Arc::new(move |nudge| mailbox.nudge(nudge));
    config.schedule_changed = Arc::new(move |id| schedules.changed(id));
    Api::new(store, logs, hub, config)
}
