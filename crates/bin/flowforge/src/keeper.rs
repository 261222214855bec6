//! Logs around the hot path: who is told of new lines, and what happens to the log and the claims
//! of a workflow that has ended.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::catalog::Catalog;
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment};
use flowforge_ports::store::StoreError;

use crate::claims::{Claims, Stands};

/// Logs of which every append is told.
pub(crate) struct Announced<L> {
    pub(crate) logs: L,
    /// Tells those who follow. Called from the threads of tasks, which belong to no runtime; must not
    /// block.
    pub(crate) tell: Box<dyn Fn(WorkflowId) + Send + Sync>,
}

impl<L: LogStore> LogStore for Announced<L> {
    fn append(&self, workflow: WorkflowId, lines: &[LogLine]) -> io::Result<()> {
        self.logs.append(workflow, lines)?;
        (self.tell)(workflow);
        Ok(())
    }

    fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> io::Result<LogPage> {
        self.logs.read(workflow, query, after, limit)
    }

    fn seal(&self, workflow: WorkflowId) -> io::Result<()> {
        self.logs.seal(workflow)
    }

    fn delete(&self, workflow: WorkflowId) -> io::Result<()> {
        self.logs.delete(workflow)
    }
}

impl<L: Intake> Intake for Announced<L> {
    fn take_in(&self, source: InstanceId, shipment: &Shipment) -> io::Result<()> {
        self.logs.take_in(source, shipment)?;
        (self.tell)(shipment.workflow);
        Ok(())
    }
}

/// Chores that wait while an aggregator does not answer. What is beyond is left to sweeps.
const CHORES: usize = 65_536;

enum Chore {
    Seal(WorkflowId),
    Delete(WorkflowId),
    /// Delete the logs in this folder whose workflows are gone, and claims that nobody needs.
    Sweep(PathBuf),
}

/// Seals and deletes logs on a thread of its own.
#[derive(Debug)]
pub(crate) struct Keeper {
    chores: SyncSender<Chore>,
}

impl Keeper {
    /// Starts the thread. It ends when the keeper is dropped and all chores are done.
    pub(crate) fn start(
        logs: Arc<impl LogStore>,
        catalog: Arc<impl Catalog>,
        claims: Claims,
    ) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = sync_channel(CHORES);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let stands = move |id| match runtime.block_on(catalog.workflow(id)) {
            Ok(view) if view.state.status == WorkflowStatus::Succeeded => Stands::Succeeded,
            Err(StoreError::NotFound) => Stands::Gone,
            Ok(_) | Err(_) => Stands::Needed,
        };
        let thread = std::thread::Builder::new()
            .name("logs".to_owned())
            .spawn(move || work(&*logs, &claims, &receiver, &stands))
            .context("cannot start the thread for logs")?;
        Ok((Self { chores: sender }, thread))
    }

    pub(crate) fn seal(&self, workflow: WorkflowId) {
        self.add(Chore::Seal(workflow));
    }

    pub(crate) fn delete(&self, workflow: WorkflowId) {
        self.add(Chore::Delete(workflow));
    }

    /// Deletes what a server left that was killed between deleting a workflow and its log.
    pub(crate) fn sweep(&self, folder: PathBuf) {
        self.add(Chore::Sweep(folder));
    }

    fn add(&self, chore: Chore) {
        match self.chores.try_send(chore) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => tracing::warn!("logs are tidied later: too many wait"),
            Err(TrySendError::Disconnected(_)) => tracing::error!("the thread for logs is gone"),
        }
    }
}

fn work(
    logs: &impl LogStore,
    claims: &Claims,
    chores: &Receiver<Chore>,
    stands: &impl Fn(WorkflowId) -> Stands,
) {
    let mut failing = false;
    for chore in chores {
        let (what, workflow, done) = match chore {
            Chore::Seal(id) => ("sealed", id, logs.seal(id)),
            Chore::Delete(id) => ("deleted", id, logs.delete(id)),
            Chore::Sweep(folder) => {
                sweep(logs, &folder, stands);
                claims.sweep(stands);
                continue;
            }
        };
        claims.release(workflow, stands);
        // Once for all the time that a store is away: sweeps make it good.
        let failed_before = std::mem::replace(&mut failing, done.is_err());
        if let Err(error) = done
            && !failed_before
        {
            tracing::warn!(%workflow, %error, "log cannot be {what}");
        }
    }
}

fn sweep(logs: &impl LogStore, folder: &Path, stands: &impl Fn(WorkflowId) -> Stands) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for id in ids.filter(|id| stands(*id) == Stands::Gone) {
        if let Err(error) = logs.delete(id) {
            tracing::warn!(workflow = %id, %error, "log of a deleted workflow cannot be deleted");
        }
    }
}
