//! How API servers ask the scheduler that leads why something waits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use flowforge_listen::Bounds;
use flowforge_ports::explain::Explains;
use flowforge_svc_scheduler::{Desk, ExplainService, Route};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::parts::Parts;
use super::{Ground, Shared};
use crate::config::{self, SchedulerSettings};
use crate::database;
use crate::start::DRAIN;

/// Where a scheduler listens unless it is told: a free port that only this machine reaches.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The way of this API server to the scheduler that leads.
pub(super) fn route<Q: Shared>(
    ground: &Ground<'_, Q>,
    desk: &Desk,
) -> anyhow::Result<Arc<dyn Explains>> {
    let here = ground.roles.scheduler.then(|| desk.clone());
    let token = token(&ground.settings.scheduler)?;
    Ok(Arc::new(Route::new(Arc::clone(&ground.store), here, token)))
}

/// Lets others ask the scheduler of this process, if there is a token for that. Returns its URL.
pub(super) fn serve<Q: Shared>(
    ground: &Ground<'_, Q>,
    runtime: &Runtime,
    parts: &mut Parts,
    desk: Desk,
) -> anyhow::Result<Option<String>> {
    let settings = &ground.settings.scheduler;
    let Some(token) = token(settings)? else {
        if settings.listen.is_some() || !settings.url.is_empty() {
            bail!(
                "scheduler.listen and scheduler.url want a token, which API servers and schedulers \
                 share in a file: set scheduler.token_file (FLOWFORGE_SCHEDULER_TOKEN_FILE)"
            );
        }
        return Ok(None);
    };
    let address = settings.listen.unwrap_or(LISTEN);
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .with_context(|| format!("scheduler.listen: cannot listen on {address}"))?;
    let local = listener.local_addr()?;
    let url = match &*settings.url {
        "" if local.ip().is_unspecified() => bail!(
            "scheduler.listen: {address} is every address of this machine: say in scheduler.url by \
             which one API servers reach it"
        ),
        "" => format!("http://{local}"),
        url => url.to_owned(),
    };
    let service = ExplainService::new(desk, token);
    let stop = ground.stop.clone();
    parts.spawn(async move {
        let bounds = Bounds { drain: DRAIN, ..Bounds::default() };
        let served = service.serve(listener, bounds, async move { stop.stopped().await }).await;
        served.context("cannot answer questions")
    });
    Ok(Some(url))
}

/// The token that schedulers and API servers share; none if others do not ask.
fn token(settings: &SchedulerSettings) -> anyhow::Result<Option<String>> {
    if settings.token_file.is_empty() {
        return Ok(None);
    }
    let text = database::secret(&settings.token_file).context("scheduler.token_file")?;
    let token = config::token(&text).map_err(|wanted| {
        anyhow!("scheduler.token_file: {} does not hold {wanted}", settings.token_file)
    })?;
    Ok(Some(token))
}
