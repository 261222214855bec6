//! Wakes those who follow a workflow when something was committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::id::WorkflowId;
use tokio::sync::watch;

/// Where followers of workflows wait. Cheap to clone; all clones are one hub.
///
/// A wake-up is a hint: followers read the store to learn what happened, and read it now and
/// then without a wake-up as well.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Mutex<Followed>>);

/// Only workflows that somebody follows have an entry.
type Followed = BTreeMap<WorkflowId, (usize, watch::Sender<u64>)>;

impl Hub {
    /// Records of `workflow` up to `seq` were committed. Never blocks for longer than a map lookup.
    pub fn changed(&self, workflow: WorkflowId, seq: u64) {
        tracing::trace!(%workflow, seq, "changed");
        self.wake(workflow);
    }

    /// Anything may have happened to any workflow: it was not heard of for a while.
    pub fn anything_changed(&self) {
        for (_, sender) in self.lock().values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Lines were appended to the log of `workflow`. Never blocks for longer than a map lookup.
    pub fn logs_changed(&self, workflow: WorkflowId) {
        self.wake(workflow);
    }

    fn wake(&self, workflow: WorkflowId) {
        if let Some((_, sender)) = self.lock().get(&workflow) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Follows a workflow from now on.
    pub(crate) fn follow(&self, workflow: WorkflowId) -> Follower {
        let mut followed = self.lock();
        let (count, sender) =
            followed.entry(workflow).or_insert_with(|| (0, watch::Sender::new(0)));
        *count += 1;
        Follower { hub: self.clone(), workflow, receiver: sender.subscribe() }
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who follows a workflow.
#[derive(Debug)]
pub(crate) struct Follower {
    hub: Hub,
    workflow: WorkflowId,
    receiver: watch::Receiver<u64>,
}

impl Follower {
    /// Returns when something happened since this last returned (or since the beginning).
    pub(crate) async fn woken(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The entry lives as long as its followers: this cannot be, and must not spin if so.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut followed = self.hub.lock();
        if let Some((count, _)) = followed.get_mut(&self.workflow) {
            *count -= 1;
            if *count == 0 {
                followed.remove(&self.workflow);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_before_waiting_is_not_lost_and_nothing_is_left_behind() {
        let hub = Hub::default();
        let id = WorkflowId(uuid::Uuid::from_u128(7));
        hub.changed(id, 1);
        let mut first = hub.follow(id);
        let mut second = hub.follow(id);
        hub.changed(id, 2);
        hub.logs_changed(id);
        first.woken().await;
        second.woken().await;
        drop(first);
        hub.changed(id, 3);
        second.woken().await;
        drop(second);
        assert!(hub.lock().is_empty());
    }
}
