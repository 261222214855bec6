//! The part that watches pods beside the executors that made them.

use std::sync::Arc;

use anyhow::{Context, ensure};
use flowforge_cluster::{Collector, CollectorConfig, Counts};
use flowforge_listen::Probes;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::queue::Role;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::parts::Parts;
use super::pods;
use super::told::facts;
use super::{Ground, Roles, Shared};
use crate::config::{Runs, Settings};

/// A server that is nothing else has to have a cluster.
pub(super) fn refuse(roles: Roles, settings: &Settings) -> anyhow::Result<()> {
    ensure!(
        roles != Roles::STATUS_COLLECTOR || settings.kubernetes.runs == Runs::Pods,
        "`flowforge status-collector` watches pods, and tasks are none here: set kubernetes.tasks \
         (FLOWFORGE_KUBERNETES_TASKS) to kubernetes"
    );
    Ok(())
}

/// Watches the cluster of the settings. Where everything is in one process and tasks are none of a cluster, there
/// is nothing to watch.
pub(super) fn start<Q: Shared>(
    runtime: &Runtime,
    ground: &Ground<'_, Q>,
    parts: &mut Parts,
) -> anyhow::Result<()> {
    let settings = ground.settings;
    if settings.kubernetes.runs != Runs::Pods {
        return Ok(());
    }
    parts.seat(Role::Collector);
    let (cluster, name) = runtime.block_on(async {
        let cluster = pods::connect(&settings.kubernetes).await?;
        anyhow::Ok((cluster, pods::name(&ground.store, settings).await?))
    })?;
    let config = CollectorConfig::new(name, settings.kubernetes.bounds());
    let store = Arc::clone(&ground.store);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tell = Box::new(facts(ground.queue.clone()));
    let collector = Collector::new(cluster, config, (store, clock), tell)?;
    if ground.roles == Roles::STATUS_COLLECTOR {
        probes(runtime, ground, collector.counts())?;
    }
    let stop = ground.stop.clone();
    parts.spawn(async move {
        collector.run(async move { stop.stopped().await }).await;
        Ok(())
    });
    Ok(())
}

/// Answers who collects numbers, where that is asked for.
fn probes<Q: Shared>(
    runtime: &Runtime,
    ground: &Ground<'_, Q>,
    counts: Arc<Counts>,
) -> anyhow::Result<()> {
    let Some(address) = ground.settings.metrics_listen else { return Ok(()) };
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("server.metrics_listen: cannot listen on {address}"))?;
    crate::say(&format!("numbers are answered at http://{}/metrics\n", listener.local_addr()?))?;
    let watching = Arc::clone(&counts);
    let probes = Probes {
        ready: Arc::new(move || watching.watches()),
        numbers: Arc::new(move || counts.text()),
    };
    let stop = ground.stop.clone();
    runtime.spawn(async move {
        let until = async move { stop.stopped().await };
        if let Err(error) = flowforge_listen::serve_probes(listener, probes, until).await {
            tracing::error!(%error, "numbers are answered no more");
        }
    });
    Ok(())
}
