//! Logs that an aggregator keeps: lines are spooled here and shipped there, reads go there.

mod aggregator;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::logs::{
    Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment, Shipments,
};

use crate::spool::{Batch, Spool};
pub use aggregator::{Aggregator, AggregatorError};

/// The pause after the aggregator did not answer, doubled each time up to
const PAUSE: Duration = Duration::from_millis(100);
/// this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that ends ships what is left for at most this long. The rest comes at its next start.
const DRAIN: Duration = Duration::from_secs(10);

/// Logs at an aggregator.
///
/// Guarantees: what `append` returned is in the kernel's hands and survives this process. It is
/// shipped in order by one thread, at once as a rule, and kept until it was acknowledged, also by the
/// next process that opens the same spool. The aggregator stores each line once. A spool that is full
/// or cannot be written drops new lines, and what the aggregator refuses is dropped; a line of
/// [`flowforge_ports::logs::Stream::System`] in the log says how many.
///
/// Dropping it ships what is left, for at most ten seconds and as long as the aggregator answers.
#[derive(Debug)]
pub struct RemoteLogs {
    aggregator: Aggregator,
    spool: Option<Arc<Spool>>,
    shipper: Option<JoinHandle<()>>,
}

impl RemoteLogs {
    /// For those who only read, seal and delete; appends are refused.
    #[must_use]
    pub fn reader(aggregator: Aggregator) -> Self {
        Self { aggregator, spool: None, shipper: None }
    }

    /// With a spool in `dir` of at most `bytes` bytes. One process at a time may use a directory.
    ///
    /// # Errors
    /// The disk's own.
    pub fn open(aggregator: Aggregator, dir: &Path, bytes: u64) -> io::Result<Self> {
        let spool = Arc::new(Spool::open(dir, bytes)?);
        let (theirs, to) = (Arc::clone(&spool), aggregator.clone());
        let shipper = std::thread::Builder::new()
            .name("log-shipper".to_owned())
            .spawn(move || ship(&theirs, &to))?;
        Ok(Self { aggregator, spool: Some(spool), shipper: Some(shipper) })
    }

    /// Waits until the aggregator has everything that was appended, at most for `patience`. Whether
    /// it has.
    #[must_use]
    pub fn settled(&self, patience: Duration) -> bool {
        self.spool.as_ref().is_none_or(|spool| spool.settled(patience))
    }
}

impl Drop for RemoteLogs {
    fn drop(&mut self) {
        if let Some(spool) = &self.spool {
            spool.close(DRAIN);
        }
        let ended = self.shipper.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            tracing::error!("the thread that ships logs panicked");
        }
    }
}

impl LogStore for RemoteLogs {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        match &self.spool {
            _ if lines.is_empty() => Ok(()),
            Some(spool) => spool.append(workflow, lines),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "these logs are for readers")),
        }
    }

    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        let mut page = self.aggregator.read(workflow, query, after, limit)?;
        // One answer is bounded; a caller may have asked for more.
        while !page.end && page.lines.len() < limit {
            let left = limit - page.lines.len();
            let mut more = self.aggregator.read(workflow, query, page.next, left)?;
            page.lines.append(&mut more.lines);
            (page.next, page.end) = (more.next, more.end);
        }
        Ok(page)
    }

    fn seal(&self, workflow: WorkflowId) -> io::Result<()> {
        Ok(self.aggregator.seal(workflow)?)
    }

    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        Ok(self.aggregator.delete(workflow)?)
    }

    fn ready(&self) -> io::Result<()> {
        Ok(self.aggregator.ready()?)
    }
}

/// What others number comes through: it is theirs to send it again, and is not kept here.
impl Intake for RemoteLogs {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        let shipments = vec![shipment.clone()];
        let body = serde_json::to_string(&Shipments { source, shipments })?;
        Ok(self.aggregator.ship(&body)?)
    }
}

/// Ships until the spool is closed.
fn ship(spool: &Spool, aggregator: &Aggregator) {
    loop {
        let shipped = match spool.next() {
            Ok(None) => return,
            Ok(Some(batch)) => match deliver(spool, aggregator, &batch) {
                true => spool.acknowledge(&batch),
                false => return,
            },
            Err(error) => Err(error),
        };
        if let Err(error) = shipped {
            tracing::error!(%error, "the spool of logs cannot be used");
            if spool.pause(LONGEST_PAUSE) {
                return;
            }
        }
    }
}

/// Sends a batch until it was taken in. Whether it is done with; if not, the spool was closed.
fn deliver(spool: &Spool, aggregator: &Aggregator, batch: &Batch) -> bool {
    let mut pause = PAUSE;
    loop {
        let error = match aggregator.ship(&batch.body) {
            Ok(()) => {
                if pause > PAUSE {
                    tracing::info!("the log aggregator answers again");
                }
                return true;
            }
            Err(error) => error,
        };
        if error.hopeless() {
            // One bad batch must not stop the others.
            tracing::error!(%error, lines = batch.lines, "the aggregator takes these lines never");
            if let Err(error) = spool.give_up(batch) {
                tracing::error!(%error, "lines that are missing are not told");
            }
            return true;
        }
        if pause == PAUSE {
            tracing::warn!(%error, "logs wait here for their aggregator");
        }
        if spool.pause(pause) {
            return false;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
