//! An aggregator in this process, on threads and a port of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowforge_listen::Bounds;
use flowforge_logstore::{Aggregator, RemoteLogs, SegmentLogs};
use flowforge_model::id::WorkflowId;
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore};
use flowforge_svc_logs::LogService;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const TOKEN: &str = "0123456789abcdef";
/// Longer than any test takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const ROOMY: u64 = 1 << 30;

/// An aggregator on threads of its own.
pub(crate) struct Served {
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) fn start(logs: Arc<dyn Intake>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), logs)
    }

    pub(crate) fn start_at(address: SocketAddr, logs: Arc<dyn Intake>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = LogService::new(logs, TOKEN.to_owned());
        runtime.spawn(async move {
            let stopped = async { drop(stopped.await) };
            service.serve(listener, Bounds::default(), stopped).await
        });
        Self { runtime: Some(runtime), stop: Some(stop), address }
    }

    pub(crate) fn of_files(dir: &Path) -> Self {
        Self::start(Arc::new(SegmentLogs::open(dir).unwrap()))
    }

    pub(crate) fn aggregator(&self) -> Aggregator {
        Aggregator::new(&format!("http://{}", self.address), TOKEN)
    }

    /// Cuts all connections at once; what is under way in the store is done, and nobody hears of it.
    pub(crate) fn kill(mut self) -> SocketAddr {
        std::mem::forget(self.stop.take());
        self.runtime.take().unwrap().shutdown_timeout(PATIENCE);
        self.address
    }
}

/// A port where nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Remote logs of which lines are readable when an append returns, as the suite wants.
struct Settled(RemoteLogs);

impl LogStore for Settled {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> std::io::Result<()> {
        self.0.append(workflow, lines)?;
        assert!(self.0.settled(PATIENCE));
        Ok(())
    }
    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> std::io::Result<LogPage> {
        self.0.read(workflow, query, after, limit)
    }
    fn seal(&self, workflow: WorkflowId) -> std::io::Result<()> {
        self.0.seal(workflow)
    }
    fn delete(&self, workflow: WorkflowId) -> std::io::Result<()> {
        self.0.delete(workflow)
    }
}

#[test]
fn logs_at_an_aggregator_conform() {
    let (kept, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let served = Served::of_files(kept.path());
    let logs = RemoteLogs::open(served.aggregator(), spool.path(), ROOMY).unwrap();
    crate::conforms::conforms(&Settled(logs));
}
