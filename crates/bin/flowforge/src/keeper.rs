//! Logs around the hot path: who is told of new lines, and what happens to the log and the claims
//! of a workflow that has ended.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use flowforge_model::id::{InstanceId, WorkflowId};
use flowforge_ports::catalog::Catalog;
use flowforge_ports::logs::{Intake, LogCursor, LogLine, LogPage, LogQuery, LogStore, Shipment};

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

    fn ready(&self) -> io::Result<()> {
        self.logs.ready()
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
    /// Delete the logs in this folder whose workflows are gone.
    Sweep(PathBuf),
    /// Delete claims that nobody needs.
    SweepClaims,
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
        let stands = move |id| runtime.block_on(Stands::of(&*catalog, id));
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

    /// Deletes logs that a server left that was killed between deleting a workflow and its log.
    pub(crate) fn sweep(&self, folder: PathBuf) {
        self.add(Chore::Sweep(folder));
    }

    /// Deletes claims that a server left that was killed before it could, or that was told of too
    /// much at once.
    pub(crate) fn sweep_claims(&self) {
        self.add(Chore::SweepClaims);
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
    let mut waiting = VecDeque::new();
    loop {
        // A store that is away may take long for each: claims do not wait for it.
        let first = if waiting.is_empty() { chores.recv().ok() } else { None };
        for chore in first.into_iter().chain(chores.try_iter()) {
            match chore {
                Chore::Seal(id) | Chore::Delete(id) => claims.release(id, stands),
                Chore::SweepClaims => claims.sweep(stands),
                Chore::Sweep(_) => {}
            }
            if waiting.len() < CHORES {
                waiting.push_back(chore);
            }
        }
        let (what, workflow, done) = match waiting.pop_front() {
            Some(Chore::Seal(id)) => ("sealed", id, logs.seal(id)),
            Some(Chore::Delete(id)) => ("deleted", id, logs.delete(id)),
            Some(Chore::Sweep(folder)) => {
                sweep(logs, &folder, stands);
                continue;
            }
            Some(Chore::SweepClaims) => continue,
            None => return,
        };
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

#[cfg(test)]
mod tests {
    use flowforge_logstore::SegmentLogs;
    use flowforge_process::workflow_volumes;

    use super::*;

    fn id(n: u32) -> WorkflowId {
        format!("01890a5d-ac96-774b-bcce-{n:012x}").parse().unwrap()
    }

    #[test]
    fn who_is_told_of_lines_is_as_ready_as_the_logs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs");
        let logs = SegmentLogs::open(&path).unwrap();
        let logs = Announced { logs, tell: Box::new(|_| {}) };
        logs.ready().unwrap();
        std::fs::remove_dir(&path).unwrap();
        logs.ready().unwrap_err();
    }

    /// Logs that see, whenever they are asked, how many claims are left.
    struct Watching(Box<dyn Fn() -> usize + Send + Sync>);

    impl Watching {
        fn look(&self) -> io::Result<()> {
            assert_eq!((self.0)(), 0, "claims wait for logs");
            Err(io::Error::other("away"))
        }
    }

    impl LogStore for Watching {
        fn append(&self, _: WorkflowId, _: &[LogLine]) -> io::Result<()> {
            self.look()
        }

        fn read(&self, _: WorkflowId, _: &LogQuery, _: LogCursor, _: usize) -> io::Result<LogPage> {
            self.look().map(|()| LogPage::default())
        }

        fn seal(&self, _: WorkflowId) -> io::Result<()> {
            self.look()
        }

        fn delete(&self, _: WorkflowId) -> io::Result<()> {
            self.look()
        }
    }

    #[test]
    fn claims_do_not_wait_for_logs() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = dir.path().to_owned();
        for n in 1..=4 {
            std::fs::create_dir_all(workflow_volumes(&volumes, id(n)).join("claim")).unwrap();
        }
        let (sender, receiver) = sync_channel(9);
        let chores =
            [Chore::Seal(id(1)), Chore::Delete(id(2)), Chore::Seal(id(3)), Chore::SweepClaims];
        for chore in chores {
            sender.send(chore).unwrap();
        }
        drop(sender);
        let claims = Claims::new(volumes.clone());
        let left = move || (1..=4).filter(|n| workflow_volumes(&volumes, id(*n)).exists()).count();
        let logs = Watching(Box::new(left));
        work(&logs, &claims, &receiver, &|_| Stands::Gone);
        logs.look().unwrap_err();
    }
}
