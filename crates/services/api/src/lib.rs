//! The REST API: authenticate, translate, call the store.
//!
//! Decides nothing about workflows: it inserts them and what users ask of them, nudges the
//! controller, and shows what the store says. Start at [`router`]'s list of routes; [`serve()`]
//! runs it on a listener.

mod actions;
mod apply;
mod auth;
mod backend;
mod body;
mod bundle;
mod cursor;
mod dead_letters;
mod download;
mod envelope;
mod events;
mod explain;
mod follow;
mod hub;
mod json;
mod locks;
mod logs;
mod memos;
mod meta;
mod openapi;
mod organization;
mod path;
mod pods;
mod problem;
mod projects;
mod query;
mod queue;
mod router;
mod schedules;
mod servers;
mod show;
mod submission;
mod submit;
mod suspension;
mod tasks;
mod templates;
mod workflows;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flowforge_listen::{Bounds, Closing};
use flowforge_model::id::ScheduleId;
use flowforge_model::plan::RetryStrategy;
use flowforge_model::time::Timestamp;
use flowforge_ports::artifacts::ArtifactBytes;
use flowforge_ports::catalog::Catalog;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::explain::Explains;
use flowforge_ports::logs::LogStore;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::organization::Organizations;
use flowforge_ports::schedules::Schedules;
use flowforge_ports::store::Store;
use flowforge_ports::templates::Templates;
use flowforge_ports::usage::UsageHistory;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use backend::{Backend, Joined};
use problem::{Code, Failure};

pub use download::Downloads;
pub use hub::Hub;
pub use openapi::document as openapi_document;
pub use pods::PodAccess;
pub use queue::QueueAccess;

/// Bounds of a server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; more wait to be accepted.
    pub connections: usize,
    /// Open event and log streams; more are refused.
    pub streams: usize,
    /// Documents compiled at the same time: each may take a second of a core.
    pub compiles: usize,
    /// Artifacts fetched or sent at the same time; more wait.
    pub downloads: usize,
    /// Artifacts that pods fetch or send at the same time; more wait.
    pub transfers: usize,
    /// Bytes of one artifact, or of one file of it where it is kept as one object a file.
    pub artifact_bytes: u64,
    /// Calls into the store at the same time.
    pub calls: usize,
    /// Reads of logs at the same time: an aggregator that hangs must not stop the others.
    pub log_calls: usize,
    /// A request's head must arrive within this time, and a connection may be idle for as long.
    pub head_timeout: Duration,
    /// The next piece of a body must arrive within this time.
    pub body_timeout: Duration,
    /// After a shutdown began, requests are taken for so long, and `/readyz` says 503.
    pub leave: Duration,
    /// Then requests under way have this long to end.
    pub drain: Duration,
    /// What has drained is looked for this often.
    pub reap: Duration,
    /// Quiet streams send a comment this often.
    pub heartbeat: Duration,
    /// Streams read the store this often without having been woken.
    pub reread: Duration,
    /// Streams of logs read this often without having been woken.
    pub reread_logs: Duration,
    /// Streams of logs go on for this long after their workflow has ended: where lines are shipped,
    /// the last ones may be on their way.
    pub late_logs: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            streams: 256,
            compiles: 2,
            downloads: 8,
            transfers: 16,
            artifact_bytes: flowforge_model::limits::ARTIFACT_BYTES,
            calls: 32,
            log_calls: 16,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            leave: Duration::ZERO,
            drain: Duration::from_secs(30),
            reap: Duration::from_secs(5),
            heartbeat: Duration::from_secs(15),
            reread: Duration::from_secs(5),
            reread_logs: Duration::from_millis(250),
            late_logs: Duration::ZERO,
        }
    }
}

/// What the composition root decides about the api.
#[derive(Clone)]
pub struct ApiConfig {
    /// The bearer token that every route under `/api` wants.
    pub token: String,
    /// Who somebody with that token is.
    pub principal: String,
    /// Name of the project of submissions that name none.
    pub default_project: String,
    /// Retries of leaves that name none.
    pub default_retry: Option<RetryStrategy>,
    /// Where artifacts are downloaded from; none if nothing keeps any.
    pub downloads: Option<Downloads>,
    /// Where the artifacts of pods are; none if nothing keeps any.
    pub artifacts: Option<Arc<dyn ArtifactBytes>>,
    /// Where work and signs of life of servers are looked at; none if this is the only one.
    pub queue: Option<QueueAccess>,
    /// What pods begin and tell; none if there are no pods, and no routes for them then.
    pub pods: Option<PodAccess>,
    /// Who is asked why something waits; none if nobody can be.
    pub explains: Option<Arc<dyn Explains>>,
    /// Bounds.
    pub limits: Limits,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Called after each new intent; must not block.
    pub nudge: Arc<dyn Fn(Nudge) + Send + Sync>,
    /// Called after a schedule was written or deleted; must not block.
    pub schedule_changed: Arc<dyn Fn(ScheduleId) + Send + Sync>,
}

impl ApiConfig {
    /// A configuration with the machine's clock, default bounds and nobody to nudge.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self {
            token,
            principal: "local".to_owned(),
            default_project: "default".to_owned(),
            default_retry: None,
            downloads: None,
            artifacts: None,
            queue: None,
            pods: None,
            explains: None,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            nudge: Arc::new(|_| {}),
            schedule_changed: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for ApiConfig {
    /// Without the token: debug text ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiConfig")
            .field("principal", &self.principal)
            .field("default_project", &self.default_project)
            .field("default_retry", &self.default_retry)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Questions to the scheduler under way: it answers one after the other.
const QUESTIONS: usize = 8;

/// The API over a store and a log store. Cheap to clone; all clones are one API.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Api").field(&self.0.config).finish()
    }
}

impl Api {
    /// Joins the parts. Whoever commits to the store tells `hub`, so that streams are prompt.
    #[must_use]
    pub fn new<S, L: LogStore>(store: Arc<S>, logs: Arc<L>, hub: Hub, config: ApiConfig) -> Self
    where
        S: Store + Catalog + Templates + Schedules + Organizations + UsageHistory,
    {
        Self(Arc::new(Shared {
            backend: Arc::new(Joined { store, logs }),
            hub,
            calls: Arc::new(Semaphore::new(config.limits.calls)),
            log_calls: Arc::new(Semaphore::new(config.limits.log_calls)),
            compiles: Arc::new(Semaphore::new(config.limits.compiles)),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            downloads: Arc::new(Semaphore::new(config.limits.downloads)),
            transfers: pods::Turns::new(config.limits.transfers),
            streams: Arc::new(Semaphore::new(config.limits.streams)),
            closing: Closing::default(),
            config,
        }))
    }

    /// The routes as a service, for [`serve()`] and for tests. Needs a tokio runtime.
    pub fn router(&self) -> axum::Router {
        router::build(Arc::clone(&self.0))
    }

    /// What bounds a listener, and says that it closes.
    fn around(&self) -> (Bounds, Closing) {
        let Limits { connections, head_timeout, leave, drain, .. } = self.0.config.limits;
        let bounds = Bounds { connections, head_timeout, leave, drain, ..Bounds::default() };
        (bounds, self.0.closing.clone())
    }
}

/// Serves the API until `shutdown` is ready. Then it is not ready any more, for [`Limits::leave`]; then
/// nothing is accepted, requests under way end, streams are told to come back. What is left after
/// [`Limits::drain`] is cut.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let reaper = tokio::spawn(organization::reap(Arc::clone(&api.0)));
    let served = flowforge_listen::serve(listener, api.router(), api.around(), shutdown).await;
    reaper.abort();
    served
}

/// Serves what pods ask, and nothing else, where others may reach it: with the bounds of [`serve()`] in time, and
/// more connections, but not for one address alone.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve_pods(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = router::build_for_pods(Arc::clone(&api.0));
    let (bounds, closing) = api.around();
    let bounds = Bounds { connections: PODS, of_one_address: PODS / 8, ..bounds };
    flowforge_listen::serve(listener, router, (bounds, closing), shutdown).await
}

/// Answers those who collect numbers and look after servers, without a token, until `shutdown` is ready:
/// `/metrics`, `/health`, `/livez`, `/readyz`, and nothing else.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve_probes(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = router::build_for_probes(Arc::clone(&api.0));
    let (bounds, closing) = api.around();
    let bounds = Bounds { connections: PROBES, ..bounds };
    flowforge_listen::serve(listener, router, (bounds, closing), shutdown).await
}

/// Connections of those who collect numbers and look after servers.
const PROBES: usize = 64;

/// Connections of pods, of which no address has more than an eighth: a pod has one of its own, but those of
/// a node may come from one, and a node has some hundred pods.
const PODS: usize = 4096;

/// What the handlers share.
pub(crate) struct Shared {
    backend: Arc<dyn Backend>,
    hub: Hub,
    config: ApiConfig,
    calls: Arc<Semaphore>,
    log_calls: Arc<Semaphore>,
    compiles: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
    transfers: pods::Turns,
    streams: Arc<Semaphore>,
    closing: Closing,
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.config.clock.now()
    }

    /// Calls the layers below on a blocking thread. The call runs to its end even if the client
    /// goes away, so what must follow a write belongs into `work`.
    async fn call<T, E>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        E: Into<Failure> + Send + 'static,
    {
        let backend = Arc::clone(&self.backend);
        let answer = blocking(&self.calls, move || work(&*backend)).await?;
        answer.map_err(Into::into)
    }

    /// The same for calls that read logs.
    async fn call_logs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let backend = Arc::clone(&self.backend);
        blocking(&self.log_calls, move || work(&*backend)).await?
    }

    /// Asks whoever decides, which may take seconds: few at a time, and others are told at once.
    async fn question<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if self.questions.available_permits() == 0 {
            let detail = "too many questions wait for the scheduler; ask again in a moment";
            return Err(Failure::new(Code::SchedulerUnavailable, detail));
        }
        let backend = Arc::clone(&self.backend);
        blocking(&self.questions, move || work(&*backend)).await?
    }

    /// Reads or compiles a document on a blocking thread, few at a time.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        blocking(&self.compiles, work).await
    }

    /// The same for work that looks things up on its way.
    async fn compute_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let backend = Arc::clone(&self.backend);
        self.compute(move || work(&*backend)).await?
    }
}

async fn blocking<T: Send + 'static>(
    room: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(|_| Failure::new(Code::Unavailable, "the server is going down"))?;
    // The work outlives a client that goes away, and so must its permit.
    let held = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(held).await.map_err(|error| {
        tracing::error!(%error, "a blocking call panicked");
        Failure::new(Code::Internal, Code::Internal.text())
    })
}
