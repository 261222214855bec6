//! The log aggregator: takes in the lines that executors ship, and answers reads.
//!
//! Knows no workflows: who may read a log and how it is shown is the api's, how long it lives is said
//! by whoever calls. Everything but `/livez` and `/readyz` wants the token that all servers share.
//! Start at [`LogService::router`]'s list of routes.

mod problem;
mod routes;

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::Router;
use flowforge_listen::{Bounds, Closing};
use flowforge_ports::logs::Intake;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Calls into the store at the same time; more wait.
const CALLS: usize = 32;

/// The service over a log store. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct LogService(Arc<Shared>);

struct Shared {
    logs: Arc<dyn Intake>,
    token: String,
    calls: Arc<Semaphore>,
    closing: Closing,
}

impl fmt::Debug for LogService {
    /// Without the token: debug text ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogService").finish_non_exhaustive()
    }
}

impl LogService {
    /// Over `logs`, for those who carry `token`.
    #[must_use]
    pub fn new(logs: Arc<dyn Intake>, token: String) -> Self {
        let calls = Arc::new(Semaphore::new(CALLS));
        Self(Arc::new(Shared { logs, token, calls, closing: Closing::default() }))
    }

    /// The routes as a service. Needs a tokio runtime.
    pub fn router(&self) -> Router {
        routes::build(Arc::clone(&self.0))
    }

    /// Serves until `shutdown` is ready, then lets requests under way end.
    ///
    /// # Errors
    /// None at present; a broken connection ends alone.
    pub async fn serve(
        self,
        listener: TcpListener,
        bounds: Bounds,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let around = (bounds, self.0.closing.clone());
        flowforge_listen::serve(listener, self.router(), around, shutdown).await
    }
}
