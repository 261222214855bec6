//! Where the output of tasks is: in this data directory, or at an aggregator.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use flowforge_listen::Bounds;
use flowforge_logstore::{Aggregator, RemoteLogs, SegmentLogs};
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::catalog::Catalog;
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment};
use flowforge_ports::queue::Role;
use flowforge_ports::store::StoreError;
use flowforge_svc_logs::LogService;
use tokio::net::TcpListener;

use super::parts::{LEAVE, Parts};
use super::told::output;
use super::{Ground, Shared};
use crate::config::{self, LogSettings};
use crate::database;
use crate::keeper::Announced;
use crate::start::DRAIN;

/// Where an aggregator listens unless it is told.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9095);
/// How often it is looked for logs that nobody sealed or deleted: whoever should have may have died.
const SWEEP: Duration = Duration::from_secs(600);
/// Logs that were found sealed are looked at in one of so many rounds: nearly all are, and each costs a
/// query.
const SEALED_ROUNDS: u32 = 6;
const MIB: u64 = 1024 * 1024;

/// Logs in this data directory, whose followers are told of every append.
pub(super) type Here = Announced<SegmentLogs>;

/// The logs that the parts of this process use.
pub(super) enum Logs {
    Here(Arc<Here>),
    There(RemoteLogs),
}

/// Opens what the parts of this process need: the logs that they use, and those that are here.
pub(super) fn open<Q: Shared>(
    ground: &Ground<'_, Q>,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<(Arc<Logs>, Option<Arc<Here>>)> {
    let (roles, settings) = (ground.roles, &ground.settings.logs);
    let elsewhere = roles.uses_logs() && !settings.endpoint.is_empty();
    let mut here = None;
    if aggregates(ground) || !elsewhere {
        let logs = SegmentLogs::open(&ground.data.logs()).context("cannot open the logs")?;
        let tell = output(ground.queue.clone(), runtime.handle().clone());
        here = Some(Arc::new(Announced { logs, tell }));
    }
    if let Some(here) = here.clone().filter(|_| !elsewhere) {
        return Ok((Arc::new(Logs::Here(Arc::clone(&here))), Some(here)));
    }
    let aggregator = Aggregator::new(&settings.endpoint, &token(settings)?);
    let logs = if roles.executor {
        let spool = ground.data.log_spool();
        RemoteLogs::open(aggregator, &spool, u64::from(settings.spool_mib) * MIB)
            .with_context(|| format!("cannot open the spool {}", spool.display()))?
    } else {
        RemoteLogs::reader(aggregator)
    };
    Ok((Arc::new(Logs::There(logs)), here))
}

/// Whether this process answers for the logs of others.
fn aggregates<Q>(ground: &Ground<'_, Q>) -> bool {
    ground.roles.logs && (!ground.roles.uses_logs() || ground.settings.logs.listen.is_some())
}

/// Serves the logs that are here to others, if that is what this process is for. Returns its URL.
pub(super) fn serve<Q: Shared>(
    ground: &Ground<'_, Q>,
    runtime: &tokio::runtime::Runtime,
    parts: &mut Parts,
    here: &Arc<Here>,
) -> anyhow::Result<Option<String>> {
    if !aggregates(ground) {
        return Ok(None);
    }
    let settings = &ground.settings.logs;
    let address = settings.listen.unwrap_or(LISTEN);
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("logs.listen: cannot listen on {address}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    parts.seat(Role::Logs);
    let service = LogService::new(Arc::<Here>::clone(here), token(settings)?);
    let (stop, stopped) = (ground.stop.clone(), ground.stop.clone());
    parts.spawn(async move {
        let bounds = Bounds { leave: LEAVE, drain: DRAIN, ..Bounds::default() };
        let served = service.serve(listener, bounds, async move { stop.stopped().await }).await;
        stopped.stop();
        served.context("cannot serve logs")
    });
    Ok(Some(url))
}

/// The token that all who use an aggregator share.
fn token(settings: &LogSettings) -> anyhow::Result<String> {
    if settings.token_file.is_empty() {
        bail!(
            "logs.token_file is not set: a log aggregator and all who use it share a token in a \
             file (FLOWFORGE_LOGS_TOKEN_FILE)"
        );
    }
    let text = database::secret(&settings.token_file).context("logs.token_file")?;
    config::token(&text).map_err(|wanted| {
        anyhow!("logs.token_file: {} does not hold {wanted}", settings.token_file)
    })
}

/// Deletes logs of workflows that are gone, and seals those of workflows that have ended, now and
/// again: whoever should have may have died, and lines may have come late.
pub(super) async fn sweep<C: Catalog>(here: Arc<Here>, catalog: Arc<C>) {
    let mut sealed = HashSet::new();
    for round in 0_u32.. {
        if round % SEALED_ROUNDS == 0 {
            sealed.clear();
        }
        let logs = Arc::clone(&here);
        let ids = tokio::task::spawn_blocking(move || logs.logs.workflows()).await;
        match ids.map_err(io::Error::other).and_then(|ids| ids) {
            Ok(ids) => {
                for id in ids {
                    if !sealed.contains(&id) && sweep_one(&here, &*catalog, id).await {
                        sealed.insert(id);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the logs cannot be listed"),
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// Whether the log stays, and is sealed.
async fn sweep_one(here: &Arc<Here>, catalog: &impl Catalog, id: WorkflowId) -> bool {
    let gone = match catalog.workflow(id).await {
        Ok(view) if view.state.status.terminal() => false,
        Err(StoreError::NotFound) => true,
        Ok(_) | Err(_) => return false,
    };
    let logs = Arc::clone(here);
    let tidy = move || match gone {
        true => logs.logs.delete(id),
        false if logs.logs.live(id)? => logs.logs.seal(id),
        false => Ok(()),
    };
    let done = tokio::task::spawn_blocking(tidy).await;
    match done.map_err(io::Error::other).and_then(|done| done) {
        Ok(()) => !gone,
        Err(error) => {
            tracing::warn!(workflow = %id, %error, "a log of an ended workflow cannot be tidied");
            false
        }
    }
}

impl Logs {
    fn store(&self) -> &dyn LogStore {
        match self {
            Self::Here(logs) => &**logs,
            Self::There(logs) => logs,
        }
    }

    /// Lines may be on their way after their workflow has ended.
    pub(super) fn come_late(&self) -> bool {
        matches!(self, Self::There(_))
    }
}

impl Intake for Logs {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        match self {
            Self::Here(logs) => logs.take_in(source, shipment),
            Self::There(logs) => logs.take_in(source, shipment),
        }
    }
}

impl LogStore for Logs {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        self.store().append(workflow, lines)
    }

    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        self.store().read(workflow, query, after, limit)
    }

    fn seal(&self, workflow: WorkflowId) -> io::Result<()> {
        self.store().seal(workflow)
    }

    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        self.store().delete(workflow)
    }

    fn ready(&self) -> io::Result<()> {
        self.store().ready()
    }
}
