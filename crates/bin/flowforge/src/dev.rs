//! `flowforge dev`: the whole system in one process.
//!
//! Start-up order matters and is this: take hold of the data directory, listen, end what an
//! earlier server left running, carry workflows on, answer requests, say so. Shut-down runs the
//! other way round.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use flowforge_artifacts::Stores;
use flowforge_logstore::SegmentLogs;
use flowforge_model::id::InstanceId;
use flowforge_model::shard::ShardSet;
use flowforge_ports::catalog::Catalog;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::organization::Organizations;
use flowforge_ports::schedules::Schedules as KeepsSchedules;
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::Templates;
use flowforge_ports::usage::UsageHistory;
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
use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::database::Database;
use crate::executors::{AnyRunner, Surroundings};
use crate::keeper::{Announced, Keeper};
use crate::noop::NoOp;
use crate::outlet::HandOut;
use crate::start::{
    DRAIN, Options, data_dir, end_earlier, environment, listen, read_config, token,
};
use crate::stop::Stop;
use crate::telemetry;

/// Threads that answer requests: few, so that idling is cheap; blocking work has threads of its own.
const API_THREADS: usize = 2;
/// How soon a changed quota is heeded.
const LOOK_AT_SHARES: Duration = Duration::from_secs(1);

/// Runs until told to stop.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let environment = environment();
    let config = read_config(options, &environment)?;
    if options.print_config {
        return crate::say(&config.print());
    }
    config.refuse_non_loopback()?;
    config.refuse_logs_elsewhere()?;
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
    let kept = match &database {
        Database::Postgres(store) => {
            crate::retention::start(store.clone(), &config.settings, stop.clone())
        }
        Database::Sqlite(store) => {
            crate::retention::start_on_sqlite(store.clone(), &config.settings, stop.clone())
        }
    }?;
    let settings = (&config.settings, options);
    let around = (data, environment);
    let server = match database {
        Database::Sqlite(store) => Server::start(&runtime, settings, around, &stop, store),
        Database::Postgres(store) => Server::start(&runtime, settings, around, &stop, store),
    }?;
    let done = server.serve(&runtime, &config.settings, &stop);
    if kept.join().is_err() {
        tracing::error!("the thread for retention panicked");
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| ExitCode::SUCCESS)
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

impl Server {
    /// Everything up to, but without, answering requests.
    fn start(
        runtime: &Runtime,
        (settings, options): (&Settings, &Options),
        (data, environment): (DataDir, Vec<(String, String)>),
        stop: &Stop,
        store: impl Store + Catalog + KeepsSchedules + Organizations + Templates + UsageHistory,
    ) -> anyhow::Result<Self> {
        let listener = listen(runtime, settings)?;
        let url = format!("http://{}", listener.local_addr()?);
        end_earlier(&data);
        let store = Arc::new(store);
        let unfinished = runtime.block_on(store.unfinished(ShardSet::ALL, None, 1000))?.len();
        let hub = Hub::default();
        let logs = logs(&data, hub.clone())?;
        let claims = Claims::new(data.volumes());
        let (keeper, keeper_thread) = Keeper::start(Arc::clone(&logs), Arc::clone(&store), claims)?;
        keeper.sweep(data.logs());
        keeper.sweep_claims();
        let (mailbox, inbox) = mailbox();
        share(runtime, Arc::clone(&store), mailbox.clone())?;
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
            admission: admission(settings),
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
    fn serve(self, runtime: &Runtime, settings: &Settings, stop: &Stop) -> anyhow::Result<()> {
        crate::start::probes(runtime, settings, &self.api, stop)?;
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

/// Tells the controller who shares, now and whenever that changed.
fn share(
    runtime: &Runtime,
    store: Arc<impl Organizations>,
    mailbox: Mailbox,
) -> Result<(), StoreError> {
    let (version, entities) = runtime.block_on(store.hierarchy())?;
    mailbox.share_among(entities);
    runtime.spawn(go_on_sharing(store, mailbox, version));
    Ok(())
}

async fn go_on_sharing(store: Arc<impl Organizations>, mailbox: Mailbox, mut version: u64) {
    loop {
        tokio::time::sleep(LOOK_AT_SHARES).await;
        match store.other_hierarchy(version).await {
            Ok(None) => {}
            Ok(Some((now, entities))) => {
                version = now;
                mailbox.share_among(entities);
            }
            Err(error) => tracing::warn!(%error, "quotas cannot be read"),
        }
    }
}

/// Logs whose followers here are told of every append.
fn logs(data: &DataDir, hub: Hub) -> anyhow::Result<Arc<Logs>> {
    let logs = SegmentLogs::open(&data.logs()).context("cannot open the logs")?;
    let tell = Box::new(move |workflow| hub.logs_changed(workflow));
    Ok(Arc::new(Announced { logs, tell }))
}

/// Makes empty schedulers.
fn admission(settings: &Settings) -> impl Fn() -> LocalAdmission + use<> {
    let (concurrency, rules, every) = (settings.concurrency, settings.rules, settings.usage.every);
    let home = settings.cluster.clone();
    move || LocalAdmission::new(concurrency, rules).at_home(home.clone()).measuring(every)
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
    (store, logs, hub): (
        Arc<impl Store + Catalog + KeepsSchedules + Organizations + Templates + UsageHistory>,
        Arc<Logs>,
        Hub,
    ),
) -> Api {
    let mut config = ApiConfig::new(token.to_owned());
    config.default_retry = settings.default_retry();
    config.downloads = Some(downloads);
    config.limits.drain = DRAIN;
    config.explains = Some(Arc::new(mailbox.clone()));
    config.nudge = Arc::new(move |nudge| mailbox.nudge(nudge));
    config.schedule_changed = Arc::new(move |id| schedules.changed(id));
    Api::new(store, logs, hub, config)
}
