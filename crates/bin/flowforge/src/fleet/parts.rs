//! The parts of one process, started and wound down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use flowforge_artifacts::Stores;
use flowforge_model::attempt::Fact;
use flowforge_model::id::InstanceId;
use flowforge_ports::clock::SystemClock;
use flowforge_ports::explain::Explains;
use flowforge_ports::logs::LogStore;
use flowforge_ports::queue::Role;
use flowforge_ports::runner::FactSink;
use flowforge_store::PostgresStore;
use flowforge_svc_api::{Api, ApiConfig, Downloads, Hub, PodAccess, QueueAccess};
use flowforge_svc_controller::{Beside, Config as ControllerConfig};
use flowforge_svc_cron::Config as CronConfig;
use flowforge_svc_executor::{Executor, Ledger, Serve as ServeExecutor};
use flowforge_svc_scheduler::{Elsewhere, Questions, Serve as ServeScheduler};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::beats;
use super::collector;
use super::explain;
use super::logs::{self, Logs};
use super::pods;
use super::told::{Told, facts, follow, intent, wake};
use super::{Ground, Shared};
use crate::artifacts;
use crate::banner::Banner;
use crate::claims::Claims;
use crate::config::Runs;
use crate::data_dir::Endpoint;
use crate::executors::{AnyRunner, Surroundings};
use crate::failpoints::{around_queue, around_runner, around_store};
use crate::keeper::Keeper;
use crate::noop::NoOp;
use crate::start::{DRAIN, end_earlier, listen, token};

/// Schedules are written by other servers too: they are read anew this often.
const SCHEDULES: Duration = Duration::from_secs(10);

/// A server that is asked to end is not ready for this long before it stops taking requests.
pub(super) const LEAVE: Duration = Duration::from_secs(1);
/// A line is with its aggregator, and readers are told of it, well within this.
const LATE: Duration = Duration::from_secs(1);

/// Parts that run until they are told to stop. The first that cannot go on ends the process.
#[derive(Default)]
pub(super) struct Parts {
    running: JoinSet<anyhow::Result<()>>,
    /// What this process is, under which name.
    seats: Vec<(Role, InstanceId)>,
}

impl Parts {
    pub(super) fn spawn(
        &mut self,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.running.spawn(part);
    }

    /// Takes a seat in the fleet under a new name.
    pub(super) fn seat(&mut self, role: Role) -> InstanceId {
        let id = InstanceId(Uuid::now_v7());
        self.seats.push((role, id));
        id
    }
}

/// Starts the parts of these roles, and waits until all of them have ended.
pub(super) fn run<Q: Shared>(runtime: &Runtime, ground: &Ground<'_, Q>) -> anyhow::Result<()> {
    let _inside = runtime.enter();
    let mut parts = Parts::default();
    // Held until everything has ended: then what is left to ship is shipped.
    let (logs, here) = logs::open(ground, runtime)?;
    if let Some(here) = &here {
        if let Some(url) = logs::serve(ground, runtime, &mut parts, here)? {
            crate::say(&format!("logs are taken in at {url}\n"))?;
        }
        let stop = ground.stop.clone();
        let sweep = logs::sweep(Arc::clone(here), Arc::clone(&ground.store));
        parts.spawn(async move {
            tokio::select! {
                () = stop.stopped() => Ok(()),
                () = sweep => Ok(()),
            }
        });
    }
    let mut url = String::new();
    let (mut published, mut kept) = (None, None);
    let (desk, questions) = flowforge_svc_scheduler::desk();
    if ground.roles.api {
        let explains = explain::route(ground, &desk)?;
        (url, published) = api(runtime, ground, &mut parts, (Arc::clone(&logs), explains))?;
    }
    if ground.roles.controller {
        controller(ground, &mut parts, &logs)?;
    }
    if ground.roles.scheduler {
        let asked = explain::serve(ground, runtime, &mut parts, desk)?;
        scheduler(ground, &mut parts, (questions, asked));
        let store = PostgresStore::clone(&ground.store);
        kept = Some(crate::retention::start(store, ground.settings, ground.stop.clone())?);
    }
    if ground.roles.executor {
        executor(runtime, ground, &mut parts, (Arc::<Logs>::clone(&logs), &url))?;
    }
    if ground.roles.collector {
        collector::start(runtime, ground, &mut parts)?;
    }
    let (farewell, over) = oneshot::channel::<()>();
    let beats = beats::beat(ground.queue.clone(), std::mem::take(&mut parts.seats), async {
        // Dropping the sender says so as well.
        drop(over.await);
    });
    let beats = runtime.spawn(beats);
    if !ground.roles.api {
        crate::say(&format!("flowforge {} is ready\n", ground.roles.name))?;
    }
    let ended = runtime.block_on(async {
        let mut ended = Ok(());
        while let Some(part) = parts.running.join_next().await {
            // However one ends, the others end too.
            ground.stop.stop();
            let part = part.context("a part panicked").and_then(|done| done);
            ended = ended.and(part);
        }
        // Only now: what was to be ended was still there.
        drop(farewell);
        ended.and(beats.await.context("signs of life panicked"))
    });
    drop(published);
    if kept.is_some_and(|thread| thread.join().is_err()) {
        return ended.and(Err(anyhow!("the thread for retention panicked")));
    }
    ended
}

fn api<Q: Shared>(
    runtime: &Runtime,
    ground: &Ground<'_, Q>,
    parts: &mut Parts,
    (logs, explains): (Arc<Logs>, Arc<dyn Explains>),
) -> anyhow::Result<(String, Option<Endpoint>)> {
    let settings = ground.settings;
    let listener = listen(runtime, settings)?;
    let url = format!("http://{}", listener.local_addr()?);
    let token = token(settings)?;
    parts.seat(Role::Api);
    let hub = Hub::default();
    let artifacts = Arc::new(artifacts::open(settings, &ground.data)?);
    let mut config = ApiConfig::new(token.clone());
    config.default_retry = settings.default_retry();
    config.artifacts = Some(Arc::<Stores>::clone(&artifacts));
    config.downloads = Some(Downloads { artifacts, scratch: ground.data.work() });
    config.queue = Some(QueueAccess::new(ground.queue.clone(), settings.cluster.clone()));
    let told = facts(around_queue("api", ground.queue.clone()));
    config.pods = Some(PodAccess::new(Arc::clone(&ground.store), Arc::<Logs>::clone(&logs), told));
    config.explains = Some(explains);
    config.limits.leave = LEAVE;
    config.limits.drain = DRAIN;
    if logs.come_late() {
        config.limits.late_logs = LATE;
        config.limits.reread_logs = LATE;
    }
    config.nudge = intent(around_queue("api", ground.queue.clone()));
    let api = Api::new(Arc::clone(&ground.store), logs, hub.clone(), config);
    crate::start::probes(runtime, settings, &api, &ground.stop)?;
    let endpoint = ground.data.publish(&url, &token)?;
    let concurrency = if ground.roles.executor { settings.concurrency } else { 0 };
    Banner { url: &url, token: &token, data: ground.data.path(), concurrency, unfinished: 0 }
        .print();
    if let Some(address) = settings.kubernetes.listen {
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .with_context(|| format!("kubernetes.listen: cannot listen on {address}"))?;
        crate::say(&format!("pods are answered at http://{}\n", listener.local_addr()?))?;
        let (api, stop) = (api.clone(), ground.stop.clone());
        parts.spawn(async move {
            let until = async move { stop.stopped().await };
            flowforge_svc_api::serve_pods(listener, api, until).await.context("cannot answer pods")
        });
    }
    let (stop, stopped, queue) = (ground.stop.clone(), ground.stop.clone(), ground.queue.clone());
    parts.spawn(async move {
        let serve = flowforge_svc_api::serve(listener, api, async move { stop.stopped().await });
        tokio::select! {
            served = serve => served.context("cannot answer requests"),
            () = follow(queue, hub) => Ok(()),
        }
        .inspect(|()| stopped.stop())
    });
    Ok((url, Some(endpoint)))
}

fn controller<Q: Shared>(
    ground: &Ground<'_, Q>,
    parts: &mut Parts,
    logs: &Arc<Logs>,
) -> anyhow::Result<()> {
    let claims = Claims::new(ground.data.volumes());
    let (keeper, kept) = Keeper::start(Arc::clone(logs), Arc::clone(&ground.store), claims)?;
    keeper.sweep_claims();
    let notify = Arc::new(Notify::new());
    let told = around_queue("controller", ground.queue.clone());
    let beside = Beside {
        store: around_store("controller", &ground.store),
        config: ControllerConfig {
            instance: parts.seat(Role::Controller),
            default_retry: ground.settings.default_retry(),
            one_by_one: false,
        },
        clock: SystemClock,
        outlet: Told { queue: told, keeper },
        admission: Elsewhere::default,
        ttl: ground.settings.lease,
        wake: Arc::clone(&notify),
    };
    let (stop, queue) = (ground.stop.clone(), ground.queue.clone());
    parts.spawn(async move {
        tokio::select! {
            () = beside.run(async move { stop.stopped().await }) => Ok(()),
            () = wake(queue, notify) => Ok(()),
        }
    });
    // It ends with its sender, which is the controller's. What is left then is swept.
    drop(kept);
    Ok(())
}

fn scheduler<Q: Shared>(
    ground: &Ground<'_, Q>,
    parts: &mut Parts,
    (questions, url): (Questions, Option<String>),
) {
    let serve = ServeScheduler {
        store: around_store("scheduler", &ground.store),
        queue: around_queue("scheduler", ground.queue.clone()),
        cluster: ground.settings.cluster.clone(),
        clock: SystemClock,
        instance: parts.seat(Role::Scheduler),
        ttl: ground.settings.lease,
        questions,
        rules: ground.settings.rules,
        usage_every: ground.settings.usage.every,
        url,
    };
    let stop = ground.stop.clone();
    parts.spawn(async move {
        serve.run(async move { stop.stopped().await }).await;
        Ok(())
    });
    parts.seat(Role::Cron);
    let store = Arc::clone(&ground.store);
    let config = CronConfig { default_retry: ground.settings.default_retry() };
    let (stop, nudge) = (ground.stop.clone(), intent(ground.queue.clone()));
    parts.spawn(async move {
        let mut over = false;
        while !over {
            // The sender stays: a loop without one would end at once.
            let (_changes, inbox) = flowforge_svc_cron::mailbox();
            let (store, config, nudge) = (Arc::clone(&store), config.clone(), Arc::clone(&nudge));
            let serve = flowforge_svc_cron::Serve { store, config, clock: SystemClock, nudge };
            let until = tokio::time::timeout(SCHEDULES, stop.stopped());
            let mut stopped = false;
            serve.run(inbox, async { stopped = until.await.is_ok() }).await;
            over = stopped;
        }
        Ok(())
    });
}

fn executor<Q: Shared>(
    runtime: &Runtime,
    ground: &Ground<'_, Q>,
    parts: &mut Parts,
    (logs, url): (Arc<dyn LogStore>, &str),
) -> anyhow::Result<()> {
    let (settings, instance) = (ground.settings, parts.seat(Role::Executor));
    end_earlier(&ground.data);
    let (sender, facts) = mpsc::unbounded_channel();
    // Without a bound of its own: an attempt reports twice, and open attempts are bounded.
    let forward = move |fact: Fact| {
        if sender.send(fact).is_err() {
            tracing::debug!("fact after the executor ended");
        }
    };
    let ledger = Arc::new(Ledger::new(forward));
    let sink: Arc<dyn FactSink> = Arc::<Ledger>::clone(&ledger);
    let keeps = settings.kubernetes.runs == Runs::Pods;
    let runner = if ground.options.no_op_executor {
        AnyRunner::NoOp(NoOp::new(sink))
    } else if keeps {
        let made = pods::runner(&ground.store, settings, Arc::clone(&sink));
        let (pods, ours) = runtime.block_on(made)?;
        let tidy = ours.tidy();
        let stop = ground.stop.clone();
        parts.spawn(async move {
            tokio::select! {
                () = stop.stopped() => Ok(()),
                () = tidy => Ok(()),
            }
        });
        AnyRunner::pods(pods, (settings, &ground.data), logs, sink)
    } else {
        let around = Surroundings {
            data: &ground.data,
            instance,
            settings,
            url,
            environment: &ground.environment,
        };
        let artifacts = Arc::new(artifacts::open(settings, &ground.data)?);
        AnyRunner::local(&around, artifacts, logs, sink)?
    };
    let serve = ServeExecutor {
        store: around_store("executor", &ground.store),
        queue: around_queue("executor", ground.queue.clone()),
        cluster: settings.cluster.clone(),
        executor: Arc::new(Executor::new(around_runner(runner), ledger, SystemClock)),
        instance,
        slots: settings.concurrency,
        ttl: settings.lease,
        keeps,
    };
    let stop = ground.stop.clone();
    parts.spawn(async move {
        let done = serve.run(facts, async move { stop.stopped().await }).await;
        done.context("the executor ended")
    });
    Ok(())
}
